"""The sentence of an entry, read aloud: one point and many, thousands, and what came on top of an earlier entry."""

from dataclasses import dataclass
from datetime import date

import pytest
from points_ledger.rules.memory import Memory
from points_ledger.words import Said, of_entry, status_of
from tenure.contracts.programme import Programme


@dataclass
class Entry:
    """A premium's points, as far as the sentence asks."""

    wallet: str = "points"
    base: int = 1_234
    granted: int = 1_234
    remaining: int = 1_234
    taken_back: int = 0
    status_percent: int = 100
    tops_up: str | None = None
    earned_on: date = date(2026, 3, 1)
    activates_on: date = date(2026, 3, 1)
    expires_on: date = date(2028, 4, 1)
    label_zh: str = "续保"
    label_en: str = "Renewal"
    reference: str = "P-1/2"
    tier_or_rank: str = "gold"
    product_line_percent: int = 100
    campaign_percent: int = 100
    campaign: str = ""
    capped_by: str = ""
    cut_on: date | None = None
    source_type: str = "activity.completed"
    policy_no: str = ""
    revoked: bool = True
    from_others: int = 0
    as_debt: int = 0
    spent: int = 0
    held: int = 0
    expired: int = 0
    repaid: int = 0
    deducted: int = 0
    for_others: int = 0


@pytest.mark.parametrize(
    ("entry", "en", "zh"),
    [
        (Entry(), "1,234 points; … ; 1,234 left.", "获得1,234分；…；剩余1,234分。"),
        (Entry(granted=1, remaining=1), "1 point; … ; 1 left.", "获得1分；…；剩余1分。"),
        (
            Entry(base=1_500, granted=1_800, remaining=800, spent=1_000, status_percent=120),
            "1,800 points (1,500 x 120 % (Gold)); … ; 1,000 spent, 800 left.",
            "获得1,800分（1,500 x 120 %（黄金））；…；已兑换1,000分，剩余800分。",
        ),
        (
            Entry(granted=1, remaining=0, taken_back=1),
            "1 point; … ; 1 was taken back: what had earned it was taken back.",
            "获得1分；…；冲回1分：该事项已撤销。",
        ),
        (
            Entry(granted=300, remaining=0, taken_back=300, source_type="no_claim_year.completed"),
            "300 points; … ; 300 were taken back: that year no longer counts as one without a claim.",
            "获得300分；…；冲回300分：该年度不再计为无理赔年度。",
        ),
        (
            Entry(granted=100, remaining=0, taken_back=100, source_type="policy.anniversary"),
            "100 points; … ; 100 were taken back: that anniversary no longer stands.",
            "获得100分；…；冲回100分：该周年不再成立。",
        ),
        (
            Entry(granted=500, remaining=0, taken_back=500, source_type="referral.converted"),
            "500 points; … ; 500 were taken back: the policy that was referred never was.",
            "获得500分；…；冲回500分：所推荐的保单自始无效。",
        ),
        (
            Entry(granted=20, remaining=20, wallet="growth"),
            "20 growth points; … ; 20 left.",
            "获得20成长值；…；剩余20成长值。",
        ),
        (
            Entry(granted=55, remaining=0, taken_back=55, wallet="agent", as_debt=15, from_others=40),
            "55 agent points; … ; 55 were taken back: what had earned it was taken back (40 of them from other entries, 15 of them as a debt).",
            "获得55代理人积分；…；冲回55代理人积分：该事项已撤销（其中40代理人积分取自其他明细，15代理人积分记为欠额）。",
        ),
        (  # a cap had room again: no multiplier, so there is no sum to say
            Entry(base=400, granted=80, remaining=80, tops_up="M-1:3"),
            "80 points on top of entry M-1:3; … ; 80 left.",
            "在明细M-1:3之外补发80分；…；剩余80分。",
        ),
        (
            Entry(base=400, granted=80, remaining=80, tops_up="M-1:3", status_percent=120),
            "80 points on top of entry M-1:3, in all (400 x 120 % (Gold)); … ; 80 left.",
            "在明细M-1:3之外补发80分，合计（400 x 120 %（黄金））；…；剩余80分。",
        ),
    ],
)
def test_an_entry_reads_aloud(rules: Programme, entry: Entry, en: str, zh: str) -> None:
    said = of_entry(entry, Memory(), status_of(rules, entry))
    dates = Said("2028-04-01零时失效", " expiring at the start of 2028-04-01")
    assert said.en == "2026-03-01, Renewal, P-1/2: " + en.replace(" … ", dates.en)
    assert said.zh == "2026-03-01，续保（P-1/2）：" + zh.replace("…", dates.zh)
