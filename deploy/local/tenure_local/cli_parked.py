"""`tenure parked`: look at wrong events, replay them after a repair, or discard them with a reason."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from tenure_local.console import out, print_json, progress
from tenure_local.home import Home

if TYPE_CHECKING:
    from tenure_local.park_desk import Listing

SEQ_MAX: Final = 2**53 - 1
parked = typer.Typer(no_args_is_help=True, help="Events that were wrong and wait for someone.")
OnlyKey = Annotated[str | None, typer.Option(help="Only this policy, member or agent.")]
OnlyService = Annotated[str | None, typer.Option(help="Only this service.")]
OnlyCode = Annotated[str | None, typer.Option(help="Only what is parked under this code.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@parked.command("list")
def list_parked(
    service: OnlyService = None,
    key: OnlyKey = None,
    code: OnlyCode = None,
    older_than_h: Annotated[
        float | None,
        typer.Option("--older-than", min=0, max=1_000_000, help="Only what is parked for this many hours."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 1_000,
    as_json: Json = False,
) -> None:
    """List parked events, oldest first, with why each is parked."""
    from tenure_local.park_desk import listed

    found = listed(Home(), service=service, key=key, code=code, older_than_h=older_than_h, rows_max=limit)
    if as_json:
        print_json(found.rows)
        return
    for row in found.rows:
        why = f"{row.code}: {row.detail} (tried {row.attempts}x, since {row.parked_at:%Y-%m-%d %H:%M} UTC)"
        out.print(f"{row.service} #{row.seq}  {row.key}  {row.type}  {why}", markup=False)
    _sum_up(found)


def _sum_up(found: "Listing") -> None:
    if not found.total:
        out.print("nothing is parked")
        return
    for service, codes in found.codes.items():
        counts = ", ".join(f"{c.events:,} {c.code} ({c.keys:,} keys, since {c.since:%Y-%m-%d %H:%M})" for c in codes)
        out.print(f"{service}: {counts}", markup=False)
    more = "" if len(found.rows) == found.total else f"{len(found.rows):,} shown of "
    out.print(f"{more}{found.total:,} parked")


@parked.command()
def show(service: str, seq: Annotated[int, typer.Argument(min=1, max=SEQ_MAX)]) -> None:
    """Show one parked event whole, as JSON.

    What no contract declares is masked.
    """
    from tenure_local.park_desk import shown

    print_json(shown(Home(), service, seq))


@parked.command()
def replay(
    service: OnlyService = None,
    key: OnlyKey = None,
    code: Annotated[str | None, typer.Option(help="Only keys that this code blocks.")] = None,
    seq: Annotated[
        int | None,
        typer.Option(min=1, max=SEQ_MAX, help="Only this event, and those of its key before it; with --service."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Send parked events through their service again, in order per key."""
    from tenure.spine.park import Which

    from tenure_local.park_desk import listed, sent_again

    if seq is not None and service is None:
        raise typer.BadParameter("the number of an event is its service's: say --service, too", param_hint="--seq")
    home = Home()
    with progress() as bars:
        waiting = listed(home, service=service, rows_max=1).total
        task = bars.add_task("replaying parked events", total=waiting or None)
        again = sent_again(
            home, Which(key=key, code=code, seq=seq), service=service, tell=lambda n: bars.update(task, completed=n)
        )
        still = listed(home, service=service, rows_max=1).total
    if as_json:
        print_json({"services": again, "still_parked": still})
        return
    for name, done in again.items():
        for stuck in done.stuck:
            why = f"{stuck.code}: {stuck.detail}"
            out.print(f"still wrong: {name} #{stuck.seq}  {stuck.key}  {why}", markup=False)
        if more := done.stuck_keys - len(done.stuck):
            out.print(f"still wrong: {name}, {more:,} more keys")
    passed = sum(done.passed for done in again.values())
    out.print(f"{passed:,} events had their effect now" + (f", {still:,} are still parked" if still else ""))


@parked.command()
def discard(
    service: str,
    seqs: Annotated[list[int], typer.Argument(min=1, max=SEQ_MAX, help="One or several numbers.", metavar="SEQ...")],
    reason: Annotated[str, typer.Option(help="Why; it is written to the audit log.")],
) -> None:
    """Take parked events out for good."""
    from tenure_local.park_desk import discarded

    if not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    for key in discarded(Home(), service, seqs, reason=reason):
        out.print(f"discarded; `tenure parked replay --key '{key}'` lets the events behind it pass", markup=False)


@parked.command()
def audit(
    service: OnlyService = None,
    key: OnlyKey = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 100,
    as_json: Json = False,
) -> None:
    """List who replayed or discarded what, and why.

    The newest first, each with its time.
    """
    from tenure_local.park_desk import audited

    rows = audited(Home(), service=service, key=key, rows_max=limit)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        why = f": {row.reason}" if row.reason else ""
        who = f"{row.at:%Y-%m-%d %H:%M:%S} UTC  {row.actor} {row.action}"
        out.print(f"{who} {row.service} #{row.seq}  {row.key}{why}", markup=False)
    if not rows:
        out.print("nobody has replayed or discarded anything")
