"""The write door: each event's effect happens exactly once, whatever is delivered twice, refused, or interrupted."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial

import pytest
from asyncpg.connection import Connection
from tenure.contracts.event import WrongEventError
from tenure.contracts.message import MessageRequested
from tenure.service import Saved
from tenure.spine import parking
from tenure.spine.codec import event_of
from tenure.spine.log import Record
from tenure.spine.park import replay
from tenure.spine.transact import Idempotency, Item
from tenure.telemetry import metrics
from tenure.testing import Under

from .toy import TOY, Total, grant
from .toy import save as toy_save

HTTP_BODY = b"fingerprint"


async def totals(t: Under) -> dict[str, int]:
    return {r["key"]: r["amount"] for r in await t.pool.fetch("SELECT key, amount FROM totals ORDER BY key")}


async def told(t: Under) -> list[int]:
    return [m.params["amount"] for m in await t.emitted(MessageRequested)]


async def test_an_event_delivered_twice_has_one_effect(toy: Under) -> None:
    records = toy.records(grant("M-1", 5), grant("M-2", 7))
    await toy.deliver(records)
    outcomes = await toy.deliver(records)
    assert [o.seen for o in outcomes] == [True, True]
    assert await totals(toy) == {"M-1": 5, "M-2": 7}
    assert await told(toy) == [5, 7]


async def test_one_batch_that_holds_an_event_twice_has_one_effect(toy: Under) -> None:
    records = toy.records(grant("M-1", 5))
    await toy.deliver(records * 3)
    assert await totals(toy) == {"M-1": 5}


@pytest.mark.parametrize("cut", [0, 1, 3, 6])
async def test_delivery_in_overlapping_halves_equals_delivery_once(toy: Under, cut: int) -> None:
    records = toy.records(*[grant(f"M-{n % 2}", n) for n in range(1, 7)])
    await toy.deliver(records[: cut + 2])
    await toy.deliver(records[cut:])
    await toy.deliver(records)
    assert await totals(toy) == {"M-0": 2 + 4 + 6, "M-1": 1 + 3 + 5}
    assert sorted(await told(toy)) == sorted([1, 2, 4, 6, 9, 12])


async def test_order_per_key_is_kept_in_the_outbox(toy: Under) -> None:
    await toy.feed(*[grant("M-1", n) for n in (1, 2, 3)])
    await toy.feed(grant("M-1", 4))
    assert await told(toy) == [1, 3, 6, 10]


@pytest.mark.parametrize(("amount", "code"), [(13, "unlucky"), (666, "rule_failed")])
async def test_a_wrong_event_is_parked_and_blocks_only_its_own_key(toy: Under, amount: int, code: str) -> None:
    await toy.feed(grant("M-1", 1), grant("M-1", amount), grant("M-1", 2), grant("M-2", 7))
    await toy.feed(grant("M-1", 3), grant("M-2", 8))
    assert await totals(toy) == {"M-1": 1, "M-2": 15}
    assert await toy.parked() == [("M-1", code), ("M-1", "behind"), ("M-1", "behind")]


async def test_a_parked_event_delivered_again_is_parked_once(toy: Under) -> None:
    records = toy.records(grant("M-1", 13), grant("M-1", 2))
    await toy.deliver(records)
    await toy.deliver(records)
    assert await toy.parked() == [("M-1", "unlucky"), ("M-1", "behind")]
    async with toy.pool.acquire() as conn:
        assert [p.attempts for p in await parking.listed(conn)] == [2, 2], "it came twice"  # type: ignore[arg-type]


async def test_replay_stops_at_an_event_that_is_still_wrong(toy: Under) -> None:
    await toy.feed(grant("M-1", 13), grant("M-1", 2))
    assert await replay(toy.door, "M-1") == 0
    assert await toy.parked() == [("M-1", "unlucky"), ("M-1", "behind")]
    async with toy.pool.acquire() as conn:
        assert [p.attempts for p in await parking.listed(conn)] == [2, 1]  # type: ignore[arg-type]


async def test_replay_drains_a_key_in_order_once_its_first_event_is_discarded(toy: Under) -> None:
    await toy.feed(grant("M-1", 13), grant("M-1", 2), grant("M-1", 3))
    async with toy.pool.acquire() as conn:
        first = (await parking.listed(conn))[0]  # type: ignore[arg-type]
    await toy.door.leave_park([first.seq], action="discarded", actor="op-1", reason="TICKET-1")
    assert await replay(toy.door, "M-1") == 2
    assert await toy.parked() == []
    assert await told(toy) == [2, 5]
    log = await toy.pool.fetch("SELECT action, actor, reason FROM parked_log ORDER BY at, seq")
    assert [tuple(r) for r in log] == [
        ("discarded", "op-1", "TICKET-1"),
        ("replayed", "replay", ""),
        ("replayed", "replay", ""),
    ]


async def test_a_record_that_cannot_be_read_is_parked_under_its_own_key(toy: Under) -> None:
    [good] = toy.records(grant("M-1", 5))
    bad = Record(topic=good.topic, partition=0, offset=99, key=b"M-9", value=b"{", headers=good.headers, timestamp_ms=0)
    await toy.door.transact([Item(None, bad, WrongEventError("malformed", "broken")), *[]])
    await toy.deliver([good])
    assert await toy.parked() == [("M-9", "malformed")]
    assert await totals(toy) == {"M-1": 5}


async def test_a_crash_before_the_commit_leaves_nothing_and_redelivery_has_the_whole_effect(
    toy: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = toy.records(grant("M-1", 5))

    async def crash(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as m:
        m.setattr("tenure.spine.outbox.emit", crash)
        with pytest.raises(ConnectionResetError):
            await toy.deliver(records)
    assert await totals(toy) == {}
    assert await toy.pool.fetchval("SELECT count(*) FROM inbox") == 0
    await toy.deliver(records)
    assert (await totals(toy), await told(toy)) == ({"M-1": 5}, [5])


async def test_a_command_answered_once_gets_the_same_answer_again(toy: Under) -> None:
    async def call(amount: int, *, caller: str = "M-1", body: bytes = HTTP_BODY) -> tuple[bytes, str | None, bool]:
        [record] = toy.records(grant("M-1", amount))
        from tenure.spine.codec import decode

        item = Item(decode(record.headers, record.value), idempotency=Idempotency(caller, "key-1", body))
        [o] = await toy.door.transact([item])
        return o.body, o.wrong and o.wrong.code, o.seen

    assert await call(5) == (b'{"amount":5}', None, False)
    assert await call(5) == (b'{"amount":5}', None, True)
    assert await call(5, body=b"other") == (b"null", "idempotency_key_reused", True)
    assert await call(5, caller="M-2") == (b'{"amount":10}', None, False)
    assert await totals(toy) == {"M-1": 10}


async def test_many_under_one_key_are_done_all_or_none(toy: Under) -> None:
    """The second is refused: the first has no effect either, and the key is free for the request put right."""
    asked = Idempotency("op-1", "file-1", HTTP_BODY)
    with pytest.raises(WrongEventError, match="thirteen"):
        await toy.door.transact_whole([once(5), once(13, event_id="c-2")], asked, b'"taken"')
    assert (await totals(toy), await told(toy)) == ({}, [])
    right = [once(5), once(7, event_id="c-2")]
    answers = [await toy.door.transact_whole(right, asked, b'"taken"') for _ in range(2)]
    assert [(a.body, a.seen) for a in answers] == [(b'"taken"', False), (b'"taken"', True)]
    assert await totals(toy) == {"M-1": 12}


async def test_of_two_who_did_what_was_claimed_once_one_is_done_and_both_get_its_answer(toy: Under) -> None:
    """A process took the key and was thought dead; another does the same again, and both come to the end at once."""
    asked, both = Idempotency("op-1", "key-1", HTTP_BODY), asyncio.Barrier(2)
    assert await toy.door.claim(asked) is None
    assert await toy.door.claim(asked) is None, "claimed, and not answered yet"

    async def do(conn: Connection, key: str) -> bytes:
        await both.wait()
        await conn.execute("INSERT INTO totals (key) VALUES ($1)", key)
        return f'"{key}"'.encode()

    answers = await asyncio.gather(*(toy.door.answer_once(asked, partial(do, key=key)) for key in ("M-1", "M-2")))
    (done,) = await totals(toy)
    assert [a.body for a in answers] == [f'"{done}"'.encode()] * 2
    assert sorted(a.seen for a in answers) == [False, True]


def once(amount: int, *, event_id: str = "c-1", member_id: str = "M-1") -> Item:
    granted = event_of(
        grant(member_id, amount), id=event_id, source="/core/http", time=datetime(2026, 1, 1, tzinfo=UTC)
    )
    return Item(granted, once=True)


async def test_an_event_without_a_record_has_its_effect_once_by_its_own_id(toy: Under) -> None:
    first = await toy.door.transact([once(5), once(5), once(7, event_id="c-2")])
    again = await toy.door.transact([once(5)])
    assert [o.seen for o in first] == [False, True, False]
    assert [o.seen for o in again] == [True]
    assert await totals(toy) == {"M-1": 12}


async def test_a_refused_event_without_a_record_is_told_not_parked_and_its_id_may_come_again(toy: Under) -> None:
    outcomes = await toy.door.transact([once(13), once(7, event_id="c-2")])
    assert [o.wrong and o.wrong.code for o in outcomes] == ["unlucky", None]
    assert await toy.parked() == []
    assert [o.wrong and o.wrong.code for o in await toy.door.transact([once(13)] * 2)] == ["unlucky"] * 2
    (corrected,) = await toy.door.transact([once(12)])
    assert corrected.wrong is None
    assert not corrected.seen
    assert await totals(toy) == {"M-1": 19}


async def test_the_rows_of_a_refusal_are_kept_for_its_caller_and_with_nothing_that_is_parked(toy: Under) -> None:
    kept: list[str] = []

    async def save(conn: Connection, saved: Saved[Total]) -> None:
        kept.extend(saved.rows)
        await toy_save(conn, saved)

    toy.door.service = replace(TOY, save=save)
    await toy.door.transact([once(13), once(7, event_id="c-2", member_id="M-2")])
    await toy.deliver(toy.records(grant("M-3", 13)))
    await replay(toy.door, "M-3")
    assert kept == ["M-1 asked for 13"]
    assert await totals(toy) == {"M-1": 0, "M-2": 7, "M-3": 0}


async def test_an_event_without_a_record_does_not_overtake_what_is_parked_of_its_key(toy: Under) -> None:
    await toy.deliver(toy.records(grant("M-1", 13)))
    behind, other = await toy.door.transact([once(5), once(5, event_id="c-2", member_id="M-2")])
    assert behind.wrong is not None
    assert behind.wrong.code == parking.BEHIND
    assert other.wrong is None
    assert await totals(toy) == {"M-1": 0, "M-2": 5}
    assert await toy.parked() == [("M-1", "unlucky")]


async def test_due_work_reaches_each_key_once_in_batches_by_several_workers(toy: Under) -> None:
    await toy.feed(*[grant(f"M-{n:03}", 1, activates_on=date(2026, 1, 2 + n % 2)) for n in range(50)])
    await toy.emitted()
    assert await toy.day(date(2026, 1, 1)) == 0
    done = await asyncio.gather(*[toy.door.fall_due(date(2026, 1, 2), keys_max=7) for _ in range(4)])
    assert sum(d.done for d in done) + await toy.day(date(2026, 1, 2)) == 25
    assert await toy.day(date(2026, 1, 9)) == 25
    assert await toy.pool.fetchval("SELECT array_agg(DISTINCT days) FROM totals") == [1]
    assert await told(toy) == [-1] * 50


async def test_what_was_told_is_counted_once_whether_an_event_a_caller_or_a_day_caused_it(toy: Under) -> None:
    counted = metrics.events_told.labels("mall", "message.requested")._value
    before = counted.get()
    records = toy.records(grant("M-1", 5), grant("M-2", 13))
    await toy.deliver(records)
    await toy.deliver(records)
    await toy.door.transact_whole([once(7)], Idempotency("op-1", "k", HTTP_BODY), b"null")
    assert counted.get() == before + 2, "of what was refused or came again nothing was told"
    await toy.day(date(2026, 1, 2))
    assert counted.get() == before + 3


async def test_the_calendar_does_not_go_back_with_a_day_that_comes_late(toy: Under) -> None:
    for day in (2, 5, 3):
        await toy.door.transact([], day=date(2026, 1, day))
    assert await toy.pool.fetchval("SELECT day FROM calendar") == date(2026, 1, 5)


async def test_what_a_cause_brings_has_one_id_however_often_it_is_decided_and_what_a_day_brings_a_new_one(
    toy: Under,
) -> None:
    records = toy.records(grant("M-1", 5), grant("M-1", 6), grant("M-2", 5))
    lives: list[list[str]] = []
    for _ in range(2):
        await toy.deliver(records)
        await toy.day(date(2026, 1, 2))
        lives.append([event.id for event in await toy.emitted_events()])
        await toy.pool.execute("TRUNCATE inbox, totals")
    assert [first == again for first, again in zip(*lives, strict=True)] == [True] * 3 + [False] * 2
    assert len({*lives[0], *lives[1]}) == 7


@pytest.mark.parametrize(
    ("cause", "begins"),
    [
        ("0190163d-8694-7000-8000-000000000000", "0190163d-8694-7"),
        ("F-1", "019b7824-3f00-7"),
    ],
)
async def test_an_effects_id_begins_as_its_causes_does_or_with_its_time(toy: Under, cause: str, begins: str) -> None:
    when = datetime(2026, 1, 1, 6, tzinfo=UTC)
    event = event_of(grant("M-1", 5), id=cause, source="/core", time=when)
    await toy.door.transact([Item(event)])
    (told_event,) = await toy.emitted_events()
    assert told_event.id.startswith(begins)
