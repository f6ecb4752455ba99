"""The `tenure` command: what there is, and how it ends.

The invariant: a failure is one line on standard error that says what to do, and an exit status: 1 when something is wrong,
2 when the words of the command are, 130 when it was interrupted. What a command needs is loaded when it runs, so that words are
answered at once.
"""

import asyncio
import os
import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from tenure_local.cli_contract import contract
from tenure_local.cli_data import data
from tenure_local.cli_imports import imports
from tenure_local.cli_ledger import ledger
from tenure_local.cli_parked import parked
from tenure_local.cli_platform import platform
from tenure_local.cli_policies import policies
from tenure_local.cli_reconcile import reconciling
from tenure_local.cli_rules import rules
from tenure_local.cli_simulate import simulate
from tenure_local.cli_verify import verify
from tenure_local.console import err, fail, out, print_json, tell
from tenure_local.home import DATABASE_URL, KAFKA, URL, Home, NotUpError

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
for group in (platform, imports, contract, policies, reconciling, data, ledger):
    app.registered_commands += group.registered_commands
app.registered_groups += data.registered_groups
app.add_typer(parked, name="parked")
app.add_typer(verify, name="verify")
app.add_typer(rules, name="rules")
app.add_typer(simulate, name="simulate")

WRONG_WORDS = 2
INTERRUPTED = 130
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.callback()
def tenure(
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help=f"The gateway of a platform elsewhere ({URL}); what reads its databases needs {DATABASE_URL} and {KAFKA}, too.",
        ),
    ] = None,
) -> None:
    """Tenure: an event-driven loyalty platform for insurers."""
    if url is None:
        return
    if not url.startswith(("http://", "https://")):
        fail(f"--url {url} must begin with http:// or https://", status=WRONG_WORDS)
    os.environ[URL] = url


@app.command()
def token(
    role: Annotated[list[str], typer.Option(help="member, agent, operator, core, sre or service; may be repeated.")],
    subject: Annotated[str, typer.Option(help="Who: a member's, agent's or person's id.")],
    book: Annotated[list[str] | None, typer.Option(help="For agents: a member they serve; may be repeated.")] = None,
    ttl_s: Annotated[int, typer.Option("--ttl", min=1, help="Seconds until it expires.")] = 3_600,
) -> None:
    """Print a token that this platform trusts."""
    try:
        print(Home().token(subject, *role, ttl_s=ttl_s, book=book))
    except ValueError as error:
        fail(str(error))


@app.command()
def status(member: str, as_json: Json = False) -> None:
    """What an agent sees while the phone rings."""
    from tenure_local.api import Api, ApiError
    from tenure_local.member_card import show, why_not_shown

    with Api(Home()) as api:
        try:
            found = api.get("/v1/members/{}/status", member)
            is_frozen = bool(api.get("/v1/wallets/{}", member).get("frozen"))
        except ApiError as error:
            fail(why_not_shown(api, member) if error.code == "not_found" else str(error))
    if as_json:
        print_json(found)
    else:
        show(found, is_frozen=is_frozen)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Explain what is wrong, and what to do.

    Checks what the platform needs and how it is.
    """
    from tenure_local.doctor import examine

    findings = asyncio.run(examine(Home()))
    if as_json:
        print_json([f.as_dict() for f in findings])
    else:
        for finding in findings:
            tell(finding.ok, f"{finding.what}: {finding.found}")
            if finding.remedy:
                out.print(f"    {finding.remedy}", markup=False)
    sys.exit(not all(f.ok for f in findings))


def main() -> None:
    """Run the command; every failure we know is one line that says what to do."""
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        status = app(prog_name="tenure", standalone_mode=False)
        if status == INTERRUPTED:  # typer makes a status of it, without a word
            err.print("interrupted")
        sys.exit(status)
    except TyperException as error:
        _wrong_words(error)
    except NotUpError as error:
        fail(str(error))
    except (KeyboardInterrupt, typer.Abort):
        err.print("interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has seen enough
        sys.exit(1)
    except Exception as error:
        from tenure_local import failures

        if (line := failures.line(error)) is None:
            raise
        fail(line)


def _as_interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _wrong_words(error: TyperException) -> NoReturn:
    text, context = str(error), getattr(error, "ctx", None)
    if hasattr(error, "format_message"):
        text = error.format_message()
    if "\n" in text:
        print(text, file=sys.stderr)  # the help, asked for by saying too little
        sys.exit(WRONG_WORDS)
    text = text.replace("Value error, ", "")
    path = context.command_path if context else "tenure"
    fail(f"{text.rstrip('.')}; see `{path} --help`", status=WRONG_WORDS)


if __name__ == "__main__":
    main()
