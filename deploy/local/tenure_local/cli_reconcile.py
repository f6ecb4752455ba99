"""`tenure reconcile`: the core's control file against what stands here, and what is done about the differences."""

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tenure_local.console import day, fail, out, print_json, progress, tell
from tenure_local.home import Home

if TYPE_CHECKING:
    from tenure_local.api import Api

reconciling = typer.Typer()
TERMS_AT_ONCE: Final = 2_000
POLICIES_AT_ONCE: Final = 500
DIFFERENCES_AT_ONCE: Final = 1_000
SHOWN_MAX: Final = 50
_LEFT: Final = {
    "ask_the_core": "only the core's own facts can correct it; `--ask-again`",
    "changed_since": "it was changed here after the comparison; send the core's file of now",
}
_CONTROLS: Final = "/v1/reconciliation/controls"


@reconciling.command()
def reconcile(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="CSV: counts per product line, or all terms in force (docs/connect-a-core.md names the columns)."
        ),
    ] = None,
    on: Annotated[
        date | None, typer.Option(help="The day the file is about.", parser=day, metavar="YYYY-MM-DD")
    ] = None,
    control: Annotated[str, typer.Option(help="A comparison made before, instead of a file.")] = "",
    policy: Annotated[list[str] | None, typer.Option(help="Only this policy's differences; may be repeated.")] = None,
    ask_again: Annotated[
        bool, typer.Option("--ask-again", help="Ask the core for the facts of these policies again.")
    ] = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="Take the core's version of these policies as correcting facts.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why it is accepted; it stays beside what it settled.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Compare the core's control file of a day.

    With what stands here; lists what differs by policy number. Exit status 1 while anything differs that nothing was done about.
    """
    _check_words(file, on, control, ask_again=ask_again, accept=accept, reason=reason)
    from tenure_local.api import Api

    with Api(Home()) as api:
        id_ = control or _compared(api, file, on)
        done = _settled(api, id_, policy, reason) if accept else _asked(api, id_, policy) if ask_again else {}
        found = _look(api, id_)
    found["differences"] = [d for d in found["differences"] if not policy or d["policy_no"] in policy]
    if as_json:
        print_json(found | done)
    else:
        _show(found, done)
    raise typer.Exit(0 if found["control"]["agrees"] else 1)


def _check_words(
    file: Path | None, on: date | None, control: str, *, ask_again: bool, accept: bool, reason: str
) -> None:
    if (file is None) == (not control):
        raise typer.BadParameter("say a file, or --control with a comparison made before")
    if file is not None and on is None:
        raise typer.BadParameter("say which day the file is about: --on 2026-03-01")
    if ask_again and accept:
        raise typer.BadParameter("say one of --ask-again and --accept")
    if accept and not reason.strip():
        raise typer.BadParameter("say why it is accepted: --reason")


def _compared(api: "Api", file: Path | None, on: date | None) -> str:
    from policy_sync.sources.rows import FileError

    from tenure_local import control_file

    assert file is not None
    assert on is not None
    if not file.is_file():
        fail(f"there is no file {file}")
    try:
        read = control_file.read(file)
    except FileError as error:
        fail(f"{file.name}: {error}")
    id_: str = api.post(_CONTROLS, {"on": on.isoformat(), "lines": read.lines})["control_id"]
    with progress() as bars:
        task = bars.add_task(f"sending {file.name}", total=len(read.terms))
        for part in control_file.parts(read.terms, TERMS_AT_ONCE):
            api.post(f"{_CONTROLS}/{id_}/terms", {"terms": part})
            bars.advance(task, len(part))
    api.post(f"{_CONTROLS}/{id_}/compare")
    return id_


def _look(api: "Api", id_: str) -> dict[str, Any]:
    return {"control": api.get(_CONTROLS + "/{}", id_), "differences": list(_differences(api, id_))}


def _differences(api: "Api", id_: str) -> Iterator[dict[str, Any]]:
    page: dict[str, Any] = {"next_cursor": None}
    while True:
        cursor = page["next_cursor"]
        page = api.get(_CONTROLS + "/{}/differences", id_, limit=DIFFERENCES_AT_ONCE, cursor=cursor)
        yield from page["items"]
        if not page["next_cursor"]:
            return


def _open(api: "Api", id_: str, policy: list[str] | None) -> Iterator[list[str]]:
    """The policies with something open, a call's worth at a time."""
    named = dict.fromkeys(d["policy_no"] for d in _differences(api, id_) if d["settled"] is None)
    wanted = policy or list(named)
    if unknown := [no for no in wanted if no not in named]:
        fail(f"no open difference concerns {', '.join(unknown[:5])}")
    for at in range(0, len(wanted), POLICIES_AT_ONCE):
        yield wanted[at : at + POLICIES_AT_ONCE]


def _asked(api: "Api", id_: str, policy: list[str] | None) -> dict[str, Any]:
    path = f"{_CONTROLS}/{id_}/requests"
    return {"requested": sum(api.post(path, {"policy_nos": nos})["requested"] for nos in _open(api, id_, policy))}


def _settled(api: "Api", id_: str, policy: list[str] | None, reason: str) -> dict[str, Any]:
    path, fates = f"{_CONTROLS}/{id_}/corrections", list[dict[str, Any]]()
    for nos in _open(api, id_, policy):
        fates += api.post(path, {"policy_nos": nos, "reason": reason})["corrections"]
    return {"corrections": fates}


def _show(found: dict[str, Any], done: dict[str, Any]) -> None:
    control, differences = found["control"], found["differences"]
    for line in control["lines"]:
        tell(
            line["agrees"],
            f"{line['product_line']}: here {_counts(line['ours'])}, the core has {_counts(line['theirs'])}",
        )
    if differences:
        _table(differences)
    for fate in done.get("corrections", ()):
        if why := fate["code"] or _LEFT.get(fate["status"]):
            tell(False, f"{fate['policy_no']} term {fate['term_no']}, {fate['kind']}: {why}")
    if "requested" in done:
        out.print(f"asked the core for the facts of {done['requested']:,} policies again (reconciliation.v1)")
    said = f"{control['open']:,} of {control['differences']:,} differences are open; this comparison is {control['control_id']}"
    if control["has_more"]:
        said += "; it differs in more than these: settle them, and send the file again"
    tell(control["agrees"], "the books agree" if control["agrees"] and not differences else said)


def _counts(line: dict[str, Any] | None) -> str:
    if line is None:
        return "none"
    return f"{line['policies']:,} policies, {line['terms']:,} terms, {line['premium_fen'] / 100:,.2f}"


def _table(differences: Iterable[dict[str, Any]]) -> None:
    rows = list(differences)
    out.print(f"{'policy':<20} {'term':>4}  {'differs in':<14} {'here':<24} {'the core has':<24} settled", markup=False)
    for one in rows[:SHOWN_MAX]:
        here, there = (_said(one[side], one["kind"]) for side in ("ours", "theirs"))
        settled = one["settled"] or "open"
        out.print(
            f"{one['policy_no']:<20} {one['term_no']:>4}  {one['kind']:<14} {here:<24} {there:<24} {settled}",
            markup=False,
        )
    if len(rows) > SHOWN_MAX:
        out.print(f"... and {len(rows) - SHOWN_MAX:,} more (--json)")


def _said(term: dict[str, Any] | None, kind: str) -> str:
    if term is None:
        return "not in force"
    if kind == "premium_fen":
        return f"{term['premium_fen'] / 100:,.2f}"
    return str(term[kind]) if kind in term else f"{term['start']} to {term['end']}"
