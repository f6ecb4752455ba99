"""Where a rule of DESIGN 5.3 begins and where it ends: the day before and the day itself, and the year, policy or line next to the
one that is meant. Premiums are CNY 500.00 a year; what is there is (pending, available, owed).
"""

from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace
from points_ledger.commands import RefundHold
from points_ledger.rules.account import Transfer
from tenure.contracts.points import PointsExpired, PointsGranted, PointsReversed
from tenure.contracts.policy import PolicyAnniversaryRevoked
from tenure.contracts.programme import Programme, Versions
from tenure.contracts.tier import NO_TIER

from .test_reversal import spend
from .test_standing import approve, propose
from .world import (
    D,
    M,
    World,
    anniversary,
    cancelled,
    did,
    endorsed,
    issued,
    no_claim_year,
    no_claim_year_revoked,
    paid,
    refunded,
    renewed,
    term,
    tiers,
    uncancelled,
    under_rules,
)

COMPANY = term(natural_person=False)
NO_ANNIVERSARY = PolicyAnniversaryRevoked(
    member_id=M, policy_no="P-1", product_line="home", years=1, effective=D("2027-06-01")
)


@pytest.mark.parametrize(
    ("what", "told", "points"),
    [
        ("a claim of the first year takes nothing of the tenth", [no_claim_year(1), no_claim_year(10, "2036-01-01"), no_claim_year_revoked(1, "2036-02-01")], 300),
        ("nor does it take the anniversary of that year", [anniversary(1, "2027-01-01"), no_claim_year(), no_claim_year_revoked()], 100),
        ("nor an anniversary that was none the year without a claim", [anniversary(1, "2027-01-01"), no_claim_year(), NO_ANNIVERSARY], 300),
        ("an organisation's policy has no anniversary", [issued(COMPANY), anniversary(1, "2027-01-01")], 0),
        ("nor a year without a claim", [issued(COMPANY), no_claim_year()], 0),
    ],
)  # fmt: skip
def test_what_is_there(world: World, what: str, told: list[Any], points: int) -> None:
    for event in told:
        world.hear(event)
    assert world.points() == (0, points, 0), what


OTHER_RULES: list[tuple[str, dict[str, Any], dict[str, Any], Any, int]] = [
    ("home counts for 120 %: an anniversary", {"product_line_percent": {"home": 120}}, {}, anniversary(1, "2027-01-01"), 120),
    ("a year without a claim, too", {"product_line_percent": {"home": 120}}, {}, no_claim_year(), 360),
    ("an anniversary for motor only", {}, {"anniversary": {"product_lines": frozenset({"motor"})}}, anniversary(1, "2027-01-01"), 0),
    ("a year without a claim for motor only", {}, {"no_claim_year": {"product_lines": frozenset({"motor"})}}, no_claim_year(), 0),
    ("an anniversary for home only", {}, {"anniversary": {"product_lines": frozenset({"home"})}}, anniversary(1, "2027-01-01"), 100),
    ("a year without a claim for home only", {}, {"no_claim_year": {"product_lines": frozenset({"home"})}}, no_claim_year(), 300),
    ("5 for each payment besides", {}, {"premium": {"fixed": 5}}, paid(term()), 505),
    ("7 for each addition besides", {}, {"add_cover": {"fixed": 7}}, endorsed(term(), 10_000), 207),
    ("50 for each anniversary besides", {}, {"anniversary": {"fixed": 50}}, anniversary(2, "2028-01-01"), 250),
    ("and no more than the maximum", {}, {"anniversary": {"fixed": 50}}, anniversary(10, "2036-01-01"), 1_000),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "by_rule", "event", "points"), [row[1:] for row in OTHER_RULES], ids=[row[0] for row in OTHER_RULES]
)
def test_what_other_rules_give(
    rules: Programme, changes: dict[str, Any], by_rule: dict[str, dict[str, Any]], event: Any, points: int
) -> None:
    changed = tuple(replace(rule, **by_rule.get(rule.code, {})) for rule in rules.earning.newest.rules)
    world = World(under_rules(rules, rules=changed, **changes))
    world.hear(event)
    assert world.points() == (0, points, 0)


@pytest.mark.parametrize(("ended", "points"), [("2026-12-31", 0), ("2027-01-01", 100)], ids=["a day before", "then"])
def test_a_year_was_completed_if_the_policy_ended_when_it_did(world: World, ended: str, points: int) -> None:
    """Sold for three years, and cancelled around its first anniversary."""
    sold = term(end=D("2029-01-01"), written_end=D("2029-01-01"))
    world.hear(issued(sold))
    world.hear(anniversary(1, "2027-01-01"))
    world.hear(cancelled(sold, ended, "mid_term"), "2027-01-02")
    assert (world.points(), world.balance("growth_available")) == ((0, points, 0), points // 10)


def test_what_is_told_after_its_time_is_over_is_earned_and_expired(world: World) -> None:
    """A premium of January 2026, told in 2030: explained like any other, and nothing to spend."""
    world.day("2030-01-01")
    world.hear(paid(term()), "2030-01-02")
    assert world.points() == (0, 0, 0)
    assert [(e.amount, e.expires_on) for e in world.of(PointsGranted)] == [(500, D("2028-02-01"))]
    assert [(e.amount, e.effective) for e in world.of(PointsExpired)] == [(500, D("2028-02-01"))]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["cancelled, then paid", "paid, then cancelled"])
