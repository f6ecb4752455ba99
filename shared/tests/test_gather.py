"""Many callers share a transaction: each gets its own outcome, a faulty one harms itself only, and who leaves harms nobody."""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from tenure.contracts.event import Event
from tenure.spine import gather
from tenure.spine.gather import Gatherer, OverloadedError
from tenure.spine.transact import Idempotency, Item, Outcome


def item(name: str, *, key: str | None = None) -> Item:
    idempotency = Idempotency("caller", key, b"") if key else None
    event = Event(id=name, source="/t", type="T", key=name, time=datetime.now(UTC), data=None)
    return Item(event, idempotency=idempotency)


def names(items: Sequence[Item]) -> list[str]:
    return [i.event.id for i in items if i.event]


class FakeDoor:
    """Answers each item with its name; fails as told; `open` holds a transaction in flight until it is set."""

    def __init__(self, fails: Callable[[list[str]], Exception | None] = lambda _: None) -> None:
        self.fails, self.open = fails, asyncio.Event()
        self.open.set()
        self.entered = asyncio.Event()
        self.lock_timeouts_ms: list[int | None] = []
        self.done: list[list[str]] = []
        self.in_flight = 0
        self.in_flight_max = 0

    async def transact(self, items: Sequence[Item], *, lock_timeout_ms: int | None = None) -> list[Outcome]:
        self.lock_timeouts_ms.append(lock_timeout_ms)
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight, self.in_flight_max)
        self.entered.set()
        try:
            await self.open.wait()
            if error := self.fails(names(items)):
                raise error
            self.done.append(names(items))
            return [Outcome(body=name.encode()) for name in names(items)]
        finally:
            self.in_flight -= 1


def one_wrong(error: Exception, *, culprit: str = "bad") -> Callable[[list[str]], Exception | None]:
    return lambda batch: error if culprit in batch else None


async def submit_all(gatherer: Gatherer, *submits: list[str]) -> list[Any]:
    return await asyncio.gather(
        *(gatherer.submit([item(n) for n in submitted]) for submitted in submits), return_exceptions=True
    )


def bodies(results: Sequence[Any]) -> list[Any]:
    return [
        [o.wrong.code if o.wrong else o.body.decode() for o in r] if isinstance(r, list) else type(r) for r in results
    ]


async def test_who_arrives_while_one_is_in_flight_shares_the_next() -> None:
    door = FakeDoor()
    gatherer = Gatherer(door)
    door.open.clear()
    first = asyncio.create_task(gatherer.submit([item("a")]))
    await door.entered.wait()
    rest = asyncio.create_task(submit_all(gatherer, ["b", "c"], ["d"], ["e"]))
    await asyncio.sleep(0)
    door.open.set()
    assert bodies([await first, *(await rest)]) == [["a"], ["b", "c"], ["d"], ["e"]]
    assert door.done == [["a"], ["b", "c", "d", "e"]]
    assert door.in_flight_max == 1


async def test_a_batch_takes_what_fits_and_no_more() -> None:
    door = FakeDoor()
    gatherer = Gatherer(door, batch_items_max=3)
    results = await submit_all(gatherer, ["a", "b"], ["c", "d"], ["e"], ["f", "g", "h", "i"])
    assert bodies(results) == [["a", "b"], ["c", "d"], ["e"], ["f", "g", "h", "i"]]
    assert door.done == [["a", "b"], ["c", "d", "e"], ["f", "g", "h", "i"]]


async def test_nothing_is_nothing() -> None:
    door = FakeDoor()
    assert await Gatherer(door).submit([]) == []
    assert door.done == []


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CheckViolationError(),
        asyncpg.NumericValueOutOfRangeError(),
        asyncpg.CharacterNotInRepertoireError(),
        asyncpg.UniqueViolationError(),
        OverflowError(),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"),
    ],
)
async def test_a_faulty_item_stands_alone_and_the_others_are_done(error: Exception) -> None:
    door = FakeDoor(one_wrong(error))
    results = await submit_all(Gatherer(door), ["a", "b"], ["c", "bad", "d"], ["e"])
    assert bodies(results) == [["a", "b"], ["c", "data_refused", "d"], ["e"]]
    assert sorted(n for batch in door.done for n in batch) == ["a", "b", "c", "d", "e"]


