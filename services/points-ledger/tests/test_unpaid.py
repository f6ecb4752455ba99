"""What an activity that earned nothing leaves: why, in one row, for whoever has the customer on the phone.

The table is pure, by the rules alone; what is stored, shown and forgotten runs on a real database.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from msgspec.structs import replace
from points_ledger import words
from points_ledger.commands import LeaveAgent, RecordActivity
from points_ledger.rules.account import Reason, Unpaid
from points_ledger.service import SERVICE
from points_ledger.unpaid import UNPAID_KEPT_DAYS
from tenure.contracts.activity import ActivityCompleted
from tenure.contracts.decision import RefusedError
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged
from tenure.contracts.programme import Programme
from tenure.contracts.programme.earning import Cap
from tenure.settings import Settings
from tenure.spine.codec import encode
from tenure.spine.log import open_log
from tenure.spine.runtime import Runtime
from tenure.testing import Under, under_test

from .world import D, M, World, did, served, under_rules

TODAY = "2026-06-15"
OTHER, THIRD, AGENT = "M-2", "M-3", "A-7"


def limited(rules: Programme) -> Programme:
    """A day's articles bring 5 points at most, motor activities nothing, and nobody pays for lectures."""
    kept = tuple(rule for rule in rules.earning.newest.rules if rule.code != "wealth_lecture")
    cap = Cap(code="reading", per="day", points_max=5, rules=frozenset({"article"}))
    return under_rules(rules, rules=kept, caps=(cap,), product_line_percent={"motor": 0})


