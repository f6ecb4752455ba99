"""`tenure parked`: look at wrong events, replay them after a repair, or discard them with a reason."""

from typing import Annotated

import typer

from tenure_local.console import out, print_json, progress
from tenure_local.home import Home

parked = typer.Typer(no_args_is_help=True, help="Events that were wrong and wait for someone.")
OnlyKey = Annotated[str | None, typer.Option(help="Only this policy, member or agent.")]


@parked.command("list")
def list_parked(
    key: OnlyKey = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False
) -> None:
    """List parked events, oldest first, with why each is parked."""
    from tenure_local.park_desk import listed

    rows = listed(Home(), key)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        why = f"{row['code']}: {row['detail']} (tried {row['attempts']}x)"
        out.print(f"{row['service']} #{row['seq']}  {row['key']}  {row['type']}  {why}", markup=False)
    out.print(f"{len(rows):,} parked" if rows else "nothing is parked")


@parked.command()
def show(service: str, seq: int) -> None:
    """Show one parked event whole, as JSON, with personal fields masked."""
    from tenure_local.park_desk import shown

    print_json(shown(Home(), service, seq))


@parked.command()
def replay(key: OnlyKey = None) -> None:
    """Send parked events through their service again, in order per key."""
    from tenure_local.park_desk import listed, replayed

    with progress() as bars:
        bars.add_task("replaying parked events", total=None)
        done, still = replayed(Home(), key), len(listed(Home(), key))
    out.print(f"{done:,} events had their effect now" + (f", {still:,} are still parked" if still else ""))


@parked.command()
def discard(
    service: str, seq: int, reason: Annotated[str, typer.Option(help="Why; it is written to the audit log.")]
) -> None:
    """Take one parked event out for good."""
    from tenure_local.park_desk import discarded

    key = discarded(Home(), service, seq, reason=reason)
    out.print(f"discarded; `tenure parked replay --key '{key}'` lets the events behind it pass", markup=False)
