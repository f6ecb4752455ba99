"""`tenure rules`: look at the versions of the rules, propose one from a file, approve or withdraw it; never both alone.

The invariant: what a file holds is sent as it stands, but for its `effective`, which is part of the proposal; it is the platform
that checks it.
"""

import getpass
from collections.abc import Mapping
from datetime import date
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from tenure_local.console import day, fail, out, print_json
from tenure_local.home import Home

rules = typer.Typer(no_args_is_help=True, help="Versions of the rules, published by two persons.")
FILE_BYTES_MAX: Final = 1_048_576

Kind = Annotated[str, typer.Argument(help="Which rules: tiers or earning.")]
DraftId = Annotated[str, typer.Argument(help="The draft's id, as `tenure rules propose` printed it.")]
File = Annotated[Path, typer.Argument(help="YAML of one version: as an entry of programme/*.yaml, without `version`.")]
Why = Annotated[str, typer.Option("--reason", help="Why; it is kept with the draft.")]
Who = Annotated[str | None, typer.Option("--as", help="Who you are; your login without it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@rules.command("list")
def list_rules(kind: Kind = "tiers", as_json: Json = False) -> None:
    """List versions, and drafts that wait.

    Every version there is, the one in force marked.
    """
    found = _ask(f"/v1/rules/{quote(kind)}")
    if as_json:
        print_json(found)
        return
    for one in found["versions"]:
        source = f"published, {one['draft_id']}" if one["draft_id"] else f"{kind}.yaml"
        now = "  <- in force" if one["in_force"] else ""
        out.print(f"version {one['version']}  from {one['effective']}  ({source}){now}", markup=False)
    for draft in found["waiting"]:
        _say(draft)


@rules.command()
def propose(
    kind: Kind,
    file: File,
    reason: Why,
    effective: Annotated[
        date | None,
        typer.Option(help="The day it comes into force; the file's without it.", parser=day, metavar="YYYY-MM-DD"),
    ] = None,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Propose a version of the rules.

    Another person approves it.
    """
    document = read_draft(file)
    of_file = document.pop("effective", None)
    when = effective or of_file
    if when is None:
        fail("say with --effective on which day it comes into force")
    if of_file is not None and str(when) != str(of_file):
        fail(f"{file.name} says {of_file}, --effective says {when}: drop one of them")
    body = {"rules": document, "effective": str(when), "reason": reason}
    _told(_ask(f"/v1/rules/{quote(kind)}/drafts", body, who=who), as_json=as_json)


@rules.command()
def approve(kind: Kind, draft_id: DraftId, reason: Why, who: Who = None, as_json: Json = False) -> None:
    """Approve what another person proposed."""
    _told(_ask(f"{_at(kind, draft_id)}/approve", {"reason": reason}, who=who), as_json=as_json)


@rules.command()
def withdraw(kind: Kind, draft_id: DraftId, reason: Why, who: Who = None, as_json: Json = False) -> None:
    """Take a draft back, approved or not, before its day."""
    _told(_ask(f"{_at(kind, draft_id)}/withdraw", {"reason": reason}, who=who), as_json=as_json)


@rules.command()
def show(kind: Kind, draft_id: DraftId) -> None:
    """Show a draft whole, as JSON, with who did what to it."""
    print_json(_ask(_at(kind, draft_id)))


def read_draft(file: Path) -> dict[str, Any]:
    """One version of rules from YAML, its dates as text. Fails with the line that is wrong."""
    import yaml

    if not file.is_file():
        fail(f"there is no file {file}")
    if file.stat().st_size > FILE_BYTES_MAX:
        fail(f"{file.name} is larger than {FILE_BYTES_MAX} bytes")
    try:
        found = _plain(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValueError) as error:
        fail(f"{file.name} is not YAML of a version of rules: {' '.join(str(error).split())}")
    except RecursionError:
        fail(f"{file.name} is nested too deep, or holds itself")
    if not isinstance(found, dict):
        fail(f"{file.name} holds no version of rules: it must be a mapping, like an entry under `versions`")
    plain: dict[str, Any] = found
    return plain


def _plain(value: Any) -> Any:
    """What JSON can say of it. Raises ValueError for all else that YAML can, RecursionError for what has no end."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{value} is no number that a rule can have")
    if value is not None and not isinstance(value, (str, int, float)):
        raise ValueError(f"a rule has no {type(value).__name__}")
    return value


def _at(kind: str, draft_id: str) -> str:
    return f"/v1/rules/{quote(kind)}/drafts/{quote(draft_id)}"


def quote(word: str) -> str:
    from urllib.parse import quote

    return quote(word, safe="")


def _ask(path: str, body: Any = None, *, who: str | None = None) -> Any:
    from tenure_local.api import Api, ApiError

    with Api(Home(), who or getpass.getuser()) as api:
        try:
            return api.get(path) if body is None else api.post(path, body)
        except ApiError as error:
            fail("there is no such draft, or no such kind of rules" if error.code == "not_found" else str(error))


def _told(draft: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(draft)
    else:
        _say(draft)


def _say(draft: Mapping[str, Any]) -> None:
    number = f"version {draft['version']}, " if draft["version"] else ""
    by = draft["withdrawn_by"] or draft["approved_by"] or draft["proposed_by"]
    text = f"{draft['draft_id']}  {number}for {draft['effective']}: {draft['state']} by {by}"
    more = "; another person approves it" if draft["state"] == "proposed" else ""
    out.print(text + more, markup=False)
