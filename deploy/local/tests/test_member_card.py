"""What an agent reads while the phone rings."""

import json

import httpx
import pytest
from tenure_local.api import ApiError
from tenure_local.member_card import show, why_not_shown

MEMBER = {
    "member_id": "H-04",
    "as_of": "2018-12-31",
    "enrolled_on": "2018-02-01",
    "summary_zh": "黄金会员",
    "summary_en": "Gold since 2018-02-01",
    "tier": {
        "code": "gold",
        "label_zh": "黄金",
        "label_en": "Gold",
        "since": "2018-02-01",
        "drops_to": None,
        "drops_on": None,
    },
    "progress": {
        "label_en": "Diamond",
        "measure": "annual_premium_fen",
        "operator": ">",
        "threshold": 150_000,
        "actual": 90_005,
        "expected_on": None,
    },
    "points": {"points": {"available": 1_234, "pending": 50, "held": 0}, "growth": {"available": 0}},
    "expiring": [{"wallet": "points", "expires_on": "2019-05-01", "points": 1_100}],
    "benefits": [
        {"label_en": "Safety check", "label_zh": "检测", "quota": 2, "remaining": 1, "period_end": "2019-02-01"},
        {"label_en": "Burst pipes", "label_zh": "管道", "extension": "requested", "endorsement_no": None},
        {"label_en": "Pets", "label_zh": "宠物", "extension": "confirmed", "endorsement_no": "E-7"},
        {"label_en": "Lifts", "label_zh": "电梯", "extension": "rejected", "endorsement_no": None},
    ],
    "claims": [
        {
            "claim_no": "C-1",
            "status": "assessed",
            "since": "2018-12-24",
            "amount_fen": 500_000,
            "on_site_survey_waived": True,
        }
    ],
    "policies": [],
    "orders": [],
}


@pytest.mark.parametrize(
    "line",
    [
        "Gold since 2018-02-01",
        "tier      Gold 黄金 since 2018-02-01",
        "progress  Diamond needs annual premium > CNY 1,500.00, now CNY 900.05",
        "points    points: 1,234 available, 50 pending",
        "growth: 0 available",
        "expiring  points: 1,100 at the start of 2019-05-01",
        "benefits  Safety check 检测: 1 of 2 left, until 2019-02-01",
        "Burst pipes 管道, no cover yet: asked of the core",
        "Pets 宠物, cover endorsed: E-7",
        "Lifts 电梯, no cover: the core did not confirm it",
        "claims    C-1 assessed since 2018-12-24, CNY 5,000.00, no on-site survey",
        "as of     2018-12-31 (member since 2018-02-01)",
    ],
)
def test_the_card_says(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    show(MEMBER)
    assert line in [said.strip() for said in capsys.readouterr().out.splitlines()]


def test_a_member_of_no_tier_has_a_card(capsys: pytest.CaptureFixture[str]) -> None:
    show({"member_id": "X", "as_of": "2018-12-31", "tier": None, "progress": None, "points": {}})
    assert "none" in capsys.readouterr().out


def test_a_member_whose_tier_was_taken_back_has_it_since_no_day(capsys: pytest.CaptureFixture[str]) -> None:
    none = {
        "code": "none",
        "label_zh": "非会员",
        "label_en": "No tier",
        "since": None,
        "drops_to": None,
        "drops_on": None,
    }
    show(MEMBER | {"tier": none})
    assert "tier      No tier 非会员" in [said.strip() for said in capsys.readouterr().out.splitlines()]


def said(member: dict[str, object], capsys: pytest.CaptureFixture[str]) -> list[str]:
    show(member)
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_who_has_no_cover_is_not_promised_the_benefits_they_keep(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(MEMBER | {"tier": {**MEMBER["tier"], "lapsed": True}}, capsys)  # type: ignore[dict-item]
    at = lines.index("benefits  none can be used before cover resumes 恢复保障前均不可使用")
    assert lines[at + 1] == "Safety check 检测: 1 of 2 left, until 2019-02-01"


def test_points_of_a_frozen_account_are_not_promised(capsys: pytest.CaptureFixture[str]) -> None:
    show(MEMBER, is_frozen=True)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    at = lines.index("points    frozen: none can be redeemed 账户已冻结，不可兑换")
    assert lines[at + 1] == "points: 1,234 available, 50 pending"


def test_an_agent_who_insures_nothing_has_no_tier_and_is_no_member(capsys: pytest.CaptureFixture[str]) -> None:
    none = {"code": "none", "label_zh": "", "label_en": "", "since": None}
    lines = said(MEMBER | {"tier": none, "progress": None, "enrolled_on": None}, capsys)
    assert ("tier      none" in lines, "as of     2018-12-31" in lines) == (True, True)


def test_a_claim_of_which_no_amount_is_known_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    claim = {"claim_no": "C-2", "status": "reported", "since": "2018-12-24", "amount_fen": 0}
    assert "claims    C-2 reported since 2018-12-24" in said(MEMBER | {"claims": [claim]}, capsys)


class Tiers:
    """What tier-engine answers of a member."""

    def __init__(self, status: int, **answer: object) -> None:
        self.response = httpx.Response(status, content=json.dumps(answer))

    def get(self, *_: str) -> object:
        if self.response.is_error:
            raise ApiError(self.response)
        return self.response.json()


@pytest.mark.parametrize(
    ("tiers", "says"),
    [
        (Tiers(200, merged_into="H-01"), "H-04 was given up for H-01: see `tenure status H-01`"),
        (Tiers(200, merged_into=None), "no member H-04 is known here"),  # erased: a tier without a name
        (Tiers(404, code="not_found"), "no member H-04 is known here"),
    ],
)
def test_who_has_no_card_is_told_why(tiers: Tiers, says: str) -> None:
    assert why_not_shown(tiers, "H-04") == says  # type: ignore[arg-type]
