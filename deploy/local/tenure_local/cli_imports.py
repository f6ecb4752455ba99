"""`tenure import`: a file goes up in parts, the platform reads it, and every row that was refused is told."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tenure_local.console import day, fail, out, print_json, progress
from tenure_local.home import Home

if TYPE_CHECKING:
    from tenure_local.api import Api

imports = typer.Typer()
PART_BYTES: Final = 1_000_000
LOOK_EVERY_S: Final = 0.5
FINDINGS_SHOWN_MAX: Final = 50
_UNDER_WAY: Final = ("uploading", "queued")


@imports.command("import")
def import_file(
    source: Annotated[str, typer.Argument(help="A source of programme/sources, or motor-portfolio.")],
    file: Annotated[Path, typer.Argument(help="The file (CSV, CSV.gz, NDJSON or Parquet, as the source declares).")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be refused; change nothing.")] = False,
    live_from: Annotated[
        date | None,
        typer.Option(
            help="Facts from this day on are no history: they earn and tell.", parser=day, metavar="YYYY-MM-DD"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Import a file of a declared source.

    As history, unless --live-from says otherwise. It goes on by itself, whatever is killed meanwhile.
    """
    from tenure_local.api import Api

    home = Home()
    home.addresses()
    path = file / "policies.csv.gz" if file.is_dir() else file
    if not path.is_file() or not path.stat().st_size:
        fail(f"there is no file {path} with anything in it")
    with Api(home) as api:
        id_ = _uploaded(api, source, path, dry_run=dry_run, live_from=live_from)
        found = _read(api, id_)
        findings = api.get("/v1/imports/{}/findings", id_, limit=1_000)["items"] if found["findings"] else []
    if as_json:
        print_json(found | {"findings": findings})
    else:
        _show(found, findings)
    if found["stage"] == "failed" or (dry_run and findings):
        raise typer.Exit(1)


def _uploaded(api: "Api", source: str, path: Path, *, dry_run: bool, live_from: date | None) -> str:
    body = {"source": source, "file_name": path.name, "dry_run": dry_run}
    if live_from is not None:
        body["live_from"] = live_from.isoformat()
    id_: str = api.post("/v1/imports", body)["import_id"]
    parts = 0
    with progress() as bars, path.open("rb") as content:
        task = bars.add_task(f"sending {path.name}", total=path.stat().st_size)
        while part := content.read(PART_BYTES):
            parts += 1
            api.put_bytes(f"/v1/imports/{id_}/parts/{parts}", part)
            bars.advance(task, len(part))
    api.post(f"/v1/imports/{id_}/start", {"parts": parts})
    return id_


def _read(api: "Api", id_: str) -> dict[str, Any]:
    import time

    with progress() as bars:
        task = bars.add_task("importing rows", total=None)
        while (found := api.get("/v1/imports/{}", id_))["stage"] in _UNDER_WAY:
            bars.update(task, completed=found["counts"]["rows"])
            time.sleep(LOOK_EVERY_S)
        bars.update(task, completed=found["counts"]["rows"])
    view: dict[str, Any] = found
    return view


def _show(found: dict[str, Any], findings: list[dict[str, Any]]) -> None:
    for one in findings[:FINDINGS_SHOWN_MAX]:
        out.print(f"row {one['row']:,}, {one['place']}: {one['code']}: {one['detail']}", markup=False)
    if found["findings"] > FINDINGS_SHOWN_MAX:
        out.print(
            f"... and {found['findings'] - FINDINGS_SHOWN_MAX:,} more: `--json`, or GET /v1/imports/{{id}}/findings"
        )
    if found["stage"] == "failed":
        fail(f"the import ended after row {found['position']:,}: {found['why']}")
    counts = found["counts"]
    said, verb = ("dry run:", "would be") if found["dry_run"] else ("imported", "were")
    wrong = f"; {counts['rows_wrong']:,} rows cannot be used" if counts["rows_wrong"] else ""
    fates = (
        f"{counts['accepted']:,} {verb} taken, {counts['waiting']:,} wait for others, {counts['known']:,} were known"
    )
    out.print(
        f"{said} {counts['rows']:,} rows, {counts['facts']:,} facts: {fates}, {counts['refused']:,} {verb} refused{wrong}"
    )
    if not found["dry_run"]:
        out.print("`tenure wait` tells when every service has followed")
