"""What a member's row shows: the arithmetic of balances as a table, and any interleaving of topics."""

import random
from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec
import pytest
from member_view.rules.arithmetic import MOVES, moved
from member_view.rules.render import render
from member_view.rules.view import Purse, View, settled
from member_view.rules.words import worded
from member_view.service import SERVICE
from msgspec.structs import replace
from tenure.calendar import DAY, start_of
from tenure.contracts import policy, tier
from tenure.contracts.event import Data
from tenure.contracts.points import PointsEvent, PointsExpiring
from tenure.contracts.programme import Programme, TierRules, Versions
from tenure.contracts.topics import TOPICS

from .cast import (
    NEAREST,
    STORY,
    D,
    M,
    activated,
    adjusted,
    advised,
    asked,
    benefit_granted,
    cancelled,
    captured,
    claim,
    event,
    expired,
    grant,
    held,
    issued,
    order,
    progressed,
    refunded,
    released,
    several_granted,
    soon,
    taken_back,
    term,
    tier_changed,
    used,
)


@pytest.fixture(scope="module")
def renamed(rules: Programme) -> Versions[TierRules]:
    """From the day after D on gold and diamond are called otherwise."""
    first = rules.tiers.newest
    tiers = [replace(one, label_zh=f"{one.label_zh}卡", label_en=f"{one.label_en} Card") for one in first.tiers]
    return Versions([first, replace(first, version=2, effective=D + DAY, tiers=(*first.tiers[:2], *tiers[2:]))])


def test_tiers_are_called_what_the_day_calls_them(rules: Programme, renamed: Versions[TierRules]) -> None:
    """Whether the row was written before the publication, or after it: on each day the words are those of the day."""
    published = Programme(**{**vars(rules), "tiers": renamed})
    for programme in (rules, published):
        row = after(programme, tier_changed("gold"))
        for day, tier_now, tier_next in ((D, "Gold", "Diamond"), (D + DAY, "Gold Card", "Diamond Card")):
            shown = msgspec.json.decode(render(worded(row, renamed, day)) or b"")
            said = (shown["tier"]["label_en"], shown["progress"]["label_en"], shown["summary_en"].split(" since")[0])
            assert said == (tier_now, tier_next, tier_now)
    assert worded(row, renamed, D) is row
    later = after(published, replace(progressed(), effective=D + DAY), view=row)
    assert (later.standing.label.en, later.standing.worded_by) == ("Gold Card", 2)


def after(rules: Programme, *data: Data, view: View | None = None) -> View:
    for one in data:
        view = SERVICE.decide(view, event(one), rules).state
    assert view is not None
    return view


@pytest.mark.parametrize("seed", range(20))
def test_what_an_event_leaves_alone_is_settled_already(rules: Programme, seed: int) -> None:
    """Only what an event or a later day touches is settled anew: settling the whole view again finds nothing."""
    story = [one for topic in STORY for one in topic]
    random.Random(seed).shuffle(story)
    view: View | None = None
    for one in story:
        view = after(rules, one, view=view)
        assert settled(view) == view


def shown(view: View) -> dict[str, Any]:
    rendered = render(view)
    assert rendered is not None
    found: dict[str, Any] = msgspec.json.decode(rendered)
    return found


