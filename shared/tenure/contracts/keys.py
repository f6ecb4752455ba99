"""What each event keeps its order by: the key of its record, as `topics` names it for whoever reads the table."""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final

from tenure.contracts import core, ledger, publication, reconciliation, time
from tenure.contracts.event import Data
from tenure.contracts.topics import TYPE_OF


def key_of(data: Data) -> str:
    """What order is kept by: the policy for the core's policy and claim facts, the member or agent everywhere else."""
    key_in = _KEYS.get(type(data)) or _key_in(type(data))
    return key_in(data)


def _key_in(cls: type[Data]) -> Callable[[Any], str]:
    """Where data of this type has its key."""
    if issubclass(cls, (core.PolicyFact, reconciliation.FactsRequested)):
        return attrgetter("policy_no")
    if issubclass(cls, time.DayStarted):
        return lambda _: "calendar"
    if issubclass(cls, ledger.RootPublished):
        return lambda _: "ledger"
    if issubclass(cls, (publication.RulesPublished, publication.RulesWithdrawn)):
        return attrgetter("kind")
    if "agent_id" in cls.__struct_fields__:
        return lambda data: data.agent_id or data.member_id
    return attrgetter("member_id")


_KEYS: Final[Mapping[type[Data], Callable[[Any], str]]] = {cls: _key_in(cls) for cls in TYPE_OF}
