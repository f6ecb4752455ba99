"""A difference with the core's books becomes a fact of its policy, if nothing was heard since it was judged.

The invariant: it is judged by the same facts that it is added to. What two operators take from two control files at one instant
counts once, and what the core says meanwhile is not corrected by what was before it.
"""

from collections.abc import Iterable
from typing import Any, Final

from msgspec.structs import replace
from tenure.contracts.decision import Decision, RefusedError
from tenure.contracts.event import Event
from tenure.contracts.programme import Programme

from policy_sync.commands import Correct
from policy_sync.rules.facts import Fact
from policy_sync.rules.policies import on_fact

SOURCE: Final = "/tenure/policy-sync/reconciliation"
CHANGED_SINCE: Final = "changed_since"


def own_facts(control_id: str) -> str:
    """How the ids of all facts begin that a control file's differences come to."""
    return f"{control_id}/"


def fact_id(control_id: str, n: int) -> str:
    return f"{own_facts(control_id)}{n}"


def on_correct(states: Any, event: Event, programme: Programme) -> Decision[Any]:
    """Raises RefusedError changed_since, and as `on_fact`."""
    said: Correct = event.data
    before = states[0] if isinstance(states, tuple) else states
    if heard(before.facts, said.control_id) != said.heard:
        raise RefusedError(CHANGED_SINCE, "more was heard of the policy since: compare anew")
    return on_fact(states, replace(event, data=said.fact), programme)


def heard(facts: Iterable[Fact], control_id: str) -> int:
    """How many facts are known but for what this control file's differences came to."""
    own = own_facts(control_id)
    return sum(1 for fact in facts if fact.source != SOURCE or not fact.id.startswith(own))
