"""A policy cancelled and continued under another number (DOMAIN 9): nothing is lost by the rewrite, and nothing is won.

P-1 was renewed for 2027 at CNY 500.00: 300 points for the renewal, 500 for the premium. On 2 July it is cancelled, 250.00 are
refunded, and P-2 takes its place for a year at 600.00.
"""

from itertools import permutations

import pytest
from msgspec.structs import replace
from tenure.contracts.activity import ReferralConverted
from tenure.contracts.event import Data
from tenure.contracts.policy import PolicyCancelled, PolicyRescinded, PremiumRefunded, Term
from tenure.contracts.programme import Programme

from .test_against_the_model import assert_books
from .world import D, M, World, endorsed, issued, paid, renewed, term, void

CUT = D("2027-07-02")
OLD = term(2)
ENDED = replace(OLD, status="cancelled", end=CUT, covers=((OLD.start, CUT),), version=9, premium_fen=25_000)
NEW = term(
    policy_no="P-2", previous_policy_no="P-1", start=CUT, end=D("2028-07-02"), written_end=D("2028-07-02"),
    covers=((CUT, D("2028-07-02")),), premium_fen=60_000,
)  # fmt: skip
PREMIUMS = 500 - 250 + 600


def cut(t: Term, on: str = "2027-07-02", kind: str = "mid_term") -> PolicyCancelled:
    return PolicyCancelled(member_id=t.member_id, term=t, effective=D(on), kind=kind)  # type: ignore[arg-type]


def back(t: Term, fen: int, on: str = "2027-07-05", version: int = 10) -> PremiumRefunded:
    return PremiumRefunded(member_id=t.member_id, term=replace(t, version=version), effective=D(on), amount_fen=fen)


def from_(start: str, t: Term = NEW) -> Term:
    return replace(t, start=D(start), covers=((D(start), t.end),))


OLD_LIFE = (renewed(OLD, "2026-12-31"), paid(OLD, 50_000, "2026-12-31"))
ENDING = (cut(ENDED), back(ENDED, 25_000))
NEW_LIFE = (issued(NEW, "2027-07-02"), paid(NEW, 60_000, "2027-07-02"))
AWAY = replace(NEW, status="cancelled", end=D("2028-01-01"), version=9)
TWO = replace(NEW, policy_no="P-3", previous_policy_no="P-2", start=D("2028-01-01"))

TABLE: list[tuple[str, tuple[Data, ...], int]] = [
    ("the renewal stays, the premium goes by the money", (*ENDING, *NEW_LIFE), PREMIUMS + 300),
    ("cancelled and not gone on with", ENDING, 250 + 150),
    ("no other policy's rewrite", (*ENDING, issued(replace(NEW, previous_policy_no="P-9"), "2027-07-02")), 250 + 150),
    ("gone on with 30 days later", (*ENDING, issued(from_("2027-08-01"), "2027-08-01")), 250 + 300),
    ("gone on with 31 days later", (*ENDING, issued(from_("2027-08-02"), "2027-08-02")), 250 + 150),
    ("the new one never was", (*ENDING, *NEW_LIFE, cut(void(NEW), kind="flat")), 250 + 150),
    ("of the new one, half is given back too", (*ENDING, *NEW_LIFE, cut(AWAY), back(AWAY, 30_000)), 250 + 300 + 225),
    (
        "the new one is itself gone on with",
        (*ENDING, *NEW_LIFE, cut(AWAY), back(AWAY, 30_000), issued(TWO, "2028-01-01")),
        250 + 300 + 300,
    ),
    ("cover that was added goes on", (endorsed(OLD, 10_000, "2027-03-01"), *ENDING, *NEW_LIFE), PREMIUMS + 300 + 200),
    (
        "never begun under the old number",
        (cut(void(OLD), "2027-01-01", "not_taken_up"), issued(from_("2027-01-01"), "2026-12-31")),
        300,
    ),
    ("the same, 30 days before", (cut(void(OLD), kind="flat"), issued(from_("2026-12-02"), "2026-12-02")), 300),
    ("the same, 31 days before", (cut(void(OLD), kind="flat"), issued(from_("2026-12-01"), "2026-12-01")), 0),
    ("the same, 30 days after", (cut(void(OLD), kind="flat"), issued(from_("2027-01-31"), "2027-01-31")), 300),
    ("the same, 31 days after", (cut(void(OLD), kind="flat"), issued(from_("2027-02-01"), "2027-02-01")), 0),
    (
        "one that was over when the old one was cut short",
        (*ENDING, issued(replace(from_("2027-01-01"), end=CUT, written_end=CUT), "2027-01-01")),
        250 + 150,
    ),
    ("void, and the new one begins later", (cut(void(OLD), kind="flat"), *NEW_LIFE), 600),
    (
        "fraud",
        (*ENDING, *NEW_LIFE, PolicyRescinded(member_id=M, term=void(ENDED, 20), effective=D("2027-08-01"))),
        600,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("said", "points"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_a_rewrite_leaves_in_any_order_of_arrival(rules: Programme, said: tuple[Data, ...], points: int) -> None:
    for order in permutations(said):
        world = World(rules)
        for event in OLD_LIFE:
            world.hear(event)
        for event in (*order, *order):
            world.hear(event, "2028-01-02")
        world.day("2028-01-03")
        assert world.points() == (0, points, 0), [type(e).__name__ for e in order]
        assert_books(world)


def test_what_went_on_is_known_long_after_both_ended(world: World) -> None:
    for event in (*OLD_LIFE, *ENDING, *NEW_LIFE):
        world.hear(event)
    for no in range(6, 9):
        world.hear(issued(term(no), f"{2025 + no}-01-01"))
    world.hear(back(ENDED, 0, version=30), "2034-01-01")
    standing = {lot.rule: lot.standing for lot in world.accounts[M].lots.values() if lot.policy_no == "P-1"}
    assert standing["renewal"] == 300


def test_policies_that_continue_one_another_do_not_go_round_for_ever(world: World) -> None:
    old, new = (
        replace(ENDED, previous_policy_no="P-2"),
        replace(NEW, status="cancelled", end=D("2027-09-01"), version=9),
    )
    for event in (*OLD_LIFE, cut(old), back(old, 25_000), issued(NEW, "2027-07-02"), cut(new), back(new, 60_000)):
        world.hear(event)
    assert_books(world)


@pytest.mark.parametrize("fraud", [False, True], ids=["a slip of the pen", "fraud"])
@pytest.mark.parametrize("first", [True, False])
def test_the_referrers_reward_stays_with_a_policy_corrected_under_another_number(
    world: World, first: bool, fraud: bool
) -> None:
    theirs = term(member_id="M-2", policy_no="P-8")
    corrected = replace(theirs, policy_no="P-9", previous_policy_no="P-8")
    world.hear(issued(theirs))
    world.hear(ReferralConverted(member_id=M, referee_id="M-2", policy_no="P-8", on=D("2026-01-01")))
    said = [cut(void(theirs), "2026-01-05", "flat"), issued(corrected, "2026-01-05")]
    for event in said if first else reversed(said):
        world.hear(event)
    if fraud:
        world.hear(PolicyRescinded(member_id="M-2", term=void(theirs, 20), effective=D("2026-01-05")))
    for row in [row for row in world.rows if type(row).__name__ == "ReferralNews"]:
        world.accounts[M] = replace(world.accounts[M], news=(row,))
        world.day("2026-01-06")
    assert world.points() == (0, 0 if fraud else 500, 0)