@pytest.mark.parametrize(
    ("happened", "balances"),
    [  # available, pending, held, debt
        ([grant(100)], (100, 0, 0, 0)),
        ([grant(100, pending=True)], (0, 100, 0, 0)),
        ([grant(100, pending=True), activated(100)], (100, 0, 0, 0)),
        ([grant(100), held(40)], (60, 0, 40, 0)),
        ([grant(100), held(40), captured(40)], (60, 0, 0, 0)),
        ([grant(100), held(40), captured(30), released(10)], (70, 0, 0, 0)),
        ([grant(100), held(40), released(40)], (100, 0, 0, 0)),
        ([grant(100), held(40), captured(40), refunded(40)], (100, 0, 0, 0)),
        ([grant(100, pending=True), taken_back(pending=100)], (0, 0, 0, 0)),
        ([grant(100), held(80), captured(80), taken_back(lots=20, debt=80)], (0, 0, 0, 80)),
        ([grant(100), held(80), captured(80), taken_back(lots=20, debt=80), grant(100, repaid=80)], (20, 0, 0, 0)),
        (
            [grant(50), taken_back(lots=50), taken_back(debt=30), grant(20, pending=True), activated(20, repaid=20)],
            (0, 0, 0, 10),
        ),
        ([grant(100), held(40), taken_back(lots=60, debt=40), released(40, repaid=40)], (0, 0, 0, 0)),
        ([grant(100), expired(100)], (0, 0, 0, 0)),
        ([grant(100), expired(60), taken_back(lots=40, expired=60)], (0, 0, 0, 0)),
        ([grant(100), adjusted(-30)], (70, 0, 0, 0)),
        ([taken_back(debt=30), adjusted(50, repaid=30)], (20, 0, 0, 0)),
    ],
)
def test_balances(happened: Sequence[PointsEvent], balances: tuple[int, int, int, int]) -> None:
    purse = Purse()
    for one in happened:
        purse = moved(purse, one)
        outstanding = purse.available + purse.pending + purse.held - purse.debt
        assert outstanding == purse.granted + purse.adjusted - purse.spent - purse.reversed - purse.expired
    assert (purse.available, purse.pending, purse.held, purse.debt) == balances


def test_every_movement_of_points_has_its_line() -> None:
    told = {cls for t in TOPICS if t.name == "points.v1" for cls in t.types.values()}
    assert set(MOVES) == told - {PointsExpiring}


def test_the_story_reads_as_an_agent_needs_it(rules: Programme) -> None:
    view = shown(after(rules, *(one for topic in STORY for one in topic)))
    assert view["summary_en"] == (
        "Gold since 2018-03-01; 1,240 points; open claim C-1: no on-site survey needed, fast track"
    )
    assert view["summary_zh"] == "黄金会员（自 2018-03-01 起）；1,240 积分；未结理赔 C-1：无需现场查勘，绿色通道"
    assert view["points"] == {
        "points": {"available": 1_240, "pending": 0, "held": 0, "debt": 0},
        "growth": {"available": 30, "pending": 0, "held": 0, "debt": 0},
    }
    assert [p["policy_no"] for p in view["policies"]] == ["P-1"]
    assert view["next_expiry"] == "2026-12-01"
    assert view["expiring"] == [{"wallet": "points", "expires_on": "2026-04-01", "points": 1_240}]
    assert [(b["remaining"], b["extension"], b["endorsement_no"]) for b in view["benefits"]] == [
        (1, "confirmed", "EN-1")
    ]
    assert [(o["order_id"], o["status"]) for o in view["orders"]] == [("O-1", "fulfilled")]
    assert view["progress"]["missing"] == NEAREST.missing


def test_the_row_does_not_depend_on_how_topics_are_interleaved(rules: Programme) -> None:
    whole = after(rules, *(one for topic in STORY for one in topic))
    chance = random.Random(11)
    for _ in range(200):
        assert after(rules, *_interleaved(chance)) == whole


def _interleaved(chance: random.Random) -> list[Data]:
    queues = [list(topic) for topic in STORY]
    told = []
    while waiting := [q for q in queues if q]:
        told.append(chance.choice(waiting).pop(0))
    return told


def test_grants_told_together_are_those_told_one_by_one(rules: Programme) -> None:
    grants = [benefit_granted(), benefit_granted("claims_fast_track", quota=None), benefit_granted("no_such_benefit")]
    assert after(rules, asked(), several_granted(*grants)) == after(rules, asked(), *grants)
    again = [*grants, used(), several_granted(benefit_granted(quota=3), grants[1])]
    assert after(rules, *again) == after(rules, *again[:-1], benefit_granted(quota=3), grants[1])


def test_the_highest_version_of_a_term_stands(rules: Programme) -> None:
    assert after(rules, cancelled(2), issued(1)).terms["P-1/1"].status == "void"
    assert shown(after(rules, issued(1), cancelled(2)))["policies"] == []


