"""What must hold for every policy, looked at from the stored rows; operators, the demo and the tests ask for it.

Every policy is folded anew from its facts alone, and each table compared with what the fold comes to; what it takes from elsewhere
is compared with the mergers and the policies it continues. So nothing that was stored is taken on trust. Facts that wait are in
order; `/reconciliation` counts them. Policies come in pages, each one snapshot; requests of others get their turn between two.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec

from policy_sync import projection, store, ties
from policy_sync.reads import TermView
from policy_sync.rules.chains import Links
from policy_sync.rules.facts import Fact, business_key, fact, standing
from policy_sync.rules.fold import Policy, Ties, fold, named_ids
from policy_sync.rules.grounds import applicable
from policy_sync.rules.milestones import Milestone, implied

PAGE_ROWS: Final = 100
"""So many policies are folded before other requests get a turn (about ten milliseconds)."""

_PAGE: Final = """
SELECT json_build_object('policy_no', p.policy_no, 'product_line', p.product_line, 'member_id', p.member_id,
  'member_ids', p.member_ids, 'inception', p.inception, 'links', p.links, 'version', p.version,
  'waiting', p.waiting, 'survivors', p.survivors, 'reheld', p.reheld, 'previous_policy_no', p.previous_policy_no,
  'is_noted', EXISTS (SELECT FROM stale s WHERE s.policy_no = p.policy_no),
  'live_from', p.live_from, 'lived_to', p.lived_to, 'due_on', p.due_on,
  'facts', array(SELECT json_build_array(f.type, f.source, f.id, f.time, f.backfill, f.data, coalesce(d.heard, 0))
    FROM facts f LEFT JOIN dismissals d USING (key, source, id) WHERE f.key = p.policy_no ORDER BY f.seq),
  'terms', array(SELECT json_build_object('term_no', t.term_no, 'start', t.start, 'end', t."end",
      'written_end', t.written_end, 'premium_fen', t.premium_fen, 'status', t.status, 'cooling_off_end', t.cooling_off_end,
      'covers', array(SELECT json_build_array(lower(c), upper(c)) FROM unnest(t.covers) c ORDER BY c))
    FROM terms t WHERE t.policy_no = p.policy_no ORDER BY t.start, t.term_no),
  'claims', array(SELECT json_build_object('claim_no', c.claim_no, 'member_id', c.member_id, 'loss_date', c.loss_date,
      'status', c.status, 'amount_fen', c.amount_fen, 'paid_fen', c.paid_fen, 'counts', c.counts, 'kind', c.kind,
      'effective', c.effective)
    FROM claims c WHERE c.policy_no = p.policy_no ORDER BY c.claim_no COLLATE "C"),
  'standing', array(SELECT json_build_array(m.day, m.kind, m.number)
    FROM milestones m WHERE m.policy_no = p.policy_no AND m.stands)) AS policy
FROM policies p WHERE p.policy_no > $1 ORDER BY p.policy_no LIMIT $2"""
_ONCE: Final = "SELECT NOT EXISTS (SELECT FROM facts GROUP BY source, id HAVING count(*) > 1)"
_PLACED: Final = """SELECT NOT EXISTS (SELECT FROM facts WHERE NOT starts_with(key, 'member ')
                                       AND NOT EXISTS (SELECT FROM policies p WHERE p.policy_no = facts.key))"""
_UNNOTED: Final = """SELECT links::text AS links, survivors::text AS survivors, reheld FROM policies p
                    WHERE policy_no = $1 AND NOT EXISTS (SELECT FROM stale s WHERE s.policy_no = p.policy_no)"""
_DUE: Final = "SELECT NOT EXISTS (SELECT FROM policies WHERE due_on <= (SELECT day FROM calendar))"


class StoredClaim(msgspec.Struct, frozen=True, kw_only=True):
    claim_no: str
    member_id: str
    loss_date: date
    status: str
    amount_fen: int
    paid_fen: int
    counts: bool
    kind: str
    effective: date


class StoredFact(msgspec.Struct, frozen=True, array_like=True):
    type: str
    source: str
    id: str
    time: datetime
    backfill: bool
    data: msgspec.Raw
    dismissed_after: int

    def read(self) -> Fact:
        data = store.data_of(self.type, self.data)
        more = {"backfill": self.backfill, "data": data, "dismissed_after": self.dismissed_after}
        return fact(self.id, self.source, self.time, **more)


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One policy in all its tables."""

    policy_no: str
    product_line: str | None
    member_id: str | None
    member_ids: Sequence[str]
    inception: date | None
    links: Links
    version: int
    waiting: int
    survivors: Mapping[str, str]
    reheld: int
    previous_policy_no: str | None
    is_noted: bool
    live_from: date | None
    lived_to: date | None
    due_on: date | None
    facts: Sequence[StoredFact]
    terms: Sequence[TermView]
    claims: Sequence[StoredClaim]
    standing: Sequence[Milestone]

    @property
    def ties(self) -> Ties:
        return Ties(self.links, self.survivors, self.reheld)


class Anew(msgspec.Struct, frozen=True):
    """What the facts alone come to; `policy` is None while none of them opens it. `ties`: what it takes from elsewhere by now."""

    facts: Sequence[Fact]
    policy: Policy | None
    ties: Ties


_AS_KNOWN: Final = "ties_are_as_known"
_read: Final = msgspec.json.Decoder(Stored).decode


