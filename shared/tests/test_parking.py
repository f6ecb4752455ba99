"""The park against everything that comes at the same time: redelivery, replay, discarding, and what the database refuses."""

import asyncio
from dataclasses import replace
from datetime import date
from typing import Any

import asyncpg
import pytest
from asyncpg.connection import Connection
from tenure.contracts.decision import Decision
from tenure.contracts.event import Event, WrongEventError
from tenure.contracts.message import MessageRequested
from tenure.spine import inbox, park_view, parking
from tenure.spine.consumer import Consumer
from tenure.spine.log import Record, open_log
from tenure.spine.park import Which, drain, replay, replay_all
from tenure.spine.transact import Item
from tenure.testing import Under

from .toy import TOY, grant


async def totals(t: Under) -> dict[str, int]:
    return {r["key"]: r["amount"] for r in await t.pool.fetch("SELECT key, amount FROM totals ORDER BY key")}


async def discard_first(t: Under) -> None:
    seq = await t.pool.fetchval("SELECT min(seq) FROM parked")
    assert await t.door.leave_park([seq], action="discarded", actor="op-1", reason="TICKET-1") == 1


async def consume(t: Under, *records: Record) -> None:
    """One poll through the consumer's own steps."""
    log = open_log(t.settings.kafka)
    consumer = Consumer(t.door, log, batch_records_max=1_000, poll_timeout_s=1.0, parked_run_max=1_000)
    await consumer.intake.apply(records)
    await log.close()


async def test_what_had_its_effect_before_its_key_was_parked_has_it_once_when_delivered_again(toy: Under) -> None:
    done, wrong = toy.records(grant("M-1", 5), grant("M-1", 13))
    await toy.deliver([done])
    await toy.deliver([wrong])
    outcomes = await toy.deliver([done, wrong])
    assert outcomes[0].seen
    assert await toy.parked() == [("M-1", "unlucky")]
    await discard_first(toy)
    await replay(toy.door, "M-1")
    await toy.deliver([done])
    assert await totals(toy) == {"M-1": 5}


async def test_what_was_discarded_does_not_come_back_with_its_redelivery(toy: Under) -> None:
    records = toy.records(grant("M-1", 13), grant("M-1", 2))
    await toy.deliver(records)
    await discard_first(toy)
    await replay(toy.door, "M-1")
    outcomes = await toy.deliver(records)
    assert [o.seen for o in outcomes] == [True, True]
    assert (await toy.parked(), await totals(toy)) == ([], {"M-1": 2})


async def test_of_two_replays_at_once_each_event_has_its_effect_once_and_in_order(toy: Under) -> None:
    await toy.feed(grant("M-1", 13), *[grant("M-1", n) for n in range(1, 9)])
    await discard_first(toy)
    done = await asyncio.gather(*[replay(toy.door, "M-1") for _ in range(4)])
    assert sum(done) == 8
    told = [m.params["amount"] for m in await toy.emitted(MessageRequested)]
    assert (told, await toy.parked()) == ([1, 3, 6, 10, 15, 21, 28, 36], [])


async def test_what_arrives_while_its_key_is_replayed_is_not_left_behind_nothing(toy: Under) -> None:
    for n in range(8):
        member = f"M-{n}"
        await toy.feed(grant(member, 13), *[grant(member, 1) for _ in range(20)])
        await discard_first(toy)
        arriving = [toy.records(grant(member, 1)) for _ in range(5)]
        await asyncio.gather(replay(toy.door, member), *(toy.deliver(records) for records in arriving))
    assert await toy.parked() == []
    assert set((await totals(toy)).values()) == {25}


