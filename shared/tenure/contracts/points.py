"""`points.v1`: every movement of points, told once. Amounts are positive integers; wallets never mix."""

from datetime import date
from typing import Literal

from tenure.contracts.event import Data

Wallet = Literal["points", "growth", "agent"]


class PointsEvent(Data, frozen=True, kw_only=True):
    """`member_id` is the owner of the wallet: a member, or an agent for the agent wallet. `effective` is the day it counts."""

    member_id: str
    wallet: Wallet
    amount: int
    effective: date


class PointsGranted(PointsEvent, frozen=True, kw_only=True):
    """A new lot: pending until `activates_on` (= `effective` when it is active at once), expiring at the start of `expires_on`."""

    lot_id: str
    entry_id: str
    rule: str
    rules_version: int
    activates_on: date
    expires_on: date | None
    source_type: str
    reference: str = ""


class PointsActivated(PointsEvent, frozen=True, kw_only=True):
    lot_id: str
    expires_on: date | None


class PointsHeld(PointsEvent, frozen=True, kw_only=True):
    hold_id: str
    reference: str = ""


class PointsCaptured(PointsEvent, frozen=True, kw_only=True):
    hold_id: str
    reference: str = ""


class PointsReleased(PointsEvent, frozen=True, kw_only=True):
    hold_id: str
    reason: Literal["requested", "timed_out"]


class PointsRefunded(PointsEvent, frozen=True, kw_only=True):
    hold_id: str
    reference: str = ""


class PointsReversed(PointsEvent, frozen=True, kw_only=True):
    """What a cancelled or voided term had earned, taken back: from pending, from its own and other lots, the rest as debt."""

    entry_id: str
    rule: str
    from_pending: int
    from_lots: int
    as_debt: int
    reference: str = ""


class PointsExpiring(PointsEvent, frozen=True, kw_only=True):
    expires_on: date


class PointsExpired(PointsEvent, frozen=True, kw_only=True):
    lot_id: str


class PointsAdjusted(PointsEvent, frozen=True, kw_only=True):
    """A manual adjustment, made by one person and approved by another; `amount` may be negative here."""

    entry_id: str
    reason: str
    ticket: str
