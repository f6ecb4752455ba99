"""An operator takes a fact that waits out for good: the core said it by mistake, or what it stands on will never come.

The invariant: only what waits is dismissed, so nothing that counts changes, but that others may find room now. It never counts, not
even if its ground or room comes later; the core may say it again under another id, and then it is heard anew.
"""

from typing import Final

from msgspec.structs import replace
from tenure.contracts.decision import Decision, RefusedError
from tenure.contracts.event import Data, Event
from tenure.contracts.programme import Programme

from policy_sync.commands import DismissGap
from policy_sync.rules.facts import Fact
from policy_sync.rules.milestones import handed_over
from policy_sync.rules.policies import PolicyState, caught_up_to, counted, counting_of, heard_by, shown_on
from policy_sync.rules.recorded import GapDismissed
from policy_sync.rules.telling import in_turn

DISMISSED: Final = {"status": "dismissed"}


def on_dismissed(state: PolicyState, event: Event, _: Programme) -> Decision[PolicyState]:
    """Raises RefusedError no_such_gap."""
    said: DismissGap = event.data
    state, caught_up = caught_up_to(state, event.day)
    counting = counting_of(state)
    heard = heard_by(state, counting)
    gone = _waiting(heard.waiting, said)
    row = GapDismissed(state.policy_no, gone, len(state.facts), said.dismissed_by, said.reason)
    after, told_of_facts = counted(state, counting, heard.dismiss(gone))
    dismissed = replace(gone, dismissed_after=row.heard)
    after = replace(after, facts=tuple(dismissed if f is gone else f for f in state.facts))
    if not told_of_facts:
        return Decision(after, caught_up, (row,), DISMISSED)
    taken, told = handed_over(state.policy, after.policy, after.told, event.day)
    milestones: tuple[Data, ...]
    after, milestones = shown_on(replace(after, told=told) if taken else after, on=event.day)
    emit, origins = in_turn(event, caught_up, told_of_facts, (*taken, *milestones), live_from=after.live_from)
    return Decision(after, emit, (row,), DISMISSED, origins=origins)


def _waiting(waiting: list[Fact], said: DismissGap) -> Fact:
    found = [f for f in waiting if f.id == said.fact_id and said.source in (None, f.source)]
    if len(found) != 1:
        raise RefusedError("no_such_gap", f"{len(found)} facts wait under {said.fact_id}")
    return found[0]