def test_what_is_pending_pays_for_no_other_policy_and_repays_a_debt_when_it_becomes_active(
    world: World, order: tuple[int, int]
) -> None:
    world.hear(paid(term()))
    spend(world, 500, "2026-02-01")
    other = paid(term(policy_no="P-2", cooling_off_end=D("2026-03-20")), 60_000, "2026-03-01")
    for n in order:
        world.hear((cancelled(term(), "2026-03-01", "flat"), other)[n])
    assert world.points() == (600, 0, 500)
    world.day("2026-03-20")
    assert world.points() == (0, 100, 0)


def test_a_year_belongs_to_the_term_it_was_last_said_to_end(world: World) -> None:
    """It ends where the second term begins; told first for the one, then for the other, it goes when that one is void."""
    first, second = term(), term(2)
    for event in (
        issued(first),
        issued(second, "2026-12-31"),
        anniversary(1, "2027-01-01", 2),
        anniversary(1, "2027-01-01"),
    ):
        world.hear(event, max(date(2027, 1, 1), world.event(event).day))
    world.hear(cancelled(second, "2027-01-02", "flat"), "2027-01-02")
    assert (world.points(), world.balance("growth_available")) == ((0, 100, 0), 10)
    world.hear(cancelled(first, "2027-01-03", "flat"), "2027-01-03")
    assert (world.points(), world.balance("growth_available")) == ((0, 0, 0), 0)


# --- taking back, and giving back ---


def test_an_entry_of_a_reversal_is_never_older_than_what_it_takes_back(world: World) -> None:
    """Paid in March; the policy never was, as of January, and was after all."""
    world.hear(paid(term(), on="2026-03-01"))
    world.hear(cancelled(term(), "2026-01-01", "flat"), "2026-04-01")
    world.hear(uncancelled(term(), "2026-01-01"), "2026-04-02")
    counted = [(row.kind, row.effective) for row in world.rows if isinstance(row, Transfer)]
    assert counted == [(kind, D("2026-03-01")) for kind in ("grant", "reverse", "restore")]


def test_nor_does_it_lie_in_the_future(world: World) -> None:
    """In June the policy is cancelled as of December, as if it had never been."""
    world.hear(paid(term()))
    world.hear(cancelled(term(), "2026-12-01", "flat"), "2026-06-01")
    (taken,) = world.of(PointsReversed)
    assert (world.points(), taken.effective) == ((0, 0, 0), D("2026-06-01"))


def test_a_year_is_revoked_by_the_rules_that_rewarded_it(rules: Programme) -> None:
    """From 2028 on nobody is rewarded for a year without a claim, but a claim of 2026 comes to light."""
    first = rules.earning.newest
    fewer = tuple(rule for rule in first.rules if rule.code != "no_claim_year")
    later = replace(first, version=2, effective=D("2028-01-01"), rules=fewer)
    world = World(Programme(**{**vars(rules), "earning": Versions([first, later])}))
    world.hear(no_claim_year())
    world.hear(no_claim_year_revoked(1, "2028-02-01"))
    assert (world.points(), world.balance("growth_available")) == ((0, 0, 0), 0)


def test_who_had_no_tier_is_explained_by_none(world: World) -> None:
    world.hear(tiers(("2026-01-01", NO_TIER)))
    world.hear(renewed(term(2)))
    assert [lot.status for lot in world.accounts[M].lots.values()] == [""]


def test_what_a_tier_added_goes_first_when_it_never_was(world: World) -> None:
    world.hear(renewed(term(2)))
    world.hear(tiers(("2026-06-01", "gold")), "2027-01-05")
    world.hear(tiers(), "2027-01-06")
    assert [(lot.granted, lot.remaining) for lot in world.accounts[M].lots.values()] == [(300, 300), (60, 0)]


@pytest.mark.parametrize("heard", ["2026-01-15", "2026-02-01"], ids=["that day", "two weeks later"])
def test_a_cancellation_heard_late_takes_from_what_it_would_have_taken_from(world: World, heard: str) -> None:
    """P-1's 100 points are spent. On 15 January it is cancelled, when a check-up's 500 are there and P-2's are pending until the 20th."""
    world.hear(paid(term(), 10_000))
    spend(world, 100, "2026-01-02")
    world.hear(paid(term(policy_no="P-2", cooling_off_end=D("2026-01-20")), 30_000, "2026-01-05"))
    world.hear(did("check_up", "2026-01-10"))
    world.hear(cancelled(term(), "2026-01-15", "flat"), heard)
    world.day("2026-02-02")
    assert {lot.rule: lot.remaining for lot in world.accounts[M].lots.values()} == {"premium": 300, "check_up": 400}


