"""History is told as history and the present as the present, whichever was heard first: one earns, the other does not."""

from collections.abc import AsyncIterator

import pytest
from policy_sync.service import SERVICE
from tenure.contracts import core
from tenure.contracts.event import Data
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .world import Said, World, cancelled, claim, day, issued, names, paid, renewed

BARE = renewed("2025-03-01", "2026-03-01")
OWN = renewed("2025-03-01", "2026-03-01", member_id="M-1", product_line="home")
LIVE, HISTORY = False, True


def old(data: Data, on: str | None = None, **more: str) -> Said:
    return Said(data, on, backfill=True, **more)


TOLD = [
    # what is heard, in this order                                -> what is told with the last, and whether as history
    (
        "a renewal and its payment come before the import that knows the policy: they earn",
        [Said(BARE), Said(paid("2025-03-01", term_no=2)), old(issued())],
        [
            ("member.enrolled", HISTORY),
            ("policy.issued", HISTORY),
            ("policy.renewed", LIVE),
            ("premium.paid", LIVE),
            ("no_claim_year.completed", LIVE),
            ("policy.anniversary", LIVE),
        ],
    ),
    (
        "imported payments wait for a policy that the core tells later: they earn nothing",
        [old(BARE), old(paid("2025-03-01", term_no=2)), Said(issued(), "2025-06-01")],
        [
            ("member.enrolled", LIVE),
            ("policy.issued", LIVE),
            ("policy.renewed", HISTORY),
            ("premium.paid", HISTORY),
        ],
    ),
    (
        "a late cancellation moves the end before an imported renewal: that one earns nothing for it",
        [old(issued()), old(OWN), Said(cancelled("2025-01-01"))],
        [("policy.cancelled", LIVE), ("policy.renewed", HISTORY)],
    ),
    (
        "an imported cancellation moves the end before a renewal that earned: it is told as the live one it is",
        [old(issued()), Said(OWN), old(cancelled("2025-01-01"))],
        [
            ("policy.cancelled", HISTORY),
            ("policy.renewed", LIVE),
            ("no_claim_year.revoked", LIVE),
            ("policy.anniversary_revoked", LIVE),
        ],
    ),
    (
        "years that were rewarded turn out to be others when the history comes: the member gets those",
        [Said(OWN), Said(renewed("2026-03-01", "2027-03-01", term_no=3)), old(issued())],
        [
            ("member.enrolled", HISTORY),
            ("policy.issued", HISTORY),
            ("no_claim_year.revoked", LIVE),
            ("policy.anniversary_revoked", LIVE),
            *[("no_claim_year.completed", LIVE), ("policy.anniversary", LIVE)] * 2,
        ],
    ),
    (
        "an imported claim takes a rewarded year back where the member can hear of it",
        [old(issued()), Said(OWN), old(claim(core.ClaimReported, "2024-08-01", estimate_fen=900))],
        [("claim.changed", HISTORY), ("no_claim_year.revoked", LIVE)],
    ),
    (
        "an imported claim waits for a policy",
        [old(claim(core.ClaimReported, "2024-08-01", estimate_fen=900)), Said(issued(), "2024-09-01")],
        [("member.enrolled", LIVE), ("policy.issued", LIVE), ("claim.changed", HISTORY)],
    ),
]


@pytest.mark.parametrize(("heard", "told"), [row[1:] for row in TOLD], ids=[row[0] for row in TOLD])
def test_history_stays_history_and_the_present_the_present(heard: list[Said], told: list[tuple[str, bool]]) -> None:
    world = World()
    world.say(*heard[:-1])
    before = len(world.told)
    found = names(world.say(heard[-1]))
    assert list(zip(found, world.history[before:], strict=True)) == told


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings) as under:
        yield under


async def test_what_waited_for_history_is_told_in_its_own_time(t: Under) -> None:
    await t.feed(BARE, paid("2025-03-01", term_no=2), at=day("2025-03-01"))
    assert await t.emitted() == []
    await t.feed(issued(), paid("2024-03-01"), at=day("2024-03-01"), backfill=True)
    told = await t.emitted_events()
    assert [(e.type, str(e.day), e.backfill) for e in told] == [
        ("member.enrolled", "2024-03-01", True),
        ("policy.issued", "2024-03-01", True),
        ("policy.renewed", "2025-03-01", False),
        ("premium.paid", "2025-03-01", False),
        ("no_claim_year.completed", "2025-03-01", False),
        ("policy.anniversary", "2025-03-01", False),
        ("premium.paid", "2024-03-01", True),
    ]
