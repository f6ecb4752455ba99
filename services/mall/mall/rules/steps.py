"""The order's way from placed to fulfilled, and back when something fails: one table from (step, answer) to the next status.

The invariants: points are captured exactly for orders that end fulfilled; an unknown answer changes nothing but when it is asked
again, under the same idempotency key; an answer to a step that is over changes nothing.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec.structs import replace
from tenure.contracts.decision import Decision
from tenure.contracts.event import Event
from tenure.contracts.points import PointsReleased
from tenure.contracts.programme import Programme

from mall.commands import LastStepAnswered, StepAnswered
from mall.rules.telling import moved
from mall.states import AT_ONCE, CodesReturned, CodesTaken, Member, Order, Outcome, Row, SagaStep, Shelf, Status

REFUND_REFUSED: Final = "refund_refused"
"""Why an order is `fulfilled` again: the ledger gives nothing back for it any more (it does for `refundable_days_max`)."""
Ending = tuple[Order | None, Shelf | None, Member | None]
NEXT: Final[Mapping[tuple[SagaStep, Outcome], Status]] = MappingProxyType(
    {
        ("hold", "done"): "held",
        ("hold", "refused"): "failed",
        ("supply", "done"): "supplied",
        ("supply", "refused"): "releasing",
        ("capture", "done"): "fulfilled",
        ("capture", "refused"): "releasing",
        ("release", "done"): "failed",
        ("release", "refused"): "failed",  # the hold is not there any more: it timed out, or never came to be
        ("refund", "done"): "refunded",
        ("refund", "refused"): "fulfilled",
    }
)


def on_answer(state: Order | None, event: Event, programme: Programme) -> Decision[Order | None]:  # noqa: ARG001
    """An answer that leaves the order's units where they are."""
    answered: StepAnswered = event.data
    if state is None or state.step != answered.step:
        return Decision(state, reply=state and state.unveiled())
    if answered.outcome == "unknown":
        return _ask_again(state, answered)
    return _next(state, answered)


def on_last_answer(state: Ending, event: Event, programme: Programme) -> Decision[Ending]:  # noqa: ARG001
    """An answer that ends the order: its units go back to the shelf, and no longer count against the member's limit."""
    order, shelf, member = state
    answered: LastStepAnswered = event.data
    if order is None or shelf is None or order.step != answered.step:
        return Decision(state, reply=order and order.unveiled())
    assert (answered.sku, answered.member_id) == (order.sku, order.member_id)
    ended: Decision[Any] = _next(order, answered)
    shelf = replace(shelf, available=shelf.available + order.quantity)
    return replace(ended, state=(ended.state, shelf, member and _uncount(member, order)))


def _ask_again(order: Order, answered: StepAnswered) -> Decision[Order | None]:
    """Later, and for ever, but for a hold that nobody confirmed: that is given up while nothing was captured yet."""
    if order.status == "placed" and answered.at >= order.give_up_at:
        return moved(order, "releasing", on=answered.on, next_try_at=answered.at, reason="ledger_unavailable")
    later = replace(order, attempts=order.attempts + 1, next_try_at=answered.next_try_at)
    return Decision(later, reply=later.unveiled())


def _next(order: Order, answered: StepAnswered) -> Decision[Order | None]:
    status = NEXT[answered.step, answered.outcome]
    rows: tuple[Row, ...] = ()
    if status == "held" and order.kind == "code":
        # Our own table is the supplier: reserved units always have their codes, so the supplier's answer is known at once.
        status, rows = "supplied", (CodesTaken(order.order_id, order.sku, order.quantity),)
    if status in ("failed", "refunded") and order.codes:
        rows = (CodesReturned(order.order_id),)
    is_kept = (answered.step, status) == ("refund", "fulfilled")
    refused = answered.code if answered.outcome == "refused" and answered.step != "release" else None
    return moved(
        order,
        status,
        on=answered.on,
        next_try_at=answered.next_try_at,
        reason=REFUND_REFUSED if is_kept else refused,
        tells=() if is_kept else None,
        rows=rows,
    )


def _uncount(member: Member, order: Order) -> Member:
    window = order.taken_under
    if window is None:
        return member
    left = {**member.taken, window: member.taken.get(window, 0) - order.quantity}
    return replace(member, taken={w: n for w, n in left.items() if n > 0})


def on_points_released(state: Order | None, event: Event, programme: Programme) -> Decision[Order | None]:  # noqa: ARG001
    """A hold timed out: the unfinished order it stood for is given up. A worker asks for the release and returns the units.

    The hold of a number given up is its survivor's by then.
    """
    told: PointsReleased = event.data
    unfinished = state is not None and state.step in ("hold", "supply", "capture")
    if (
        state is None
        or not unfinished
        or told.reason != "timed_out"
        or told.member_id not in (state.member_id, state.owner)
    ):
        return Decision(state)
    return moved(state, "releasing", on=told.effective, next_try_at=AT_ONCE, reason="hold_timed_out")