async def test_a_batch_that_met_a_parked_key_looks_again_once_the_replay_is_over(
    toy: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It saw the key parked; before it parks behind that, a replay drains the key."""
    await toy.feed(grant("M-1", 13), grant("M-1", 1))
    await discard_first(toy)
    claim, drained = inbox.claim, list[int]()

    async def slow(conn: Connection, keys: Any, **more: Any) -> inbox.Claims:
        found = await claim(conn, keys, **more)
        if found.blocked and not drained:
            drained.append(0)
            drained.append(await replay(toy.door, "M-1"))
        return found

    monkeypatch.setattr(inbox, "claim", slow)
    await toy.feed(grant("M-1", 2))
    assert drained == [0, 1]
    assert (await toy.parked(), await totals(toy)) == ([], {"M-1": 3})


async def test_a_replay_goes_on_past_nothing_the_database_refuses_and_other_keys_are_drained(toy: Under) -> None:
    await toy.feed(*[grant(f"M-{n}", 13) for n in (1, 2)])
    await toy.feed(grant("M-1", 5), grant("M-1", 5_000), grant("M-1", 6), grant("M-2", 7))
    for _ in range(2):
        await discard_first(toy)
    assert await replay_all(toy.door) == {"M-1": 1, "M-2": 1}
    assert await toy.parked() == [("M-1", "data_refused"), ("M-1", "behind")]
    assert await totals(toy) == {"M-1": 5, "M-2": 7}


async def test_a_log_that_gives_an_offset_out_again_does_not_hide_another_unreadable_record(toy: Under) -> None:
    await toy.door.transact([unreadable(b"{")])
    await toy.door.transact([unreadable(b"{")])
    await toy.door.transact([unreadable(b"[")])
    assert await toy.parked() == [("M-9", "malformed"), ("M-9", "malformed")]
    await toy.door.transact([unreadable(b"{", offset=8)])
    assert len(await toy.parked()) == 3, "nor the same at another place"


@pytest.mark.parametrize(("key", "parked"), [(b"M-\xff", "M-\ufffd"), (b"", "points.v1/0"), (None, "points.v1/0")])
async def test_a_record_whose_key_is_no_text_or_that_has_none_is_parked_and_stops_nobody(
    toy: Under, key: bytes | None, parked: str
) -> None:
    (good,) = toy.records(grant("M-1", 5))
    await consume(toy, Record("points.v1", 0, 9, key, b"{", good.headers, 0), good)
    assert (await toy.parked(), await totals(toy)) == ([(parked, "malformed")], {"M-1": 5})


@pytest.mark.parametrize("member", ["M\0-1", "M-\ud800", "x" * 5_000])
async def test_a_key_the_database_does_not_take_parks_its_event_and_stops_nobody(toy: Under, member: str) -> None:
    good, bad = toy.records(grant("M-2", 3), grant("M-1", 5))
    value = bad.value.replace(b'"M-1"', b'"' + member.encode("unicode_escape").replace(b"\\x00", b"\\u0000") + b'"')
    await consume(toy, Record("points.v1", 0, 9, b"M-1", value, bad.headers, 0), good)
    assert (await totals(toy))["M-2"] == 3
    assert len(await toy.parked()) == (0 if len(member) == 5_000 else 1)


async def test_a_header_without_a_value_parks_its_event(toy: Under) -> None:
    (good,) = toy.records(grant("M-1", 5))
    await consume(toy, Record("points.v1", 0, 9, b"M-9", good.value, [*good.headers, ("x", None)], 0), good)  # type: ignore[list-item]
    assert (await toy.parked(), await totals(toy)) == ([("M-9", "malformed")], {"M-1": 5})


async def test_an_effect_no_log_can_take_is_refused_before_it_holds_up_the_outbox(
    toy: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shouting(member_id: str, amount: int) -> MessageRequested:
        return MessageRequested(member_id=member_id, template="toy" * 400_000, dedupe="x", params={})

    with monkeypatch.context() as m:
        m.setattr(f"{TOY.rules[type(grant('M', 1))].__module__}._told", shouting)
        await toy.feed(grant("M-1", 5))
    await toy.feed(grant("M-2", 7))
    assert await toy.parked() == [("M-1", "effect_too_large")]
    assert await totals(toy) == {"M-1": 0, "M-2": 7}
    assert await toy.pool.fetchval("SELECT count(*) FROM outbox") == 1


async def test_a_key_whose_due_work_is_refused_is_named_and_the_others_live_through_their_day(
    toy: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    await toy.feed(*[grant(f"M-{n}", 900 + n) for n in range(8)])
    await toy.pool.execute("ALTER TABLE totals ADD CHECK (days = 0 OR key <> 'M-5')")
    day = date(2026, 1, 2)
    due = await toy.door.fall_due(day, keys_max=8)
    assert (due.done, list(due.refused)) == (7, ["M-5"])
    assert due.refused["M-5"].startswith("data_refused")
    assert await toy.pool.fetchval("SELECT sum(days) FROM totals") == 7
    await toy.feed(*[grant(member, 1) for member in ("A-1", "A-2", "N-1")])
    for left in (2, 1, 0, 0):
        due = await toy.door.fall_due(day, keys_max=1, aside=frozenset({"M-5"}))
        assert not due.refused
        still = await toy.pool.fetchval("SELECT count(*) FROM totals WHERE due_on IS NOT NULL AND key <> 'M-5'")
        assert still == left, "put aside, it takes nobody's place, and makes no transaction larger"


async def test_a_day_that_meets_a_world_that_is_down_refuses_no_key_and_comes_again(toy: Under) -> None:
    """Who is refused is left alone for minutes, and an operator is told; a row that somebody holds is nobody's fault."""

    async def busy(*_: object) -> None:
        raise asyncpg.LockNotAvailableError("somebody else held it for too long")

    await toy.feed(*[grant(f"M-{n}", 1) for n in range(4)])
    day, service = date(2026, 1, 2), toy.door.service
    toy.door.service = replace(service, save=busy)
    with pytest.raises(asyncpg.LockNotAvailableError):
        await toy.door.fall_due(day, keys_max=8)
    toy.door.service = service
    assert await toy.door.fall_due(day, keys_max=8) == (4, {})


def unreadable(value: bytes, *, key: bytes = b"M-9", offset: int = 7) -> Item:
    record = Record(topic="points.v1", partition=0, offset=offset, key=key, value=value, headers=(), timestamp_ms=0)
    return Item(None, record, WrongEventError("malformed", "broken"))


async def test_a_record_nobody_can_read_does_not_come_back_either_once_it_was_discarded(toy: Under) -> None:
    await toy.door.transact([unreadable(b"{")])
    await discard_first(toy)
    (outcome,) = await toy.door.transact([unreadable(b"{")])
    assert (outcome.seen, await toy.parked()) == (True, [])


async def test_a_drain_takes_many_keys_at_once_and_only_the_stuck_ones_stay(toy: Under) -> None:
    members = [f"M-{n}" for n in range(40)]
    await toy.feed(*[grant(m, 13) for m in members])
    await toy.feed(*[grant(m, n) for n in (1, 2) for m in members])
    for m in members[:30]:
        seq = await toy.pool.fetchval("SELECT min(seq) FROM parked WHERE key = $1", m)
        await toy.door.leave_park([seq], action="discarded", actor="op-1", reason="TICKET-2")
    told: list[int] = []
    drained = await drain(toy.door, by="li", tell=lambda d: told.append(d.passed.total()))
    assert (drained.passed.total(), len(drained.passed), drained.complete, told[-1]) == (60, 30, True, 60)
    assert {(s.key, s.code) for s in drained.stuck.values()} == {(m, "unlucky") for m in members[30:]}
    assert await totals(toy) == {m: 3 if m in members[:30] else 0 for m in members}
    assert await toy.pool.fetchval("SELECT count(*) FROM parked_log WHERE actor = 'li' AND action = 'replayed'") == 60


async def test_a_replay_of_one_event_takes_along_those_before_it_and_none_after(toy: Under) -> None:
    await toy.feed(grant("M-1", 13), grant("M-1", 1), grant("M-1", 2), grant("M-1", 4), grant("M-2", 13))
    await discard_first(toy)
    seqs = [r["seq"] for r in await toy.pool.fetch("SELECT seq FROM parked ORDER BY seq")]
    assert (await drain(toy.door, Which(seq=seqs[1]))).passed == {"M-1": 2}
    assert await totals(toy) == {"M-1": 3, "M-2": 0}
    assert (await drain(toy.door, Which(seq=seqs[0]))).passed == {}, "it is not there any more"
    assert (await drain(toy.door, Which(key="M-2", seq=seqs[2]))).passed == {}, "it is another key's"


async def test_a_replay_by_code_takes_the_keys_that_this_code_blocks(
    toy: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    await toy.feed(grant("M-1", 13), grant("M-1", 1), grant("M-2", 666), grant("M-2", 2))
    drained = await drain(toy.door, Which(code="unlucky"))
    assert set(drained.stuck) == {"M-1"}
    for which in (Which(code="unlucky", key="M-2"), Which(code="behind")):
        assert (await drain(toy.door, which)).stuck == {}, "another code blocks the key"
    await toy.pool.execute("DELETE FROM parked WHERE code IN ('unlucky', 'rule_failed')")
    assert (await drain(toy.door, Which(code="unlucky"))).passed == {}
    assert (await drain(toy.door, Which(code="behind"))).passed == {"M-1": 1, "M-2": 1}


async def test_why_an_event_is_refused_is_kept_whatever_is_said_and_the_newest_reason_counts(toy: Under) -> None:
    """The database takes no zero byte, and an operator's list has room for a few lines."""

    def refused(_: object, event: Event, __: object) -> Decision[object]:
        raise WrongEventError("unlucky", f"{said}\0: " + "x" * 1_000)

    toy.door.service = replace(TOY, rules={**TOY.rules, type(grant("M", 1)): refused})
    said = "at first"
    await toy.feed(grant("M-1", 1))
    said = "later"
    for attempt, reason in enumerate(("at first", "later"), 1):
        (row,) = await toy.pool.fetch("SELECT code, detail, attempts FROM parked")
        assert (row["code"], row["detail"][:10], row["attempts"]) == ("unlucky", f"{reason}: xxxxxx"[:10], attempt)
        assert len(row["detail"]) <= parking.DETAIL_CHARS_MAX
        assert await replay(toy.door, "M-1") == 0


async def test_a_drain_ends_only_when_nothing_is_left_also_of_numbers_drawn_before_those_it_saw(
    toy: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever parks draws a number and commits later: a drain may see higher ones before."""
    await toy.feed(*[grant(m, n) for m in ("M-1", "M-2") for n in (13, 1)])
    await toy.pool.execute("DELETE FROM parked WHERE code = 'unlucky'")
    oldest, looks = park_view.oldest, list[int]()

    async def late(*of: Any, skip: list[str], **more: Any) -> list[parking.ParkedEvent]:
        looks.append(1)
        return await oldest(*of, skip=[*skip, "M-1"] if len(looks) == 1 else skip, **more)

    monkeypatch.setattr(park_view, "oldest", late)
    drained = await drain(toy.door)
    assert (drained.passed, drained.complete, await toy.parked()) == ({"M-1": 1, "M-2": 1}, True, [])


async def test_a_drain_that_has_no_time_left_says_so_and_the_next_goes_on(toy: Under) -> None:
    await toy.feed(grant("M-1", 13), *[grant("M-1", 1) for _ in range(5)])
    await discard_first(toy)
    nothing = await drain(toy.door, within_s=0)
    assert (nothing.passed, nothing.complete) == ({}, False)
    assert (await drain(toy.door, within_s=60)).passed == {"M-1": 5}
