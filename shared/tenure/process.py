"""The process of one service: `python -m points_ledger api | worker | migrate | all`. Several processes may run side by side."""

import asyncio
import gc
import signal
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import uvloop

from tenure import database, programme
from tenure.edge.http import create_app
from tenure.edge.serving import serve
from tenure.service import Service
from tenure.settings import Settings, SettingsError, load_settings
from tenure.spine.log import open_log
from tenure.spine.runtime import GIVE_UP_WITHIN_S, Runtime, open_doors
from tenure.spine.transact import Door
from tenure.spine.vitals import feel_the_loop
from tenure.telemetry import configure_logging, configure_tracing

T = TypeVar("T")
YOUNG_OBJECTS = 20_000
ROLES = ("api", "worker", "migrate", "all")


def main(service: Service[Any]) -> None:
    """Run the service in the role named on the command line (default all). Exit status 2 on a wrong word."""
    role = sys.argv[1] if len(sys.argv) > 1 else "all"
    if role not in ROLES:
        print(f"usage: python -m {service.package} [{' | '.join(ROLES)}]", file=sys.stderr)  # noqa: T201 - nothing logs yet
        sys.exit(2)
    try:
        settings = load_settings()
    except SettingsError as error:
        sys.exit(str(error))
    configure_logging(settings)
    if role == "migrate":
        asyncio.run(database.migrate(settings, service.database, service.migrations))
        return
    run_until_stopped([service], settings, api=role in ("api", "all"), worker=role in ("worker", "all"))


def run_until_stopped(services: list[Service[Any]], settings: Settings, *, api: bool, worker: bool) -> None:
    """`run` on uvloop. Ends the process with status 1 if a task failed, so that whoever keeps it running starts it again."""
    if not uvloop.run(run(services, settings, api=api, worker=worker)):
        sys.exit(1)


async def run(services: list[Service[Any]], settings: Settings, *, api: bool, worker: bool) -> bool:
    """Run services in this process until SIGTERM or SIGINT, or until one of their tasks fails. Returns whether none did.

    A process without the API still serves /health and /metrics on its port.
    """
    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    async with AsyncExitStack() as stack:
        stack.callback(configure_tracing(settings, services[0].name if len(services) == 1 else "tenure"))
        rules = programme.load(settings.programme_dir)
        doors = await _unless(stopping, open_doors(stack, services, settings, rules))
        if doors is None:
            return True
        runtimes = await _start_workers(stack, doors, settings) if worker else []
        checks = {r.door.service.name: r.health for r in runtimes}
        lives = {r.door.service.name: r.consumer.health for r in runtimes}
        app = create_app([(d.service, d) for d in doors] if api else [], settings, checks=checks, lives=lives)
        settle_the_heap()
        feeling = asyncio.create_task(feel_the_loop(stopping))
        serving = asyncio.create_task(
            serve(app, settings.host, settings.port, stopping=stopping, grace_s=settings.shutdown_grace_s)
        )
        ends = [asyncio.create_task(event.wait()) for event in (stopping, *(r.failed for r in runtimes))]
        await asyncio.wait([serving, *ends], return_when=asyncio.FIRST_COMPLETED)
        stopping.set()
        await asyncio.gather(serving, *(runtime.stop() for runtime in runtimes))
        for task in (feeling, *ends):
            task.cancel()
        return not any(runtime.failed.is_set() for runtime in runtimes)


def settle_the_heap() -> None:
    """What was loaded at start stays: a collector that goes through all of it again holds the loop for 150 ms, now and then.

    A poll's thousands of events live until it is committed, and are no cycles: looking for some every 700 objects is a tenth of the
    CPU of a busy consumer.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)


async def _unless(stopping: asyncio.Event, start: Coroutine[Any, Any, T]) -> T | None:
    """What starting comes to; None if it was told to stop first, as long as the world is not there yet."""
    starting, stop = asyncio.create_task(start), asyncio.create_task(stopping.wait())
    await asyncio.wait({starting, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if starting.done():
        return starting.result()
    starting.cancel()
    await asyncio.wait([starting], timeout=GIVE_UP_WITHIN_S)
    return None


async def _start_workers(stack: AsyncExitStack, doors: list[Door], settings: Settings) -> list[Runtime]:
    log = open_log(settings.kafka)
    stack.push_async_callback(log.close)
    return [await stack.enter_async_context(Runtime(door, log, settings)) for door in doors]
