"""What callers over HTTP ask of the ledger. The command's event carries the business date; rules read no clock."""

from datetime import date, datetime
from typing import Literal

from tenure.contracts.activity import ActivityCompleted, AgentServiceRecorded
from tenure.contracts.event import Data
from tenure.contracts.points import Wallet

Purpose = Literal["correct", "write_off", "freeze", "unfreeze"]
"""`correct` adds or deducts points; `write_off` ends a debt; the others are about the account as such."""


class RecordActivity(Data, frozen=True, kw_only=True):
    """An activity as the app or the agent platform reports it; from a caller, one that is too late is refused."""

    activity: ActivityCompleted | AgentServiceRecorded


class PlaceHold(Data, frozen=True, kw_only=True):
    """Reserve points for an order. `expires_at` is an instant of the wall: a reservation ends by timer."""

    hold_id: str
    member_id: str
    wallet: Wallet
    points: int
    reference: str
    expires_at: datetime


class CaptureHold(Data, frozen=True, kw_only=True):
    """Spend what is reserved, or `points` of it; the rest is released."""

    hold_id: str
    points: int | None = None


class ReleaseHold(Data, frozen=True, kw_only=True):
    hold_id: str
    reason: Literal["requested", "timed_out"] = "requested"


class RefundHold(Data, frozen=True, kw_only=True):
    """Give back what was captured, or `points` of it."""

    hold_id: str
    points: int | None = None


class ProposeAdjustment(Data, frozen=True, kw_only=True):
    adjustment_id: str
    member_id: str
    wallet: Wallet
    points: int
    reason: str
    ticket: str
    proposed_by: str
    purpose: Purpose = "correct"
    batch: str = ""


class ApproveAdjustment(Data, frozen=True, kw_only=True):
    adjustment_id: str
    approved_by: str


class RejectAdjustment(Data, frozen=True, kw_only=True):
    adjustment_id: str
    rejected_by: str
    reason: str


class LeaveAgent(Data, frozen=True, kw_only=True):
    """An agent leaves: `on` is the first day after the last."""

    agent_id: str
    on: date
    actor: str


class ReturnAgent(Data, frozen=True, kw_only=True):
    agent_id: str
    on: date
    actor: str


class LinkMembership(Data, frozen=True, kw_only=True):
    """The agent and the member are one person."""

    agent_id: str
    member_id: str
    actor: str
