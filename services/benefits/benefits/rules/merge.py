"""Two members were the same person: the history of one moves to the other, who remains (customer.merged).

The invariant: no use is lost and none is counted twice. What was open under the merged number is taken back there; the survivor's
own tier, once tier-engine has told it from the united history, grants anew. Terms move with version 0, so that whatever
policy-sync says of them under the survivor's number replaces them.
"""

from typing import Any

import msgspec
from tenure.contracts.benefit import BenefitRevoked
from tenure.contracts.decision import Decision
from tenure.contracts.event import Event
from tenure.contracts.policy import CustomerMerged
from tenure.contracts.programme import Programme

from benefits.rules.claims import advise
from benefits.rules.settle import answer_of, settle
from benefits.state import ClaimKnown, Grant, State

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
    after, told = settle(united, programme, max(event.day, merged.lived_to), ask=not event.backfill)
    after, advised = advise(after, programme)
    left = State(member_id=merged.member_id, lived_to=merged.lived_to, merged_into=data.member_id)
    rows = tuple(ClaimKnown(claim_no, data.member_id) for claim_no in merged.claims)
    return Decision((after, left), emit=(*_taken_back(merged, data), *told, *advised), rows=rows)


def on_unmerged(states: Any, event: Event, _: Programme) -> Decision[Any]:
    """The merged number is a member of their own again: their policies follow, and with them the tier that grants anew.

    What was used while both were one stays used where it was counted; nobody gets it a second time for having been confused.
    """
    survivor, merged = states
    if merged is None or merged.merged_into != event.data.survivor_id:
        return Decision(states)
    return Decision((survivor, replace(merged, merged_into=None)))


def _united(survivor: State, merged: State) -> State:
    moved_terms = {i: replace(term, version=0) for i, term in merged.terms.items()}
    moved_grants = {
        i: replace(grant, status="revoked") for i, grant in merged.grants.items() if _is_worth(grant, merged)
    }
    moved_uses = tuple(replace(use, is_moved=True) for use in merged.uses)
    return replace(
        survivor,
        terms={**moved_terms, **survivor.terms},
        claims={**merged.claims, **survivor.claims},
        grants={**moved_grants, **survivor.grants},
        uses=(*survivor.uses, *moved_uses),
        answers={**merged.answers, **survivor.answers},
        reports=(*survivor.reports, *(r for r in merged.reports if r not in survivor.reports)),
        region=survivor.region or merged.region,
        region_since=survivor.region_since if survivor.region else merged.region_since,
        merged_into=None,
    )


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
