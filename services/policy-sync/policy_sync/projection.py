"""Policies, terms, claims and milestones as tables: what the fold came to, written where it differs from before.

They hold nothing that the facts do not say, so they can be made again from the facts at any time.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import msgspec
from asyncpg.connection import Connection

from policy_sync.rules.canonical import claim_changed
from policy_sync.rules.claims import Claim
from policy_sync.rules.facts import standing
from policy_sync.rules.fold import Policy
from policy_sync.rules.gaps import gaps
from policy_sync.rules.milestones import Milestone
from policy_sync.rules.policies import PolicyState
from policy_sync.rules.terms import TermState

_encode: Final = msgspec.json.Encoder().encode
Before = Mapping[str, PolicyState]


async def write(conn: Connection, before: Before, after: Sequence[PolicyState]) -> None:
    await _policies(conn, after)
    whole = [(s.policy, s) for s in after if s.policy is not None]
    await _terms(conn, [(p.policy_no, t) for p, s in whole for t in p.terms if t not in _terms_of(before[s.policy_no])])
    await _claims(conn, [(p, c) for p, s in whole for c in p.claims if _is_new(before[s.policy_no].policy, p, c)])
    told = [(s.policy_no, m, stands) for s in after for m, stands in s.told.items()]
    await _milestones(conn, [(no, m, stands) for no, m, stands in told if before[no].told.get(m) is not stands])


def _terms_of(state: PolicyState) -> tuple[TermState, ...]:
    return state.policy.terms if state.policy else ()


def _is_new(before: Policy | None, after: Policy, claim: Claim) -> bool:
    """Whether the claim, or whose it is, is other than it was."""
    if before is None or claim not in before.claims:
        return True
    return claim_changed(before, claim).member_id != claim_changed(after, claim).member_id


async def _policies(conn: Connection, states: Sequence[PolicyState]) -> None:
    whole = [s.policy for s in states]
    await conn.execute(
        """UPDATE policies SET product_line = t.product_line, member_id = t.member_id,
                  member_ids = string_to_array(t.member_ids, ' '), inception = t.inception, links = t.links::json,
                  version = t.version, waiting = t.waiting, live_from = t.live_from, lived_to = t.lived_to, due_on = t.due_on,
                  heard_on = t.heard_on,
                  previous_policy_no = t.previous_policy_no, survivors = t.survivors::json, reheld = t.reheld,
                  waiting_since = NULL
           FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::date[], $6::text[], $7::int[], $8::int[],
                       $9::date[], $10::date[], $11::date[], $12::text[], $13::text[], $14::int[], $15::date[])
             AS t (policy_no, product_line, member_id, member_ids, inception, links, version, waiting,
                   live_from, lived_to, due_on, previous_policy_no, survivors, reheld, heard_on)
           WHERE policies.policy_no = t.policy_no""",
        [s.policy_no for s in states],
        [p and p.product_line for p in whole],
        [p and p.holders[-1].member_id for p in whole],
        [" ".join(member_ids(p)) if p else "" for p in whole],
        [p and p.inception for p in whole],
        [_encode(s.ties.links).decode() for s in states],
        [p.version if p else 0 for p in whole],
        [waiting_of(s) for s in states],
        [s.live_from for s in states],
        [s.lived_to for s in states],
        [s.due_on for s in states],
        [p and p.previous_policy_no for p in whole],
        [_encode(dict(s.ties.survivors)).decode() for s in states],
        [s.ties.reheld for s in states],
        [s.heard_on for s in states],
    )
    await _since(conn, states)


def member_ids(whole: Policy) -> list[str]:
    """Everyone who ever held it: the persons by their numbers of now, then the numbers the core has called them by."""
    return list(dict.fromkeys([*(h.member_id for h in whole.holders), *whole.named]))


def waiting_of(state: PolicyState) -> int:
    """How many of its facts have no ground or no room yet, of those that nobody dismissed."""
    return len(standing(state.facts)) - (state.policy.version - state.ties.reheld if state.policy else 0)


async def _since(conn: Connection, states: Sequence[PolicyState]) -> None:
    """Since when the oldest fact that waits does; asked only where one waits."""
    waiting = [s for s in states if waiting_of(s)]
    if not waiting:
        return
    early = [(s.policy_no, gap.fact) for s in waiting for gap in gaps(s.facts)]
    await conn.execute(
        """UPDATE policies SET waiting_since = w.since
           FROM (SELECT f.key, min(f.recorded_at) AS since
                 FROM facts f JOIN unnest($1::text[], $2::text[], $3::text[]) AS t (key, source, id) USING (key, source, id)
                 GROUP BY f.key) w
           WHERE policies.policy_no = w.key""",
        [no for no, _ in early],
        [fact.source for _, fact in early],
        [fact.id for _, fact in early],
    )


async def _terms(conn: Connection, terms: Sequence[tuple[str, TermState]]) -> None:
    if not terms:
        return
    await conn.execute(
        """INSERT INTO terms (policy_no, term_no, start, "end", written_end, premium_fen, status, covers, cooling_off_end)
           SELECT policy_no, term_no, start, "end", written_end, premium_fen, status, covers::datemultirange, cooling_off_end
           FROM unnest($1::text[], $2::int[], $3::date[], $4::date[], $5::date[], $6::bigint[], $7::text[], $8::text[],
                       $9::date[])
             AS t (policy_no, term_no, start, "end", written_end, premium_fen, status, covers, cooling_off_end)
           ON CONFLICT (policy_no, term_no) DO UPDATE
           SET start = excluded.start, "end" = excluded."end", written_end = excluded.written_end,
               premium_fen = excluded.premium_fen, status = excluded.status, covers = excluded.covers,
               cooling_off_end = excluded.cooling_off_end""",
        [no for no, _ in terms],
        [t.term_no for _, t in terms],
        [t.start for _, t in terms],
        [t.end for _, t in terms],
        [t.written_end for _, t in terms],
        [t.premium_fen for _, t in terms],
        [t.status for _, t in terms],
        [_multirange(t.covers) for _, t in terms],
        [t.cooling_off_end for _, t in terms],
    )


def _multirange(periods: Sequence[tuple[date, date]]) -> str:
    return "{" + ",".join(f"[{start},{end})" for start, end in periods) + "}"


async def _claims(conn: Connection, claims: Sequence[tuple[Policy, Claim]]) -> None:
    if not claims:
        return
    await conn.execute(
        """INSERT INTO claims (policy_no, claim_no, member_id, loss_date, status, amount_fen, paid_fen, counts, kind,
                               effective)
           SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::text[], $6::bigint[], $7::bigint[],
                                $8::bool[], $9::text[], $10::date[])
           ON CONFLICT (policy_no, claim_no) DO UPDATE
           SET member_id = excluded.member_id, loss_date = excluded.loss_date, status = excluded.status,
               amount_fen = excluded.amount_fen, paid_fen = excluded.paid_fen, counts = excluded.counts,
               kind = excluded.kind, effective = excluded.effective""",
        [p.policy_no for p, _ in claims],
        [c.claim_no for _, c in claims],
        [p.holder_on(c.loss_date).member_id for p, c in claims],
        [c.loss_date for _, c in claims],
        [c.status for _, c in claims],
        [c.amount_fen for _, c in claims],
        [c.paid_fen for _, c in claims],
        [c.counts for _, c in claims],
        [c.kind for _, c in claims],
        [c.effective for _, c in claims],
    )


async def _milestones(conn: Connection, milestones: Sequence[tuple[str, Milestone, bool]]) -> None:
    if not milestones:
        return
    await conn.execute(
        """INSERT INTO milestones (policy_no, day, kind, number, stands)
           SELECT * FROM unnest($1::text[], $2::date[], $3::text[], $4::int[], $5::bool[])
           ON CONFLICT (policy_no, day, kind, number) DO UPDATE SET stands = excluded.stands""",
        [no for no, _, _ in milestones],
        [m.day for _, m, _ in milestones],
        [m.kind for _, m, _ in milestones],
        [m.number for _, m, _ in milestones],
        [stands for _, _, stands in milestones],
    )
