"""What callers may send to the ledger."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag
from tenure.contracts.activity import (
    ActivityCompleted,
    ActivityKind,
    AgentRank,
    AgentServiceKind,
    AgentServiceRecorded,
    ReferralConverted,
)
from tenure.contracts.points import Wallet
from tenure.edge.bodies import Body, Id, MemberId, Text, Words

from points_ledger.commands import Purpose

ACTIVITIES_MAX = 500
HOLD_TTL_S_MAX = 86_400
POINTS_MAX = 100_000_000

Spendable = Literal["points", "agent"]
"""Growth is never spent (DESIGN 5.3)."""
Reason = Annotated[Words, Field(min_length=3, max_length=500)]
Points = Annotated[int, Field(ge=1, le=POINTS_MAX)]


class ActivityIn(Body):
    """Something a member did. `value` is the day's steps where the kind is steps; a later report of a day corrects it."""

    member_id: MemberId
    activity_id: Id
    kind: ActivityKind
    on: date
    value: Annotated[int, Field(ge=0, le=200_000)] = 0
    session_id: Id | None = None
    product_line: Annotated[Id, Field(max_length=32)] | None = None

    def data(self) -> ActivityCompleted:
        return ActivityCompleted(**self.model_dump())


class AgentServiceIn(Body):
    """Something an agent did for customers or colleagues."""

    agent_id: MemberId
    activity_id: Id
    kind: AgentServiceKind
    on: date
    rank: AgentRank = "agent"
    member_id: MemberId | None = None

    def data(self) -> AgentServiceRecorded:
        return AgentServiceRecorded(**self.model_dump())


class ReferralIn(Body):
    """A referral became a policy."""

    member_id: MemberId
    referee_id: MemberId
    policy_no: Id
    on: date
    cooling_off_end: date | None = None

    def data(self) -> ReferralConverted:
        return ReferralConverted(**self.model_dump())


def _kind(value: Any) -> str:
    """Which of the three a body means to be, so that only that one's faults are told."""
    if isinstance(value, list):
        return "batch"
    named = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return "agent_service" if "agent_id" in named else "referral" if "referee_id" in named else "activity"


_which = Discriminator(_kind, custom_error_type="dict_type")
_OneOfThree = (
    Annotated[ActivityIn, Tag("activity")]
    | Annotated[AgentServiceIn, Tag("agent_service")]
    | Annotated[ReferralIn, Tag("referral")]
)
AnyActivity = ActivityIn | AgentServiceIn | ReferralIn
Batch = Annotated[list[Annotated[_OneOfThree, _which]], Field(min_length=1, max_length=ACTIVITIES_MAX), Tag("batch")]
Activities = Annotated[_OneOfThree | Batch, _which]
"""One activity, or a batch."""


class HoldIn(Body):
    """Reserve points. Without a `hold_id` one is derived from the Idempotency-Key."""

    member_id: MemberId
    points: Points
    wallet: Spendable = "points"
    reference: Annotated[Text, Field(max_length=128)] = ""
    hold_id: Id | None = None
    ttl_s: Annotated[int, Field(ge=1, le=HOLD_TTL_S_MAX)] | None = None


class PartIn(Body):
    """How many of the points; all of them if none are named."""

    points: Points | None = None


class AdjustmentIn(Body):
    """Points to add or (negative) to deduct by hand, with the reason and the ticket that asks for it.

    `write_off` ends so many points of a debt; `freeze` and `unfreeze` move none.
    """

    member_id: MemberId
    points: Annotated[int, Field(ge=-POINTS_MAX, le=POINTS_MAX)] = 0
    wallet: Wallet = "points"
    reason: Reason
    ticket: Annotated[Words, Field(min_length=1, max_length=64)]
    purpose: Purpose = "correct"


class RejectionIn(Body):
    """Why it is not done."""

    reason: Reason


class DayIn(Body):
    """The first day on which it counts."""

    on: date


class MembershipIn(Body):
    """The customer number of an agent who is a customer, too."""

    member_id: MemberId
