"""Which states a command or an event touches: members, persons, shelves, orders and codes, each under a key of its own kind."""

from typing import Final

from tenure.contracts.event import Event
from tenure.contracts.points import PointsReleased
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged

from mall.commands import (
    AdjustStock,
    LastStepAnswered,
    LoadCodes,
    MakeQuote,
    OpenCodeShelf,
    OpenShelf,
    OrderCommand,
    PlaceOrder,
    SweepQuotes,
)
from mall.states import Code, Member, Order, Person, Shelf, State

MEMBER: Final = "m/"
PERSON: Final = "p/"
SHELF: Final = "s/"
ORDER: Final = "o/"
CODE: Final = "c/"


def keys(event: Event) -> tuple[str, ...]:  # noqa: PLR0911 - a table
    """Two orders for the last unit meet at its shelf; steps in between touch their order alone."""
    data = event.data
    match data:
        case PlaceOrder():
            number = data.quote.member_id
            return MEMBER + number, SHELF + data.quote.sku, ORDER + data.order_id, PERSON + number
        case LastStepAnswered():
            return ORDER + data.order_id, SHELF + data.sku, MEMBER + data.member_id
        case OrderCommand():
            return (ORDER + data.order_id,)
        case MakeQuote():
            return MEMBER + data.member_id, PERSON + data.member_id
        case PointsReleased():
            return (ORDER + data.hold_id,)
        case OpenCodeShelf() | LoadCodes():
            return SHELF + data.sku, *(f"{CODE}{data.sku}/{code}" for code in data.codes)
        case AdjustStock() | OpenShelf():
            return (SHELF + data.sku,)
        case SweepQuotes():
            return ()
        case CustomerMerged() | CustomerUnmerged():
            return (MEMBER + data.merged_id,)
    return (MEMBER + event.key,)


def key_of(state: State) -> str:
    match state:
        case Member():
            return MEMBER + state.member_id
        case Person():
            return PERSON + state.member_id
        case Shelf():
            return SHELF + state.sku
        case Order():
            return ORDER + state.order_id
        case Code():
            return f"{CODE}{state.sku}/{state.code}"


def code_of(key: str) -> Code:
    """The code a key (without its kind) stands for."""
    sku, _, code = key.partition("/")
    return Code(sku=sku, code=code)