async def test_a_refusal_names_the_constraint_and_no_value() -> None:
    error = asyncpg.CheckViolationError("new row (13800138000) violates check")
    error.constraint_name = "counter_total_check"
    (outcome,) = await Gatherer(FakeDoor(one_wrong(error))).submit([item("bad")])
    assert outcome.wrong is not None
    assert "counter_total_check" in outcome.wrong.detail
    assert "13800138000" not in outcome.wrong.detail


async def test_a_locked_row_delays_only_who_needs_it() -> None:
    door = FakeDoor(one_wrong(asyncpg.LockNotAvailableError()))
    assert bodies(await submit_all(Gatherer(door), ["a"], ["bad"], ["b"])) == [
        ["a"],
        asyncpg.LockNotAvailableError,
        ["b"],
    ]


async def test_while_a_row_is_held_nobody_waits_long_for_one_and_afterwards_as_long_as_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gather, "HASTY_FOR_S", 0.05)
    door = FakeDoor(one_wrong(asyncpg.LockNotAvailableError()))
    gatherer = Gatherer(door)
    for name in ("a", "bad", "b"):
        await submit_all(gatherer, [name])
    await asyncio.sleep(0.06)
    await submit_all(gatherer, ["c"])
    assert door.lock_timeouts_ms == [None, None, gather.HASTY_LOCK_MS, None]


@pytest.mark.parametrize("error", [asyncpg.DeadlockDetectedError(), asyncpg.SerializationError()])
async def test_two_transactions_that_met_are_tried_again_whole(error: Exception) -> None:
    left = [error, error]
    door = FakeDoor(lambda _: left.pop() if left else None)
    assert bodies(await submit_all(Gatherer(door), ["a"], ["b"])) == [["a"], ["b"]]
    assert door.done == [["a", "b"]]


async def test_a_key_another_process_took_meanwhile_is_looked_up_again() -> None:
    taken = asyncpg.UniqueViolationError()
    taken.table_name = "idempotency"
    left: list[Exception] = [taken]
    door = FakeDoor(lambda _: left.pop() if left else None)
    assert bodies([await Gatherer(door).submit([item("a")])]) == [["a"]]


async def test_not_for_ever() -> None:
    tries = 0

    def deadlocked(_: list[str]) -> Exception:
        nonlocal tries
        tries += 1
        return asyncpg.DeadlockDetectedError()

    assert bodies(await submit_all(Gatherer(FakeDoor(deadlocked), tries_max=3), ["a"])) == [
        asyncpg.DeadlockDetectedError
    ]
    assert tries == 3


async def test_a_world_that_is_down_is_told_to_every_caller_and_the_next_finds_it_up() -> None:
    left: list[Exception] = [ConnectionRefusedError()]
    door = FakeDoor(lambda _: left.pop() if left else None)
    gatherer = Gatherer(door)
    assert bodies(await submit_all(gatherer, ["a"], ["b"])) == [ConnectionRefusedError] * 2
    assert bodies(await submit_all(gatherer, ["a"])) == [["a"]]


async def test_a_world_that_goes_down_between_halves_is_told_to_those_it_concerns() -> None:
    def fails(batch: list[str]) -> Exception | None:
        if "bad" in batch:
            return asyncpg.DataError()
        return ConnectionResetError() if "late" in batch else None

    results = await submit_all(Gatherer(FakeDoor(fails)), ["a"], ["b"], ["bad"], ["late"])
    assert bodies(results) == [["a"], ["b"], ["data_refused"], ConnectionResetError]


async def test_one_idempotency_key_is_never_twice_in_a_batch() -> None:
    door = FakeDoor()
    gatherer = Gatherer(door)
    await asyncio.gather(
        *(gatherer.submit([item(n, key=k)]) for n, k in [("a", "1"), ("b", "2"), ("c", "1"), ("d", "3")])
    )
    assert door.done == [["a", "b"], ["c", "d"]]


