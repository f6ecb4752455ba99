"""Years of a policy that was cancelled and goes on under another number (DOMAIN 9), whichever of the two is heard of first.

P-1 is sold for 2024 and renewed for 2025, from 1 March each; on 1 September 2025 it is cancelled, and P-2 takes its place for a year.
"""

import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from policy_sync import verify
from policy_sync.service import SERVICE
from tenure.contracts import core, policy
from tenure.contracts.event import Data
from tenure.settings import Settings
from tenure.spine.codec import encode
from tenure.testing import Under, under_test

from .world import Said, cancelled, claim, day, issued, renewed, reversed_

Years = set[tuple[str, str, int]]
"""Policy, kind, and the number of a year that stands."""


def continued(start: str = "2025-09-01", end: str = "2026-09-01", on: str = "2025-08-28", no: str = "P-2") -> Said:
    return Said(issued(start, end, policy_no=no, previous_policy_no=f"P-{int(no[2:]) - 1}"), on, id_=no)


def loss(on: str, no: str = "P-1") -> list[Said]:
    about = {"no": f"C-{no}", "policy_no": no}
    return [
        Said(claim(core.ClaimReported, on, **about), "2026-04-10", id_=f"loss {no}"),
        Said(claim(core.ClaimPaid, "2026-05-01", amount_fen=90_00, **about), id_=f"paid {no}"),
    ]


SOLD = [
    Said(issued(), "2024-02-20", id_="sold"),
    Said(renewed("2025-03-01", "2026-03-01"), "2025-02-10", id_="renewed"),
]
CUT = Said(cancelled("2025-09-01", term_no=2), "2025-08-28", id_="cut")
LATE = Said(cancelled("2025-09-01", term_no=2), "2026-04-01", id_="cut")
FIRST: Years = {("P-1", "anniversary", 1), ("P-1", "no_claim_year", 1)}
SECOND: Years = {("P-2", "anniversary", 2), ("P-2", "no_claim_year", 2)}
THIRD: Years = {("P-3", "anniversary", 3), ("P-3", "no_claim_year", 3)}

TABLE: list[tuple[str, list[Said], Years]] = [
    ("a year spans both", [*SOLD, CUT, continued()], FIRST | SECOND),
    ("the cancellation is recorded when the year was over", [*SOLD, LATE, continued()], FIRST | SECOND),
    ("both are", [*SOLD, LATE, continued(on="2026-04-01")], FIRST | SECOND),
    ("it was never cancelled", [*SOLD, continued()], FIRST | {("P-1", "anniversary", 2), ("P-1", "no_claim_year", 2)}),
    (
        "the cancellation was reversed",
        [*SOLD, CUT, Said(reversed_("2025-09-01", term_no=2), "2026-04-02", id_="again"), continued()],
        FIRST | {("P-1", "anniversary", 2), ("P-1", "no_claim_year", 2)},
    ),
    ("a gap of two weeks", [*SOLD, CUT, continued("2025-09-15")], FIRST | {("P-2", "anniversary", 2)}),
    ("a loss under the old number", [*SOLD, CUT, continued(), *loss("2025-05-05")], FIRST | {("P-2", "anniversary", 2)}),
    ("a loss under the new one", [*SOLD, CUT, continued(), *loss("2025-12-05", "P-2")], FIRST | {("P-2", "anniversary", 2)}),
    (
        "a loss whose claim is withdrawn",
        [*SOLD, CUT, continued(), *loss("2025-05-05"), Said(claim(core.ClaimWithdrawn, "2026-05-20", no="C-P-1"), id_="w")],
        FIRST | SECOND,
    ),
    (
        "rewritten twice within a year",
        [*SOLD, CUT, continued(end="2026-11-01"), continued("2026-11-01", "2027-05-01", "2026-10-20", "P-3")],
        FIRST | SECOND | THIRD,
    ),
    (
        "an old number that never was begins no year",
        [SOLD[0], Said(cancelled("2024-03-01", "flat"), "2024-09-01", id_="flat"), continued("2024-09-01", "2025-09-01")],
        {("P-2", "anniversary", 1), ("P-2", "no_claim_year", 1)},
    ),
]  # fmt: skip


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings) as under:
        yield under


def net(told: list[Data]) -> Counter[tuple[str, str, int]]:
    """What others reward: each year told, less each time it was taken back."""
    found: Counter[tuple[str, str, int]] = Counter()
    for e in told:
        match e:
            case policy.NoClaimYearCompleted() | policy.NoClaimYearRevoked():
                sign = 1 if isinstance(e, policy.NoClaimYearCompleted) else -1
                found[e.policy_no, "no_claim_year", e.policy_year] += sign
            case policy.PolicyAnniversary() | policy.PolicyAnniversaryRevoked():
                found[e.policy_no, "anniversary", e.years] += 1 if isinstance(e, policy.PolicyAnniversary) else -1
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("said", "years"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
async def test_years_of_a_chain_in_any_order_with_days_between(
    t: Under, said: list[Said], years: Years, seed: int
) -> None:
    rng = random.Random(seed)
    order = rng.sample(said, len(said)) if seed else sorted(said, key=lambda s: s.time)
    for one in order:
        await t.deliver([t.as_record(encode(one.event()))])
        if rng.random() < 0.6:
            while await t.day(max(one.day, day("2026-03-02"))):
                pass
    while await t.day(day("2027-06-01")):
        pass
    assert {year for year, times in net(await t.emitted()).items() if times} == years
    assert all(times in (0, 1) for times in net(await t.emitted()).values())
    assert all((await verify.verify(t.pool)).values())


async def test_policies_that_name_one_another_come_to_rest(t: Under) -> None:
    for one in (*SOLD, CUT, continued(), Said(issued("2024-03-01", "2025-03-01", previous_policy_no="P-2"), id_="x")):
        await t.deliver([t.as_record(encode(one.event()))])
    for _ in range(20):
        await t.day(day("2027-06-01"))
    assert await t.pool.fetchval("SELECT count(*) FROM stale") == 0
