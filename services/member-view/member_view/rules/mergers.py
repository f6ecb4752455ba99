"""Two ids turn out to be one person: what no other service tells anew goes to the member who remains.

Tier and benefits are told again by their own services. Balances, policies, claims and orders are not, so they move here; what was
on its way under the old id follows when it arrives (`HandOver`), so the order of topics does not matter.
"""

from typing import Any

from msgspec.structs import replace
from tenure.contracts.decision import Decision
from tenure.contracts.event import Event
from tenure.contracts.points import Wallet
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged
from tenure.contracts.programme import Programme

from member_view.rules.view import Expiring, Order, Purse, View, blank, settled

Both = tuple[View | None, View | None]


def on_merged(states: Both, event: Event, _: Programme) -> Decision[Any]:
    """`customer.merged`. A second telling finds nothing to move; one that is older than what is known moves nothing. Of two that
    were merged into one another, told without an order, the one that is read last keeps.
    """
    kept = states[0] or View(member_id=event.data.member_id)
    merged = states[1] or View(member_id=event.data.merged_id)
    if merged.member_id == kept.member_id or _is_past(event.data, merged):
        return Decision(states)
    if not event.data.ties_no and kept.merged_into == merged.member_id:
        kept = replace(kept, merged_into=None)
    merged = replace(merged, merged_into=kept.member_id, ties_no=max(event.data.ties_no, merged.ties_no))
    return _moved(kept, merged)


def on_left_over(states: Both, event: Event, _: Programme) -> Decision[Any]:
    """What arrived under an old id, unless that is another's by now, or nobody's."""
    kept, merged = states[0] or View(member_id=event.data.member_id), states[1]
    if merged is None or merged.merged_into != kept.member_id:
        return Decision(states)
    return _moved(kept, merged)


def _is_past(told: CustomerMerged | CustomerUnmerged, merged: View) -> bool:
    """Told before what is known of whose the number is, or the same told again; 0 is told without an order."""
    return 0 < told.ties_no <= merged.ties_no


def _moved(kept: View, merged: View) -> Decision[Any]:
    emptied = blank(merged)
    if kept.erased:
        return Decision((kept, emptied))
    return Decision((settled(_united(kept, merged)), emptied))


def on_unmerged(states: Both, event: Event, _: Programme) -> Decision[Any]:
    """The old number is a member again: policies, tier and points are told to them anew by their own services; orders go back.

    Told to both: the survivor's copy comes after every merger that it follows, and before any that follows it; the other may not.
    """
    kept, merged = states[0], states[1] or View(member_id=event.data.merged_id)
    if event.key != event.data.survivor_id or _is_past(event.data, merged):
        return Decision(states)
    if not event.data.ties_no and merged.merged_into != event.data.survivor_id:
        return Decision(states)
    merged = replace(merged, merged_into=None, ties_no=event.data.ties_no)
    return Decision(_orders_parted(kept, merged) if kept is not None and not merged.erased else (kept, merged))


def _orders_parted(kept: View, merged: View) -> tuple[View, View]:
    """What came with a number leaves with it, and what had come to that before; what was told of an order since is known there."""
    number = merged.member_id
    theirs = {o.order_id: replace(o, via=o.via[: o.via.index(number)]) for o in kept.orders.values() if number in o.via}
    left = {no: order for no, order in kept.orders.items() if no not in theirs}
    back = replace(merged, orders={**theirs, **merged.orders})
    return replace(kept, orders=left), settled(back)


def _united(kept: View, merged: View) -> View:
    enrolled = [day for day in (kept.enrolled_on, merged.enrolled_on) if day]
    times = [at for at in (kept.updated_at, merged.updated_at) if at]
    terms = {**merged.terms, **{k: t for k, t in kept.terms.items() if _is_newer(t.version, merged, k)}}
    return replace(
        kept,
        lived_to=max(kept.lived_to, merged.lived_to),
        updated_at=max(times, default=None),
        enrolled_on=min(enrolled, default=None),
        purses=_added(kept, merged),
        expiring=_expiring(kept, merged),
        terms=terms,
        claims={**merged.claims, **kept.claims},
        advice={**merged.advice, **kept.advice},
        answers={**merged.answers, **kept.answers},
        orders=_orders(kept, merged),
    )


def _orders(kept: View, merged: View) -> dict[str, Order]:
    """The survivor's telling stands, wherever the order came from; what comes back to where it was has come from there no more."""
    both = {**merged.orders, **kept.orders}
    for no, order in merged.orders.items():
        via = (*order.via, merged.member_id)
        home = via.index(kept.member_id) if kept.member_id in via else len(via)
        both[no] = replace(both[no], via=via[:home])
    return both


def _is_newer(version: int, merged: View, term_id: str) -> bool:
    other = merged.terms.get(term_id)
    return other is None or version >= other.version


def _added(kept: View, merged: View) -> dict[Wallet, Purse]:
    wallets = [*kept.purses, *(w for w in merged.purses if w not in kept.purses)]
    return {w: kept.purses.get(w, Purse()).plus(merged.purses.get(w, Purse())) for w in wallets}


def _expiring(kept: View, merged: View) -> tuple[Expiring, ...]:
    total: dict[tuple[Wallet, Any], int] = {}
    for one in (*kept.expiring, *merged.expiring):
        total[one.wallet, one.expires_on] = total.get((one.wallet, one.expires_on), 0) + one.amount
    return tuple(Expiring(wallet=w, expires_on=day, amount=amount) for (w, day), amount in total.items())
