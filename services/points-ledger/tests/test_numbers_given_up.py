"""What is told under a number that was merged into another counts for the person, under the number they go by, once.

| told over the log | under | counts |
| --- | --- | --- |
| a check-up | the number given up | for whoever remains, once a year for both numbers together |
| one activity | both numbers, the same id | once |
| steps of one day | both numbers | one day; the newest report of it counts |
| a referral | the referrer's or the referee's old number | for the referrer as they go by now; oneself is refused |
| anything | a number given up twice, one after the other | where the chain ends |
| anything | a number that was parted again | under itself |
"""

from typing import Any

import pytest
from msgspec.structs import replace
from points_ledger.service import SERVICE
from points_ledger.whatif import OWN, Trial
from tenure.contracts.activity import ActivityCompleted, AgentServiceRecorded, ReferralConverted
from tenure.contracts.decision import RefusedError
from tenure.contracts.event import Data
from tenure.contracts.policy import CustomerMerged
from tenure.contracts.programme import Programme
from tenure.settings import Settings
from tenure.spine.codec import encode
from tenure.testing import under_test

from .test_unmerger import OTHER, parted
from .world import D, M, World, cancelled, did, issued, paid, served, term, tiers

THIRD = "M-3"
AGAIN = (ActivityCompleted, AgentServiceRecorded, ReferralConverted)


def merged(other: str = OTHER, into: str = M, on: str = "2026-06-01") -> CustomerMerged:
    return CustomerMerged(member_id=into, merged_id=other, effective=D(on))


def tell(world: World, data: Data, at: str | None = None) -> int:
    """Tell it, and whatever the ledger tells again because of it, as the log does. Returns how often it did."""
    told, waiting = 0, [data]
    while waiting:
        before = len(world.told)
        world.hear(waiting.pop(), at)
        again = [one for one in world.told[before:] if isinstance(one, AGAIN)]
        told += len(again)
        waiting += again
        assert told < 9, "it goes round in a ring"
    return told


def by_them(kind: str, on: str, value: int = 0, **more: Any) -> ActivityCompleted:
    return replace(did(kind, on, value, **more), member_id=OTHER)


@pytest.fixture
def one(world: World) -> World:
    """Two numbers of one person, of which `M-2` was given up."""
    tell(world, by_them("quiz", "2026-05-01"))
    tell(world, merged())
    return world


def test_a_check_up_told_under_the_old_number_counts_once_a_year_for_both(one: World) -> None:
    assert tell(one, by_them("check_up", "2026-06-15")) == 1
    tell(one, did("check_up", "2026-06-16"))
    tell(one, by_them("check_up", "2026-06-17"))
    assert (one.points(), one.points(OTHER)) == ((0, 10 + 500, 0), (0, 0, 0))


@pytest.mark.parametrize("old_first", [True, False])
def test_one_activity_told_under_both_numbers_counts_once(one: World, old_first: bool) -> None:
    both = [by_them("article", "2026-06-15", activity_id="a"), did("article", "2026-06-15", activity_id="a")]
    for activity in both if old_first else reversed(both):
        tell(one, activity)
    assert one.points() == (0, 10 + 5, 0)


def test_a_day_of_steps_told_under_both_numbers_is_one_day_and_its_newest_report_counts(one: World) -> None:
    tell(one, by_them("steps", "2026-06-15", 12_000))
    tell(one, did("steps", "2026-06-15", 11_000))
    assert one.points() == (0, 20, 0)
    tell(one, by_them("steps", "2026-06-15", 400))
    assert one.points() == (0, 10, 0)


def test_it_is_rated_by_the_tier_and_limits_of_its_own_day(one: World) -> None:
    tell(one, tiers(("2026-01-01", "gold")))
    for on in ("2026-06-10", "2026-06-10", "2026-06-10"):
        tell(one, by_them("health_course", on), "2026-06-15")
    assert one.points() == (0, 10 + 40, 0), "two courses a day"
    assert {str(lot.earned_on) for lot in one.accounts[M].lots.values()} == {"2026-05-01", "2026-06-10"}


def test_backfill_stays_backfill_and_a_day_to_come_is_refused(one: World) -> None:
    event = one.event(by_them("quiz", "2026-06-15"), backfill=True)
    one.apply(event)
    assert isinstance(one.told[-1], ActivityCompleted)
    with pytest.raises(RefusedError, match="activity_in_future"):
        tell(one, by_them("quiz", "2026-06-15"), "2026-06-14")