def test_what_has_ended_is_not_shown(rules: Programme) -> None:
    later = policy.PolicyAnniversary(
        member_id=M, policy_no="P-1", term_no=1, product_line="home", years=1, effective=date(2027, 6, 1)
    )
    view = shown(after(rules, *(one for topic in STORY for one in topic), later))
    assert (view["policies"], view["benefits"], view["expiring"], view["next_expiry"]) == ([], [], [], None)


@pytest.mark.parametrize(
    ("statuses", "is_open"),
    [
        (["reported"], True),
        (["reported", "assessed", "approved"], True),
        (["reported", "paid"], False),
        (["reported", "declined"], False),
        (["reported", "withdrawn"], False),
        (["reported", "closed", "reopened"], True),
    ],
)
def test_open_claims(rules: Programme, statuses: list[str], is_open: bool) -> None:
    view = shown(after(rules, *(claim(s) for s in statuses), advised()))
    assert bool(view["claims"]) is is_open


def test_a_claim_that_turns_out_to_be_another_s_is_not_shown_until_it_comes_back(rules: Programme) -> None:
    gone = after(rules, claim("reported"), claim("reported", "C-2"), claim("reported", handed_over="from"))
    assert [c["claim_no"] for c in shown(gone)["claims"]] == ["C-2"]
    back = after(rules, claim("assessed", handed_over="to"), view=gone)
    assert {c["claim_no"]: c["status"] for c in shown(back)["claims"]} == {"C-1": "assessed", "C-2": "reported"}


def test_a_tier_about_to_drop_is_shown_until_a_condition_holds_again(rules: Programme) -> None:
    risk = tier.TierAtRisk(member_id=M, tier="gold", to_tier="silver", effective=D, drops_on=date(2027, 3, 1))
    view = after(rules, tier_changed(), risk)
    assert shown(view)["tier"]["drops_on"] == "2027-03-01"
    assert shown(after(rules, progressed(), view=view))["tier"]["drops_on"] is None
    past_moved = replace(tier_changed(since=date(2017, 12, 1)), retroactive=True)
    assert shown(after(rules, past_moved, view=view))["tier"]["drops_on"] == "2027-03-01"
    assert shown(after(rules, tier_changed("silver", since=D), view=view))["tier"]["drops_on"] is None


@pytest.mark.parametrize(
    ("told", "summary_en", "summary_zh"),
    [
        ([grant(198, wallet="agent")], "No tier yet; 0 points; 198 agent points", "暂无等级；0 积分；198 代理人积分"),
        (
            [grant(500), held(500), captured(500), taken_back(debt=500)],
            "No tier yet; 0 points; 500 owed, repaid first",
            "暂无等级；0 积分；欠 500 积分，须先抵扣",
        ),
        ([grant(1), grant(1, wallet="agent")], "No tier yet; 1 point; 1 agent point", "暂无等级；1 积分；1 代理人积分"),
    ],
)
def test_what_is_owed_and_an_agents_own_points_are_in_the_sentence(
    rules: Programme, told: list[PointsEvent], summary_en: str, summary_zh: str
) -> None:
    view = shown(after(rules, *told))
    assert (view["summary_en"], view["summary_zh"]) == (summary_en, summary_zh)


def test_what_was_measured_says_when(rules: Programme) -> None:
    """Insured days grow daily and the row does not; a correction of the past is measured where the newest step counts from."""
    changed = after(rules, tier_changed(since=date(2018, 3, 1)))
    assert [shown(changed)["tier"][k] for k in ("insured_days", "measured_on")] == [2_200, "2018-03-01"]
    late = replace(tier_changed(since=date(2018, 3, 1)), effective=date(2017, 1, 1), retroactive=True)
    assert shown(after(rules, late))["tier"]["measured_on"] == "2018-03-01"
    assert shown(after(rules, progressed(), view=changed))["tier"]["measured_on"] == D.isoformat()


