"""Whose a policy is changes without a fact of its own: by a merger of its holder's number, or the undoing of one.

The invariant: what a merger moved is told anew to everyone who may have it since the policy was last told, and to whose it is
now; also when it is whose it was, for a merger that was undone in between has moved it all the same.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
from msgspec.structs import replace
from tenure.contracts import policy
from tenure.contracts.event import Data

from policy_sync.rules.canonical import Part, claim_changed, parts
from policy_sync.rules.fold import Policy

Numbers = frozenset[str]


class Note(msgspec.Struct, frozen=True, array_like=True):
    """Why a policy is to be looked at again: `merged_id` was told to be `survivor_id`, or no longer.

    None: nothing was told of anyone's number, or it is what the policy continues that changed.
    """

    id: int
    merged_id: str | None = None
    survivor_id: str | None = None


class Moved(msgspec.Struct, frozen=True):
    """Who may have the parts of each term, and each claim, by mergers since they were last told; empty where none touched it.

    `given_up`: numbers that are others' now. Nothing is told under them: the merger itself has moved what they had.
    """

    terms: Mapping[int, Numbers]
    claims: Mapping[str, Numbers]
    given_up: Collection[str]

    def __bool__(self) -> bool:
        return any(self.terms.values()) or any(self.claims.values())


def moved(as_named: Policy, survivors: Mapping[str, str], notes: Sequence[Note], given_up: Collection[str]) -> Moved:
    """`as_named`: the policy by the numbers that the core said. `survivors`: whose they were when it was last told."""
    having = {number: _having(number, survivors, notes) for number in as_named.named}
    return Moved(
        {t.term_no: Numbers().union(*(having[m] for m in as_named.members_of(t))) for t in as_named.terms},
        {c.claim_no: having[as_named.holder_on(c.loss_date).member_id] for c in as_named.claims},
        given_up,
    )


def _having(number: str, survivors: Mapping[str, str], notes: Sequence[Note]) -> Numbers:
    """The numbers that the mergers of these notes moved a number's parts to, with itself; none if they did not touch it."""
    found = {number, survivors.get(number, number)}
    touching = [n for n in notes if n.merged_id in found and n.survivor_id is not None]
    while new := {n.survivor_id for n in notes if n.merged_id in found and n.survivor_id is not None} - found:
        found |= new
    return Numbers(found if touching else ())


def told(before: Policy, after: Policy, moved: Moved, on: date) -> Iterator[Data]:
    """To everyone whose part is other than it was, or may be."""
    for part in parts(before, after, moved.terms):
        member, may_have = part.copy.member_id, moved.terms[part.copy.term_no]
        if (part.is_other or member in may_have) and (part.is_held or member not in moved.given_up):
            yield policy.PolicyHolderChanged(
                member_id=member, term=part.copy, effective=on, **_from_whom(before, after, part, moved)
            )
    yield from _claims(before, after, moved)


def _from_whom(before: Policy, after: Policy, part: Part, moved: Moved) -> dict[str, Any]:
    """Who held the last of it, and who does; where that is the same one, whom it came back from."""
    last = max(part.copy.end, part.copy.written_end) - date.resolution
    former, new = before.holder_on(last).member_id, after.holder_on(last).member_id
    back_from = sorted(moved.terms[part.copy.term_no].difference(moved.given_up, {new}))
    if former == new and back_from:
        former = back_from[0]
    return {"former_member_id": former, "new_member_id": new}


def _claims(before: Policy, after: Policy, moved: Moved) -> Iterator[policy.ClaimChanged]:
    for claim in after.claims:
        was, now = claim_changed(before, claim), claim_changed(after, claim)
        may_have = moved.claims[claim.claim_no]
        if was.member_id == now.member_id and not may_have:
            continue
        for member in sorted((may_have | {was.member_id}).difference(moved.given_up, {now.member_id})):
            yield replace(was, member_id=member, handed_over="from")
        yield replace(now, handed_over="to")
