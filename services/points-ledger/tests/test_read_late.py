"""What a number's policies earned under others follows it, though the ledger reads only afterwards that they were its own.

A partition may be far behind the others (a replay, a new consumer, an outage): then facts that were told under a survivor are read,
and the parting, before anything that was told under the number itself. Mergers that only went to and fro stand in `test_told_in_disorder`.
"""

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from msgspec.structs import replace
from points_ledger.rules.term_memory import TermMemory, together
from tenure.contracts.event import Data
from tenure.contracts.programme import Programme

from .long_forms import sized
from .test_told_in_disorder import OWN, POINTS, A, B, C, leads, lots, merged, orders, parted, read_by_chance, told
from .world import D, cancelled, endorsed, paid, refunded, term

D_ = "M-D"


def of_under(owner: str, told_under: str, fen: int, on: str, n: int = 2) -> Data:
    """An instalment of a number's policy, told under who the person was then."""
    return paid(replace(term(policy_no=f"P-{owner}"), member_id=told_under), fen, on, n)


STORIES: dict[str, Sequence[Data]] = {
    "paid while merged, and parted": [
        *OWN[:2], merged(A, B, "2026-06-01"), of_under(A, B, 10_000, "2026-06-05"), parted(A, B, "2026-07-01")[0],
    ],
    "the same, numbered": [
        *OWN[:2], merged(A, B, "2026-06-01", 1), of_under(A, B, 10_000, "2026-06-05"), *parted(A, B, "2026-07-01", 2),
    ],
    "by way of a second one, who is parted": [
        *OWN, merged(A, B, "2026-06-01", 1), merged(B, C, "2026-06-02", 1), of_under(A, C, 10_000, "2026-06-05"),
        *parted(B, C, "2026-07-01", 2),
    ],
    "paid under the first, then another's": [
        *OWN, merged(A, B, "2026-06-01", 1), of_under(A, B, 10_000, "2026-06-05"), merged(A, C, "2026-06-10", 2),
    ],
    "paid under the first, who is then another's": [
        *OWN[:2], merged(A, B, "2026-06-01", 1), merged(A, D_, "2026-06-03", 2), merged(B, C, "2026-06-04", 1),
        of_under(A, B, 10_000, "2026-06-02"),
    ],
    "refunded under the last of three": [
        *OWN, merged(A, B, "2026-06-01", 1), merged(B, C, "2026-06-02", 1),
        refunded(replace(term(policy_no="P-M-A"), member_id=C), 5_000, "2026-06-05"),
    ],
    "void under the last of three": [
        *OWN, merged(A, B, "2026-06-01", 1), merged(B, C, "2026-06-02", 1),
        cancelled(replace(term(policy_no="P-M-A"), member_id=C), "2026-06-05"),
    ],
    "its own policies stay with the survivor": [
        *OWN[:2], merged(A, B, "2026-06-01", 1), of_under(B, B, 10_000, "2026-06-05"), *parted(A, B, "2026-07-01", 2),
    ],
}  # fmt: skip


@pytest.mark.parametrize("at_once", [True, False], ids=["each turn at once", "turns at the end"])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_it_follows_the_policy_in_every_order(rules: Programme, story: Sequence[Data], at_once: bool) -> None:
    ordered = told(rules, story, at_once=at_once)
    for order in orders(story):
        world = told(rules, order, at_once=at_once)
        assert lots(world) == lots(ordered), order
        assert not world.asked
        assert not any(account.memory.waiting or account.memory.late for account in world.accounts.values())


def test_a_policy_handed_over_after_the_parting_stays_with_who_has_it_now(rules: Programme) -> None:
    """B's policy becomes A's in the core; what it had earned B keeps, as ever."""
    world = told(rules, [*OWN[:2], merged(A, B, "2026-06-01", 1), *parted(A, B, "2026-07-01", 2)], at_once=True)
    world.hear(of_under(B, B, 20_000, "2026-08-01", 2))
    world.hear(of_under(B, A, 10_000, "2026-09-01", 3))
    world.turns()
    assert (world.points(A)[1], world.points(B)[1]) == (400, 700)


def test_what_is_debted_comes_with_the_policy(rules: Programme) -> None:
    """A refund of the policy that is read late takes from what it earned under the survivor, not from the survivor's own."""
    refund = endorsed(replace(term(policy_no="P-M-A", version=3), member_id=A), -20_000, "2026-08-01")
    story = [
        OWN[1],
        merged(A, B, "2026-06-01", 1),
        of_under(A, B, 40_000, "2026-06-05"),
        *parted(A, B, "2026-07-01", 2),
    ]
    ordered = told(rules, [OWN[0], *story, refund], at_once=True)
    late = told(rules, [*story, OWN[0], refund], at_once=True)
    assert lots(late) == lots(ordered)
    assert [late.points(name) for name in (A, B)] == [ordered.points(name) for name in (A, B)]


def plain_life(dice: random.Random, words: int = 5) -> tuple[list[Data], dict[str, str], Counter[str]]:
    """Mergers, partings and payments of four numbers; nobody is merged anew before a parting, nor ever the other way round."""
    into, behind, said, told_no = dict[str, str](), set[tuple[str, str]](), list[Data](), Counter[str]()
    points = Counter(POINTS)
    for n in range(words):
        old, new = dice.sample((A, B, C, D_), 2)
        if into.get(old) == new and new not in into:
            told_no[old] += 1
            said += parted(old, new, f"2026-06-{2 * n + 1:02}", told_no[old])
            del into[old]
        elif old not in into and not leads(new, old, into) and (new, old) not in behind:
            told_no[old] += 1
            said.append(merged(old, new, f"2026-06-{2 * n + 1:02}", told_no[old]))
            into[old] = new
            behind |= {(old, new), *((old, two) for one, two in behind if one == new)}
        if dice.random() < 0.6:
            owner, fen = dice.choice((A, B, C)), 100 * 10 ** dice.randint(1, 3)
            said.append(of_under(owner, whose(owner, into), fen, f"2026-06-{2 * n + 2:02}", n + 2))
            points[owner] += fen // 100
    return said, into, points


def whose(number: str, into: dict[str, str]) -> str:
    return whose(into[number], into) if number in into else number


@pytest.mark.parametrize("seed", range(sized(120, 5_000)))
def test_whatever_is_read_first_each_has_what_their_policies_earned(rules: Programme, seed: int) -> None:
    dice = random.Random(seed)
    said, into, points = plain_life(dice)
    world = read_by_chance(rules, [*OWN, *said], dice)
    assert not world.asked
    for name in world.accounts:
        own = sum(n for one, n in points.items() if leads(one, name, into)) if name not in into else 0
        assert world.points(name)[1] == own, name


def test_of_one_term_known_twice_the_higher_version_stands_and_all_payments_count() -> None:
    old = TermMemory(2, D("2026-01-01"), D("2027-01-01"), person=True, premium_fen=50_000, paid={1: 30_000})
    new = replace(old, version=3, premium_fen=40_000, paid={2: 10_000}, refunds={3: 10_000})
    for some, more in (({"P/1": old}, {"P/1": new, "Q/1": old}), ({"P/1": new, "Q/1": old}, {"P/1": old})):
        known = together(some, more)
        assert known["Q/1"] is old
        assert (known["P/1"].version, known["P/1"].premium_fen) == (3, 40_000)
        assert (known["P/1"].paid, known["P/1"].refunds) == ({1: 30_000, 2: 10_000}, {3: 10_000})