def test_after_they_part_it_counts_under_its_own_number_and_what_was_earned_as_one_stays(one: World) -> None:
    tell(one, by_them("quiz", "2026-06-15"))
    parted(one, "2026-07-01")
    assert tell(one, by_them("quiz", "2026-07-02")) == 0
    assert (one.points(), one.points(OTHER)) == ((0, 10, 0), (0, 20, 0))


def test_a_number_given_up_twice_is_followed_to_the_end(one: World) -> None:
    tell(one, merged(M, THIRD, "2026-06-10"))
    assert tell(one, by_them("quiz", "2026-06-15")) == 2
    assert one.points(THIRD) == (0, 20, 0)


@pytest.mark.parametrize("ring", [[(OTHER, M), (M, OTHER)], [(OTHER, M), (M, THIRD), (THIRD, OTHER)]])
def test_a_ring_of_mergers_ends_with_whom_the_newest_keeps(world: World, ring: list[tuple[str, str]]) -> None:
    tell(world, by_them("quiz", "2026-05-01"))
    for old, kept in ring:
        tell(world, merged(old, kept))
    for number in (OTHER, M, THIRD):
        tell(world, replace(did("quiz", "2026-06-15", activity_id=f"of {number}"), member_id=number))
    assert world.points(OTHER) == (0, 20, 0), "one quiz a day, whichever number it is told under"


def test_a_service_under_a_number_given_up_counts_for_who_remains(world: World) -> None:
    tell(world, merged("A-7", "A-8"))
    assert tell(world, served("revisit", "2026-06-15")) == 1
    assert world.balance("agent_available", "A-8") == 20


@pytest.mark.parametrize(("referrer", "referee"), [(OTHER, "M-9"), (OTHER, THIRD), ("M-8", THIRD)])
def test_a_referral_under_old_numbers_is_the_referrers_and_goes_with_the_policy(
    world: World, referrer: str, referee: str
) -> None:
    policy = term(policy_no="P-9", member_id="M-9")
    tell(world, merged())
    tell(world, merged(THIRD, "M-9"))
    told = ReferralConverted(member_id=referrer, referee_id=referee, policy_no="P-9", on=D("2026-06-15"))
    rewarded = M if referrer == OTHER else referrer
    assert tell(world, told) == 1
    assert world.points(rewarded) == (0, 500, 0)
    tell(world, issued(policy), "2026-06-15")
    tell(world, cancelled(policy, "2026-06-20"))
    assert [(row.member_id, row.void) for row in world.rows if hasattr(row, "void")] == [(rewarded, True)]


@pytest.mark.parametrize(("referrer", "referee"), [(OTHER, M), (M, OTHER), (OTHER, THIRD)])
def test_nobody_refers_themselves_by_an_old_number(one: World, referrer: str, referee: str) -> None:
    tell(one, merged(THIRD))
    with pytest.raises(RefusedError, match="self_referral"):
        tell(one, ReferralConverted(member_id=referrer, referee_id=referee, policy_no="P-9", on=D("2026-06-15")))


def test_a_draft_of_rules_is_judged_on_each_activity_once(rules: Programme) -> None:
    """The log holds what was told and what the ledger told again; and it may have forgotten the merger."""
    for known in (True, False):
        world, trial = World(rules), Trial(rules, rules.earning.newest)
        events = [world.event(merged())] if known else []
        events.append(world.event(by_them("quiz", "2026-06-15")))
        again = replace(events[-1], source=OWN, key=M, data=replace(events[-1].data, member_id=M))
        trial.hear([*events, again])
        found = trial.compare()
        assert [(row.rule, row.live, row.draft) for row in found.by_rule] == [("quiz", 10, 10)]


async def test_on_postgresql_what_is_told_again_is_taken_like_any_other(settings: Settings) -> None:
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as t:
        assert t.door.source == OWN
        await t.feed(paid(term()), by_them("quiz", "2026-05-01"), merged())
        await t.emitted()
        records = t.records(by_them("check_up", "2026-06-15"))
        for _ in range(2):
            await t.deliver(records)
        (again,) = [event for event in await t.emitted_events() if isinstance(event.data, AGAIN)]
        assert (again.key, again.source, again.day) == (M, OWN, D("2026-06-15"))
        for _ in range(2):
            await t.deliver([t.as_record(encode(again))])
        found = await t.pool.fetch("SELECT member_id, points_available FROM accounts ORDER BY 1")
        assert [tuple(row) for row in found] == [(M, 500 + 10 + 500), (OTHER, 0)]
        assert await t.parked() == []
