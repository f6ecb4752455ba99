"""The process of one service: `python -m points_ledger api | worker | migrate | all`. Several processes may run side by side."""

import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from typing import Any

from tenure import database, programme
from tenure.edge.http import create_app, serve
from tenure.service import Service
from tenure.settings import Settings
from tenure.spine.log import open_log
from tenure.spine.runtime import Runtime, ensure_topics, open_door
from tenure.telemetry import configure_logging

ROLES = ("api", "worker", "migrate", "all")


def main(service: Service[Any]) -> None:
    """Run the service in the role named on the command line (default all). Exit status 2 on a wrong word."""
    role = sys.argv[1] if len(sys.argv) > 1 else "all"
    if role not in ROLES:
        sys.exit(f"usage: python -m {service.package} [{' | '.join(ROLES)}]")
    settings = Settings()
    configure_logging(settings)
    if role == "migrate":
        asyncio.run(database.migrate(settings, service.database, service.migrations))
        return
    asyncio.run(run([service], settings, api=role in ("api", "all"), worker=role in ("worker", "all")))


async def run(services: list[Service[Any]], settings: Settings, *, api: bool, worker: bool) -> None:
    """Run services in this process until SIGTERM or SIGINT, or until one of their tasks fails."""
    async with AsyncExitStack() as stack:
        rules = programme.load(settings.programme_dir)
        doors = [(s, await open_door(stack, s, settings, rules)) for s in services]
        stopping = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stopping.set)
        runtimes = await _start_workers(stack, doors, settings) if worker else []
        waits = [asyncio.create_task(event.wait()) for event in (stopping, *(r.failed for r in runtimes))]
        if api:
            app = create_app(doors, settings, checks={r.door.service.name: r.health for r in runtimes})
            waits.append(asyncio.create_task(serve(app, settings.host, settings.port, stopping=stopping)))
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        stopping.set()
        for task in waits[:-1] if api else waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def _start_workers(stack: AsyncExitStack, doors: list[tuple[Service[Any], Any]], settings: Settings) -> list[Runtime]:
    log = open_log(settings.kafka)
    stack.push_async_callback(log.close)
    await ensure_topics(log)
    return [await stack.enter_async_context(Runtime(door, log, settings)) for _, door in doors]
