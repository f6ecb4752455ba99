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
    for data in told:
        cls = type(data)
        types[cls] += 1
        if (figure := _FIGURES.get(cls)) is not None:
            figure(data)
    for cls, times in types.items():
        metrics.events_told.labels(service, TYPE_OF[cls]).inc(times)


def start_figures_at_zero(types: Collection[str]) -> None:
    """A counter that begins at 1 never rises: those whose labels are known begin at 0 where their events are told."""
    movements = [
        name.removeprefix("points.") for name in types if TYPES[name] in _FIGURES and name.startswith("points.")
    ]
    for movement in movements:
        for wallet in get_args(points.Wallet):
            metrics.points_moved.labels(wallet, movement)
    if "released" in movements:
        for reason in get_args(points.PointsReleased.__annotations__["reason"]):
            metrics.holds_released.labels(reason)
    if "message.suppressed" in types:
        for reason in get_args(message.SuppressionReason):
            metrics.messages_suppressed.labels(reason)


def _points(data: Any) -> None:
    movement = TYPE_OF[type(data)].removeprefix("points.")
    if data.amount < 0:
        movement += "_down"  # a correction by hand may go either way, a counter may not
    metrics.points_moved.labels(data.wallet, movement).inc(abs(data.amount))


def _released(data: points.PointsReleased) -> None:
    _points(data)
    metrics.holds_released.labels(data.reason).inc()


def _tier(data: tier.TierChanged) -> None:
    metrics.tier_changes.labels(data.from_tier, data.to_tier).inc()


def _suppressed(data: message.MessageSuppressed) -> None:
    metrics.messages_suppressed.labels(data.reason).inc()


_FIGURES: Final[Mapping[type[Data], Callable[[Any], None]]] = {
    **{cls: _points for cls in TYPE_OF if issubclass(cls, points.PointsEvent) and cls is not points.PointsExpiring},
    points.PointsReleased: _released,
    tier.TierChanged: _tier,
    message.MessageSuppressed: _suppressed,
}
