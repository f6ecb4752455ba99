"""What was believed on one day about another: a policy folded from the facts that had been recorded here by then.

Effective time is the core's (from when a fact counts), recorded time is ours (when we heard of it). The invariant: asked again, the
answer is the same for ever, because facts are only ever added; of today about today it is what the policy's tables say.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Final

import msgspec
from asyncpg.connection import Connection
from tenure.contracts import core
from tenure.edge.access import Caller

from policy_sync import ties
from policy_sync.own import part
from policy_sync.projection import member_ids
from policy_sync.rules.chains import Links, received
from policy_sync.rules.facts import Fact
from policy_sync.rules.fold import Policy, Ties, fold, named_ids
from policy_sync.rules.gaps import gaps
from policy_sync.rules.mergers import survivor
from policy_sync.rules.terms import TermState
from policy_sync.store import facts_until

CHAIN_MAX: Final = 20


class TermBelief(msgspec.Struct, frozen=True, kw_only=True):
    """A term as believed; `covered`: whether it gave cover on the day asked about."""

    term_no: int
    start: date
    end: date
    written_end: date
    premium_fen: int
    status: str
    covered: bool


class ClaimBelief(msgspec.Struct, frozen=True, kw_only=True):
    claim_no: str
    loss_date: date
    status: str
    amount_fen: int
    paid_fen: int


class Belief(msgspec.Struct, frozen=True, kw_only=True):
    """`recorded`: up to when facts were heard; `facts` counted then, `waiting` had no ground yet.

    On `effective`: who held it (`member_id`), whether it gave cover, and the premium of the terms that did. A member is answered
    with their own part of all this; `member_id` is then theirs.
    """

    policy_no: str
    effective: date
    recorded: datetime
    member_id: str
    member_ids: Sequence[str]
    product_line: str
    inception: date
    covered: bool
    premium_fen: int
    facts: int
    waiting: int
    terms: Sequence[TermBelief]
    claims: Sequence[ClaimBelief]


async def believed(
    conn: Connection, policy_no: str, *, effective: date, recorded: datetime, who: Caller
) -> Belief | None:
    """What was believed at `recorded` about `effective`, as far as it is this caller's; None if nothing of it was then."""
    whole, facts, survivors = await _policy(conn, policy_no, recorded, CHAIN_MAX)
    mine = part(whole, survivors, who) if whole else None
    return _belief(mine, facts, effective, recorded) if mine else None


def _belief(whole: Policy, facts: Sequence[Fact], effective: date, recorded: datetime) -> Belief:
    covering = [t for t in whole.terms if _covers(t, effective)]
    return Belief(
        policy_no=whole.policy_no,
        effective=effective,
        recorded=recorded,
        member_id=whole.holder_on(effective).member_id,
        member_ids=member_ids(whole),
        product_line=whole.product_line,
        inception=whole.inception,
        covered=bool(covering),
        premium_fen=sum(t.premium_fen for t in covering),
        facts=whole.version,
        waiting=sum(1 for _ in gaps(facts)),
        terms=[_term(t, effective) for t in whole.terms],
        claims=[
            ClaimBelief(
                claim_no=c.claim_no,
                loss_date=c.loss_date,
                status=c.status,
                amount_fen=c.amount_fen,
                paid_fen=c.paid_fen,
            )
            for c in whole.claims
        ],
    )


async def _policy(
    conn: Connection, policy_no: str, recorded: datetime, links_max: int
) -> tuple[Policy | None, Sequence[Fact], Mapping[str, str]]:
    facts = await facts_until(conn, policy_no, recorded)
    if not facts:
        return None, (), {}
    survivors = await _survivors(conn, {*named_ids(facts)}, recorded)
    previous = next((p for f in facts if (p := _previous(f.data)) is not None and p != policy_no), None)
    links: Links = ()
    if previous is not None and links_max:
        continued, *_ = await _policy(conn, previous, recorded, links_max - 1)
        links = received(policy_no, continued.handed_on(None)) if continued else ()
    return fold(policy_no, facts, ties=Ties(links, survivors)), facts, survivors


async def _survivors(conn: Connection, members: Collection[str], recorded: datetime) -> dict[str, str]:
    known = await ties.of(conn, members, is_locked=False, until=recorded)
    persons = {member: survivor(member, known) for member in members}
    return {member: person for member, person in persons.items() if member != person}


def _previous(data: object) -> str | None:
    return data.previous_policy_no if isinstance(data, core.PolicyIssued) else None


def _covers(term: TermState, on: date) -> bool:
    return any(start <= on < end for start, end in term.covers)


def _term(term: TermState, on: date) -> TermBelief:
    return TermBelief(
        term_no=term.term_no,
        start=term.start,
        end=term.end,
        written_end=term.written_end,
        premium_fen=term.premium_fen,
        status=term.status,
        covered=_covers(term, on),
    )
