"""Facts and mergers are told under one of the numbers they concern, so only what is told under one number is read in its order.

Every order that this allows comes to the same, whether the turns of numbers given up are had at once or when all is read.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from msgspec.structs import replace
from points_ledger.proof import check
from points_ledger.service import SERVICE
from tenure.contracts.event import Data
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged
from tenure.contracts.programme import Programme
from tenure.settings import Settings
from tenure.testing import under_test

from .long_forms import sized
from .test_unmerger import MERGED, OTHER, one, unmerged
from .world import D, M, World, cancelled, no_claim_year, no_claim_year_revoked, paid, renewed, term, tiers

A, B, C = "M-A", "M-B", "M-C"


def of(member: str, fen: int, on: str = "2026-02-01", n: int = 1) -> Data:
    return paid(replace(term(policy_no=f"P-{member}"), member_id=member), fen, on, n)


def merged(old: str, into: str, on: str, no: int = 0) -> CustomerMerged:
    return CustomerMerged(member_id=into, merged_id=old, effective=D(on), ties_no=no)


def parted(old: str, survivor: str, on: str, no: int = 0) -> tuple[CustomerUnmerged, CustomerUnmerged]:
    told = CustomerUnmerged(member_id=survivor, survivor_id=survivor, merged_id=old, effective=D(on), ties_no=no)
    return told, replace(told, member_id=old)


OF_A = term(policy_no="P-A", member_id=A)
RENEWED = replace(term(2, policy_no="P-A"), member_id=A)
IN_A_YEAR = {"member_id": A, "policy_no": "P-A"}
OWN = [of(A, 30_000), of(B, 50_000), of(C, 20_000)]
POINTS = {A: 300, B: 500, C: 200}
CHAIN = [*OWN, merged(A, B, "2026-06-01"), merged(B, C, "2026-06-02")]
STORIES: dict[str, Sequence[Data]] = {
    "two mergers, one after the other": CHAIN,
    "both undone, the last one first": [*CHAIN, parted(B, C, "2026-07-01")[0]],
    "a premium paid before the merger": [of(A, 30_000), of(A, 10_000, "2026-03-01", 2), merged(A, B, "2026-06-01"), of(B, 50_000)],
    "a premium paid before two mergers": [of(A, 30_000), merged(A, B, "2026-06-01"), merged(B, C, "2026-06-02")],
    "a policy void before the merger": [
        paid(OF_A, 30_000, "2026-02-01"), cancelled(OF_A, "2026-03-01"), merged(A, B, "2026-06-01"), of(B, 50_000),
    ],
    "a renewal under the survivor's tier": [
        renewed(RENEWED, "2026-12-20"), merged(A, B, "2026-12-21"), tiers(("2026-06-01", "gold"), member_id=B),
    ],
    "a year without claims that had one": [
        replace(no_claim_year(), **IN_A_YEAR), replace(no_claim_year_revoked(), **IN_A_YEAR), merged(A, B, "2027-06-01"),
    ],
    "a premium paid, merged and parted": [of(A, 30_000), of(B, 50_000), merged(A, B, "2026-06-01"), parted(A, B, "2026-07-01")[0]],
    "into the wrong one, parted, into the right one": [
        *OWN, merged(A, B, "2026-06-01", 1), *parted(A, B, "2026-06-10", 2), merged(A, C, "2026-06-20", 3),
    ],
    "from one into the other": [*OWN, merged(A, B, "2026-06-01", 1), merged(A, C, "2026-06-20", 2)],
    "parted, and merged again": [
        *OWN, merged(A, B, "2026-06-01", 1), *parted(A, B, "2026-06-10", 2), merged(A, B, "2026-06-20", 3),
    ],
    "to and fro": [
        *OWN, merged(A, B, "2026-06-01", 1), merged(A, C, "2026-06-10", 2), merged(A, B, "2026-06-20", 3),
    ],
    "from one into the other, and parted": [
        *OWN, merged(A, B, "2026-06-01", 1), merged(A, C, "2026-06-10", 2), *parted(A, C, "2026-06-20", 3),
    ],
    "two mergers and both undone": [
        *OWN, merged(A, B, "2026-06-01", 1), merged(B, C, "2026-06-02", 1),
        parted(B, C, "2026-07-01", 2)[0], parted(A, B, "2026-07-02", 2)[0],
    ],
    "anew, while its survivor is another's": [
        *OWN, merged(A, B, "2026-06-01", 1), merged(B, C, "2026-06-02", 1), merged(A, "M-D", "2026-06-03", 2),
    ],
    "anew, into whom its survivor went": [
        *OWN, merged(A, B, "2026-06-01", 1), merged(B, C, "2026-06-02", 1), merged(A, C, "2026-06-03", 2),
    ],
    "anew, before the last of those it went through comes by it": [
        *OWN, merged(A, B, "2026-06-01", 1), merged(B, C, "2026-06-02", 1), merged(A, "M-D", "2026-06-03", 2),
        merged(C, A, "2026-06-04", 1),
    ],
    "the wrong way round, parted, the right way": [
        *OWN, merged(A, B, "2026-06-01", 1), *parted(A, B, "2026-06-10", 2), merged(B, A, "2026-06-20", 1),
    ],
}  # fmt: skip


def orders(facts: Sequence[Data]) -> Iterator[list[Data]]:
    """Every order in which what is told under each number comes in its own."""
    first: dict[str, int] = {}
    for i, fact in enumerate(facts):
        first.setdefault(fact.member_id, i)  # type: ignore[attr-defined]
    if not facts:
        yield []
    for i in first.values():
        for rest in orders([*facts[:i], *facts[i + 1 :]]):
            yield [facts[i], *rest]


def told(programme: Programme, facts: Sequence[Data], *, at_once: bool) -> World:
    world = World(programme)
    for fact in facts:
        world.hear(fact)
        if at_once:
            world.turns()
    world.turns()
    return world


def lots(world: World) -> dict[tuple[str, ...], int]:
    """What stands of each fact in each account, however many lots it is in."""
    found = Counter[tuple[str, ...]]()
    for name, account in world.accounts.items():
        for lot in account.lots.values():
            found[name, lot.rule, lot.fact, str(lot.earned_on)] += lot.standing
    return +found


@pytest.mark.parametrize("at_once", [True, False], ids=["each turn at once", "turns at the end"])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_every_order_comes_to_the_same(rules: Programme, story: Sequence[Data], at_once: bool) -> None:
    ordered = told(rules, story, at_once=at_once)
    survivor = {name: account.memory.merged_into for name, account in ordered.accounts.items()}
    for order in orders(story):
        world = told(rules, order, at_once=at_once)
        assert lots(world) == lots(ordered), order
        assert {name: account.memory.merged_into for name, account in world.accounts.items()} == survivor, order
        assert not any(account.memory.waiting for account in world.accounts.values())


def by_chance(dice: random.Random, words: int = 8) -> tuple[list[Data], dict[str, str]]:
    """Mergers and undoings of four numbers, and whose each is at last: nobody is parted from one who is merged, no ring is closed."""
    into, told_no, said = dict[str, str](), Counter[str](), list[Data]()
    for n in range(words):
        old, new = dice.sample((A, B, C, "M-D"), 2)
        told_no[old] += 1
        if into.get(old) == new and new not in into:
            said += parted(old, new, f"2026-06-0{n + 1}", told_no[old])
            del into[old]
        elif into.get(old) != new and not leads(new, old, into):
            said.append(merged(old, new, f"2026-06-0{n + 1}", told_no[old]))
            into[old] = new
    return said, into


def leads(one: str, to: str, into: dict[str, str]) -> bool:
    return one == to or (one in into and leads(into[one], to, into))


def shuffled(facts: Sequence[Data], dice: random.Random) -> list[Data]:
    """What is told under each number in its order, and the dice say whose is read next."""
    whose = [fact.member_id for fact in facts]  # type: ignore[attr-defined]
    queues = {
        name: iter([fact for fact, of_whom in zip(facts, whose, strict=True) if of_whom == name]) for name in whose
    }
    return [next(queues[name]) for name in dice.sample(whose, len(whose))]


def read_by_chance(programme: Programme, facts: Sequence[Data], dice: random.Random) -> World:
    """The dice say whose is read next, and when turns are had."""
    world = World(programme)
    for fact in shuffled(facts, dice):
        world.hear(fact)
        if dice.random() < 0.5:
            world.turns()
    world.turns()
    return world


@pytest.mark.parametrize("seed", range(sized(60, 2_000)))
def test_whatever_happened_and_was_read_first_points_are_with_whose_they_are(rules: Programme, seed: int) -> None:
    dice = random.Random(seed)
    said, into = by_chance(dice)
    world = read_by_chance(rules, [*OWN, *said], dice)
    memories = {name: account.memory for name, account in world.accounts.items()}
    assert {name: m.became for name, m in memories.items() if m.became} == into
    assert not any(m.waiting or m.goes_to is not None for m in memories.values())
    for name in memories:
        assert world.points(name)[1] == sum(
            n for one, n in POINTS.items() if leads(one, name, into) and name not in into
        ), name


def test_what_came_through_a_number_given_up_goes_back_link_by_link(rules: Programme) -> None:
    world = told(rules, [*CHAIN[:3], CHAIN[4], CHAIN[3]], at_once=True)
    assert [world.points(name)[1] for name in (A, B, C)] == [0, 0, 1_000]
    world.hear(parted(B, C, "2026-07-01")[0])
    assert [world.points(name)[1] for name in (A, B, C)] == [0, 800, 200]
    world.hear(parted(A, B, "2026-07-02")[0])
    assert [world.points(name)[1] for name in (A, B, C)] == [300, 500, 200]


def test_a_policy_heard_of_only_after_the_merger_goes_back_with_its_number(rules: Programme) -> None:
    world = told(rules, [of(B, 50_000), merged(A, B, "2026-06-01"), of(A, 30_000)], at_once=True)
    assert (world.points(A)[1], world.points(B)[1]) == (0, 800)
    world.hear(parted(A, B, "2026-07-01")[0])
    assert (world.points(A)[1], world.points(B)[1]) == (300, 500)


@pytest.mark.parametrize("own_first", [True, False])
def test_a_ring_that_policy_sync_ends_is_with_whom_it_says(rules: Programme, own_first: bool) -> None:
    """The newest merger keeps the first one, who is told to be their own, before that merger or after it."""
    last, own = merged(C, A, "2026-06-03", 3), parted(A, B, "2026-06-03", 3)
    ring = [*OWN, merged(A, B, "2026-06-01", 1), merged(B, C, "2026-06-02", 1)]
    world = told(rules, [*ring, *((*own, last) if own_first else (last, *own))], at_once=False)
    memories = {name: account.memory for name, account in world.accounts.items()}
    assert {name: m.merged_into for name, m in memories.items()} == {A: "", B: C, C: A}
    assert [world.points(name)[1] for name in (A, B, C)] == [1_000, 0, 0]
    assert memories[A].goes_to is None
    assert not world.asked


def test_a_ring_of_mergers_in_any_order_ends_with_one_of_them(rules: Programme) -> None:
    ring = [of(A, 30_000), merged(A, B, "2026-06-01"), merged(B, C, "2026-06-02"), merged(C, A, "2026-06-03")]
    for order in orders(ring):
        world = told(rules, order, at_once=True)
        assert sorted(world.points(name)[1] for name in (A, B, C)) == [0, 0, 300], order


def test_a_tier_told_before_the_undoing_is_read_is_the_number_s_own_again(rules: Programme) -> None:
    world = told(rules, [of(A, 30_000), merged(A, B, "2026-06-01")], at_once=True)
    world.hear(tiers(("2026-02-01", "gold"), member_id=A))
    world.hear(parted(A, B, "2026-07-01")[0])
    assert world.accounts[A].memory.tier_on(D("2026-02-01")) == "gold"


def test_what_the_old_number_is_told_of_an_undoing_after_a_second_merger_does_not_undo_that(world: World) -> None:
    """Another partition brings it, so it may come whenever it likes."""
    one(world)
    world.hear(unmerged("2026-07-01"))
    assert (world.points(), world.points(OTHER)) == ((0, 500, 0), (0, 300, 0))
    world.hear(replace(MERGED, effective=D("2026-07-02")))
    world.hear(unmerged("2026-07-01", to=OTHER), "2026-07-03")
    assert (world.points(), world.points(OTHER)) == ((0, 800, 0), (0, 0, 0))
    assert world.accounts[OTHER].memory.merged_into == M


async def test_lots_that_came_and_went_on_in_one_batch_are_where_their_entries_say(settings: Settings) -> None:
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as t:
        undone = parted(A, B, "2026-06-10")[0]
        await t.feed(*OWN, merged(A, B, "2026-06-01"), undone, merged(A, B, "2026-06-20"), merged(B, C, "2026-06-21"))
        found = await t.pool.fetch("SELECT member_id, points_available FROM accounts ORDER BY 1")
        assert [tuple(row) for row in found] == [(A, 0), (B, 0), (C, 1_000)]
        assert (await check.examine(t.pool)).wrong == []
