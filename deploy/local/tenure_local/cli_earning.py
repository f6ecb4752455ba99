"""`tenure simulate earning`: asks the platform which rules are in force, reads the log, and shows what a draft would change."""

import asyncio
from datetime import date
from typing import TYPE_CHECKING, Any

from tenure_local.console import fail, out, progress, tell
from tenure_local.home import Home

if TYPE_CHECKING:
    from points_ledger.whatif import Comparison
    from points_ledger.whatif_known import Known

FEN = 100


def ask(document: dict[str, Any], effective: date | None, as_of: date | None) -> "Comparison":
    """Run the trial, with a bar. Fails with what is wrong with the draft."""
    from tenure import programme
    from tenure.contracts.event import WrongEventError

    from tenure_local.api import Api
    from tenure_local.earning_trial import LogSilentError, draft_of, live_of, run_here

    home = Home()
    with Api(home) as api:
        versions = api.get("/v1/rules/earning")["versions"]
    settings = home.settings()
    try:
        live = live_of(programme.load(settings.programme_dir), versions)
        draft = draft_of(document, effective, live)
    except WrongEventError as wrong:
        fail(f"the draft does not fit: {wrong.detail}")
    with progress() as bars:
        task = bars.add_task("letting history be judged twice", total=None)

        def told(read: int, total: int) -> None:
            bars.update(task, completed=read, total=max(total, read))

        try:
            return asyncio.run(run_here(settings, live, draft, as_of=as_of, told=told))
        except LogSilentError as error:
            fail(str(error))


def show(found: "Comparison") -> None:
    """As tables."""
    from rich.table import Table

    unmoved = found.members - found.better - found.worse
    out.print(f"{found.events:,} events up to {found.as_of}; {found.members:,} accounts: ", end="")
    out.print(f"{found.better:,} better off, {found.worse:,} worse, {unmoved:,} as before; before redemption")
    _show_known(found.known)
    table = Table(title="points by rule and month: as it stands -> by the draft", title_justify="left")
    for name in ("rule", "wallet", "month", "live", "draft", "more", "owed live", "owed draft"):
        table.add_column(name, justify="left" if name in ("rule", "wallet", "month") else "right")
    for row in found.by_rule:
        if row.live != row.draft:
            cells = (
                f"{row.live:,}",
                f"{row.draft:,}",
                f"{row.draft - row.live:+,}",
                f"{row.live_owed:,}",
                f"{row.draft_owed:,}",
            )
            table.add_row(row.rule, row.wallet, f"{row.month:%Y-%m}", *cells)
    out.print(table if table.row_count else "no rule comes to anything else")
    for owed in found.liability:
        out.print(
            f"{owed.wallet}: {owed.live:,} -> {owed.draft:,} points owed, "
            f"CNY {owed.live_fen / FEN:,.2f} -> {owed.draft_fen / FEN:,.2f}"
        )


def _show_known(known: "Known") -> None:
    since = f"whole from {known.since} on" if known.since else "none"
    out.print(f"history: {since}; {known.judged:,} of the {known.facts:,} facts that earned in the ledger are judged")
    out.print("it is what the log keeps, and what was reported over REST as far as it earned", markup=False)
    for warning in known.warnings:
        tell(False, warning)
