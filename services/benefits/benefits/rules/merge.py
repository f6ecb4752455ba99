"""Two members were the same person: the history of one moves to the other, who remains, and back if they are two after all.

The invariant: no use is lost and none is counted twice, whether they stay one or turn out to be two after all: then each use goes
to whoever's grant it was made on, and with it the core's answers and the reports on their policies. What was open under the
merged number is taken back there; the survivor's own tier, once tier-engine has told it from the united history, grants anew.
The tier that was told of the merged number last stays for its parting, of which tier-engine may have heard before the merger.
Terms move with version 0, so that whatever policy-sync says of them under the survivor's number replaces them. Those of which
policy-sync has said nothing newer there go back with their member: what it says after a parting may be heard before it.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import msgspec
from tenure.contracts.benefit import BenefitRevoked
from tenure.contracts.decision import Decision
from tenure.contracts.event import Data
from tenure.contracts.programme import Programme

from benefits.rules.claims import advise
from benefits.rules.reports import policy_of
from benefits.rules.settle import settle
from benefits.state import (
    Brought,
    Forgotten,
    Grant,
    Handed,
    KnownClaim,
    State,
    forgotten,
    is_worth_keeping,
    owner_of,
)

replace = msgspec.structs.replace


def merge(
    survivor: State, merged: State, programme: Programme, day: date, *, ask: bool
) -> Decision[tuple[State, State]]:
    """All of one number's goes to the survivor. One who was merged into another only keeps it until it is handed on."""
    united = _united(survivor, merged)
    erased = (Forgotten(united.member_id),) if united.is_erased else ()
    after = forgotten(united) if erased else united
    told: Sequence[Data] = ()
    if after.merged_into is None:
        after, settled = settle(after, programme, max(day, merged.lived_to), ask=ask)
        after, advised = advise(after, programme)
        told = (*settled, *advised)
    left = State(
        member_id=merged.member_id,
        lived_to=merged.lived_to,
        merged_into=united.member_id,
        ties_no=merged.ties_no,
        timeline=merged.timeline,
        brought=_without(merged.brought, united.member_id),
        is_erased=merged.is_erased,
    )
    handed = Handed(
        from_id=merged.member_id,
        to_id=united.member_id,
        holders=_brought_by(merged).holders,
        reports=merged.reports,
        claims=tuple(no for no, claim in merged.claims.items() if not claim.is_gone),
    )
    return Decision((after, left), emit=(*_taken_back(merged, day), *told), rows=(handed, *erased))


def part(holders: Sequence[State], merged: State) -> Decision[tuple[tuple[State, ...], State]]:
    """What the number had brought comes back. `holders`: the survivor, whoever took over from them, and so on.

    What was used on a grant of theirs, before the merger or since, counts for them; what was used on the survivor's stays there.
    """
    gone = holders[0].brought.get(merged.member_id, Brought(holders=frozenset({merged.member_id})))
    terms = {**_still_theirs(holders, gone).terms, **merged.terms}
    brought = {i: _still_theirs(holders, one) for i, one in merged.brought.items()}
    back = replace(merged, merged_into=None, lies_with=None, terms=terms, brought=brought)
    rest, rows = list[State](), list[Handed]()
    for holder in holders:
        left = _rest(holder, merged.member_id, gone)
        back = _given_back(holder, back, gone)
        reports = tuple(r for r in holder.reports if r not in left.reports)
        rows.append(Handed(from_id=holder.member_id, to_id=merged.member_id, holders=gone.holders, reports=reports))
        rest.append(left)
    return Decision((tuple(rest), back), rows=tuple(rows))


def _rest(survivor: State, merged_id: str, gone: Brought) -> State:
    """The survivor without what the other number had brought. An extension that stood on the other's request is asked for anew."""
    lived_there = (survivor.region, survivor.region_since) == (gone.region, gone.region_since)
    return replace(
        survivor,
        grants={i: _on_its_own(g, gone) for i, g in survivor.grants.items() if owner_of(i) not in gone.holders},
        uses=tuple(use for use in survivor.uses if use.made_by not in gone.holders),
        answers={i: answer for i, answer in survivor.answers.items() if owner_of(i) not in gone.holders},
        reports=tuple(r for r in survivor.reports if policy_of(r) not in gone.policies),
        region=None if lived_there else survivor.region,
        region_since=date.min if lived_there else survivor.region_since,
        lived=() if lived_there else survivor.lived,
        brought={i: _less(b, gone) for i, b in survivor.brought.items() if i != merged_id},
    )


def _less(brought: Brought, gone: Brought) -> Brought:
    return replace(brought, holders=brought.holders - gone.holders, policies=brought.policies - gone.policies)


