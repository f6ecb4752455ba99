"""The kit for a core's team: `tenure validate` looks at a file before it is sent, `tenure mock-core` is a core to try things."""

import asyncio
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from tenure_local.console import day, fail, out, print_json, progress, tell
from tenure_local.home import Home

contract = typer.Typer()
FINDINGS_SHOWN_MAX = 200
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@contract.command()
def validate(
    file: Annotated[Path, typer.Argument(help="NDJSON of CloudEvents; with --source, a file as that source declares.")],
    source: Annotated[str, typer.Option(help="A source of programme/sources, or motor-portfolio.")] = "",
    as_json: Json = False,
) -> None:
    """Say what is wrong with a file of facts.

    Line by line, with how to mend it. Needs no platform: the contracts and the rules are asked, nothing is sent.
    """
    from policy_sync.sources.mapping import SourceError
    from policy_sync.sources.rows import FileError
    from policy_sync.validate import mend
    from policy_sync.validate import validate as look

    if not file.is_file():
        fail(f"there is no file {file}")
    try:
        with progress() as bars:
            bars.add_task(f"reading {file.name}", total=None)
            findings = list(look(file, source=source, folder=Path(Home().environment_programme())))
    except (SourceError, FileError) as error:
        fail(str(error))
    if as_json:
        print_json([{**_plain(f), "mend": mend(f.code)} for f in findings])
    else:
        for one in findings[:FINDINGS_SHOWN_MAX]:
            out.print(f"row {one.row}, {one.place}: {one.code}: {one.detail}\n    {mend(one.code)}", markup=False)
        if len(findings) > FINDINGS_SHOWN_MAX:
            out.print(f"... and {len(findings) - FINDINGS_SHOWN_MAX:,} more (--json)")
        tell(not findings, "nothing is wrong with it" if not findings else f"{len(findings):,} findings")
    raise typer.Exit(bool(findings))


def _plain(finding: object) -> dict[str, object]:
    import msgspec

    plain: dict[str, object] = msgspec.to_builtins(finding)
    return plain


@contract.command("mock-core")
def mock_core(
    on: Annotated[date, typer.Option("--day", help="The day of the traffic.", parser=day, metavar="YYYY-MM-DD")],
    check: Annotated[
        bool, typer.Option("--check", help="Send nothing: look whether the day came out as expected.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Send a day of a core's traffic.

    With every awkward case: duplicates, early and late facts, reversals, mergers, poison.
    Say it again with --check once `tenure wait` is through.
    """
    from tenure_local import mock_desk
    from tenure_local.mock_core import day_of_traffic

    home = Home()
    home.addresses()
    cases = day_of_traffic(on)
    if not check:
        sent = asyncio.run(mock_desk.send(home, cases, on))
        if as_json:
            print_json([{"case": c.name, "says": c.says, "expects": c.expects} for c in cases])
        else:
            for case in cases:
                out.print(f"{case.name}: {case.says}", markup=False)
            out.print(f"sent {sent:,} records; `tenure wait`, then `tenure mock-core --day {on} --check`")
        return
    found = list(mock_desk.looked_up(home, cases, on))
    if as_json:
        print_json([{"case": c.name, "holds": not wrong, "wrong": wrong} for c, wrong in found])
    else:
        for case, wrong in found:
            tell(not wrong, f"{case.name}: {case.says}" + (f": {'; '.join(wrong)}" if wrong else ""))
    raise typer.Exit(any(wrong for _, wrong in found))
