"""Whose cover and whose claim it is: by a policy's facts, and by what the services that judge a member keep of what they were told.

The invariant: of every term each holder has the same days in all of them, whichever was known first, the term or who takes it over,
and a claim is with whoever held the policy on the day of the loss, and with nobody else.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Final

import asyncpg
from benefits.state import State
from benefits.store import decode
from policy_sync import store
from policy_sync.projection import member_ids
from policy_sync.rules.policies import PolicyState
from tenure.calendar import Period, union
from tier_engine.rules import Member
from tier_engine.rules.timeline import shares_that_count
from tier_engine.store import unpack

POLICIES_AT_ONCE: Final = 100
Connections = Mapping[str, asyncpg.Connection]
Covers = dict[str, tuple[Period, ...]]
"""By term."""


def differences(state: PolicyState, tiers: Mapping[str, Member], benefits: Mapping[str, State]) -> Iterator[str]:
    """Where a service keeps other days of a term than the facts give a member."""
    for member in holders_of(state):
        held = _held(state, member)
        kept = {"tier-engine": _judged(tiers.get(member)), "benefits": _entitled(benefits.get(member))}
        for service, covers in kept.items():
            yield from (f"{member}: other cover of {no} in {service}" for no in held if covers.get(no, ()) != held[no])


def astray(state: PolicyState, benefits: Mapping[str, State]) -> Iterator[str]:
    """Claims that benefits keeps for another than whose they are, or not for them."""
    for claim in state.policy.claims if state.policy else ():
        owner = state.policy.holder_on(claim.loss_date).member_id if state.policy else ""
        keep = [m for m in holders_of(state) if (kept := benefits.get(m)) and claim.claim_no in kept.claims]
        if keep != [owner]:
            yield f"claim {claim.claim_no} of {owner} is with {keep}"


async def hold(connections: Connections) -> dict[str, bool]:
    """Each sentence and whether it holds for every policy."""
    holds = {"each_holder_has_their_cover": True, "each_claim_is_with_its_member": True}
    async for states in _policies(connections["policy-sync"]):
        members = [m for state in states for m in holders_of(state)]
        tiers = {m: unpack(raw) for m, raw in await _states(connections["tier-engine"], members)}
        benefits = {m: decode(raw) for m, raw in await _states(connections["benefits"], members)}
        if any(found for state in states for found in differences(state, tiers, benefits)):
            holds["each_holder_has_their_cover"] = False
        if any(found for state in states for found in astray(state, benefits)):
            holds["each_claim_is_with_its_member"] = False
    return holds


def holders_of(state: PolicyState) -> list[str]:
    """All who hold or held it, but for numbers that were given up: what is told of them is another's."""
    return [m for m in member_ids(state.policy) if m not in state.ties.survivors] if state.policy else []


def _held(state: PolicyState, member: str) -> Covers:
    whole = state.policy
    return {f"{state.policy_no}/{t.term_no}": whole.held_by(member, t.covers) for t in whole.terms} if whole else {}


def _judged(member: Member | None) -> Covers:
    """What tier-engine counts: shares of one term that a merger brought together are one."""
    found: Covers = {}
    for share in shares_that_count(member.terms) if member else ():
        no = f"{share.policy_no}/{share.term_no}"
        found[no] = tuple(union((*found.get(no, ()), *share.covers)))
    return found


def _entitled(state: State | None) -> Covers:
    return {no: term.covers for no, term in state.terms.items()} if state else {}


async def _policies(conn: asyncpg.Connection) -> AsyncIterator[list[PolicyState]]:
    after = ""
    while rows := await conn.fetch(
        "SELECT policy_no FROM policies WHERE policy_no > $1 ORDER BY policy_no LIMIT $2", after, POLICIES_AT_ONCE
    ):
        numbers = [row["policy_no"] for row in rows]
        yield [state for state in (await store.peek(conn, numbers)).values() if isinstance(state, PolicyState)]
        after = numbers[-1]


async def _states(conn: asyncpg.Connection, members: list[str]) -> list[tuple[str, bytes]]:
    rows = await conn.fetch("SELECT member_id, state FROM members WHERE member_id = ANY ($1::text[])", members)
    return [(row["member_id"], row["state"]) for row in rows if row["state"]]
