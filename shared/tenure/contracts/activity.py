"""`activity.v1`: what members do between policies, what agents do for them, and referrals that became policies."""

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta

from tenure.contracts.core import Id
from tenure.contracts.event import Data

ActivityKind = Literal[
    "steps",
    "health_course",
    "check_up",
    "quiz",
    "article",
    "family_policy_data",
    "class",
    "wealth_lecture",
    "safe_driving",
]
AgentServiceKind = Literal[
    "revisit",
    "policy_report",
    "claim_assist",
    "good_review",
    "service_report",
    "referral_success",
    "teamwork",
    "sharing",
    "mentoring",
]
AgentRank = Literal["trainee", "agent", "senior", "manager"]


class ActivityCompleted(Data, frozen=True, kw_only=True):
    """`value` is a count where the kind has one (steps of the day; a later event for the same day corrects it)."""

    member_id: Id
    activity_id: Id
    kind: ActivityKind
    on: date
    value: Annotated[int, Meta(ge=0, le=200_000)] = 0
    session_id: Id | None = None
    product_line: str | None = None


class AgentServiceRecorded(Data, frozen=True, kw_only=True):
    agent_id: Id
    activity_id: Id
    kind: AgentServiceKind
    on: date
    rank: AgentRank = "agent"
    member_id: Id | None = None


class ReferralConverted(Data, frozen=True, kw_only=True):
    """The referee's policy was issued. The reward stays pending until `cooling_off_end`, and goes if that policy is void."""

    member_id: Id
    referee_id: Id
    policy_no: Id
    on: date
    cooling_off_end: date | None = None
