"""Which states a fact or a command touches, and what a state is of which nothing was heard."""

from typing import Any

from tenure.contracts import core
from tenure.contracts.event import Event

from policy_sync.commands import (
    AdvanceImport,
    CompareControl,
    Correct,
    KeepContact,
    KeepControlTerms,
    KeepPart,
    OpenControl,
    OpenImport,
    RequestFacts,
    SettleDifferences,
    StartImport,
)
from policy_sync.rules.controls import control_key
from policy_sync.rules.customers import MemberState, member_key, member_of
from policy_sync.rules.imports import import_key
from policy_sync.rules.mergers import Tie
from policy_sync.rules.persons import WEB, Web
from policy_sync.rules.policies import PolicyState, continued, introduced

OfAPerson = core.ConsentChanged | core.CustomerErased | KeepContact
"""What concerns all numbers of whoever it names."""


def keys(event: Event) -> tuple[str, ...]:
    """Its policy; the member it introduces; the policy it continues. What is a person's touches what is known of numbers, too."""
    data = event.data.fact if isinstance(event.data, Correct) else event.data
    if isinstance(data, Tie) and data.merged_id != data.member_id:
        return member_key(data.member_id), member_key(data.merged_id), WEB
    if isinstance(data, OfAPerson):
        return member_key(data.member_id), WEB
    if isinstance(data, core.CustomerFact):
        return (member_key(data.member_id),)
    if isinstance(data, (OpenImport, KeepPart, StartImport, AdvanceImport)):
        return (import_key(data.import_id),)
    if isinstance(data, (OpenControl, KeepControlTerms, CompareControl, RequestFacts, SettleDifferences)):
        return (control_key(data.control_id),)
    touched = [event.key]
    if isinstance(data, core.PolicyFact) and (member := introduced(data)):
        touched.append(member_key(member))
    if (previous := continued(data)) is not None:
        touched.append(previous)
    return tuple(touched)


def blank(key: str) -> Any:
    """The state of a policy or a customer, or of all numbers, before the first that is heard."""
    if key == WEB:
        return Web()
    member = member_of(key)
    return PolicyState(policy_no=key) if member is None else MemberState(member_id=member)
