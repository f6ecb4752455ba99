"""Balances out of points.v1, in one table: what each event moves between the buckets of a wallet.

The invariant: after every event `available + pending + held - debt = granted + adjusted - spent - reversed - expired`, where a
refund takes back from `spent`, and what a reversal takes from expired lots is `reversed` instead of `expired`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from tenure.contracts import points

from member_view.rules.view import Purse


def _granted(e: points.PointsGranted) -> Purse:
    """Active at once (and then repaying a debt first), or pending until `activates_on`."""
    if e.activates_on > e.effective:
        return Purse(pending=e.amount, granted=e.amount)
    return Purse(available=e.amount - e.repaid_debt, debt=-e.repaid_debt, granted=e.amount)


def _activated(e: points.PointsActivated) -> Purse:
    return Purse(pending=-e.amount, available=e.amount - e.repaid_debt, debt=-e.repaid_debt)


def _held(e: points.PointsHeld) -> Purse:
    return Purse(available=-e.amount, held=e.amount)


def _captured(e: points.PointsCaptured) -> Purse:
    return Purse(held=-e.amount, spent=e.amount)


def _released(e: points.PointsReleased) -> Purse:
    return Purse(held=-e.amount, available=e.amount - e.repaid_debt, debt=-e.repaid_debt)


def _refunded(e: points.PointsRefunded) -> Purse:
    return Purse(spent=-e.amount, available=e.amount - e.repaid_debt, debt=-e.repaid_debt)


def _reversed(e: points.PointsReversed) -> Purse:
    return Purse(
        pending=-e.from_pending,
        available=-e.from_lots,
        debt=e.as_debt,
        expired=-e.from_expired,
        reversed=e.from_pending + e.from_lots + e.from_expired + e.as_debt,
    )


def _expired(e: points.PointsExpired) -> Purse:
    return Purse(available=-e.amount, expired=e.amount)


def _adjusted(e: points.PointsAdjusted) -> Purse:
    return Purse(available=e.amount - e.repaid_debt, debt=-e.repaid_debt, adjusted=e.amount)


MOVES: Final[Mapping[type[points.PointsEvent], Callable[[Any], Purse]]] = MappingProxyType(
    {
        points.PointsGranted: _granted,
        points.PointsActivated: _activated,
        points.PointsHeld: _held,
        points.PointsCaptured: _captured,
        points.PointsReleased: _released,
        points.PointsRefunded: _refunded,
        points.PointsReversed: _reversed,
        points.PointsExpired: _expired,
        points.PointsAdjusted: _adjusted,
    }
)


def moved(purse: Purse, event: points.PointsEvent) -> Purse:
    """The wallet after the event."""
    return purse.plus(MOVES[type(event)](event))