# What was done, and reported on 15 June; why the last of it came to nothing, and what that is measured by.
NOTHING: list[tuple[str, list[Any], str, str]] = [
    ("a second quiz on one day", [did("quiz", TODAY), did("quiz", TODAY)], "limit", "1 a day"),
    ("a third health course on one day", [did("health_course", TODAY) for _ in range(3)], "limit", "2 a day"),
    ("a second check-up in a year", [did("check_up", "2026-06-01"), did("check_up", TODAY)], "limit", "1 a year"),
    ("the family's policies again", [did("family_policy_data", TODAY) for _ in range(2)], "limit", "once"),
    ("9,000 steps", [did("steps", TODAY, 9_000)], "below", "10000"),
    ("12,000 steps, and then it was 9,000", [did("steps", TODAY, 12_000), did("steps", TODAY, 9_000)], "below", "10000"),
    ("the steps of eight days ago", [did("steps", "2026-06-07", 12_000)], "too_late", "7"),
    ("a quiz of the month before last", [did("quiz", "2026-04-30")], "too_late", "30"),
    ("a lecture, which nobody pays for", [did("wealth_lecture", TODAY, session_id="S-1")], "no_rule", ""),
    ("a safe day of who has no motor policy", [did("safe_driving", TODAY, product_line="home")], "not_for_line", "motor"),
    ("a safe day, when motor counts for nothing", [did("safe_driving", TODAY, product_line="motor")], "rated", ""),
    ("an article more than the cap leaves", [did("article", TODAY), did("article", TODAY)], "capped", "cap reading"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("done", "reason", "limited_by"), [row[1:] for row in NOTHING], ids=[row[0] for row in NOTHING]
)
def test_why_it_came_to_nothing(rules: Programme, done: list[Any], reason: str, limited_by: str) -> None:
    world = World(limited(rules))
    for activity in done:
        world.hear(activity, TODAY)
    last = done[-1]
    assert [row for row in world.rows if isinstance(row, Unpaid)] == [
        Unpaid(M, last.on, last.kind, key(last), last.activity_id, reason, limited_by, 1)  # type: ignore[arg-type]
    ]


def key(activity: Any) -> str:
    return activity.on.isoformat() if activity.kind == "steps" else activity.activity_id


def reasons(world: World) -> list[tuple[str, str]]:
    return [(row.reason, row.limited_by) for row in world.rows if isinstance(row, Unpaid)]


def test_a_service_after_the_agent_left_and_history_and_a_day_outside_the_rules_window(world: World) -> None:
    world.hear(served("revisit", TODAY))
    world.hear(LeaveAgent(agent_id=AGENT, on=D("2026-06-16"), actor="op-1"), "2026-06-16", key=AGENT)
    world.hear(served("revisit", "2026-06-16"))
    world.hear(did("quiz", TODAY), backfill=True)
    world.hear(did("safe_driving", "2031-01-01", product_line="motor"))
    assert reasons(world) == [("agent_left", "2026-06-16"), ("backfill", ""), ("not_then", "2015-01-01/2031-01-01")]


@pytest.mark.parametrize("done", [did("steps", "2026-06-08", 10_000), did("quiz", "2026-05-16")])
def test_what_is_reported_on_the_last_day_it_may_be_counts(world: World, done: Any) -> None:
    """Steps seven days after theirs, a quiz thirty."""
    world.hear(done, TODAY)
    assert (world.points(), reasons(world)) == ((0, 10, 0), [])


def test_what_was_reported_in_time_and_heard_half_a_year_later(world: World) -> None:
    world.hear(did("quiz", TODAY))
    world.hear(did("quiz", "2026-01-10"), "2026-01-11")
    assert reasons(world) == [("heard_late", "")]


@pytest.mark.parametrize(
    "done",
    [
        [did("quiz", TODAY)],
        [did("quiz", TODAY, activity_id="q")] * 2,
        [did("class", TODAY, session_id="S-1"), did("class", TODAY, session_id="S-1")],
        [did("steps", TODAY, 10_000), did("steps", TODAY, 14_000)],
    ],
    ids=["a quiz", "the same quiz told twice", "one session told twice", "steps that were more"],
)
def test_what_earned_leaves_no_row_of_nothing(world: World, done: list[Any]) -> None:
    for activity in done:
        world.hear(activity)
    assert reasons(world) == []


def test_what_a_caller_is_refused_is_kept_with_the_refusal(world: World) -> None:
    """Too late, or after the agent left; what lies in the future is only refused."""
    for activity, code, kept in (
        (did("quiz", "2026-04-30"), "activity_too_late", ["too_late"]),
        (did("quiz", "2026-06-16"), "activity_in_future", []),
    ):
        with pytest.raises(RefusedError, match=code) as refused:
            world.hear(RecordActivity(activity=activity), TODAY)
        assert [row.reason for row in refused.value.rows] == kept
    assert world.rows == [], "a rule that refuses decides nothing"


SAID: list[tuple[Reason, str, str, str]] = [
    ("limit", "1 a day", "该项每天最多计1次，此前已计满", "at most 1 a day counts, and that had been reached"),
    ("limit", "once", "该项只计一次，此前已计分", "it counts once, and had counted before"),
    ("below", "10000", "上报数值未达到10,000", "what was reported stays below 10,000"),
    ("too_late", "7", "上报时已超过活动日后7天，不再计分", "it was reported more than 7 days after its day"),
    ("not_then", "2026-01-01/2026-07-01", "仅2026-01-01起、2026-07-01前的活动计分", "it counts from 2026-01-01 until before 2026-07-01 only"),
    ("not_for_line", "motor", "仅适用于险种motor", "it counts for the product line motor only"),
    ("agent_left", "2026-06-16", "代理人已于2026-06-16离职，此后的服务不计分", "the agent left on 2026-06-16, and services from that day on do not count"),
    ("capped", "cap reading", "受限于：上限 reading", "nothing was left of what limits it: cap reading"),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "limited_by", "zh", "en"), SAID, ids=[f"{row[0]} {row[1]}" for row in SAID])
def test_a_customer_is_told_in_one_sentence(reason: Reason, limited_by: str, zh: str, en: str) -> None:
    said = words.of_nothing(D(TODAY), words.Said("健康问答", "Quiz"), "q-2", reason, limited_by)
    assert said.zh == f"2026-06-15，健康问答（q-2）：未获得积分，{zh}。"
    assert said.en == f"2026-06-15, Quiz, q-2: no points, for {en}."


# --- kept, shown, forgotten ---


@pytest.fixture
async def t(settings: Settings, rules: Programme) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"}), rules) as under:
        await under.day(D(TODAY))
        yield under


async def get(t: Under, member: str = M, query: str = "", *roles: str, **who: Any) -> Any:
    headers = t.auth(*(roles or ("operator",)), **who)
    return await t.http.get(f"/v1/wallets/{member}/unpaid{query}", headers=headers)


async def shown(t: Under, member: str = M) -> list[tuple[str, str]]:
    return [(one["activity_id"], one["reason"]) for one in (await get(t, member)).json()["items"]]


async def report(t: Under, *bodies: dict[str, Any]) -> list[int]:
    """Over HTTP, each with a key of its own. Returns the status codes."""
    sent = [await t.http.post("/v1/activities", json=body, headers=t.auth("service")) for body in bodies]
    return [answer.status_code for answer in sent]


