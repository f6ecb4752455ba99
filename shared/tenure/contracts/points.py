"""`points.v1`: every movement of points, told once. Amounts are positive integers; wallets never mix.

A reader who adds these up has the balances: granted goes to pending if `activates_on` lies after `effective`, else to
available; activated from pending to available, held from available to held, captured out of held, released and refunded back
to available, reversed out of pending, available, expired lots or into debt (by its parts), expired out of available.
`repaid_debt` is the part of what just became available that repaid a debt at once.
"""

from datetime import date
from typing import Literal

from tenure.contracts.event import Data, Dated

Wallet = Literal["points", "growth", "agent"]


class PointsEvent(Data, frozen=True, kw_only=True):
    """`member_id` is the owner of the wallet: a member, or an agent for the agent wallet. `effective` is the day it counts."""

    member_id: str
    wallet: Wallet
    amount: int
    effective: date


class PointsGranted(PointsEvent, frozen=True, kw_only=True):
    """Points into a lot: pending until `activates_on` (= `effective` when it is active at once), expiring at the start of
    `expires_on`. The same lot is granted points again when a reversal is itself reversed.
    """

    lot_id: str
    entry_id: str
    rule: str
    rules_version: int
    activates_on: date
    expires_on: date | None
    source_type: str
    reference: str = ""
    repaid_debt: int = 0


class PointsActivated(Dated, PointsEvent, frozen=True, kw_only=True):
    lot_id: str
    expires_on: date | None
    repaid_debt: int = 0


class PointsHeld(PointsEvent, frozen=True, kw_only=True):
    hold_id: str
    reference: str = ""


class PointsCaptured(PointsEvent, frozen=True, kw_only=True):
    hold_id: str
    reference: str = ""


class PointsReleased(PointsEvent, frozen=True, kw_only=True):
    hold_id: str
    reason: Literal["requested", "timed_out", "captured_less"]
    repaid_debt: int = 0


class PointsRefunded(PointsEvent, frozen=True, kw_only=True):
    hold_id: str
    reference: str = ""
    repaid_debt: int = 0


class PointsReversed(PointsEvent, frozen=True, kw_only=True):
    """What was earned and is not due any more, taken back: from pending, from its own and other lots (or from what of them had
    expired already), the rest as debt. The four parts add up to `amount`.
    """

    entry_id: str
    rule: str
    from_pending: int
    from_lots: int
    as_debt: int
    from_expired: int = 0
    reference: str = ""


class PointsExpiring(Dated, PointsEvent, frozen=True, kw_only=True):
    expires_on: date


class PointsExpired(Dated, PointsEvent, frozen=True, kw_only=True):
    lot_id: str


class PointsAdjusted(PointsEvent, frozen=True, kw_only=True):
    """A manual adjustment, made by one person and approved by another; `amount` may be negative here.

    It is 0 where customers became one and points of the one repaid a debt of the other (reason `customer_merged`).
    """

    entry_id: str
    reason: str
    ticket: str
    repaid_debt: int = 0
