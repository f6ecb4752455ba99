"""What happens to processes, and what the operator does: kills, power cuts, processes that hang and come back, parked events.

The invariant: whatever is taken away comes back, and what is parked is replayed once what was wrong is mended, or discarded.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from tenure.simulation.process import Process
from tenure.spine.park import Drained, drain
from tenure.spine.retry import WORLD_DOWN

if TYPE_CHECKING:
    from tenure_local.simulation.world import World

TROUBLE_EVERY_S: Final = 4.0
STEPS_MAX: Final = 40
NOTICED_AFTER_S: Final = 3.0
"""How long the group and the server believe in a process that says nothing. In the calm nobody hangs."""
OPERATOR_EVERY_S: Final = 15.0
Trouble = Callable[["World", Process], Coroutine[Any, Any, None]]
HOPELESS: Final = frozenset({"malformed", "unknown_type", "activity_in_future"})


async def trouble(world: "World") -> None:
    """Now and then a process is taken from the world, in the middle of whatever it does."""
    random = world.dice.random
    under_way: set[asyncio.Task[None]] = set()
    while not world.dice.calm:
        await asyncio.sleep(random.expovariate(world.dice.harder / TROUBLE_EVERY_S))
        n = random.randrange(len(world.processes))
        if n not in world.away and not world.dice.calm:
            what = random.choice((_crash, _crash, _power_cut, _hang, _hang_for_long, _restart))
            task = asyncio.create_task(_take(world, n, what))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
    await asyncio.sleep(float("inf"))


async def _take(world: "World", n: int, what: Trouble) -> None:
    """At some step of its work, whichever that is: between two statements, after the commit, before the acknowledgement."""
    world.away.add(n)
    await world.processes[n].pause(steps=world.dice.random.randrange(1, STEPS_MAX))
    await what(world, world.processes[n])
    world.away.discard(n)


async def _crash(world: "World", process: Process) -> None:
    """As by kill -9: its connections are closed by the kernel at once; the group waits for the session to end."""
    world.dice.struck["process killed"] += 1
    await process.kill()
    process.pool.drop_sessions()
    await _begin_anew(world, process)


async def _power_cut(world: "World", process: Process) -> None:
    """Nobody is told anything: locks and transactions stay until the server gives up on them."""
    world.dice.struck["process lost in a power cut"] += 1
    await process.kill()
    await _begin_anew(world, process)


async def _begin_anew(world: "World", process: Process) -> None:
    await asyncio.sleep(world.dice.random.uniform(0.1, NOTICED_AFTER_S))
    gone = (process.pool, process.view)
    process.prepare()
    world.start(process)
    await asyncio.sleep(world.dice.random.uniform(0.1, NOTICED_AFTER_S))
    gone[0].drop_sessions()
    await gone[1].expire_sessions()


async def _hang(world: "World", process: Process) -> None:
    """It stops, and goes on before anybody noticed."""
    world.dice.struck["process stopped for a moment"] += 1
    await asyncio.sleep(world.dice.random.uniform(0.1, NOTICED_AFTER_S))
    process.resume()


async def _hang_for_long(world: "World", process: Process) -> None:
    """A zombie: its partitions have moved and its sessions are gone when it goes on with what it had in hand."""
    world.dice.struck["zombie"] += 1
    await asyncio.sleep(NOTICED_AFTER_S)
    if world.dice.random.random() < 0.5:  # noqa: PLR2004 - its database does not notice as soon as the broker
        process.pool.drop_sessions()
    await process.view.expire_sessions()
    await asyncio.sleep(world.dice.random.uniform(0.1, 3 * NOTICED_AFTER_S))
    process.resume()


async def _restart(world: "World", process: Process) -> None:
    """A deployment: it finishes what it has in hand."""
    world.dice.struck["process restarted"] += 1
    process.resume()
    await process.stop()
    process.prepare()
    world.start(process)


async def operate(world: "World") -> None:
    """Now and then someone mends what was broken, replays the park, and discards what no version will understand."""
    while True:
        await asyncio.sleep(OPERATOR_EVERY_S)
        if world.dice.calm or world.dice.random.random() < 0.5:  # noqa: PLR2004
            world.broken.clear()
        for n, process in enumerate(world.processes):
            if n not in world.away and process.store.tables["parked"]:
                world.dice.struck["park replayed"] += 1
                try:
                    await _empty(process)
                except WORLD_DOWN:
                    continue


async def _empty(process: Process) -> None:
    drained = await drain(process.door)
    while hopeless := _hopeless(drained):
        await process.door.leave_park(hopeless, action="discarded", actor="operator", reason="no version reads it")
        drained = await drain(process.door)


def _hopeless(drained: Drained) -> list[int]:
    return [stuck.seq for stuck in drained.stuck.values() if stuck.code in HOPELESS]
