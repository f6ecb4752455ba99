"""What stands on the shelves: a first stock given once, codes loaded without duplicates, counts corrected with a reason."""

from typing import Any

from msgspec.structs import replace
from tenure.contracts.decision import Decision, RefusedError
from tenure.contracts.event import Event
from tenure.contracts.programme import Programme
from tenure.contracts.programme.catalogue import ItemKind

from mall.commands import AdjustStock, LoadCodes, OpenShelf
from mall.states import Code, Restocked, Shelf


def on_open(state: tuple[Any, ...], event: Event, programme: Programme) -> Decision[tuple[Any, ...]]:  # noqa: ARG001
    """The catalogue's first stock of a SKU. A shelf that was opened before stays as it is."""
    asked: OpenShelf = event.data
    shelf: Shelf = state[0] or Shelf(sku=asked.sku)
    if shelf.opened:
        return Decision(state)
    return _stocked(
        replace(shelf, opened=True), state[1:], asked.codes, units=asked.units, row=("first_stock", asked.by)
    )


def on_load(state: tuple[Any, ...], event: Event, programme: Programme) -> Decision[tuple[Any, ...]]:
    """Codes bought from a supplier; those we have already are left alone. Refuses unknown_sku, not_a_code."""
    asked: LoadCodes = event.data
    if _kind(asked.sku, event, programme) != "code":
        raise RefusedError("not_a_code", "the stock of this item is a count")
    return _stocked(state[0] or Shelf(sku=asked.sku), state[1:], asked.codes, units=0, row=("codes_loaded", asked.by))


def on_adjust(state: Shelf | None, event: Event, programme: Programme) -> Decision[Shelf]:
    """More units, or fewer. Refuses unknown_sku, stock_is_codes, stock_below_zero."""
    asked: AdjustStock = event.data
    if _kind(asked.sku, event, programme) == "code":
        raise RefusedError("stock_is_codes", "load codes instead")
    shelf = state or Shelf(sku=asked.sku)
    if shelf.available + asked.delta < 0:
        raise RefusedError("stock_below_zero", f"only {shelf.available} units are on the shelf")
    after = replace(shelf, stocked=shelf.stocked + asked.delta, available=shelf.available + asked.delta)
    row = Restocked(asked.sku, asked.delta, asked.reason, asked.by)
    return Decision(after, rows=(row,), reply=after)


def _stocked(
    shelf: Shelf, known: tuple[Code | None, ...], codes: tuple[str, ...], *, units: int, row: tuple[str, str]
) -> Decision[Any]:
    """The shelf with its new units; each code is a state of its own, so that a known one is seen to be known."""
    after = tuple(old or Code(sku=shelf.sku, code=code) for old, code in zip(known, codes, strict=True))
    new = sum(old is None for old in known)
    more = units + new
    full = replace(shelf, stocked=shelf.stocked + more, available=shelf.available + more) if more else shelf
    reply = {"sku": shelf.sku, "loaded": new, "duplicates": len(codes) - new, "available": full.available}
    rows = (Restocked(shelf.sku, more, *row),) if more else ()
    return Decision((full, *after), rows=rows, reply=reply)


def _kind(sku: str, event: Event, programme: Programme) -> ItemKind:
    item = programme.catalogue.at(event.day).by_sku.get(sku)
    if item is None:
        raise RefusedError("unknown_sku", "the catalogue of the day has no such item")
    return item.kind
