"""The commands that move data: import, replay, tiers, wallets."""

import asyncio
import csv
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from policy_sync.sources import motor_portfolio
from tenure.contracts.event import Event

from tenure_local.api import Api
from tenure_local.console import fail, out, progress
from tenure_local.drained import Targets, watch
from tenure_local.home import Home
from tenure_local.playback import calendar, in_order, publish_days, publish_history
from tenure_local.playback import replay as play

data = typer.Typer()
imports = typer.Typer(no_args_is_help=True, help="Import history: it changes state, earns no points, sends no message.")
replays = typer.Typer(no_args_is_help=True, help="Replay history as it happened: points and messages included.")
data.add_typer(imports, name="import")
data.add_typer(replays, name="replay")

TIER_COLUMNS: Final = ("member_id", "insured_days", "annual_premium_fen", "qualified_tier", "tier", "tier_since")
WALLET_COLUMNS: Final = (
    "member_id", "wallet", "available", "pending", "held", "debt", "granted", "spent", "reversed", "expired",
)  # fmt: skip
Portfolio = Annotated[Path, typer.Argument(help="policies.csv.gz of the motor portfolio, or a folder that holds it.")]
Day = Annotated[str, typer.Option(help="YYYY-MM-DD")]


def facts_of(file: Path) -> list[Event]:
    """The facts of a motor portfolio file, in order of time; fails with the row that is wrong."""
    path = file / "policies.csv.gz" if file.is_dir() else file
    if not path.is_file():
        fail(f"there is no file {path}")
    try:
        return in_order(motor_portfolio.facts(motor_portfolio.read(path)))
    except motor_portfolio.RowError as error:
        fail(str(error))


@imports.command("motor-portfolio")
def import_motor_portfolio(file: Portfolio) -> None:
    """Import a motor portfolio as history."""
    events = facts_of(file)
    home = Home()
    with progress() as bars:
        task = bars.add_task("importing facts", total=len(events))
        count = asyncio.run(
            publish_history(home.settings(), events, Targets(home.targets), told=lambda n: bars.advance(task, n))
        )
    out.print(f"imported {count:,} facts; `tenure wait` tells when every service has read them")


@replays.command("motor-portfolio")
def replay_motor_portfolio(
    file: Portfolio,
    since: Annotated[str, typer.Option("--from", help="The first live day; facts before it are history.")],
    to: Day,
) -> None:
    """Replay a motor portfolio as it happened between two days."""
    events = facts_of(file)
    count = asyncio.run(replay_events(Home(), events, date.fromisoformat(since), date.fromisoformat(to)))
    out.print(f"replayed {count:,} facts up to {to}; `tenure wait` tells when every service has read them")


async def replay_events(home: Home, events: Sequence[Event], since: date, until: date) -> int:
    """Replay with a progress bar. Returns how many facts were published."""
    if until < since:
        fail(f"--to {until} lies before --from {since}")
    total = sum(e.day <= until for e in events)
    settings = home.settings()
    async with watch(settings, home.addresses().worker_url) as services:
        with progress() as bars:
            task = bars.add_task("replaying facts", total=total)
            return await play(
                settings,
                events,
                Targets(home.targets),
                services,
                since=since,
                until=until,
                told=lambda n: bars.advance(task, n),
            )


async def let_days_come(home: Home, until: date) -> date:
    """Start the days after the newest up to `until`. Returns where the calendar stands then."""
    settings = home.settings()
    async with watch(settings, home.addresses().worker_url) as services:
        newest = await calendar(services)
        if newest is not None and newest >= until:
            return newest
        await publish_days(settings, (newest or until - timedelta(days=1)), until, Targets(home.targets))
    return until


@data.command()
def tiers(as_of: Day, csv_file: Annotated[Path, typer.Option("--csv", help="Where to write the rows.")]) -> None:
    """Write every member's insured days, annual premium and tier on a day."""
    date.fromisoformat(as_of)
    with Api(Home()) as api:
        count = write_csv(csv_file, TIER_COLUMNS, api.rows("/v1/tiers", as_of=as_of), "members")
    out.print(f"wrote {count:,} members to {csv_file}")


@data.command()
def wallets(csv_file: Annotated[Path, typer.Option("--csv", help="Where to write the rows.")]) -> None:
    """Write every wallet's balance."""
    with Api(Home()) as api:
        count = write_csv(csv_file, WALLET_COLUMNS, api.rows("/v1/wallets"), "wallets")
    out.print(f"wrote {count:,} wallets to {csv_file}")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]], what: str) -> int:
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file, progress() as bars:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        task = bars.add_task(f"reading {what}", total=None)
        for row in rows:
            writer.writerow(row)
            count += 1
            bars.advance(task)
    return count
