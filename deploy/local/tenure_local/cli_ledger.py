"""`tenure adjust`, `tenure approve-adjustments` and `tenure liability`: what operators and actuaries do with the ledger."""

import hashlib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from tenure_local.console import day, fail, out, print_json, tell
from tenure_local.home import Home

ledger = typer.Typer()
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
WORST_SHOWN = 20


@ledger.command()
def adjust(
    file: Annotated[Path, typer.Argument(help="CSV: member_id, points, reason, ticket; may have wallet and purpose.")],
    subject: Annotated[str, typer.Option("--as", help="Who proposes; somebody else must approve.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, row by row; do nothing.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Propose a file anew that you proposed before.")] = False,
    as_json: Json = False,
) -> None:
    """Propose adjustments from a file.

    It is taken whole or not at all, and moves nothing before a second person approves it. The same file from the same person is
    proposed once, however often it is sent.
    """
    from tenure_local.api import Api

    if not file.is_file():
        fail(f"there is no file {file}")
    body = file.read_bytes()
    key = None if dry_run or again else f"file-{hashlib.sha256(body).hexdigest()}"
    with Api(Home(), subject) as api:
        answer, before = api.post_csv(f"/v1/adjustment-files?dry_run={str(dry_run).lower()}", body, key=key)
        waits = before and bool(api.get("/v1/adjustments", batch=answer["batch"], state="proposed", limit=1)["items"])
    if as_json:
        print_json(answer | {"proposed_before": before})
    elif before:
        _show_before(answer["batch"], waits=waits)
    else:
        _show(answer)
    raise typer.Exit(1 if answer["refused"] else 0)


def _show_before(batch: str, *, waits: bool) -> None:
    became = (
        f"and it waits: tenure approve-adjustments {batch} --as NAME" if waits else "and nothing of it waits any more"
    )
    out.print(f"proposed before as {batch}, {became}; nothing new. A second time: --again", markup=False)


def _show(answer: dict[str, Any]) -> None:
    refused = [row for row in answer["rows"] if row["code"]]
    for row in refused[:WORST_SHOWN]:
        tell(False, f"row {row['row']}, {row['member_id'] or 'nobody'}: {row['code']}: {row['detail']}")
    good = len(answer["rows"]) - len(refused)
    out.print(
        f"{good:,} rows good, {len(refused):,} refused; +{answer['points_in']:,} and -{answer['points_out']:,} points"
    )
    if answer["taken"]:
        out.print(
            f"proposed as {answer['batch']}; somebody else: tenure approve-adjustments {answer['batch']} --as NAME",
            markup=False,
        )


@ledger.command("approve-adjustments")
def approve(
    batch: Annotated[str, typer.Argument(help="The file's number, as `tenure adjust` said it.")],
    subject: Annotated[str, typer.Option("--as", help="Who approves; not who proposed.")],
    as_json: Json = False,
) -> None:
    """Approve what of a file of adjustments still waits.

    Each row by itself: an account may have changed since the file was proposed.
    """
    from tenure_local.api import Api

    with Api(Home(), subject) as api:
        if not api.get("/v1/adjustments", batch=batch, state="proposed", limit=1)["items"]:
            _show_nothing_waits(api, batch, as_json=as_json)
        rows = api.post(f"/v1/adjustment-files/{batch}/approve", {})["items"]
    refused = [row for row in rows if row["code"]]
    if as_json:
        print_json(rows)
    else:
        for row in refused[:WORST_SHOWN]:
            tell(False, f"{row['adjustment_id']}, {row['member_id']}: {row['code']}")
        moved = sum(row["points"] for row in rows if row["state"] == "approved")
        approved = sum(row["state"] == "approved" for row in rows)
        out.print(f"{approved:,} approved, {len(refused):,} refused; {moved:+,} points in all")
    raise typer.Exit(1 if refused else 0)


def _show_nothing_waits(api: Any, batch: str, *, as_json: bool) -> NoReturn:
    """Approved or rejected whole before, which is no failure; or there is no such file."""
    if not api.get("/v1/adjustments", batch=batch, limit=1)["items"]:
        fail(f"no file of adjustments {batch} is known here")
    if as_json:
        print_json([])
    else:
        out.print(f"nothing of {batch} waits any more", markup=False)
    raise typer.Exit


@ledger.command()
def liability(
    as_of: Annotated[
        date | None, typer.Option(help="The day asked about; today.", parser=day, metavar="YYYY-MM-DD")
    ] = None,
    known_at: Annotated[
        str | None, typer.Option(help="By what was recorded up to this instant, as 2026-01-31T00:00:00Z.")
    ] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Where to write the vintages.")] = None,
    as_json: Json = False,
) -> None:
    """What is owed to members.

    By the month it was earned in, with expected breakage and cost at the reference value.
    """
    from tenure_local.api import Api

    params = {"as_of": as_of.isoformat() if as_of else None, "known_at": known_at}
    with Api(Home()) as api:
        found = api.get("/v1/liability", **params)
        if csv_file is not None:
            params |= {"as_of": found["as_of"], "known_at": found["known_at"]}
            csv_file.write_bytes(api.get_bytes("/v1/liability/file", **params))
    if as_json:
        print_json(found)
        return
    out.print(f"at the end of {found['as_of']}, by what was known at {found['known_at']}")
    for name in ("outstanding", "pending", "expected_breakage"):
        out.print(f"  {name.replace('_', ' '):<18} {found[name]:>16,} points")
    out.print(f"  {'cost':<18} {found['cost_fen'] / 100:>16,.2f} CNY, {found['expected_cost_fen'] / 100:,.2f} expected")
    if csv_file is not None:
        out.print(f"wrote {len(found['vintages']):,} vintages to {csv_file}")
