"""Two members were the same person: the history of one moves to the other, who remains (customer.merged).

The invariant: no use is lost and none is counted twice, whether they stay one or turn out to be two after all: then each use goes
to whoever's grant it was made on, and with it the core's answers and the reports on their policies. What was open under the
merged number is taken back there; the survivor's own tier, once tier-engine has told it from the united history, grants anew.
Terms move with version 0, so that whatever policy-sync says of them under the survivor's number replaces them.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec
from tenure.contracts.benefit import BenefitRevoked
from tenure.contracts.decision import Decision
from tenure.contracts.event import Event
from tenure.contracts.policy import CustomerMerged
from tenure.contracts.programme import Programme

from benefits.rules.claims import advise
from benefits.rules.reports import policy_of
from benefits.rules.settle import answer_of, settle
from benefits.state import Brought, ClaimKnown, Forgotten, Grant, Handed, State, forgotten, owner_of

replace = msgspec.structs.replace


def on_merged(states: Any, event: Event, programme: Programme) -> Decision[Any]:
    """`states`: the survivor's and the merged member's, or one state for a member merged with itself, which changes nothing."""
    data: CustomerMerged = event.data
    if not isinstance(states, tuple):
        return Decision(states)
    survivor, merged = states
    if merged is None or merged.merged_into is not None:
        return Decision(states)
    united = _united(survivor or State(member_id=data.member_id), merged)
    erased = (Forgotten(data.member_id),) if united.is_erased else ()
    united = forgotten(united) if erased else united
    after, told = settle(united, programme, max(event.day, merged.lived_to), ask=not event.backfill)
    after, advised = advise(after, programme)
    left = State(
        member_id=merged.member_id,
        lived_to=merged.lived_to,
        merged_into=data.member_id,
        brought=_without(merged.brought, data.member_id),
        is_erased=merged.is_erased,
    )
    rows = (
        *(ClaimKnown(claim_no, data.member_id) for claim_no in merged.claims),
        Handed(
            from_id=merged.member_id, to_id=data.member_id, holders=_brought_by(merged).holders, reports=merged.reports
        ),
        *erased,
    )
    return Decision((after, left), emit=(*_taken_back(merged, data), *told, *advised), rows=rows)


def on_unmerged(states: Any, event: Event, programme: Programme) -> Decision[Any]:
    """The merged number is a member of their own again: their policies follow, and with them the tier that grants anew.

    What was used on a grant of theirs, before the merger or since, counts for them; what was used on the survivor's stays there.
    Told to both: the survivor's copy comes after every merger that it follows, and before any that follows it; the other may not.
    """
    survivor, merged = states
    if (
        event.key != event.data.survivor_id
        or survivor is None
        or merged is None
        or merged.merged_into != event.data.survivor_id
    ):
        return Decision(states)
    gone = survivor.brought.get(merged.member_id, Brought(holders=frozenset({merged.member_id})))
    left, rest = settle(_rest(survivor, merged.member_id, gone), programme, event.day, ask=not event.backfill)
    back, told = settle(_given_back(survivor, merged, gone), programme, event.day, ask=not event.backfill)
    reports = tuple(r for r in survivor.reports if r not in left.reports)
    handed = Handed(from_id=survivor.member_id, to_id=back.member_id, holders=gone.holders, reports=reports)
    return Decision((left, back), emit=(*rest, *told), rows=(handed,))


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
        brought=_without(survivor.brought, merged_id),
    )


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
        merged_into=None,
    )


def _on_its_own(grant: Grant, gone: Brought) -> Grant:
    if grant.request_id is None or owner_of(grant.request_id) not in gone.holders:
        return grant
    return replace(grant, request_id=grant.id, asked=None, status="requested")


def _united(survivor: State, merged: State) -> State:
    moved_terms = {i: replace(term, version=0) for i, term in merged.terms.items()}
    moved_grants = {
        i: replace(grant, status="revoked") for i, grant in merged.grants.items() if _is_worth(grant, merged)
    }
    return replace(
        survivor,
        terms={**moved_terms, **survivor.terms},
        claims={**merged.claims, **survivor.claims},
        grants={**moved_grants, **survivor.grants},
        uses=(*survivor.uses, *merged.uses),
        answers={**merged.answers, **survivor.answers},
        reports=(*survivor.reports, *(r for r in merged.reports if r not in survivor.reports)),
        region=survivor.region or merged.region,
        region_since=survivor.region_since if survivor.region else merged.region_since,
        merged_into=None,
        brought={**survivor.brought, merged.member_id: _brought_by(merged, to=survivor.member_id)},
    )


def _brought_by(merged: State, *, to: str = "") -> Brought:
    """What the number brings, and what it had been brought itself; what was the survivor's all along is not brought."""
    own = merged.brought.get(to, Brought(holders=frozenset()))
    earlier = _without(merged.brought, to).values()
    return Brought(
        holders=frozenset({merged.member_id}.union(*(b.holders for b in earlier)) - {to}),
        policies=frozenset(term.policy_no for term in merged.terms.values()) - own.policies,
        region=merged.region,
        region_since=merged.region_since,
    )


def _without(brought: Mapping[str, Brought], member_id: str) -> dict[str, Brought]:
    return {i: b for i, b in brought.items() if i != member_id}


def _is_worth(grant: Grant, merged: State) -> bool:
    """A grant moves if it was used or endorsed; the rest of it is the survivor's to have anew."""
    answer = answer_of(grant, merged.answers)
    return bool(grant.used) or grant.is_kept or (answer is not None and answer.is_confirmed)


def _taken_back(merged: State, data: CustomerMerged) -> list[BenefitRevoked]:
    return [
        BenefitRevoked(
            member_id=merged.member_id,
            grant_id=grant.id,
            benefit=grant.benefit,
            effective=data.effective,
            reason="merged",
        )
        for grant in merged.grants.values()
        if grant.status in ("active", "requested")
    ]
