"""Adjustments from a CSV file: read whole, tried on the accounts as they stand, and taken whole or not at all.

The invariant: a dry run and the real run judge by the same rules, one row after the other, so that two rows for one member see one
another; a dry run changes nothing.
"""

import csv
import io
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from pydantic import ValidationError
from tenure.contracts.event import Event, WrongEventError
from tenure.edge.problems import Problem
from tenure.edge.validation import field_errors

from points_ledger.bodies import AdjustmentIn

ROWS_MAX: Final = 500
DIGITS_MAX: Final = 12
"""No member has more points."""
NEEDED: Final = frozenset({"member_id", "points", "reason", "ticket"})
KNOWN: Final = NEEDED | {"wallet", "purpose"}


class Row(msgspec.Struct, frozen=True):
    """What became of a row, or would: its adjustment, or why it is refused. Row 2 is the first below the head."""

    row: int
    member_id: str
    points: int
    adjustment_id: str | None = None
    code: str = ""
    detail: str = ""


class FileAnswer(msgspec.Struct, frozen=True):
    """`taken` tells whether the rows now wait for a second person. One row refused, and none is taken."""

    batch: str
    dry_run: bool
    taken: bool
    rows: list[Row]
    refused: int
    points_in: int
    points_out: int


def read(body: bytes) -> list[AdjustmentIn | Row]:
    """The rows, each as an adjustment or as what is wrong with it. Raises Problem file_refused."""
    try:
        text = body.decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text), strict=True)
        names = reader.fieldnames or ()
        head = set(names)
        if not head >= NEEDED or not head <= KNOWN or len(head) < len(names):
            needed = ", ".join(sorted(NEEDED))
            raise Problem("file_refused", f"the head names {needed}, and may name wallet and purpose, each once")
        rows = [_row(n, row) for n, row in enumerate(reader, 2)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Problem("file_refused", f"this is no CSV in UTF-8 ({type(error).__name__})") from None
    if not 1 <= len(rows) <= ROWS_MAX:
        raise Problem("file_refused", f"a file has 1 to {ROWS_MAX} rows")
    return rows


def _row(n: int, row: dict[str | None, Any]) -> AdjustmentIn | Row:
    member_id = str(row.get("member_id") or "")
    if None in row or None in row.values():
        return Row(n, member_id, 0, code="validation_failed", detail="this row has not as many cells as the head")
    try:
        given = {str(name): cell.strip() for name, cell in row.items() if cell.strip()}
        points = _whole(given.get("points", "0"))
        return AdjustmentIn.model_validate(given | {"points": points})
    except ValueError as error:
        detail = f"points must be a whole number of at most {DIGITS_MAX} digits"
        if isinstance(error, ValidationError):
            found = field_errors([{**e, "loc": ("body", *e["loc"])} for e in error.errors()], given)
            detail = "; ".join(f"{one.pointer.removeprefix('#/')}: {one.message}" for one in found)
        return Row(n, member_id, 0, code="validation_failed", detail=detail)


def _whole(text: str) -> int:
    """Raises ValueError for 1.5, 1e3, and whatever else is no plain whole number."""
    if not text.lstrip("+-").isascii() or not text.lstrip("+-").isdigit() or len(text) > DIGITS_MAX:
        raise ValueError(text)
    return int(text)


def tried(
    service: Any, programme: Any, states: dict[str, Any], events: Sequence[Event]
) -> list[WrongEventError | None]:
    """What the rules would say to each event, after those before it. The states given are not changed."""
    after, wrong = dict(states), list[WrongEventError | None]()
    for event in events:
        try:
            after[event.key] = service.decide(after.get(event.key), event, programme).state
            wrong.append(None)
        except WrongEventError as error:
            wrong.append(error)
    return wrong
