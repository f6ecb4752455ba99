"""An entry accounts for every point it was granted, in figures and in words, as an agent reads it to a customer on the phone.

The scenes run on a real database. Whatever became of an entry, what is left of it is what it was granted less what its sentence names.
"""

from typing import Any

import pytest
from points_ledger.service import SERVICE
from tenure.contracts.policy import CustomerMerged
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .world import D, M, cancelled, did, paid, renewed, term, tiers

TODAY = D("2026-06-15")


@pytest.fixture
async def t(settings: Settings):
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        await under.feed(paid(term(), 30_000), at=D("2026-06-01"))
        await under.day(TODAY)
        yield under


async def why(t: Under, no: int, member_id: str = M) -> dict[str, Any]:
    answer = (await t.http.get(f"/v1/entries/{member_id}:{no}/why", headers=t.auth("operator"))).json()
    went = sum(answer[name] for name in ("held", "spent", "expired", "remaining", "repaid", "deducted", "for_others"))
    own = answer["taken_back"] - answer["from_others"] - answer["as_debt"]
    assert answer["granted"] == went + own, "every point is accounted for"
    return answer


async def adjust(t: Under, points: int, member_id: str = M) -> None:
    body = {"member_id": member_id, "points": points, "reason": "booked twice", "ticket": "T-1"}
    proposed = (await t.http.post("/v1/adjustments", json=body, headers=t.auth("operator", subject="op-1"))).json()
    path = f"/v1/adjustments/{proposed['adjustment_id']}/approve"
    assert (await t.http.post(path, headers=t.auth("operator", subject="op-2"))).status_code == 200


async def spend(t: Under, points: int, hold_id: str = "H-1") -> None:
    body = {"member_id": M, "points": points, "hold_id": hold_id, "reference": "O-1"}
    assert (await t.http.post("/v1/holds", json=body, headers=t.auth("service"))).status_code == 201
    await t.http.post(f"/v1/holds/{hold_id}/capture", headers=t.auth("service"))


async def test_what_was_deducted_by_hand_is_said(t: Under) -> None:
    await adjust(t, -60)
    said = await why(t, 1)
    assert said["deducted"] == 60
    assert said["says_en"].endswith("; 60 deducted by hand, 240 left.")
    assert said["says_zh"].endswith("；人工扣减60分，剩余240分。")
    answer = await t.http.get(f"/v1/wallets/{M}/statement/file", headers=t.auth("operator"))
    assert "2026-06-15,调整,人工调整,,0,60,240,积分" in answer.text, "not for the premium that they had been earned for"


async def test_what_was_added_by_hand_is_called_so(t: Under) -> None:
    await adjust(t, 100)
    said = await why(t, 2)
    assert (said["label_zh"], said["label_en"]) == ("人工调整", "Correction by hand")
    assert said["says_zh"].startswith(f"2026-06-15，人工调整（{said['reference']}）：获得100分；")
    answer = await t.http.get(f"/v1/wallets/{M}/statement/file", headers=t.auth("operator"))
    assert f"2026-06-15,调整,人工调整,{said['reference']},100,0,400,积分" in answer.text


async def test_where_points_taken_back_came_from_is_said(t: Under) -> None:
    """300 points are spent; then the policy they came from never was. Another policy's 120 go first, the rest is owed."""
    await spend(t, 300)
    await t.feed(paid(term(policy_no="P-2"), 12_000, "2026-06-10"), at=TODAY)
    await t.feed(cancelled(term(), "2026-06-15", "flat"), at=TODAY)
    first = await why(t, 1)
    assert (first["taken_back"], first["from_others"], first["as_debt"]) == (300, 120, 180)
    assert (
        "; 300 were taken back: the policy term never was (120 of them from other entries, 180 of them as a debt); 300 spent."
        in (first["says_en"])
    )
    assert "；冲回300分：该期保险自始无效（其中120分取自其他明细，180分记为欠额）；已兑换300分。" in first["says_zh"]
    other = await why(t, 2)
    assert (other["for_others"], other["remaining"]) == (120, 0)
    assert other["says_en"].endswith("; 120 taken for other entries.")
    assert other["says_zh"].endswith("；为其他明细冲抵120分。")


async def test_what_repaid_a_debt_is_said(t: Under) -> None:
    """Ten points for a quiz, and the balance does not move: they repaid what was owed."""
    await spend(t, 300)
    await t.feed(cancelled(term(), "2026-06-15", "flat"), at=TODAY)
    await t.feed(did("quiz", "2026-06-15"), at=TODAY)
    said = await why(t, 2)
    assert (said["repaid"], said["remaining"]) == (10, 0)
    assert said["says_en"].endswith("; 10 repaid a debt.")
    assert said["says_zh"].endswith("；抵扣欠额10分。")


async def test_an_entry_accounts_for_its_points_after_a_merger_too(t: Under) -> None:
    await adjust(t, -60)
    await t.feed(CustomerMerged(member_id="M-9", merged_id=M, effective=TODAY), at=TODAY)
    await adjust(t, -40, "M-9")
    said = await why(t, 1)
    assert (said["member_id"], said["deducted"], said["remaining"]) == ("M-9", 100, 200)


async def test_the_chinese_sentence_is_chinese(t: Under) -> None:
    """The tier by its name, and no English between."""
    await t.feed(tiers(("2026-06-01", "gold")), at=D("2026-12-21"))
    await t.feed(renewed(term(2), "2026-12-20", early=12))
    (entry,) = await t.pool.fetch("SELECT lot_no FROM lots WHERE rule = 'renewal'")
    said = await why(t, entry["lot_no"])
    assert "points (400 x 120 % (Gold))" in said["says_en"]
    assert "分（400 x 120 %（黄金））" in said["says_zh"]