async def test_a_full_queue_refuses_and_empties_again() -> None:
    door = FakeDoor()
    door.open.clear()
    gatherer = Gatherer(door, batch_items_max=2, queue_items_max=4)
    waiting = [asyncio.create_task(gatherer.submit([item("a")]))]
    await door.entered.wait()
    waiting += [asyncio.create_task(gatherer.submit([item(n)])) for n in "bcdef"]
    await asyncio.sleep(0)
    assert gatherer.queued_items == 4, "to the brim"
    with pytest.raises(OverloadedError):
        await gatherer.submit([item("x"), item("y"), item("z")])
    door.open.set()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(d) for d in done} == {list, OverloadedError}
    assert gatherer.queued_items == 0
    assert bodies(await submit_all(gatherer, ["later"])) == [["later"]]


async def test_one_submit_larger_than_the_queue_is_taken_when_nothing_waits() -> None:
    door = FakeDoor()
    many = [str(n) for n in range(50)]
    assert bodies(await submit_all(Gatherer(door, batch_items_max=2, queue_items_max=4), many)) == [many]


async def test_an_answer_that_takes_too_long_is_not_waited_for_but_still_done() -> None:
    door = FakeDoor()
    door.open.clear()
    gatherer = Gatherer(door, wait_s_max=0.01)
    with pytest.raises(TimeoutError):
        await gatherer.submit([item("a")])
    door.open.set()
    await gatherer.close()
    assert door.done == [["a"]]


async def test_closing_does_what_waits_and_takes_no_more() -> None:
    door = FakeDoor()
    gatherer = Gatherer(door, batch_items_max=1)
    waiting = asyncio.gather(*(gatherer.submit([item(n)]) for n in "abc"))
    await asyncio.sleep(0)
    await gatherer.close()
    assert bodies(await waiting) == [["a"], ["b"], ["c"]]
    with pytest.raises(OverloadedError):
        await gatherer.submit([item("d")])


async def test_closing_does_not_wait_for_ever_and_its_callers_hear_that_it_is_over() -> None:
    door = FakeDoor()
    door.open.clear()
    gatherer = Gatherer(door, batch_items_max=1, wait_s_max=60, close_s_max=0.01)
    waiting = [asyncio.create_task(gatherer.submit([item(n)])) for n in "abc"]
    await door.entered.wait()
    async with asyncio.timeout(5):
        await gatherer.close()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert bodies(ended) == [asyncio.CancelledError] * 3
    assert (door.done, door.in_flight) == ([], 0)


async def test_who_leaves_before_the_batch_starts_is_not_done_and_after_it_is() -> None:
    door = FakeDoor()
    door.open.clear()
    gatherer = Gatherer(door)
    started = asyncio.create_task(gatherer.submit([item("started")]))
    await door.entered.wait()
    queued, stays = (asyncio.create_task(gatherer.submit([item(n)])) for n in ("queued", "stays"))
    await asyncio.sleep(0)
    started.cancel()
    queued.cancel()
    await asyncio.wait([started, queued])
    door.open.set()
    assert bodies([await stays]) == [["stays"]]
    assert door.done == [["started"], ["stays"]]
    assert gatherer.queued_items == 0


async def test_a_thousand_callers_half_of_whom_leave() -> None:
    door = FakeDoor()
    gatherer = Gatherer(door, batch_items_max=32)
    chance = random.Random(7)
    tasks = [asyncio.create_task(gatherer.submit([item(str(n))])) for n in range(1_000)]
    left = set(chance.sample(range(1_000), 500))
    for n in left:
        await asyncio.sleep(0)
        tasks[n].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for n, result in enumerate(results):
        assert isinstance(result, asyncio.CancelledError) if n in left and isinstance(result, BaseException) else result
    stayed = [r for n, r in enumerate(results) if n not in left]
    assert bodies(stayed) == [[str(n)] for n in range(1_000) if n not in left]
    await gatherer.close()
    assert door.in_flight == gatherer.queued_items == 0