def body(kind: str, activity_id: str, on: str = TODAY, **more: Any) -> dict[str, Any]:
    return {"member_id": M, "kind": kind, "activity_id": activity_id, "on": on, **more}


REPORTED = [
    body("quiz", "q-1"),
    body("quiz", "q-2"),
    body("steps", "s-1", value=9_000),
    body("quiz", "q-3", "2026-04-30"),
]
CAME_TO_NOTHING = [("s-1", "below"), ("q-2", "limit"), ("q-3", "too_late")]


async def over_http(t: Under) -> None:
    assert await report(t, *REPORTED) == [200, 200, 200, 422]


async def from_the_log(t: Under) -> None:
    records = t.records(*(did(**{"value": 0, **one}) for one in told(REPORTED)), at=D(TODAY))
    await t.deliver(records[:3])
    await t.deliver(records[2:])
    await t.deliver(records)


def told(bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in one.items() if name != "member_id"} for one in bodies]


@pytest.mark.parametrize("way", [over_http, from_the_log])
async def test_each_is_kept_once_however_often_it_comes(t: Under, way: Callable[[Under], Any]) -> None:
    """Delivered twice and in halves, or reported again under another key, or by the other way: one row each."""
    await way(t)
    assert await shown(t) == CAME_TO_NOTHING
    await over_http(t)
    await from_the_log(t)
    assert await shown(t) == CAME_TO_NOTHING
    assert await t.pool.fetchval("SELECT count(*) FROM unpaid") == 3
    assert await t.pool.fetchval("SELECT points_available FROM accounts WHERE member_id = $1", M) == 10


async def test_what_an_agent_reads_to_the_customer(t: Under) -> None:
    await over_http(t)
    _, quiz, _ = (await get(t, M, "", "agent", subject=AGENT, book=[M])).json()["items"]
    assert {name: value for name, value in quiz.items() if name != "recorded_at"} == {
        "member_id": M, "on": TODAY, "kind": "quiz", "label_zh": "健康问答", "label_en": "Quiz", "activity_id": "q-2",
        "reason": "limit", "limited_by": "1 a day", "rules_version": 1,
        "says_zh": "2026-06-15，健康问答（q-2）：未获得积分，该项每天最多计1次，此前已计满。",
        "says_en": "2026-06-15, Quiz, q-2: no points, for at most 1 a day counts, and that had been reached.",
    }  # fmt: skip


async def test_services_after_the_agent_left_are_kept_for_the_agent(t: Under) -> None:
    await report(t, service("x-1"))
    await t.http.post(f"/v1/agents/{AGENT}/leave", json={"on": TODAY}, headers=t.auth("operator"))
    assert await report(t, service("x-2")) == [409]
    await t.feed(served("revisit", TODAY, activity_id="x-2"), served("revisit", TODAY, activity_id="x-3"))
    assert await shown(t, AGENT) == [("x-3", "agent_left"), ("x-2", "agent_left")]


async def test_what_a_cap_left_nothing_of_is_shown_though_it_has_an_entry(settings: Settings, rules: Programme) -> None:
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"}), limited(rules)) as t:
        await t.day(D(TODAY))
        assert await report(t, body("article", "r-1"), body("article", "r-2")) == [200, 200]
        assert await shown(t) == [("r-2", "capped")]


def service(activity_id: str) -> dict[str, Any]:
    return {"agent_id": AGENT, "kind": "revisit", "activity_id": activity_id, "on": TODAY}


async def test_steps_that_turn_out_to_be_enough_are_not_nothing_any_more(t: Under) -> None:
    """9,000, then 10,500, then 8,000, then 12,000 were reported of the day, the last under another id."""
    seen = []
    for n, value in enumerate((9_000, 10_500, 8_000, 12_000)):
        await report(t, body("steps", f"s-{n}", value=value))
        seen.append(await shown(t))
    assert seen == [[("s-0", "below")], [], [("s-0", "below")], []]


async def test_a_quiz_that_was_paid_and_is_told_again_too_late_is_not_nothing(t: Under) -> None:
    await report(t, body("quiz", "q-1"))
    await t.day(D("2026-09-01"))
    assert await report(t, body("quiz", "q-1")) == [422]
    assert await shown(t) == []


def of(member: str, *activities: Any) -> list[Any]:
    return [replace(activity, member_id=member) for activity in activities]


