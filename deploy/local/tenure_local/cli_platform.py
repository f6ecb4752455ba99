"""The commands that start and stop: up, down, demo."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tenure_local.console import fail, out, say
from tenure_local.home import Home

if TYPE_CHECKING:
    from tenure_local.platform import Platform

platform = typer.Typer()
PORT_OPTION = typer.Option(min=1, max=65_535, help="The gateway's port; another free one if it is taken.")


class Broker(StrEnum):
    wheel = "wheel"
    kafka = "kafka"


class Clock(StrEnum):
    events = "events"
    wall = "wall"


@platform.command()
def up(
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running in the background.")] = False,
    port: Annotated[int, PORT_OPTION] = 8080,
    broker: Annotated[
        Broker, typer.Option(help="wheel (memory only) or kafka (Apache Kafka by Maven and Java).")
    ] = Broker.wheel,
    clock: Annotated[
        Clock, typer.Option(help="events (days come by replay or `tick`) or wall (days come by themselves).")
    ] = Clock.events,
) -> None:
    """Start the platform.

    PostgreSQL, a broker, the seven services, one port.
    """
    from tenure_local.platform import Platform

    started = Platform(Home(), port=port, broker=broker, clock=clock, detached=detach)
    url = started.start(say).url
    if not url.endswith(f":{port}"):
        say(f"port {port} is taken by another program, so another one it is")
    out.print(f"Tenure is up at {url} (docs at {url}/docs, health at {url}/health/ready)")
    if detach:
        out.print("Stop it with `tenure down`.")
        return
    until_interrupted(started, lambda: out.print("Press Ctrl-C to stop."))


def until_interrupted(started: "Platform", invite: Callable[[], None]) -> None:
    """Keep a platform up until SIGINT or SIGTERM, then stop it; says so if one of its processes ends before.

    Whoever is invited to press Ctrl-C may do so at once: that is heard by then.
    """
    stop = threading.Event()
    for end in (signal.SIGINT, signal.SIGTERM):
        signal.signal(end, lambda *_: stop.set())
    invite()
    told: set[str] = set()
    while not stop.wait(1.0):
        for name in started.ended() - told:
            told.add(name)
            say(f"{name} has ended; Ctrl-C, and `tenure up` starts it all again (logs are in {started.home.folder})")
    say("stopping")
    started.stop()


@platform.command()
def down(forget: Annotated[bool, typer.Option("--reset", help="Also delete all its data.")] = False) -> None:
    """Stop the platform, wherever it was started."""
    from tenure_local.holding import held
    from tenure_local.platform import reset, stop_everything

    home = Home()
    stopped = stop_everything(home)
    out.print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
    if not forget:
        return
    with held(home):
        had_data = home.has_data()
        reset(home)
    out.print("deleted its data" if had_data else "there was no data to delete")
    if "TENURE_DATABASE_URL" in os.environ:
        out.print("the databases at TENURE_DATABASE_URL are left as they are")


@platform.command()
def demo(
    leave: Annotated[bool, typer.Option("--exit", help="End after the summary instead of staying up.")] = False,
    file: Annotated[Path | None, typer.Option("--json", help="Write the summary as JSON to this file.")] = None,
    port: Annotated[int, PORT_OPTION] = 8080,
) -> None:
    """Replay real policies through everything.

    Also a small cast; then every invariant is checked and the summary shown. The platform stays up. It
    begins with an empty one: what an earlier `up`, demo or import left here is deleted.
    """
    from tenure_local import demo as demos
    from tenure_local.platform import Platform

    if file is not None and not file.absolute().parent.is_dir():
        fail(f"there is no folder {file.absolute().parent} for --json")
    started = Platform(Home(), port=port)
    try:
        summary = demos.run(started, say)
        demos.show(summary)
        if file is not None:
            file.write_text(json.dumps(summary.as_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if not leave:
            until_interrupted(started, lambda: demos.invite(started.home))
    finally:
        started.stop()
    sys.exit(not summary.holds)
