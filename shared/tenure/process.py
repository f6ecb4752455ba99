"""The process of one service: `python -m points_ledger api | worker | migrate | all`. Several processes may run side by side."""

import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from typing import Any

import uvloop

from tenure import database, programme
from tenure.edge.http import create_app
from tenure.edge.serving import serve
from tenure.service import Service
from tenure.settings import Settings, SettingsError, load_settings
from tenure.spine.log import open_log
from tenure.spine.runtime import Runtime, open_door
from tenure.spine.transact import Door
from tenure.spine.vitals import feel_the_loop
from tenure.telemetry import configure_logging

ROLES = ("api", "worker", "migrate", "all")


def main(service: Service[Any]) -> None:
    """Run the service in the role named on the command line (default all). Exit status 2 on a wrong word."""
    role = sys.argv[1] if len(sys.argv) > 1 else "all"
    if role not in ROLES:
        sys.exit(f"usage: python -m {service.package} [{' | '.join(ROLES)}]")
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
    async with AsyncExitStack() as stack:
        rules = programme.load(settings.programme_dir)
        doors = [(s, await open_door(stack, s, settings, rules)) for s in services]
        stopping = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stopping.set)
        runtimes = await _start_workers(stack, doors, settings) if worker else []
        checks = {r.door.service.name: r.health for r in runtimes}
        app = create_app(doors if api else [], settings, checks=checks)
        feeling = asyncio.create_task(feel_the_loop(stopping))
        serving = asyncio.create_task(serve(app, settings.host, settings.port, stopping=stopping))
        ends = [asyncio.create_task(event.wait()) for event in (stopping, *(r.failed for r in runtimes))]
        await asyncio.wait([serving, *ends], return_when=asyncio.FIRST_COMPLETED)
        stopping.set()
        await asyncio.gather(serving, *(runtime.stop() for runtime in runtimes))
        for task in (feeling, *ends):
            task.cancel()
        return not any(runtime.failed.is_set() for runtime in runtimes)


async def _start_workers(
    stack: AsyncExitStack, doors: list[tuple[Service[Any], Door]], settings: Settings
) -> list[Runtime]:
    log = open_log(settings.kafka)
    stack.push_async_callback(log.close)
    return [await stack.enter_async_context(Runtime(door, log, settings)) for _, door in doors]
