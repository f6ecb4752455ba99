"""Who holds a policy on a day. A table says who has it in the end: a change of holder may be announced long before its day.

The invariant: only policies that others held, too, are folded from their facts; with the ties by which they were last told.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

from asyncpg.connection import Connection
from msgspec.structs import replace

from policy_sync import ties
from policy_sync.rules.controls import ControlTerm
from policy_sync.rules.fold import Policy, Ties, fold
from policy_sync.store import facts_of

_CHANGED_HANDS: Final = """
SELECT policy_no, links::text AS links, survivors::text AS survivors, reheld FROM policies
WHERE policy_no = ANY ($1::text[]) AND cardinality(member_ids) > 1
"""


async def changed_hands(conn: Connection, policy_nos: Sequence[str]) -> dict[str, tuple[Policy, Ties]]:
    """Those of these policies that more than one number held, whole, each with its ties."""
    tied = {row["policy_no"]: ties.then(row) for row in await conn.fetch(_CHANGED_HANDS, policy_nos)}
    facts = await facts_of(conn, list(tied)) if tied else {}
    whole = ((no, fold(no, facts[no], ties=tie), tie) for no, tie in tied.items())
    return {no: (policy, tie) for no, policy, tie in whole if policy is not None}


async def as_held(conn: Connection, terms: Sequence[ControlTerm | None], on: date) -> list[ControlTerm | None]:
    """The same terms, each with whoever holds its policy on that day."""
    policies = await changed_hands(conn, list({term.policy_no for term in terms if term}))
    holders = {no: whole.holder_on(on).member_id for no, (whole, _) in policies.items()}
    return [term and replace(term, member_id=holders.get(term.policy_no, term.member_id)) for term in terms]
