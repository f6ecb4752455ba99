"""What stands on the shelves: a first stock given once, codes loaded without duplicates, counts corrected with a reason."""

from typing import Any, Final

from msgspec.structs import replace
from tenure.contracts.decision import Decision, RefusedError
from tenure.contracts.event import Event
from tenure.contracts.programme import Programme
from tenure.contracts.programme.catalogue import ItemKind

from mall.commands import AdjustStock, LoadCodes, OpenCodeShelf, OpenShelf
from mall.limits import SHELF_UNITS_MAX
from mall.states import Code, Restocked, Shelf

FIRST: Final = "first_stock"


def on_open(state: Shelf | None, event: Event, programme: Programme) -> Decision[Shelf]:  # noqa: ARG001
    """The catalogue's first stock of a counted SKU. A shelf that was opened before stays as it is."""
    asked: OpenShelf = event.data
    shelf = state or Shelf(sku=asked.sku)
    if shelf.opened:
        return Decision(shelf)
    return _restocked(replace(shelf, opened=True), asked.units, FIRST, by=asked.by)


def on_open_codes(state: tuple[Any, ...], event: Event, programme: Programme) -> Decision[tuple[Any, ...]]:  # noqa: ARG001
    """The same for a SKU of codes."""
    asked: OpenCodeShelf = event.data
    shelf: Shelf = state[0] or Shelf(sku=asked.sku)
    if shelf.opened:
        return Decision(state)
    return _loaded(replace(shelf, opened=True), state[1:], asked.codes, reason=FIRST, by=asked.by)


def on_load(state: tuple[Any, ...], event: Event, programme: Programme) -> Decision[tuple[Any, ...]]:
    """Codes bought from a supplier; those we have already are left alone. Refuses unknown_sku, not_a_code."""
    asked: LoadCodes = event.data
    if _kind(asked.sku, programme) != "code":
        raise RefusedError("not_a_code", "the stock of this item is a count")
    return _loaded(state[0] or Shelf(sku=asked.sku), state[1:], asked.codes, reason="codes_loaded", by=asked.by)


def on_adjust(state: Shelf | None, event: Event, programme: Programme) -> Decision[Shelf]:
    """More units, or fewer. Refuses unknown_sku, stock_is_codes, stock_below_zero, stock_too_high."""
    asked: AdjustStock = event.data
    if _kind(asked.sku, programme) == "code":
        raise RefusedError("stock_is_codes", "load codes instead")
    shelf = state or Shelf(sku=asked.sku)
    if shelf.available + asked.delta < 0:
        raise RefusedError("stock_below_zero", f"only {shelf.available} units are on the shelf")
    if asked.delta > 0 and shelf.stocked + asked.delta > SHELF_UNITS_MAX:
        raise RefusedError("stock_too_high", f"{shelf.stocked} of at most {SHELF_UNITS_MAX} units were stocked")
    return _restocked(shelf, asked.delta, asked.reason, by=asked.by)


def _loaded(
    shelf: Shelf, known: tuple[Code | None, ...], codes: tuple[str, ...], *, reason: str, by: str
) -> Decision[Any]:
    """The shelf with the codes that are new; each code is a state of its own, so that a known one is seen to be known."""
    after = tuple(old or Code(sku=shelf.sku, code=code) for old, code in zip(known, codes, strict=True))
    new = sum(old is None for old in known)
    full = _restocked(shelf, new, reason, by=by)
    reply = {"sku": shelf.sku, "loaded": new, "duplicates": len(codes) - new, "available": full.state.available}
    return Decision((full.state, *after), rows=full.rows, reply=reply)


def _restocked(shelf: Shelf, units: int, reason: str, *, by: str) -> Decision[Shelf]:
    if not units:
        return Decision(shelf, reply=shelf)
    after = replace(shelf, stocked=shelf.stocked + units, available=shelf.available + units)
    return Decision(after, rows=(Restocked(shelf.sku, units, reason, by),), reply=after)


def _kind(sku: str, programme: Programme) -> ItemKind:
    """Of a SKU that is on sale, will be, or was: what is to come is stocked before its day, what is left over is taken off."""
    known = (version.by_sku.get(sku) for version in reversed(programme.catalogue.all))
    item = next((found for found in known if found is not None), None)
    if item is None:
        raise RefusedError("unknown_sku", "no version of the catalogue has such an item")
    return item.kind
