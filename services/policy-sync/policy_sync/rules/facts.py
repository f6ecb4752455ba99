"""A fact as policy-sync keeps it, its place in domain order, and what makes two facts the same business fact.

The invariant: whatever is concluded from a policy's facts depends on which facts they are, never on the order they arrived in.
So facts are put in domain order before they are folded: when the core recorded them, then the day from which they count,
then what can only follow what.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec
from tenure.calendar import local_date
from tenure.contracts import core
from tenure.contracts.event import Data, Event

Opening = core.PolicyIssued | core.PolicyRenewed
Order = tuple[datetime, date, int, str]

# Facts of one moment and one day: cover begins, changes hands, is paid and changed, stops, and comes back.
_SEQUENCE: Final[tuple[type[Data], ...]] = (
    core.PolicyIssued,
    core.PolicyRenewed,
    core.PolicyHolderChanged,
    core.PremiumPaid,
    core.PolicyEndorsed,
    core.PolicyLapsed,
    core.PolicyReinstated,
    core.PolicyCancelled,
    core.PremiumRefunded,
    core.CancellationReversed,
    core.PolicyRescinded,
    core.ClaimReported,
    core.ClaimRegistered,
    core.ClaimSurveyed,
    core.ClaimAssessed,
    core.ClaimApproved,
    core.ClaimDeclined,
    core.ClaimPaid,
    core.ClaimClosed,
    core.ClaimReopened,
    core.ClaimWithdrawn,
    core.CustomerRegistered,
    core.ConsentChanged,
    core.CustomerMerged,
    core.CustomerUnmerged,
    core.HouseholdLinked,
    core.CoverageExtensionConfirmed,
    core.CoverageExtensionRejected,
    core.CustomerErased,
)
RANK: Final = MappingProxyType({cls: rank for rank, cls in enumerate(_SEQUENCE)})
_OWN_DATE: Final = MappingProxyType(
    {
        core.PolicyIssued: "start",
        core.PolicyRenewed: "start",
        core.PremiumPaid: "paid_on",
        core.PremiumRefunded: "refunded_on",
        core.ClaimReported: "reported_on",
        core.CustomerRegistered: "registered_on",
        core.CoverageExtensionConfirmed: "start",
    }
)
# What can be so again, in the same words: cancelled, reversed, cancelled; here, moved, back here. Only the same moment makes these
# the same fact. A claim's payment is none of them: said again later it would be paid twice.
_REPEATABLE: Final = frozenset(
    {
        core.PolicyCancelled,
        core.CancellationReversed,
        core.PolicyLapsed,
        core.PolicyReinstated,
        core.ClaimReported,
        core.ClaimRegistered,
        core.ClaimSurveyed,
        core.ClaimAssessed,
        core.ClaimApproved,
        core.ClaimDeclined,
        core.ClaimClosed,
        core.ClaimReopened,
        core.ClaimWithdrawn,
        core.CustomerRegistered,
        core.ConsentChanged,
        core.CustomerMerged,
        core.CustomerUnmerged,
        core.HouseholdLinked,
    }
)


class Fact(msgspec.Struct, frozen=True):
    """One raw fact: who said it under which id, when it was recorded there, and what it says.

    `dismissed_after`: how many facts of its policy had been heard when an operator dismissed it, which waited then; 0: nobody did.
    """

    id: str
    source: str
    time: datetime
    day: date
    backfill: bool
    effective: date
    order: Order
    data: Any
    dismissed_after: int = 0


def fact_of(event: Event) -> Fact:
    return fact(event.id, event.source, event.time, backfill=event.backfill, data=event.data)


def fact(id_: str, source: str, time: datetime, *, backfill: bool, data: Any, dismissed_after: int = 0) -> Fact:
    day = local_date(time)
    effective = effective_of(data) or day
    order = (time, effective, RANK[type(data)], id_)
    return Fact(id_, source, time, day, backfill, effective, order, data, dismissed_after)


def standing(facts: Iterable[Fact]) -> list[Fact]:
    """Those that nobody dismissed."""
    return [f for f in facts if not f.dismissed_after]


def effective_of(data: Data) -> date | None:
    """The day from which a fact counts; None for one that has none of its own."""
    name = _OWN_DATE.get(type(data))
    if name is not None:
        day: date = getattr(data, name)
        return day
    return getattr(data, "effective", None) or getattr(data, "on", None)


def business_key(known: Fact) -> object:
    """What the core numbers, or the content itself. Two facts with one key are one business fact."""
    match known.data:
        case core.PolicyIssued() | core.PolicyRenewed() as d:
            return ("term", d.term_no)
        case core.PremiumPaid() as d:
            return ("paid", d.term_no, d.instalment_no)
        case core.PolicyEndorsed() as d:
            return ("endorsed", d.term_no, d.endorsement_no)
        case d if type(d) in _REPEATABLE:
            return (d, known.time)
        case d:
            return d


def says_the_same(one: Fact, other: Fact, persons: Mapping[str, str]) -> bool:
    """Whether two facts under one business key agree: every field, but of a term's opening only what both say.

    `persons`: customer numbers given up, and whose they are now. A sale and a renewal of one term agree in its dates and price.
    """
    if not (isinstance(one.data, Opening) and isinstance(other.data, Opening)):
        return bool(one.data == other.data)
    if type(one.data) is not type(other.data):
        return _dates_and_price(one.data) == _dates_and_price(other.data)
    ours, theirs = _said(one.data, persons), _said(other.data, persons)
    return all(ours[name] == theirs[name] for name in ours.keys() & theirs.keys())


def _dates_and_price(opening: Opening) -> tuple[date, date, int]:
    return opening.start, opening.end, opening.premium_fen


def _said(opening: Opening, persons: Mapping[str, str]) -> dict[str, Any]:
    said = {name: value for name, value in msgspec.structs.asdict(opening).items() if value is not None}
    if opening.member_id is not None:
        said["member_id"] = persons.get(opening.member_id, opening.member_id)
    return said