def test_steps_that_were_fewer_take_what_would_be_spent_first_and_of_no_term_are_all_alike(world: World) -> None:
    """The steps of 2 January are spent; then they were fewer. A premium's 500 points come before a quiz's, which were earned later."""
    world.hear(did("steps", "2026-01-02", 10_000))
    spend(world, 10, "2026-01-03")
    world.hear(paid(term(), on="2026-01-05"))
    world.hear(did("quiz", "2026-01-08"))
    world.hear(did("steps", "2026-01-02", 9_999), "2026-01-09")
    assert {lot.rule: lot.remaining for lot in world.accounts[M].lots.values()} == {
        "steps": 0,
        "premium": 490,
        "quiz": 10,
    }


def test_a_tier_heard_of_that_day_takes_nothing_that_no_fact_earned(world: World) -> None:
    """500 points come back to a lot that is over, and get their days of grace; 100 are added by hand."""
    world.hear(did("check_up", "2026-01-10"))
    spend(world, 500, "2028-01-31")
    world.hear(RefundHold(hold_id="H-1"), "2028-02-10")
    propose(world, "correct", 100, "2028-02-10")
    approve(world, "2028-02-10")
    world.hear(tiers(("2028-02-01", "gold")), "2028-02-10")
    assert world.points() == (0, 600, 0)


def test_what_a_void_term_lost_stays_lost_however_late_a_tier_is_told(world: World) -> None:
    """500 points and the anniversary's 100 were spent and are owed; growth never expires."""
    for event in (issued(term()), paid(term()), anniversary(1, "2027-01-01")):
        world.hear(event)
    spend(world, 600, "2027-01-02")
    world.hear(cancelled(term(), "2027-01-03", "flat"))
    for no in range(2, 7):
        world.hear(issued(term(no)), f"{2025 + no}-01-01")
    assert (world.points(), world.balance("growth_available")) == ((0, 0, 600), 0)
    world.hear(tiers(("2026-01-01", "silver")), "2031-02-01")
    assert (world.points(), world.balance("growth_available")) == ((0, 0, 600), 0)


def test_a_refund_heard_long_after_the_term_is_forgotten_goes_by_the_premium_alone(rules: Programme) -> None:
    """Half of CNY 500.00 comes back; the payment had brought 505 points (5 are for paying at all) and 7 of growth."""
    payment = {"fixed": 5, "growth": 7, "pending": "none"}
    changed = tuple(replace(rule, **payment) if rule.code == "premium" else rule for rule in rules.earning.newest.rules)
    world = World(under_rules(rules, rules=changed))
    world.hear(paid(term()))
    world.hear(issued(term(5, policy_no="P-2")), "2030-01-01")
    assert "P-1/1" not in world.accounts[M].memory.terms
    world.hear(refunded(term(refunded_fen=25_000), 25_000, "2026-06-01"), "2030-01-02")
    standing = {lot.wallet: lot.standing for lot in world.accounts[M].lots.values()}
    assert standing == {"points": 505 - 252, "growth": 7 - 3}


# --- two versions of the rules ---


def two_versions(rules: Programme) -> Programme:
    """From July 2026 on a renewal brings 400 more, gold counts for 200 %, home for 110 %, and points last 12 months."""
    first = rules.earning.newest
    renewal = tuple(replace(rule, fixed=600) if rule.code == "renewal" else rule for rule in first.rules)
    july = replace(
        first,
        version=2,
        effective=D("2026-07-01"),
        rules=renewal,
        tier_percent={"gold": 200},
        product_line_percent={"home": 110},
        expiry_months=12,
    )
    return Programme(**{**vars(rules), "earning": Versions([first, july])})


@pytest.mark.parametrize("gold_known", [True, False], ids=["gold in time", "gold heard of in September"])
@pytest.mark.parametrize(
    ("on", "points", "version", "expires"),
    [("2026-06-30", 360, 1, "2028-07-01"), ("2026-07-01", (600 + 100) * 220 // 100, 2, "2027-08-01")],
    ids=["signed on 30 June", "signed on 1 July"],
)
def test_what_is_told_in_august_earns_by_the_rules_of_its_own_day(
    rules: Programme, on: str, points: int, version: int, expires: str, gold_known: bool
) -> None:
    world = World(two_versions(rules))
    gold = tiers(("2026-01-01", "gold"))
    if gold_known:
        world.hear(gold, "2026-01-01")
    world.hear(renewed(term(2), on), "2026-08-01")
    world.hear(gold, "2026-09-01")
    assert world.points() == (0, points, 0)
    lots = [lot for lot in world.accounts[M].lots.values() if lot.wallet == "points"]
    assert {(lot.rules_version, lot.expires_on) for lot in lots} == {(version, D(expires))}
    assert len(lots) == (1 if gold_known else 2)
