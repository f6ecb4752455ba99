"""Whose number is whose, as told last, in whatever order that is read; and that each person's things lie under their number.

The invariant: of what was told of one number the highest `ties_no` counts, and no number that was given up lives again by what is
read late. What cannot be moved at once, because it lies with a third number, is noted and brought there soon (`Gather`).
"""

from typing import Any

import msgspec
from tenure.contracts.decision import Decision
from tenure.contracts.event import Event
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged
from tenure.contracts.programme import Programme

from benefits.commands import Gather
from benefits.rules.merge import merge, part
from benefits.rules.settle import settle
from benefits.state import State

replace = msgspec.structs.replace


def on_merged(states: Any, event: Event, programme: Programme) -> Decision[Any]:
    """`states`: the survivor's and the merged member's, or one state for a member merged with itself, which changes nothing."""
    data: CustomerMerged = event.data
    if not isinstance(states, tuple):
        return Decision(states)
    survivor, merged = (s or State(member_id=n) for s, n in zip(states, (data.member_id, data.merged_id), strict=True))
    if _is_past(data, merged):
        return Decision(states)
    survivor, told_of = survivor if data.ties_no else _remaining(survivor, merged), _told_of(merged, data)
    if _is_with_another(merged, data.member_id):
        elsewhere = replace(told_of, merged_into=data.member_id, lies_with=merged.with_whom)
        return Decision((survivor, elsewhere))
    return merge(survivor, told_of, programme, event.day, ask=not event.backfill)


def on_unmerged(states: Any, event: Event, programme: Programme) -> Decision[Any]:
    """The merged number is a member of their own again: their policies follow, and with them the tier that grants anew.

    Told to both: the survivor's copy comes after every merger that it follows, and before any that follows it; the other may not.
    """
    data: CustomerUnmerged = event.data
    survivor, merged = states
    if event.key != data.survivor_id or survivor is None or merged is None or _is_past(data, merged):
        return Decision(states)
    if not data.ties_no and merged.merged_into != data.survivor_id:
        return Decision(states)
    told_of = _told_of(merged, data)
    if survivor.with_whom is not None or _is_with_another(merged, data.survivor_id):
        return Decision((survivor, replace(told_of, merged_into=None, lies_with=merged.with_whom)))
    parted = part((survivor,), told_of)
    (left,), back = parted.state
    left, rest = settle(left, programme, event.day, ask=not event.backfill)
    back, told = settle(back, programme, event.day, ask=not event.backfill)
    return Decision((left, back), emit=(*rest, *told), rows=parted.rows)


def on_gather(states: Any, event: Event, programme: Programme) -> Decision[Any]:
    """What lies elsewhere comes back to its number, and what lies under a number that was given up goes to who remains.

    Nothing, if it is no longer as it was when this was asked: then it is asked anew.
    """
    data: Gather = event.data
    known: dict[str, State] = {key: state for key, state in zip(data.numbers, states, strict=True) if state is not None}
    own = known.get(data.member_id)
    if own is None or own.merged_into != data.to_id or not _leads(own, known, data.through):
        return Decision(states)
    day, emit, rows = max(state.lived_to for state in known.values()), list[Any](), list[Any]()
    if data.through:
        parted = part([known[number] for number in data.through], own)
        rest, own = parted.state
        known |= {state.member_id: state for state in rest}
        rows += parted.rows
        last = known[data.through[-1]]
        if last.merged_into is None and last.member_id != data.to_id:
            known[last.member_id], told = settle(last, programme, day)
            emit += told
    if data.to_id is None:
        known[own.member_id], told = settle(own, programme, day)
        emit += told
    else:
        merged = merge(known.get(data.to_id) or State(member_id=data.to_id), own, programme, day, ask=True)
        known |= {state.member_id: state for state in merged.state}
        emit += merged.emit
        rows += merged.rows
    return Decision(tuple(known.get(number) for number in data.numbers), emit=tuple(emit), rows=tuple(rows))


def _is_past(told: CustomerMerged | CustomerUnmerged, merged: State) -> bool:
    """Told before what is known of whose the number is, or the same told again; 0 is told without an order."""
    if told.ties_no:
        return told.ties_no <= merged.ties_no
    return isinstance(told, CustomerMerged) and merged.with_whom == told.member_id


def _told_of(merged: State, data: CustomerMerged | CustomerUnmerged) -> State:
    return replace(merged, ties_no=max(data.ties_no, merged.ties_no))


def _is_with_another(merged: State, survivor_id: str) -> bool:
    return merged.with_whom not in (None, survivor_id)


def _remaining(survivor: State, merged: State) -> State:
    """Of a ring that is told without an order the merger that is read last keeps; else who was given up stays so."""
    below = {holder for brought in merged.brought.values() for holder in brought.holders}
    if survivor.with_whom == merged.member_id or survivor.member_id in below:
        return replace(survivor, merged_into=None, lies_with=None)
    return survivor


def _leads(own: State, known: dict[str, State], through: tuple[str, ...]) -> bool:
    """Whether what the number had brought still lies where it is looked for: each of these handed it to the next."""
    if not through:
        return own.lies_with is None
    chain = [own.lies_with, *(known[number].with_whom for number in through[:-1] if number in known)]
    end = known.get(through[-1])
    return chain == list(through) and end is not None and end.with_whom in (None, own.member_id)
