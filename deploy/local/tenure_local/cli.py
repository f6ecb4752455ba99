"""The `tenure` command."""

import asyncio
import json
import signal
import sys
import threading
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from tenure.embedded.server import ServerFailedError

from tenure_local import doctor as doctors
from tenure_local.api import Api, ApiError
from tenure_local.cli_data import data
from tenure_local.cli_parked import parked
from tenure_local.console import err, fail, out, print_json, progress, say
from tenure_local.drained import Backlog, Targets, WorkerGoneError, watch
from tenure_local.home import Home, NotUpError
from tenure_local.platform import PORT, AlreadyUpError, Platform, reset, running, stop_everything
from tenure_local.playback import CalendarError

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
app.add_typer(parked, name="parked")
for command in data.registered_commands:
    app.registered_commands.append(command)
app.registered_groups += data.registered_groups

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.callback()
def tenure() -> None:
    """Tenure: an event-driven loyalty platform for insurers."""


@app.command()
def up(
    detach: Annotated[bool, typer.Option(help="Leave it running in the background.")] = False,
    port: Annotated[int, typer.Option(help="The gateway's port; another free one if it is taken.")] = PORT,
    broker: Annotated[
        str, typer.Option(help="wheel (memory only) or kafka (Apache Kafka by Maven and Java).")
    ] = "wheel",
    clock: Annotated[
        str, typer.Option(help="events (days come by replay or `tick`) or wall (days come by themselves).")
    ] = "events",
) -> None:
    """Start the platform: PostgreSQL, a broker, the seven services, one port."""
    if broker not in ("wheel", "kafka") or clock not in ("events", "wall"):
        fail("--broker is wheel or kafka, --clock is events or wall")
    platform = Platform(Home(), port=port, broker=broker, clock=clock, detached=detach)
    addresses = platform.start(say)
    out.print(f"Tenure is up at {addresses.url} (docs at {addresses.url}/docs, health at {addresses.url}/health/ready)")
    if detach:
        out.print("Stop it with `tenure down`.")
        return
    out.print("Press Ctrl-C to stop.")
    until_interrupted(platform)


def until_interrupted(platform: Platform) -> None:
    """Keep a platform up until SIGINT or SIGTERM, then stop it."""
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    stop.wait()
    say("stopping")
    platform.stop()


@app.command()
def down(forget: Annotated[bool, typer.Option("--reset", help="Also delete all its data.")] = False) -> None:
    """Stop what `up --detach` started."""
    home = Home()
    stopped = stop_everything(home)
    if forget:
        reset(home)
    out.print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


@app.command()
def wait(
    timeout_s: Annotated[int, typer.Option("--timeout", help="Give up after so many seconds.")] = 3_600,
    as_json: Json = False,
) -> None:
    """Wait until every topic is read, every outbox is empty and nothing is due."""
    try:
        backlog = asyncio.run(_drain(Home(), timeout_s))
    except TimeoutError:
        fail(f"not drained after {timeout_s} s; `tenure doctor` says more")
    if as_json:
        print_json({"drained": True, "parked": backlog.parked})
        return
    waiting = {name: count for name, count in backlog.parked.items() if count}
    out.print("drained" + (f"; parked events wait for someone: {waiting} (`tenure parked list`)" if waiting else ""))


async def _drain(home: Home, timeout_s: float) -> Backlog:
    async with asyncio.timeout(timeout_s), watch(home.settings(), home.addresses().worker_url) as services:
        with progress() as bars:
            task = bars.add_task("draining", total=None)

            def seen(backlog: Backlog) -> None:
                done = bars.tasks[task].total
                total = max(done or 0, backlog.total)
                bars.update(task, total=total, completed=total - backlog.total)

            return await services.until_drained(Targets(home.targets).positions(), seen=seen)


@app.command()
def token(
    role: Annotated[list[str], typer.Option(help="member, agent, operator, core, sre or service; may be repeated.")],
    subject: Annotated[str, typer.Option(help="Who: a member's, agent's or person's id.")],
    book: Annotated[list[str] | None, typer.Option(help="For agents: a member they serve; may be repeated.")] = None,
    ttl_s: Annotated[int, typer.Option("--ttl", help="Seconds until it expires.")] = 3_600,
) -> None:
    """Print a token that this platform trusts."""
    try:
        print(Home().token(subject, *role, ttl_s=ttl_s, book=book))
    except ValueError as error:
        fail(str(error))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check what the platform needs and how it is, and explain each thing that is wrong."""
    findings = asyncio.run(doctors.examine(Home()))
    if as_json:
        print_json([f.as_dict() for f in findings])
    else:
        for finding in findings:
            out.print(f"{'[green]✓[/green]' if finding.ok else '[red]✗[/red]'} {finding.what}: {finding.found}")
            if finding.remedy and not finding.ok:
                out.print(f"    {finding.remedy}")
    if not all(f.ok for f in findings):
        sys.exit(1)


@app.command()
def demo(
    leave: Annotated[bool, typer.Option("--exit", help="End after the summary instead of staying up.")] = False,
    file: Annotated[Path | None, typer.Option("--json", help="Write the summary as JSON to this file.")] = None,
    port: Annotated[int, typer.Option(help="The gateway's port; another free one if it is taken.")] = PORT,
) -> None:
    """Replay real policies and a small cast through the whole platform, check every invariant, and stay up."""
    from tenure_local import demo as demos

    home = Home()
    if url := running(home):
        fail(f"a platform is up already at {url}; stop it with `tenure down`, then run the demo")
    platform = Platform(home, port=port)
    try:
        summary = demos.run(platform, say)
        demos.show(summary)
        if file is not None:
            file.write_text(json.dumps(summary.as_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if not leave:
            demos.invite(home)
            until_interrupted(platform)
    finally:
        platform.stop()
    if not summary.holds:
        sys.exit(1)


@app.command()
def verify(as_json: Json = False) -> None:
    """Check every invariant of every service on the running platform."""
    from tenure_local.invariants import verified

    found = verified(Home())
    if as_json:
        print_json(found)
    else:
        for name, true in found.items():
            out.print(f"{'[green]✓[/green]' if true else '[red]✗[/red]'} {name.replace('_', ' ')}")
    if not all(found.values()):
        sys.exit(1)


@app.command()
def status(member: str, as_json: Json = False) -> None:
    """What an agent sees while the phone rings."""
    with Api(Home()) as api:
        found: dict[str, Any] = api.get(f"/v1/members/{member}/status")
    print_json(found) if as_json else doctors.show_status(found)


@app.command()
def tick(to: Annotated[str, typer.Option(help="The day to start, YYYY-MM-DD; the days before it come first.")]) -> None:
    """Let days come: start every day after the platform's newest one up to `--to`."""
    from tenure_local.cli_data import let_days_come

    newest = asyncio.run(let_days_come(Home(), date.fromisoformat(to)))
    out.print(f"the calendar stands at {newest}")


def main() -> None:
    """Run the command; every failure we know is one line that says what to do."""
    try:
        app()
    except (NotUpError, AlreadyUpError, CalendarError, ApiError, ServerFailedError, WorkerGoneError) as error:
        fail(str(error))
    except httpx.HTTPError as error:
        fail(f"the platform does not answer ({type(error).__name__}); is it up? see `tenure doctor`")
    except OSError as error:
        fail(str(error))
    except KeyboardInterrupt:
        err.print("interrupted")
        sys.exit(130)