def test_a_member_without_cover_keeps_the_tier_and_is_lapsed(rules: Programme) -> None:
    """A term ends by the passing of days: tier-engine tells no progress then, policy-sync that the policy expired."""
    covered = after(rules, issued(end=date(2026, 3, 2)), tier_changed(), progressed())
    assert (shown(covered)["tier"]["lapsed"], "no cover" in shown(covered)["summary_en"]) == (False, False)
    ended = policy.PolicyExpired(member_id=M, term=term(end=date(2026, 3, 2)), effective=date(2026, 3, 2))
    state = SERVICE.decide(covered, replace(event(ended), time=start_of(ended.effective)), rules).state
    assert (shown(state)["tier"]["lapsed"], "no cover" in shown(state)["summary_en"]) == (True, True)


@pytest.mark.parametrize(
    ("policy_of", "lapsed_before", "lapsed_from_the_day_on"),
    [
        ({}, False, False),
        ({"line": "motor"}, False, True),
        ({"person": False}, True, True),
    ],
)
def test_only_cover_that_counts_for_the_tier_keeps_a_member_from_lapsing(
    rules: Programme, policy_of: dict[str, Any], lapsed_before: bool, lapsed_from_the_day_on: bool
) -> None:
    """From the day after D on home policies alone count; whether the row was written before that was published, or after."""
    first = rules.tiers.newest
    home_only = replace(first, version=2, effective=D + DAY, eligible_product_lines=frozenset({"home"}))
    published = Programme(**{**vars(rules), "tiers": Versions([first, home_only])})
    for programme in (rules, published):
        row = after(programme, issued(**policy_of), tier_changed())
        seen = [shown(worded(row, published.tiers, day))["tier"]["lapsed"] for day in (D, D + DAY)]
        assert seen == [lapsed_before, lapsed_from_the_day_on]
        assert [p["policy_no"] for p in shown(row)["policies"]] == ["P-1"]
    told = replace(progressed(), effective=D + DAY)
    assert after(published, told, view=row).standing.lines == ("home",)


def test_a_row_of_before_the_lines_were_kept_has_them_with_its_next_event(rules: Programme) -> None:
    home_only = replace(rules.tiers.newest, eligible_product_lines=frozenset({"home"}))
    programme = Programme(**{**vars(rules), "tiers": Versions([home_only])})
    row = after(programme, issued(line="motor"), tier_changed())
    old = replace(row, standing=replace(row.standing, lines=None))
    assert after(programme, grant(1), view=old).standing == row.standing


def test_no_more_is_said_to_expire_than_there_is(rules: Programme) -> None:
    view = shown(after(rules, grant(300), soon(500), soon(100, expires_on=date(2026, 5, 1))))
    assert [(e["expires_on"], e["points"]) for e in view["expiring"]] == [("2026-04-01", 300)]


def test_an_erased_member_is_blank_whatever_comes_before_or_after(rules: Programme) -> None:
    gone = policy.CustomerErased(member_id=M, effective=D)
    first, last = after(rules, gone, issued(), grant(5)), after(rules, issued(), grant(5), gone)
    assert first == last == View(member_id=M, erased=True)
    assert render(first) is None


def test_only_the_newest_orders_are_kept(rules: Programme) -> None:
    view = after(rules, *(order(order_id=f"O-{n:02}") for n in range(15)))
    assert list(view.orders) == [f"O-{n:02}" for n in range(5, 15)]


def test_two_ids_of_one_person_add_up_and_leave_nothing_behind(rules: Programme) -> None:
    merged = after(rules, grant(100), issued(), claim("reported"), soon(50), order())
    kept = replace(after(rules, grant(40), soon(10)), member_id="M-9")
    told = policy.CustomerMerged(member_id="M-9", merged_id=M, effective=D)
    one, other = SERVICE.decide((kept, merged), event(told), rules).state
    assert one.purses["points"].available == 140
    assert [e.amount for e in one.expiring] == [60]
    assert (list(one.terms), list(one.claims), list(one.orders)) == (["P-1/1"], ["C-1"], ["O-1"])
    assert render(other) is None
    assert not other.has_leftovers
    assert SERVICE.decide((one, other), event(told), rules).state[0] == one
    late = after(rules, grant(7), view=other)
    assert late.has_leftovers