def _given_back(survivor: State, merged: State, gone: Brought) -> State:
    grants = {i: grant for i, grant in survivor.grants.items() if owner_of(i) in gone.holders}
    answers = {i: answer for i, answer in survivor.answers.items() if owner_of(i) in gone.holders}
    reports = (r for r in survivor.reports if policy_of(r) in gone.policies)
    lives_elsewhere = merged.region is not None
    return replace(
        merged,
        grants={**grants, **merged.grants},
        uses=(*merged.uses, *(use for use in survivor.uses if use.made_by in gone.holders)),
        answers={**answers, **merged.answers},
        reports=tuple(dict.fromkeys((*merged.reports, *reports))),
        region=merged.region if lives_elsewhere else gone.region,
        region_since=merged.region_since if lives_elsewhere else gone.region_since,
        lived=merged.lived if lives_elsewhere else gone.lived,
    )


def _still_theirs(holders: Sequence[State], brought: Brought) -> Brought:
    """What was brought, without the terms of which its holders were told something newer."""

    def newest(i: str) -> int:
        return max((holder.terms[i].version for holder in holders if i in holder.terms), default=0)

    return replace(brought, terms={i: term for i, term in brought.terms.items() if term.version >= newest(i)})


def _on_its_own(grant: Grant, gone: Brought) -> Grant:
    if grant.request_id is None or owner_of(grant.request_id) not in gone.holders:
        return grant
    return replace(grant, request_id=grant.id, asked=None, status="requested")


def _united(survivor: State, merged: State) -> State:
    brought = _brought_by(merged, to=survivor.member_id)
    claims = {**merged.claims, **{no: _newer(c, merged.claims.get(no)) for no, c in survivor.claims.items()}}
    told = {i for i, term in survivor.terms.items() if term.version}
    moved_terms = {i: replace(term, version=0) for i, term in merged.terms.items() if i not in told}
    moved_grants = {
        i: replace(grant, status="revoked")
        for i, grant in merged.grants.items()
        if is_worth_keeping(grant, merged.answers)
    }
    return replace(
        survivor,
        terms={**survivor.terms, **moved_terms},
        claims={no: claim for no, claim in claims.items() if not claim.is_gone or survivor.merged_into is not None},
        grants={**moved_grants, **survivor.grants},
        uses=(*survivor.uses, *merged.uses),
        answers={**merged.answers, **survivor.answers},
        reports=(*survivor.reports, *(r for r in merged.reports if r not in survivor.reports)),
        region=survivor.region or merged.region,
        region_since=survivor.region_since if survivor.region else merged.region_since,
        lived=survivor.lived if survivor.region else merged.lived,
        brought={**survivor.brought, merged.member_id: _beside(survivor.brought.get(merged.member_id), brought)},
    )


def _newer(known: KnownClaim, other: KnownClaim | None) -> KnownClaim:
    """What the survivor knows of a claim, unless something newer was told under the other number: also that it is another's."""
    if other is None or (other.is_gone and known.came) or other.as_of < known.as_of:
        return known
    if other.is_gone or known.is_gone or other.as_of == known.as_of:
        return other if other.is_gone else known
    return replace(other, reported_on=min(known.reported_on, other.reported_on), advised=known.advised)


def _beside(known: Brought | None, more: Brought) -> Brought:
    """What the number brings now, beside what it had brought before."""
    if known is None:
        return more
    lives = known if known.region else more
    return Brought(
        holders=known.holders | more.holders,
        policies=known.policies | more.policies,
        terms={**known.terms, **more.terms},
        region=lives.region,
        region_since=lives.region_since,
        lived=lives.lived,
    )


def _brought_by(merged: State, *, to: str = "") -> Brought:
    """What the number brings, and what it had been brought itself; what was the survivor's all along is not brought."""
    own = merged.brought.get(to, Brought(holders=frozenset()))
    earlier = _without(merged.brought, to).values()
    return Brought(
        holders=frozenset({merged.member_id}.union(*(b.holders for b in earlier)) - {to}),
        policies=frozenset(term.policy_no for term in merged.terms.values()) - own.policies,
        terms={i: term for i, term in merged.terms.items() if term.version},
        region=merged.region,
        region_since=merged.region_since,
        lived=merged.lived,
    )


def _without(brought: Mapping[str, Brought], member_id: str) -> dict[str, Brought]:
    return {i: b for i, b in brought.items() if i != member_id}


def _taken_back(merged: State, day: date) -> list[BenefitRevoked]:
    return [
        BenefitRevoked(
            member_id=merged.member_id,
            grant_id=grant.id,
            benefit=grant.benefit,
            effective=day,
            reason="merged",
        )
        for grant in merged.grants.values()
        if grant.status in ("active", "requested")
    ]