async def test_after_a_merger_the_survivor_is_told_of_all_their_numbers_and_no_longer_when_it_is_undone(
    t: Under,
) -> None:
    """M-3 became M-2, and that became M-1; of one day M-3 had 9,000 steps, M-1 enough."""
    for member in (M, OTHER, THIRD):
        await t.feed(
            *of(member, did("quiz", TODAY, activity_id=f"a{member}"), did("quiz", TODAY, activity_id=f"b{member}"))
        )
    await t.feed(*of(THIRD, did("steps", TODAY, 9_000, activity_id="s")), did("steps", TODAY, 12_000))
    assert await shown(t, THIRD) == [("s", "below"), ("bM-3", "limit")]
    await t.feed(CustomerMerged(member_id=OTHER, merged_id=THIRD, effective=D(TODAY)))
    await t.feed(CustomerMerged(member_id=M, merged_id=OTHER, effective=D(TODAY)))
    assert await shown(t) == [("bM-3", "limit"), ("bM-2", "limit"), ("bM-1", "limit")]
    assert await shown(t, THIRD) == [("bM-3", "limit")], "the day of steps counts, under who they are now"
    await t.feed(*of(OTHER, did("quiz", TODAY, activity_id="c")))
    again = [event for event in await t.emitted_events() if isinstance(event.data, ActivityCompleted)]
    await t.deliver([t.as_record(encode(event)) for event in again])
    assert (await shown(t))[0] == ("c", "limit"), (
        "told under a number given up it is decided, and kept, under who they are"
    )
    await t.feed(CustomerUnmerged(member_id=M, survivor_id=M, merged_id=OTHER, effective=D(TODAY)))
    assert await shown(t) == [("c", "limit"), ("bM-1", "limit")]
    assert await shown(t, OTHER) == [("s", "below"), ("bM-3", "limit"), ("bM-2", "limit")]


async def test_pages_show_each_once_and_end(t: Under) -> None:
    """Under two numbers of one person, of which both had too few steps on the same days."""
    days = [f"2026-06-{day:02}" for day in range(10, 16)]
    for member in (M, OTHER):
        await t.feed(
            *of(member, *(did("steps", day, 5_000, activity_id=f"{member}.{day}") for day in days)), at=D(TODAY)
        )
    await t.feed(CustomerMerged(member_id=M, merged_id=OTHER, effective=D(TODAY)))
    whole = (await get(t, M, "?limit=200")).json()
    assert whole["next_cursor"] is None
    assert [one["on"] for one in whole["items"]] == sorted([*days, *days], reverse=True)
    for limit in (1, 5, 6, 12):
        found: list[Any] = []
        cursor = ""
        while cursor is not None:
            answer = (await get(t, M, f"?limit={limit}" + (f"&cursor={cursor}" if cursor else ""))).json()
            found += answer["items"]
            cursor = answer["next_cursor"]
        assert found == whole["items"], limit


async def test_who_may_read_it(t: Under) -> None:
    await over_http(t)
    asked = [
        await get(t, M, "", "member", subject=M),
        await get(t, M, "", "agent", subject=AGENT, book=[M]),
        await get(t, M, "", "operator"),
        await get(t, M, "", "member", subject=OTHER),
        await get(t, M, "", "agent", subject=AGENT, book=[OTHER]),
        await t.http.get(f"/v1/wallets/{M}/unpaid"),
        await get(t, "M-404"),
        await get(t, M, "?cursor=WzFd"),
    ]
    assert [answer.status_code for answer in asked] == [200, 200, 200, 404, 404, 401, 200, 400]
    assert asked[6].json() == {"items": [], "next_cursor": None}


async def test_it_is_forgotten_after_its_time_and_never_changed(t: Under, settings: Settings) -> None:
    await t.pool.execute(
        """INSERT INTO unpaid (member_id, day, kind, fact, activity_id, reason, limited_by, rules_version, recorded_at)
           SELECT $1, DATE '2026-06-15', 'quiz', 'q' || age, 'q' || age, 'limit', '1 a day', 1, now() - make_interval(days => age)
           FROM unnest($2::int[]) age""",
        M,
        [UNPAID_KEPT_DAYS - 1, UNPAID_KEPT_DAYS + 1, UNPAID_KEPT_DAYS + 400],
    )
    vitals = Runtime(t.door, open_log(settings.kafka), settings).vitals
    assert await vitals.sweep() == 2
    assert await shown(t) == [(f"q{UNPAID_KEPT_DAYS - 1}", "limit")]
    assert await vitals.sweep() == 0
