"""The catalogue changes at midnight: what was quoted keeps its name, and a shelf is looked after before and after it is on sale."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from mall.api.views import show_order
from mall.commands import AdjustStock, LoadCodes, MakeQuote, PlaceOrder
from mall.rules import orders, quotes, shelves
from mall.states import Code, Member, Order, Person, Shelf
from msgspec.structs import replace
from tenure.contracts.decision import RefusedError
from tenure.contracts.event import Event
from tenure.contracts.programme import Programme, Versions
from tenure.contracts.tier import Step

FROM = date(2026, 4, 1)
LATER = datetime(2999, 1, 1, tzinfo=UTC)
SILVER = Member(member_id="M-1", timeline=(Step(effective=date(2020, 1, 1), tier="silver", cause="first_cover"),))


@pytest.fixture
def changing(rules: Programme) -> Programme:
    """From April on there is no smoke alarm any more, the coffee is another one, and tea comes in."""
    first = rules.catalogue.newest
    coffee = replace(first.by_sku["coffee-voucher-30"], title_en="Two coffees")
    tea = replace(coffee, sku="tea-voucher", title_en="Tea voucher")
    second = replace(first, version=2, effective=FROM, items=(coffee, tea))
    return Programme(**{**vars(rules), "catalogue": Versions([first, second])})


def on(day: date, data: Any) -> Event:
    time = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return Event(id="e-1", source="test", type=type(data).__name__, key=data.sku, time=time, data=data)


@pytest.mark.parametrize(
    ("sku", "version", "title"),
    [
        ("coffee-voucher-30", 1, "Coffee voucher, CNY 30"),
        ("smoke-alarm", 1, "Stand-alone smoke alarm"),
        ("coffee-voucher-30", 2, "Two coffees"),
    ],
)
def test_an_order_bears_the_name_it_was_quoted_under(changing: Programme, sku: str, version: int, title: str) -> None:
    order = Order(
        order_id="O-1",
        member_id="M-1",
        sku=sku,
        kind="code",
        quantity=1,
        points=2800,
        cash_fen=0,
        catalogue_version=version,
        status="fulfilled",
        placed_on=FROM,  # ordered after midnight on a quote of before
        next_try_at=None,
        give_up_at=datetime(2026, 4, 1, tzinfo=UTC),
    )
    assert show_order(order, changing).title_en == title


@pytest.mark.parametrize("day", [date(2026, 3, 31), FROM])
def test_a_shelf_is_stocked_before_its_day_and_emptied_after_it(changing: Programme, day: date) -> None:
    taken = AdjustStock(sku="smoke-alarm", delta=-3, reason="sent back", by="op-1")
    assert (
        shelves.on_adjust(Shelf(sku="smoke-alarm", stocked=5, available=5), on(day, taken), changing).state.stocked == 2
    )
    loaded = LoadCodes(sku="tea-voucher", codes=("T-1",), by="op-1")
    state: tuple[Any, ...] = (None, None)
    assert shelves.on_load(state, on(day, loaded), changing).state == (
        Shelf(sku="tea-voucher", stocked=1, available=1),
        Code(sku="tea-voucher", code="T-1"),
    )
    with pytest.raises(RefusedError, match="unknown_sku"):
        shelves.on_adjust(None, on(day, replace(taken, sku="nothing", delta=1)), changing)


@pytest.mark.parametrize(
    ("before", "after", "taken_on", "more"),
    [
        ("month", "year", date(2026, 3, 31), False),  # of the same year
        ("month", "year", date(2025, 12, 31), True),
        ("ever", "year", date(2026, 1, 2), False),
        ("ever", "month", date(2026, 1, 2), True),
        ("year", "month", date(2026, 3, 31), True),  # of the month before
        ("year", "ever", date(2025, 5, 5), False),
    ],
)
def test_a_limit_whose_period_changes_goes_on_counting_what_was_taken(
    rules: Programme, before: Any, after: Any, taken_on: date, more: bool
) -> None:
    first = rules.catalogue.newest
    alarm = replace(first.by_sku["smoke-alarm"], limit_per_member=1)
    versions = [
        replace(first, items=(replace(alarm, limit_period=before),)),
        replace(first, version=2, effective=FROM, items=(replace(alarm, limit_period=after),)),
    ]
    programme = Programme(**{**vars(rules), "catalogue": Versions(versions)})
    person = Person(member_id="M-1", goes_by="M-1", numbers=("M-1",))
    member, shelf, _, _ = buy(programme, (SILVER, Shelf(sku=alarm.sku, stocked=9, available=9), None, person), taken_on)
    again = (member, shelf, None, person)
    if more:
        assert buy(programme, again, FROM)[2].status == "placed"
    else:
        with pytest.raises(RefusedError, match="limit_reached"):
            buy(programme, again, FROM)


def buy(programme: Programme, state: Any, day: date) -> Any:
    """One smoke alarm is quoted and ordered."""
    now = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    ask = MakeQuote(member_id="M-1", quote_id="Q-1", sku="smoke-alarm", quantity=1, on=day, valid_until=LATER)
    (made,) = quotes.on_quote((state[0], state[3]), on(day, ask), programme).rows
    order = PlaceOrder(order_id="O-1", quote=made.quote, on=day, at=now, next_try_at=now, give_up_at=now)
    return orders.on_order(state, replace(on(day, ask), data=order), programme).state
