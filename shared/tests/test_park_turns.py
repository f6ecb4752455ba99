"""A replay that is not alone, or not quick enough: who meets it at one key finds what it left, and nothing is left behind nothing."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from asyncpg.connection import Connection
from msgspec.structs import replace as replaced
from tenure.contracts.event import WrongEventError
from tenure.spine import inbox, park, parking
from tenure.spine.park import drain, replay
from tenure.spine.transact import Door, Item, Outcome
from tenure.testing import Under

from .test_parking import discard_first, totals
from .test_patience import ends_queries_of_more_than
from .toy import grant


async def waits_or_ends(t: Under, task: "asyncio.Task[int]") -> None:
    """Until what was begun waits for a lock of the database, or has ended."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while not task.done() and not await t.pool.fetchval(waits):
            await asyncio.sleep(0.01)


async def test_a_replay_that_comes_while_a_batch_parks_behind_its_key_drains_that_too(
    toy: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    await toy.feed(grant("M-1", 13), grant("M-1", 1))
    await discard_first(toy)
    park, replays = parking.park, list[asyncio.Task[int]]()

    async def while_somebody_replays(conn: Connection, wrong: Sequence[parking.Parked]) -> None:
        if wrong:
            replays.append(asyncio.create_task(replay(toy.door, "M-1")))
            await waits_or_ends(toy, replays[0])
        await park(conn, wrong)

    monkeypatch.setattr(parking, "park", while_somebody_replays)
    await toy.feed(grant("M-1", 2))
    assert [await task for task in replays] == [2]
    assert (await toy.parked(), await totals(toy)) == ([], {"M-1": 3})


async def test_what_a_replay_let_pass_is_known_to_a_batch_that_met_its_key_parked_and_meets_it_parked_again(
    toy: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replay passes one event and stops at the next; the batch brings that one again."""
    records = toy.records(grant("M-1", 13), grant("M-1", 1), grant("M-1", 13), grant("M-1", 2))
    await toy.deliver(records)
    await discard_first(toy)
    claim, passed = inbox.claim, list[int]()

    async def slow(conn: Connection, keys: Any, **more: Any) -> inbox.Claims:
        found = await claim(conn, keys, **more)
        if found.blocked and not passed:
            passed.append(0)
            passed.append(await replay(toy.door, "M-1"))
        return found

    monkeypatch.setattr(inbox, "claim", slow)
    (outcome,) = await toy.deliver(records[1:2])
    assert (passed, outcome.seen) == ([0, 1], True)
    assert (await toy.parked(), await totals(toy)) == ([("M-1", "unlucky"), ("M-1", "behind")], {"M-1": 1})


async def test_who_discards_what_a_replay_has_in_its_hands_waits_and_hears_that_it_is_gone(
    toy: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    await toy.feed(grant("M-1", 13), grant("M-1", 1))
    await discard_first(toy)
    seq = await toy.pool.fetchval("SELECT seq FROM parked")
    claim_all, discards = inbox.claim_all, list[asyncio.Task[int]]()

    async def while_somebody_discards(conn: Connection, keys: Sequence[UUID]) -> set[UUID]:
        claimed = await claim_all(conn, keys)
        leaving = toy.door.leave_park([seq], action="discarded", actor="op-2", reason="late")
        discards.append(asyncio.create_task(leaving))
        await waits_or_ends(toy, discards[0])
        return claimed

    monkeypatch.setattr(inbox, "claim_all", while_somebody_discards)
    assert await replay(toy.door, "M-1") == 1
    assert [await task for task in discards] == [0]
    assert (await toy.parked(), await totals(toy)) == ([], {"M-1": 1})
    actions = await toy.pool.fetch("SELECT action, actor FROM parked_log ORDER BY at, seq")
    assert [tuple(row) for row in actions] == [("discarded", "op-1"), ("replayed", "replay")]


@pytest.mark.parametrize("fit", [3, 1])
async def test_a_replay_that_takes_too_long_is_halved_until_it_fits(
    toy: Under, monkeypatch: pytest.MonkeyPatch, fit: int
) -> None:
    await toy.feed(grant("M-1", 13), *[grant("M-1", n) for n in range(1, 8)])
    await discard_first(toy)
    taken = ends_queries_of_more_than(fit, monkeypatch)
    drained = await drain(toy.door)
    assert (drained.passed, drained.stuck, drained.complete) == ({"M-1": 7}, {}, True)
    assert (max(taken) <= fit, await totals(toy)) == (True, {"M-1": 28})


async def test_an_event_that_takes_too_long_by_itself_is_not_said_to_be_wrong_by_its_replay(
    toy: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    await toy.feed(grant("M-1", 13), grant("M-1", 1))
    await discard_first(toy)
    ends_queries_of_more_than(0, monkeypatch)
    with pytest.raises(asyncpg.QueryCanceledError):
        await drain(toy.door)
    assert await toy.parked() == [("M-1", "behind")]


@pytest.mark.parametrize("busy", [asyncpg.LockNotAvailableError(), asyncpg.DeadlockDetectedError()])
async def test_a_replay_that_meets_a_row_somebody_holds_comes_again(
    toy: Under, monkeypatch: pytest.MonkeyPatch, busy: Exception
) -> None:
    await toy.feed(grant("M-1", 13), grant("M-1", 1))
    await discard_first(toy)
    once, met = Door.transact, list[Exception]()

    async def held(door: Door, items: Sequence[Item]) -> list[Outcome]:
        if len(met) < park.TRIES_MAX - 1:
            met.append(busy)
            raise busy
        return await once(door, items)

    monkeypatch.setattr(Door, "transact", held)
    monkeypatch.setattr(park, "TRY_AGAIN_S_MAX", 0.0)
    assert await replay(toy.door, "M-1") == 1


async def test_a_replay_keeps_to_the_key_an_event_was_parked_under(toy: Under) -> None:
    """Unreadable then, they were known by their record's key; readable now, they name members, and keep their order all the same."""
    for record in toy.records(grant("M-1", 13), grant("M-2", 5)):
        broken = WrongEventError("malformed", "broken")
        await toy.door.transact([Item(None, replaced(record, key=b"K-1"), broken)])
    drained = await drain(toy.door)
    assert ({key: stuck.code for key, stuck in drained.stuck.items()}, drained.passed) == ({"K-1": "unlucky"}, {})
    await discard_first(toy)
    assert await replay(toy.door, "K-1") == 1
    assert (await toy.parked(), await totals(toy)) == ([], {"M-1": 0, "M-2": 5})


@pytest.mark.parametrize("at_once", [250, 1])
async def test_an_event_nobody_could_read_that_came_twice_has_its_effect_once_when_it_can_be_read(
    toy: Under, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Its sender sent it again; unread, each record stands for itself in the park."""
    monkeypatch.setattr(park, "ROWS_MAX", at_once)
    (record,) = toy.records(grant("M-1", 5))
    unread = WrongEventError("unknown_type", "no such type is known here")
    for offset in (7, 8, 9):
        await toy.door.transact([Item(None, replaced(record, offset=offset), unread)])
    assert await toy.parked() == [("M-1", "unknown_type")] * 3
    assert (await drain(toy.door)).passed == {"M-1": 1}
    assert (await toy.parked(), await totals(toy)) == ([], {"M-1": 5})


async def test_of_an_event_that_came_twice_and_is_still_wrong_both_stay_and_say_why(toy: Under) -> None:
    (record,) = toy.records(grant("M-1", 13))
    for offset in (7, 8):
        await toy.door.transact([Item(None, replaced(record, offset=offset), WrongEventError("unknown_type", ""))])
    assert await replay(toy.door, "M-1") == 0
    assert await toy.parked() == [("M-1", "unlucky")] * 2


def test_an_answer_about_a_replay_counts_all_stuck_keys_and_shows_some() -> None:
    stuck = {f"M-{n}": park.Stuck(f"M-{n}", n, "unlucky", "") for n in range(park.STUCK_SHOWN_MAX + 1)}
    answer = park.replayed(park.Drained(stuck=stuck))
    assert (answer.stuck_keys, len(answer.stuck)) == (park.STUCK_SHOWN_MAX + 1, park.STUCK_SHOWN_MAX)
