"""A draft of earning rules on what the log holds: read from the beginning, by nobody's group, up to where it ended."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from points_ledger.service import SERVICE
from tenure.contracts.activity import ActivityCompleted
from tenure.contracts.event import WrongEventError
from tenure.contracts.programme import Programme
from tenure.contracts.topics import TOPICS
from tenure.settings import Settings
from tenure.spine.codec import encode, event_of
from tenure.spine.log import Outgoing, TopicPartition, open_log
from tenure.spine.memory_log import MemoryConsumer
from tenure.testing import Under, under_test
from tenure_local.earning_trial import draft_of, live_of, run

DAY = date(2026, 5, 1)


def quiz(n: int, on: date = DAY) -> Outgoing:
    data = ActivityCompleted(member_id=f"M-{n}", activity_id=f"q-{n}", kind="quiz", on=on)
    noon = datetime(on.year, on.month, on.day, 4, tzinfo=UTC)
    return encode(event_of(data, id=f"e-{n}", source="/test", time=noon, backfill=False))


def document(rules: Programme, points: int) -> dict[str, Any]:
    """The rules as they are, with so many points for a quiz."""
    found = msgspec.to_builtins(rules.earning.newest)
    for name in ("version", "effective"):
        found.pop(name)
    for rule in found["rules"]:
        rule["fixed"] = points if rule["code"] == "quiz" else rule["fixed"]
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return plain


@pytest.fixture
async def t(settings: Settings):
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        await under.day(DAY)
        yield under


async def test_the_log_is_judged_twice_and_left_as_it_was(t: Under, settings: Settings, rules: Programme) -> None:
    log, told = open_log(settings.kafka), list[tuple[int, int]]()
    await log.ensure_topics({topic.name: topic.partitions for topic in TOPICS})
    producer = await log.producer()
    garbage = Outgoing("activity.v1", b"M-1", b"{", [("ce_type", b"activity.completed")])
    await producer.send([*(quiz(n) for n in range(20)), garbage])
    draft = draft_of(document(rules, 25), None, rules)
    for _ in range(2):
        found = await run(
            settings, t.pool, rules, draft, as_of=None, told=lambda read, total: told.append((read, total))
        )
        assert (found.events, found.members, found.better, found.worse) == (20, 20, 20, 0)
        assert [(row.rule, row.live, row.draft) for row in found.by_rule] == [("quiz", 200, 500)]
    assert told[-1] == (21, 21)
    await producer.close()
    await log.close()


async def test_a_log_that_forgot_is_told_with_the_day_from_which_all_is_judged(
    t: Under, settings: Settings, rules: Programme
) -> None:
    """The ledger heard five quizzes of five days; then the broker, which keeps nothing, was started anew, and heard the last two."""
    heard = [quiz(n, DAY + timedelta(n)) for n in range(5)]
    await t.deliver([t.as_record(record) for record in heard])
    log = open_log(settings.kafka)
    await log.ensure_topics({topic.name: topic.partitions for topic in TOPICS})
    producer = await log.producer()
    await producer.send(heard[3:])
    found = await run(
        settings, t.pool, rules, draft_of(document(rules, 25), None, rules), as_of=None, told=lambda *_: None
    )
    assert (found.events, found.known.since, found.known.facts, found.known.judged) == (2, DAY + timedelta(3), 5, 2)
    assert found.known.warnings == [
        "the ledger has seen more than the log retains: 3 of 5 facts that earned are not judged, dated 2026-05-01 to 2026-05-03"
    ]
    await producer.send(heard[:3])
    found = await run(
        settings, t.pool, rules, draft_of(document(rules, 25), None, rules), as_of=None, told=lambda *_: None
    )
    assert (found.known.since, found.known.judged, found.known.warnings) == (DAY, 5, []), "told again, all is known"
    await producer.close()
    await log.close()


async def test_a_log_that_was_cut_says_where_it_begins(
    t: Under, settings: Settings, rules: Programme, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its retention is over for what came before the quiz that is left; a draft from a later day asks for none of that."""

    async def cut(_: Any, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: 7 if place[0] == "activity.v1" else 0 for place in places}

    monkeypatch.setattr(MemoryConsumer, "beginnings", cut)
    log = open_log(settings.kafka)
    await log.ensure_topics({topic.name: topic.partitions for topic in TOPICS})
    producer = await log.producer()
    await producer.send([quiz(1)])
    for effective, warned in ((None, 1), (DAY - timedelta(1), 1), (DAY, 0)):
        draft = draft_of(document(rules, 25), effective, rules)
        found = await run(settings, t.pool, rules, draft, as_of=None, told=lambda *_: None)
        assert (found.known.log_since, found.known.since, len(found.known.warnings)) == (DAY, DAY, warned)
    await producer.close()
    await log.close()


