"""The processes under fire: `node.py run <lane>` is one worker; `node.py torment <plan>` kills many, one after another in each lane.

The tormentor imports everything once and forks a worker for each life, so that a death costs what the broker needs to notice it, and
no more. It answers in JSON lines: what each life was meant to die of, and how it ended.
"""

import asyncio
import os
import signal
import sys
import time

import msgspec
import structlog
from lane import Lane
from tenure import database
from tenure.spine import faults
from tenure.spine.runtime import Runtime

LIFE_S_MAX = 40
LAST_LIFE_S_MAX = 900
"""The last life reads all that its predecessors left behind."""


class Plan(msgspec.Struct):
    lanes: list[Lane]
    deaths: list[list[str]]  # for each lane, what its lives die of: `point:n`


async def live(lane: Lane, *, events: int | None = None) -> None:
    """Work until SIGTERM, or until so many events had their effect and all they caused is published."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    settings = lane.settings()
    async with await database.open_pool(settings, lane.database) as pool:  # noqa: SIM117 - two sentences
        async with Runtime(lane.door(pool), lane.log(), settings) as runtime:
            while not stopping.is_set() and not runtime.failed.is_set():
                await asyncio.sleep(0.05)
                if events is not None and await is_done(pool, events):
                    break


async def is_done(pool: "object", events: int) -> bool:
    sql = "SELECT (SELECT count(*) FROM inbox) >= $1 AND NOT EXISTS (SELECT FROM outbox WHERE NOT published)"
    return bool(await pool.fetchval(sql, events))  # type: ignore[attr-defined]


def fork(lane: Lane, death: str = "", *, events: int | None = None) -> int:
    pid = os.fork()
    if pid == 0:
        signal.alarm(
            LIFE_S_MAX if events is None else LAST_LIFE_S_MAX
        )  # a life that outlives this never came to its point
        faults.arm(death)
        status = 1
        try:
            asyncio.run(live(lane, events=events))
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    return pid


def torment(plan: Plan) -> None:
    ahead = [list(deaths) for deaths in plan.deaths]
    alive: dict[int, tuple[int, str, float]] = {}

    def next_life(n: int) -> None:
        if ahead[n]:
            death = ahead[n].pop(0)
            alive[fork(plan.lanes[n], death)] = (n, death, time.monotonic())

    for n in range(len(plan.lanes)):
        next_life(n)
    while alive:
        pid, status, used = os.wait4(-1, 0)
        n, death, born = alive.pop(pid)
        ended = (
            signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"status {os.WEXITSTATUS(status)}"
        )
        print(
            msgspec.json.encode(
                [n, death, ended, round(time.monotonic() - born, 2), round(used.ru_utime + used.ru_stime, 2)]
            ).decode(),
            flush=True,
        )
        next_life(n)
    print("done", flush=True)
    events = msgspec.json.decode(sys.stdin.readline(), type=list[int])
    last = [fork(lane, events=count) for lane, count in zip(plan.lanes, events, strict=True)]
    for pid in last:
        os.waitpid(pid, 0)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    if sys.argv[1] == "torment":
        torment(msgspec.json.decode(sys.argv[2], type=Plan))
    else:
        asyncio.run(live(msgspec.json.decode(sys.argv[2], type=Lane)))
