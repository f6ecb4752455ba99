"""A quote promises a price for a while, to a member who may buy: the price cannot change between the view and the order."""

from collections.abc import Mapping
from datetime import date

from tenure.contracts.decision import Decision, RefusedError
from tenure.contracts.event import Event
from tenure.contracts.programme import Programme, TierRules, Versions
from tenure.contracts.programme.catalogue import Item
from tenure.contracts.programme.order import reaches
from tenure.contracts.tier import NO_TIER

from mall.commands import MakeQuote, SweepQuotes
from mall.states import Member, Person, Quote, QuoteMade, QuotesSwept

Asking = tuple[Member | None, Person]


def on_quote(state: Asking, event: Event, programme: Programme) -> Decision[Asking]:
    """Quote the price of the day. Refuses member_merged, unknown_sku, tier_too_low, limit_reached."""
    asked: MakeQuote = event.data
    catalogue = programme.catalogue.at(asked.on)
    item = catalogue.by_sku.get(asked.sku)
    if item is None:
        raise RefusedError("unknown_sku", "the catalogue of the day has no such item")
    member, person = state[0] or Member(member_id=asked.member_id), state[1]
    must_be_still_used(person)
    if not may_have(item, member.tier_on(asked.on), programme.tiers, asked.on):
        raise RefusedError("tier_too_low", f"from tier {item.tier_min} on")
    must_be_within_limit(item, member, person, asked.quantity, day=asked.on)
    quote = Quote(
        quote_id=asked.quote_id,
        member_id=asked.member_id,
        sku=item.sku,
        kind=item.kind,
        quantity=asked.quantity,
        points=item.points_on(asked.on) * asked.quantity,
        cash_fen=item.cash_fen * asked.quantity,
        catalogue_version=catalogue.version,
        quoted_on=asked.on,
        valid_until=asked.valid_until,
    )
    return Decision(state, rows=(QuoteMade(quote),), reply=quote)


def on_sweep(state: tuple[()], event: Event, programme: Programme) -> Decision[tuple[()]]:  # noqa: ARG001
    """Forget quotes that nobody can use any more."""
    asked: SweepQuotes = event.data
    return Decision(state, rows=(QuotesSwept(asked.before),))


def may_have(item: Item, tier: str, tiers: Versions[TierRules], day: date) -> bool:
    """Whether a tier is high enough. A `tier_min` the tier rules do not know admits nobody; "none" admits everyone."""
    if item.tier_min == NO_TIER:
        return True
    return reaches(tiers, tier, item.tier_min, day)


def window_of(item: Item, day: date) -> str | None:
    """The key under which units count against the item's limit: the month, of which longer periods are made; None without one."""
    return None if item.limit_per_member is None else f"{item.sku} {day:%Y-%m}"


def must_be_still_used(person: Person) -> None:
    """Refuses member_merged: the points of a number given up are with its survivor."""
    if person.goes_by != person.member_id:
        raise RefusedError("member_merged", "this number became another; use that one")


def must_be_within_limit(item: Item, member: Member, person: Person, quantity: int, *, day: date) -> None:
    """Whatever number of theirs a person ordered under. Refuses limit_reached."""
    if item.limit_per_member is None:
        return
    taken = sum(_taken_of(item, of, day) for of in (member.taken, person.beside))
    if taken + quantity > item.limit_per_member:
        period = "" if item.limit_period == "ever" else f" and {item.limit_period}"
        raise RefusedError("limit_reached", f"at most {item.limit_per_member} per member{period}, {taken} taken so far")


def _taken_of(item: Item, taken: Mapping[str, int], day: date) -> int:
    """Units of the item's period that the day is in, whichever period was the limit's when they were taken."""
    windows = ((window.rpartition(" "), units) for window, units in taken.items())
    months = item.limit_months(day)
    return sum(units for (sku, _, window), units in windows if sku == item.sku and window.startswith(months))