async def test_an_empty_log_is_an_answer(t: Under, settings: Settings, rules: Programme) -> None:
    log = open_log(settings.kafka)
    await log.ensure_topics({topic.name: topic.partitions for topic in TOPICS})
    found = await run(
        settings, t.pool, rules, draft_of(document(rules, 25), None, rules), as_of=DAY, told=lambda *_: None
    )
    assert (found.events, found.by_rule) == (0, [])
    await log.close()


REPORTS = [
    {"member_id": "M-1", "activity_id": "q-1", "kind": "quiz", "on": "2026-05-01"},
    *(
        {"member_id": "M-1", "activity_id": f"s-{n}", "kind": "steps", "on": f"2026-04-{n:02}", "value": 12_000}
        for n in range(24, 31)
    ),
    {"member_id": "M-1", "activity_id": "s-x", "kind": "steps", "on": "2026-04-30", "value": 3},
    {"member_id": "M-1", "activity_id": "c-1", "kind": "class", "on": "2026-05-01", "session_id": "S-1"},
    {"member_id": "M-1", "activity_id": "d-1", "kind": "safe_driving", "on": "2026-05-01", "product_line": "motor"},
    {"agent_id": "A-7", "activity_id": "m-1", "kind": "mentoring", "on": "2026-05-01", "rank": "manager"},
    {"member_id": "M-1", "referee_id": "M-2", "policy_no": "P-2", "on": "2026-05-01", "cooling_off_end": "2026-05-20"},
]


async def test_what_was_reported_over_rest_is_history_as_far_as_it_earned(
    t: Under, settings: Settings, rules: Programme
) -> None:
    log = open_log(settings.kafka)
    await log.ensure_topics({topic.name: topic.partitions for topic in TOPICS})
    answer = await t.http.post("/v1/activities", json=REPORTS, headers=t.auth("service"))
    assert all("code" not in (one or {}) for one in answer.json()["items"]), answer.text
    found = await run(
        settings, t.pool, rules, draft_of(document(rules, 25), None, rules), as_of=None, told=lambda *_: None
    )
    rows = await t.pool.fetch(
        "SELECT rule, sum(granted - reversed)::bigint FROM lots WHERE wallet <> 'growth' GROUP BY 1"
    )
    live: dict[str, int] = {}
    for row in found.by_rule:
        if row.wallet != "growth":
            live[row.rule] = live.get(row.rule, 0) + row.live
    assert live == {rule: points for rule, points in rows if points}, "the live side is what the ledger holds"
    assert [(row.live, row.draft) for row in found.by_rule if row.rule == "quiz"] == [(10, 25)]
    assert [(one.member_id, one.draft - one.live) for one in found.affected] == [("M-1", 15)]
    assert (found.known.judged, found.known.warnings) == (found.known.facts, [])
    await log.close()


def test_the_published_versions_are_the_live_ones(rules: Programme) -> None:
    told = [
        {
            "version": 7,
            "effective": "2026-01-01",
            "rules": {**document(rules, 12), "version": 7, "effective": "2026-01-01"},
        }
    ]
    assert live_of(rules, told).earning.newest.version == 7
    assert live_of(rules, []) is rules


@pytest.mark.parametrize("wrong", [{"fixd": 1}, {"caps": [{"code": "c"}]}, {"campaigns": 5}])
def test_a_draft_that_does_not_fit_is_refused(rules: Programme, wrong: dict[str, Any]) -> None:
    with pytest.raises(WrongEventError, match="rules_invalid"):
        draft_of({**document(rules, 10), **wrong}, None, rules)
