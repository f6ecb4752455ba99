"""`tenure simulate`: what draft rules would do to all members, asked of the running platform; nothing live is touched."""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tenure_local.cli_rules import read_draft
from tenure_local.console import day, fail, out, print_json, progress
from tenure_local.home import Home

if TYPE_CHECKING:
    from tenure_local.api import Api

simulate = typer.Typer(no_args_is_help=True, help="What draft rules would do to all members. Nothing live is touched.")
ASK_EVERY_S: Final = 0.5
PAGE_ROWS: Final = 200
CHANGED_COLUMNS: Final = ("member_id", "effect", "differs_on", "current", "draft")
FEN: Final = 100


@simulate.callback()
def what_if() -> None:
    """What draft rules would do to all members. Nothing live is touched."""


@simulate.command()
def tiers(
    rules: Annotated[Path, typer.Option(help="YAML of one version of the tier rules, as for `tenure rules propose`.")],
    as_of: Annotated[
        date | None,
        typer.Option(
            help="The first day compared; today, or the draft's, without it.", parser=day, metavar="YYYY-MM-DD"
        ),
    ] = None,
    effective: Annotated[
        date | None,
        typer.Option(
            help="The day the draft comes into force; the file's, or as if always.", parser=day, metavar="YYYY-MM-DD"
        ),
    ] = None,
    months: Annotated[int, typer.Option(min=0, max=60, help="How many months to project.")] = 12,
    renewals: Annotated[
        bool, typer.Option("--renewals/--no-renewals", help="Whether policies in force today are taken to go on.")
    ] = True,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Where to write the members helped and harmed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Let draft tier rules judge the real history of all members.

    Shows who moves, who is helped or harmed, the months to come, and the cost.
    """
    from tenure_local.api import Api, ApiError

    document = read_draft(rules)
    of_file = document.pop("effective", None)
    body = {"kind": "tiers", "rules": document, "months": months, "renewals": renewals}
    body |= {name: str(value) for name, value in (("effective", effective or of_file), ("as_of", as_of)) if value}
    with Api(Home()) as api:
        try:
            done = _until_done(api, api.post("/v1/simulations", body))
            if csv_file is not None:
                _write_changed(api, done["simulation_id"], csv_file)
        except ApiError as error:
            fail(str(error))
    if as_json:
        print_json(done)
    else:
        _show(done["result"], csv_file, ladder=[tier["name"] for tier in document["tiers"]])


def _until_done(api: "Api", asked: Mapping[str, Any]) -> Mapping[str, Any]:
    now = asked
    with progress() as bars:
        task = bars.add_task("weighing members", total=None)
        while now["state"] in ("waiting", "running"):
            time.sleep(ASK_EVERY_S)
            now = api.get("/v1/simulations/{}", asked["simulation_id"])
            bars.update(task, completed=now["members_done"], total=now["members_total"])
    if now["state"] != "done":
        fail(f"the simulation failed: {now['error']}")
    return now


def _write_changed(api: "Api", simulation_id: str, csv_file: Path) -> None:
    from tenure_local.cli_data import write_csv

    def rows() -> Any:
        cursor: str | None = ""
        while cursor is not None:
            page = api.get("/v1/simulations/{}/members", simulation_id, limit=PAGE_ROWS, cursor=cursor or None)
            yield from page["items"]
            cursor = page["next_cursor"]

    write_csv(csv_file, CHANGED_COLUMNS, rows(), "members")


def _show(result: Mapping[str, Any], csv_file: Path | None, *, ladder: Sequence[str]) -> None:
    first, last = result["by_month"][0], result["by_month"][-1]
    out.print(f"{result['members']:,} members: {result['helped']:,} helped, {result['harmed']:,} harmed")
    _show_moves(f"on {first['day']}", result["moves_on_first_day"], ladder)
    if last is not first:
        _show_moves(f"on {last['day']}", result["moves_on_last_day"], ladder)
    _show_months(result["by_month"], ladder)
    for what, key in (("benefits", "benefits_fen"), ("once in a life", "once_fen"), ("points", "points_fen")):
        now, then, more = (result["costs"][side][key] / FEN for side in ("current", "draft", "more"))
        out.print(f"{what}: CNY {now:,.2f} as it stands, {then:,.2f} by the draft ({more:+,.2f})", markup=False)
    out.print(result["how"], markup=False)
    if csv_file is not None:
        out.print(f"wrote {result['listed']:,} members to {csv_file}", markup=False)


def _from_below(tiers: Iterable[str], ladder: Sequence[str]) -> list[str]:
    """Tiers as the draft ranks them; before them those it does not know, `none` first."""
    return sorted(set(tiers), key=lambda tier: (ladder.index(tier) if tier in ladder else -1, tier != "none", tier))


def _show_moves(when: str, moves: Sequence[Mapping[str, Any]], ladder: Sequence[str]) -> None:
    from rich.table import Table

    to = _from_below((m["draft"] for m in moves), ladder)
    table = Table(title=f"members {when}: from the rules that stand to the draft", title_justify="left")
    table.add_column("current")
    for tier in to:
        table.add_column(tier, justify="right")
    counts = {(m["current"], m["draft"]): m["members"] for m in moves}
    for tier in _from_below((m["current"] for m in moves), ladder):
        table.add_row(tier, *(f"{counts.get((tier, other), 0):,}" for other in to))
    out.print(table)


def _show_months(months: Sequence[Mapping[str, Any]], ladder: Sequence[str]) -> None:
    from rich.table import Table

    tiers = _from_below((tier for month in months for side in ("current", "draft") for tier in month[side]), ladder)
    table = Table(title="members by tier: as it stands -> by the draft", title_justify="left")
    table.add_column("day")
    for tier in tiers:
        table.add_column(tier, justify="right")
    for month in months:
        cells = (f"{month['current'].get(t, 0):,} -> {month['draft'].get(t, 0):,}" for t in tiers)
        table.add_row(month["day"], *cells)
    out.print(table)


@simulate.command()
def earning(
    rules: Annotated[
        Path, typer.Option(help="YAML of one version of the earning rules, as for `tenure rules propose`.")
    ],
    effective: Annotated[
        date | None,
        typer.Option(
            help="The day the draft comes into force; the file's, or as if always.", parser=day, metavar="YYYY-MM-DD"
        ),
    ] = None,
    as_of: Annotated[
        date | None,
        typer.Option(help="The day compared; the newest in the log without it.", parser=day, metavar="YYYY-MM-DD"),
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Where to write the members who come off differently.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Let draft earning rules judge the history that the log keeps.

    Shows points by rule and month, liability, and members affected, before redemption.
    """
    from tenure_local.cli_earning import ask, show

    document = read_draft(rules)
    of_file = document.pop("effective", None)
    found = ask(document, effective or (_day_of(of_file, rules) if of_file else None), as_of)
    if csv_file is not None:
        from tenure_local.cli_data import write_csv

        rows = ({"member_id": one.member_id, "live": one.live, "draft": one.draft} for one in found.affected)
        write_csv(csv_file, ("member_id", "live", "draft"), rows, "members")
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(found))
    else:
        show(found)


def _day_of(text: object, file: Path) -> date:
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        fail(f"{file.name}: effective: {str(text)[:40]!r} is not a day of the calendar, as in 2027-01-01")
