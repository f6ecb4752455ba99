"""Points about to expire: decided at midnight, told in the morning, and some may be spent by then.

The invariant: a message that waits says how many of those points are left. What expires first is spent first, and comes back last.
"""

from typing import Final

from msgspec.structs import replace
from tenure.contracts.decision import Decision
from tenure.contracts.event import Event
from tenure.contracts.programme import Programme

from notifier.rules.asking import Draft, ask, member_of
from notifier.rules.member import Member, Pending, with_pending

EXPIRING_POINTS: Final = "points_expiring"
Decided = Decision[Member]


def on_points_expiring(state: Member | None, event: Event, programme: Programme) -> Decided:
    data = event.data
    day = data.expires_on.isoformat()
    params = {"points": data.amount, "of": data.amount, "expires_on": day}
    draft = Draft(EXPIRING_POINTS, f"{data.wallet}:{day}", params)
    return ask(member_of(state, event), event, programme, draft)


def on_points_held(state: Member | None, event: Event, _: Programme) -> Decided:
    """Spent, as far as anybody knows by the morning."""
    return _moved(member_of(state, event), event, spent=event.data.amount)


def on_points_back(state: Member | None, event: Event, _: Programme) -> Decided:
    """Not spent after all, or given back to the lots they came from."""
    return _moved(member_of(state, event), event, spent=-event.data.amount)


def together(own: Pending, other: Pending) -> dict[str, str | int]:
    """The params of two that become one: of points that expire on one day, the sum of both."""
    if own.template != EXPIRING_POINTS:
        return own.params
    left, whole = (sum(int(p.params.get(n, p.params["points"])) for p in (own, other)) for n in ("points", "of"))
    return {**own.params, "points": left, "of": whole}


def is_nothing_left(pending: Pending) -> bool:
    return pending.template == EXPIRING_POINTS and pending.params["points"] == 0


def _moved(member: Member, event: Event, *, spent: int) -> Decided:
    of_wallet = f"{event.data.wallet}:"
    waiting = [p for p in member.book.pending if _waits(p, event) and p.subject.startswith(of_wallet)]
    left = {}
    for message in sorted(waiting, key=lambda p: p.subject, reverse=spent < 0):
        points, whole = int(message.params["points"]), int(message.params.get("of", message.params["points"]))
        left[message.subject] = min(whole, max(0, points - spent))
        spent -= points - left[message.subject]
    if not left:
        return Decision(member)
    return Decision(with_pending(member, (_with_left(p, left) for p in member.book.pending)))


def _waits(pending: Pending, event: Event) -> bool:
    return pending.template == EXPIRING_POINTS and event.time < pending.send_at


def _with_left(pending: Pending, left: dict[str, int]) -> Pending:
    if pending.template != EXPIRING_POINTS or pending.subject not in left:
        return pending
    return replace(pending, params={**pending.params, "points": left[pending.subject]})
