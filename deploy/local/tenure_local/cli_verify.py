"""`tenure verify`: every invariant of every service; the ledger's entries against their seals; a statement against a root.

The invariant: exit status 0 says that it holds, 1 that it does not, and what does not hold is named. A statement is verified from
its file alone: no platform has to be up, nothing is asked of anybody.
"""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tenure_local.console import fail, out, print_json, progress, tell
from tenure_local.home import Home

if TYPE_CHECKING:
    from points_ledger.proof.check import Report

verify = typer.Typer(invoke_without_command=True, help="Check every invariant, or prove the ledger.")
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
SHOWN_MAX: Final = 50


@verify.callback()
def every(context: typer.Context, as_json: Json = False) -> None:
    """Check every invariant of every service."""
    if context.invoked_subcommand is not None:
        return
    from tenure_local.invariants import verified

    with progress() as bars:
        task = bars.add_task("checking every service's books", total=None)
        found = verified(Home(), began=lambda what: bars.update(task, description=f"checking {what}"))
    if as_json:
        print_json(found)
    else:
        for name, true in found.items():
            tell(true, name.replace("_", " "))
    sys.exit(not all(found.values()))


@verify.command("ledger")
def ledger(
    database: Annotated[
        str, typer.Option(help="URL of a copy of the ledger's database; without it, the platform's own.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Hold the ledger against its seals.

    Replays every entry, and names what was changed.
    """
    with progress() as bars:
        bars.add_task("replaying the ledger", total=None)
        report = asyncio.run(_examined(database))
    if as_json:
        print_json(report)
    else:
        _tell(report)
    sys.exit(bool(report.wrong))


async def _examined(database: str) -> "Report":
    import asyncpg
    from points_ledger.proof.check import examine
    from points_ledger.service import SERVICE
    from tenure.database import url_of

    conn = await asyncpg.connect(database or url_of(Home().settings(), SERVICE.database))
    try:
        return await examine(conn)
    finally:
        await conn.close()


def _tell(report: "Report") -> None:
    for what in report.wrong[:SHOWN_MAX]:
        tell(False, what)
    counted = f"{report.entries:,} entries, {report.sealed:,} of them in {report.batches:,} seals"
    tell(not report.wrong, f"{counted}: balances, lots and holds are what they come to")
    out.print(f"newest root of {report.days:,} days: {report.newest or 'none was published yet'}", markup=False)


@verify.command("statement")
def statement(
    file: Annotated[Path, typer.Argument(help="What GET /v1/wallets/{member}/statement/proof answered.")],
    root: Annotated[str, typer.Option(help="The root as it was published, 64 hexadecimal digits.")],
    as_json: Json = False,
) -> None:
    """Prove a member's statement.

    Against a published root, from the file alone, up to its last entry.
    """
    from points_ledger.proof.statement import NotProvenError, verify

    if not file.is_file():
        fail(f"there is no file {file}")
    try:
        found = verify(file.read_bytes(), root)
    except NotProvenError as error:
        fail(f"not proven: {error}")
    if as_json:
        print_json(found)
        return
    tell(True, f"{found.member_id}: entries {found.first_no} to {found.last_no} stand under the root of {found.day}")
    of = f"up to entry {found.last_no}" if found.first_no == 1 else "what these entries alone come to"
    out.print(f"    {of}; whether later ones follow, the file does not prove", markup=False)
    for name, amount in found.balances.items():
        out.print(f"    {name.replace('_', ' ')}: {amount:,}", markup=False)
