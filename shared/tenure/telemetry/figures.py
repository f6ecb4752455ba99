"""What committed transactions told, counted for the business: points by movement, changes of tier, messages held back.

The invariant: counted after the commit and never before, so that a transaction done again counts once.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, get_args

from tenure.contracts import message, points, tier
from tenure.contracts.event import Data
from tenure.contracts.topics import TYPE_OF, TYPES
from tenure.telemetry.metrics import metrics


def count_told(service: str, told: Iterable[Data]) -> None:
    """Count these events, of which the database says that they happened."""
    types: Counter[type[Data]] = Counter()
    moved: Counter[tuple[str, str]] = Counter()
    for data in told:
        cls = type(data)
        types[cls] += 1
        if (movement := _MOVEMENTS.get(cls)) is not None:
            # A correction by hand may go either way, a counter may not.
            moved[data.wallet, movement if data.amount >= 0 else f"{movement}_down"] += abs(data.amount)  # type: ignore[attr-defined]
        if (figure := _FIGURES.get(cls)) is not None:
            figure(data)
    for (wallet, movement), amount in moved.items():
        metrics.points_moved.labels(wallet, movement).inc(amount)
    for cls, times in types.items():
        metrics.events_told.labels(service, TYPE_OF[cls]).inc(times)


def start_figures_at_zero(types: Collection[str]) -> None:
    """A counter that begins at 1 never rises: those whose labels are known begin at 0 where their events are told."""
    movements = [_MOVEMENTS[TYPES[name]] for name in types if TYPES[name] in _MOVEMENTS]
    for movement in movements:
        for wallet in get_args(points.Wallet):
            metrics.points_moved.labels(wallet, movement)
    if "released" in movements:
        for reason in get_args(points.PointsReleased.__annotations__["reason"]):
            metrics.holds_released.labels(reason)
    if "message.suppressed" in types:
        for reason in get_args(message.SuppressionReason):
            metrics.messages_suppressed.labels(reason)


def _released(data: points.PointsReleased) -> None:
    metrics.holds_released.labels(data.reason).inc()


def _tier(data: tier.TierChanged) -> None:
    metrics.tier_changes.labels(data.from_tier, data.to_tier).inc()


def _suppressed(data: message.MessageSuppressed) -> None:
    metrics.messages_suppressed.labels(data.reason).inc()


_MOVEMENTS: Final[Mapping[type[Data], str]] = {
    cls: name.removeprefix("points.")
    for cls, name in TYPE_OF.items()
    if issubclass(cls, points.PointsEvent) and cls is not points.PointsExpiring
}
_FIGURES: Final[Mapping[type[Data], Callable[[Any], None]]] = {
    points.PointsReleased: _released,
    tier.TierChanged: _tier,
    message.MessageSuppressed: _suppressed,
}
