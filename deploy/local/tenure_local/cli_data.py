"""The commands that move data: replay, tick, wait, tiers, wallets."""

import asyncio
import csv
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tenure_local.console import day, fail, out, print_json, progress
from tenure_local.home import Home

if TYPE_CHECKING:
    from tenure.contracts.event import Event

data = typer.Typer()
replays = typer.Typer(no_args_is_help=True, help="Replay history as it happened. Points and messages included.")

TIER_COLUMNS: Final = ("member_id", "insured_days", "annual_premium_fen", "qualified_tier", "tier", "tier_since")
WALLET_COLUMNS: Final = (
    "member_id", "wallet", "available", "pending", "held", "debt", "granted", "adjusted", "spent", "reversed", "expired",
)  # fmt: skip
Portfolio = Annotated[Path, typer.Argument(help="policies.csv.gz of the motor portfolio, or a folder that holds it.")]
Csv = Annotated[Path, typer.Option("--csv", help="Where to write the rows.")]
AS_DAY: Final[dict[str, Any]] = {"parser": day, "metavar": "YYYY-MM-DD"}


def facts_of(file: Path) -> "list[Event]":
    """The facts of a motor portfolio file, in order of time; fails with the row that is wrong."""
    from policy_sync.sources import motor_portfolio, motor_rows
    from policy_sync.sources.rows import FileError

    from tenure_local.playback import in_order

    path = file / "policies.csv.gz" if file.is_dir() else file
    if not path.is_file():
        fail(f"there is no file {path}")
    with progress() as bars:
        bars.add_task(f"reading {path.name}", total=None)
        try:
            return in_order(motor_portfolio.facts(motor_rows.read(path)))
        except (motor_rows.RowError, FileError) as error:
            fail(f"{path.name}: {error}")


@replays.command("motor-portfolio")
def replay_motor_portfolio(
    file: Portfolio,
    since: Annotated[date, typer.Option("--from", help="The first live day; facts before it are history.", **AS_DAY)],
    to: Annotated[date, typer.Option(help="The last day.", **AS_DAY)],
) -> None:
    """Replay a motor portfolio as it happened between two days."""
    from tenure_local.moving import replay_events

    home = Home()
    home.addresses()
    if to < since:
        fail(f"--to {to} lies before --from {since}")
    count = asyncio.run(replay_events(home, facts_of(file), since, to))
    out.print(f"replayed {count:,} facts up to {to}; `tenure wait` tells when every service has read them")


data.add_typer(replays, name="replay")


@data.command()
def tick(
    to: Annotated[date, typer.Option(help="The day to start; the days before it come first.", **AS_DAY)],
) -> None:
    """Let days come.

    Starts every day after the platform's newest one up to `--to`.
    """
    from tenure_local.moving import let_days_come

    newest = asyncio.run(let_days_come(Home(), to))
    out.print(f"the calendar stands at {newest}" + (" already; time does not run backwards" if newest > to else ""))


@data.command()
def wait(
    timeout_s: Annotated[int, typer.Option("--timeout", min=1, help="Give up after so many seconds.")] = 3_600,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Wait until all is done.

    Every topic is read, every outbox is empty, and nothing is due.
    """
    from tenure_local.moving import drain

    backlog = asyncio.run(drain(Home(), within_s=timeout_s))
    if as_json:
        print_json({"drained": True, "parked": backlog.parked})
        return
    waiting = ", ".join(f"{count:,} in {name}" for name, count in backlog.parked.items() if count)
    out.print("drained" + (f"; parked events wait for someone: {waiting} (`tenure parked list`)" if waiting else ""))


@data.command()
def tiers(
    as_of: Annotated[date, typer.Option(help="The day asked about.", **AS_DAY)],
    csv_file: Csv,
) -> None:
    """Write every member's tier on a day as CSV.

    With insured days and annual premium, as they stood on that day.
    """
    _write("/v1/tiers", csv_file, TIER_COLUMNS, "members", as_of=as_of.isoformat())


@data.command()
def wallets(csv_file: Csv) -> None:
    """Write every wallet's balance as CSV."""
    _write("/v1/wallets", csv_file, WALLET_COLUMNS, "wallets")


def _write(path: str, csv_file: Path, columns: Sequence[str], what: str, **params: str) -> None:
    from tenure_local.api import Api

    with Api(Home()) as api:
        count = write_csv(csv_file, columns, api.rows(path, **params), what)
    out.print(f"wrote {count:,} {what} to {csv_file}")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]], what: str) -> int:
    """One line per row; returns how many. Raises OSError."""
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
