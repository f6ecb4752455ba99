"""`tenure policy`, `gaps` and `dismiss-gap`: what is known of a policy, what was believed of it, and what of it waits."""

import getpass
from datetime import date
from typing import Annotated, Any

import typer

from tenure_local.console import day, fail, out, print_json
from tenure_local.home import Home

policies = typer.Typer()
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@policies.command()
def policy(
    policy_no: str,
    effective: Annotated[
        date | None, typer.Option(help="The day asked about; default: today.", parser=day, metavar="YYYY-MM-DD")
    ] = None,
    recorded: Annotated[
        str | None, typer.Option(help="As believed on that day (or at that instant); default: now.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What we believe of a policy, or did.

    --recorded says when we believed it, --effective which day it is about.
    """
    from tenure_local.api import Api, ApiError

    asked = {"effective": effective.isoformat() if effective else None, "recorded": recorded}
    with Api(Home()) as api:
        try:
            found = api.get("/v1/policies/{}/belief", policy_no, **asked)
        except ApiError as error:
            fail(f"no policy {policy_no} was known then" if error.code == "not_found" else str(error))
    if as_json:
        print_json(found)
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    cover = "covered" if found["covered"] else "without cover"
    out.print(
        f"{found['policy_no']} ({found['product_line']}) on {found['effective']}, as heard until {found['recorded']}: {cover}, "
        f"held by {found['member_id']}, premium {found['premium_fen'] / 100:,.2f}, since {found['inception']}",
        markup=False,
    )
    for term in found["terms"]:
        premium = f"{term['premium_fen'] / 100:,.2f}"
        out.print(
            f"  term {term['term_no']}: {term['start']} to {term['end']}, {term['status']}, {premium}", markup=False
        )
    for claim in found["claims"]:
        out.print(
            f"  claim {claim['claim_no']}: loss {claim['loss_date']}, {claim['status']}, paid {claim['paid_fen'] / 100:,.2f}",
            markup=False,
        )
    if found["waiting"]:
        out.print(f"  {found['waiting']} facts wait for earlier ones (`tenure gaps`)")


@policies.command("dismiss-gap")
def dismiss_gap(
    policy_no: str,
    fact_id: Annotated[str, typer.Argument(help="The fact's id, as `tenure gaps` lists it.")],
    reason: Annotated[str, typer.Option(help="Why it is never to count; kept for good.")],
    source: Annotated[str | None, typer.Option(help="Who said it, where two facts of the policy have one id.")] = None,
) -> None:
    """Take a fact that waits out for good.

    It never counts, whatever is heard later; `GET /v1/reconciliation/gaps/dismissals` lists who dismissed what, and why.
    """
    from tenure_local.api import Api, ApiError

    body = {"policy_no": policy_no, "id": fact_id, "source": source, "reason": reason}
    try:
        with Api(Home(), getpass.getuser()) as api:
            api.post("/v1/reconciliation/gaps/dismissals", body)
    except ApiError as error:
        fail(str(error))
    out.print(f"{policy_no}: {fact_id} is dismissed", markup=False)


@policies.command()
def gaps(as_json: Json = False) -> None:
    """List facts that wait for earlier ones.

    The longest waiting first, each with what has to be heard before it counts. "No room": it would leave a term without days,
    or give two terms one day.
    """
    from tenure_local.api import Api

    with Api(Home()) as api:
        page = api.get("/v1/reconciliation/gaps", limit=200)
    if as_json:
        print_json(page["items"])
        return
    for one in page["items"]:
        early = ", ".join(f"{f['type']} {f['id']} (no {f['missing'].replace('_', ' ')})" for f in one["facts"])
        out.print(f"{one['policy_no']}: {one['age_s'] / 3_600:,.1f} h: {early}", markup=False)
    if not page["items"]:
        out.print("no fact waits for an earlier one")
    elif page["next_cursor"]:
        out.print("and more: GET /v1/reconciliation/gaps")