async def verify(pool: Any) -> dict[str, bool]:
    """Each sentence and whether it holds for every policy."""
    holds = dict.fromkeys([*CHECKS, _AS_KNOWN], True)
    async for stored, anew in _everything(pool):
        for name, check in CHECKS.items():
            holds[name] = holds[name] and check(stored, anew)
        if holds[_AS_KNOWN] and not ties_are_as_known(stored, anew):
            holds[_AS_KNOWN] = not await _is_still_so(pool, stored)
    holds["no_fact_is_recorded_twice"] &= bool(await pool.fetchval(_ONCE))
    holds["every_fact_has_its_policy"] = bool(await pool.fetchval(_PLACED))
    holds["nothing_due_is_left"] = bool(await pool.fetchval(_DUE))
    return holds


def no_fact_is_recorded_twice(stored: Stored, anew: Anew) -> bool:  # noqa: ARG001 - the checks have one shape
    """No business fact stands twice, under whatever ids."""
    left = standing(anew.facts)
    return len({business_key(f) for f in left}) == len(left)


def versions_count_the_facts(stored: Stored, anew: Anew) -> bool:
    """A policy's version is the number of facts folded; those that wait are the rest, but for those that were dismissed."""
    folded = len(applicable(anew.facts))
    version = folded + stored.reheld if anew.policy else 0
    return (stored.version, stored.waiting) == (version, len(standing(anew.facts)) - folded)


def ties_are_as_known(stored: Stored, anew: Anew) -> bool:
    """Whose its holders' numbers are, and what it takes of what it continues, is as known; or a note says that it will be."""
    if stored.is_noted or anew.policy is None:
        return True
    told, known = stored.survivors, anew.ties.survivors
    same = all(told.get(n) == known.get(n) for n in anew.policy.named)
    return same and stored.links == anew.ties.links


async def _is_still_so(pool: Any, stored: Stored) -> bool:
    """Whether nothing came between reading a policy and what is known elsewhere: that would have left a note, or been answered."""
    row = await pool.fetchrow(_UNNOTED, stored.policy_no)
    return row is not None and ties.then(row) == stored.ties


def policies_equal_the_facts(stored: Stored, anew: Anew) -> bool:
    """Line, holders and inception are those of the fold."""
    held = (stored.product_line, stored.inception, stored.member_id, list(stored.member_ids))
    if anew.policy is None:
        return held == (None, None, None, [])
    now = anew.policy.holders[-1].member_id
    return held == (anew.policy.product_line, anew.policy.inception, now, projection.member_ids(anew.policy))


def terms_equal_the_facts(stored: Stored, anew: Anew) -> bool:
    terms = anew.policy.terms if anew.policy else ()
    return {t.term_no: t for t in stored.terms} == {
        t.term_no: TermView(
            term_no=t.term_no,
            start=t.start,
            end=t.end,
            written_end=t.written_end,
            premium_fen=t.premium_fen,
            status=t.status,
            covers=list(t.covers),
            cooling_off_end=t.cooling_off_end,
        )
        for t in terms
    }


def claims_equal_the_facts(stored: Stored, anew: Anew) -> bool:
    whole = anew.policy
    if whole is None:
        return not stored.claims
    return list(stored.claims) == [
        StoredClaim(
            claim_no=c.claim_no,
            member_id=whole.holder_on(c.loss_date).member_id,
            loss_date=c.loss_date,
            status=c.status,
            amount_fen=c.amount_fen,
            paid_fen=c.paid_fen,
            counts=c.counts,
            kind=c.kind,
            effective=c.effective,
        )
        for c in whole.claims
    ]


def milestones_are_those_implied(stored: Stored, anew: Anew) -> bool:
    """What stands is what the facts imply up to the day lived to, and the next one is due on its day."""
    if anew.policy is None or stored.live_from is None or stored.lived_to is None:
        return not stored.standing
    every = list(implied(anew.policy, stored.live_from))
    shown = {m for m in every if m.shown_on <= stored.lived_to}
    next_on = min((m.shown_on for m in every if m.shown_on > stored.lived_to), default=None)
    return set(stored.standing) == shown and stored.due_on == next_on


CHECKS: Final[Mapping[str, Callable[[Stored, Anew], bool]]] = MappingProxyType(
    {
        "no_fact_is_recorded_twice": no_fact_is_recorded_twice,
        "versions_count_the_facts": versions_count_the_facts,
        "policies_equal_the_facts": policies_equal_the_facts,
        "terms_equal_the_facts": terms_equal_the_facts,
        "claims_equal_the_facts": claims_equal_the_facts,
        "milestones_are_those_implied": milestones_are_those_implied,
    }
)


async def _everything(pool: Any) -> AsyncIterator[tuple[Stored, Anew]]:
    after = ""
    while rows := await pool.fetch(_PAGE, after, PAGE_ROWS):
        page = [_read(row["policy"]) for row in rows]
        facts = {s.policy_no: [f.read() for f in s.facts] for s in page}
        known = await ties.of(pool, {m for heard in facts.values() for m in named_ids(heard)}, is_locked=False)
        handed = await ties.handed(pool, {no for s in page if (no := s.previous_policy_no) is not None})
        for stored in page:
            heard = facts[stored.policy_no]
            about = {"policy_no": stored.policy_no, "previous_policy_no": stored.previous_policy_no}
            now = ties.now(about, stored.ties, heard, known, handed)
            yield stored, Anew(heard, fold(stored.policy_no, heard, ties=stored.ties), now)
        after = page[-1].policy_no
        await asyncio.sleep(0)
