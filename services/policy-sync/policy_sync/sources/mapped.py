"""A declaration at work: each row becomes its facts, or what is wrong with it, column by column.

The invariant: a row gives all its facts or none; the same row gives the same facts under the same ids. Whatever can be decided
without a row is decided once, when the declaration is compiled.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from tenure.calendar import local_date
from tenure.contracts.event import Data, Event
from tenure.contracts.keys import key_of
from tenure.contracts.topics import TYPE_OF
from tenure.spine.codec import ID_CHARS_MAX

from policy_sync.sources import values
from policy_sync.sources.mapping import (
    COLUMN,
    Declaration,
    DeclaredFact,
    Field,
    Kind,
    When,
    as_field,
    contract_of,
    kind_of,
)
from policy_sync.sources.rows import Numbered, Row
from policy_sync.sources.values import CellError, Reader

_OMIT: Final = object()
Take = Callable[[Row], Any]
T = TypeVar("T")


class Finding(msgspec.Struct, frozen=True):
    """What is wrong with a row: the column (or the fact) it is about, a stable code, and words that say what would do."""

    row: int
    place: str
    code: str
    detail: str


class Mapped(NamedTuple):
    """A row's facts, or why it has none. `order` grows from one to the next, where rows are not told in the file's order."""

    row: int
    events: tuple[Event, ...]
    wrong: tuple[Finding, ...] = ()
    order: int = 0

    @property
    def position(self) -> int:
        """How far the file was read with it: more than 0, and more than with the one before."""
        return self.order or self.row


class _Fact(NamedTuple):
    cls: type[Data]
    id: Take
    recorded: Take
    fields: tuple[tuple[str, Take], ...]
    is_meant: Callable[[Row], bool]


class Mapper:
    """Applies one declaration. `live_from`: facts recorded before that day are history; None: all are."""

    def __init__(self, declaration: Declaration, *, live_from: date | None) -> None:
        self.source, self.live_from = declaration.source, live_from
        self._facts = tuple(_compiled(declaration, fact) for fact in declaration.facts)

    def apply(self, rows: Iterable[Numbered]) -> Iterator[Mapped]:
        for row in rows:
            yield self._mapped(row)

    def _mapped(self, row: Numbered) -> Mapped:
        if row.cells is None:
            return Mapped(row.number, (), (Finding(row.number, "", "malformed_row", row.wrong),))
        cells, wrong = row.cells, list[Finding]()
        meant = (fact for fact in self._facts if fact.is_meant(cells))
        events = [self._event(fact, row.number, cells, wrong) for fact in meant]
        if wrong:
            return Mapped(row.number, (), tuple(wrong))
        return Mapped(row.number, tuple(e for e in events if e is not None))

    def _event(self, fact: _Fact, row: int, cells: Row, wrong: list[Finding]) -> Event | None:
        found = {name: _taken(take, cells, row, name, wrong) for name, take in fact.fields}
        id_ = _taken(fact.id, cells, row, "id", wrong)
        recorded: datetime | None = _taken(fact.recorded, cells, row, "recorded", wrong)
        if any(value is None for value in found.values()) or id_ is None or recorded is None:
            return None
        try:
            data: Data = msgspec.convert({k: v for k, v in found.items() if v is not _OMIT}, fact.cls)
        except msgspec.ValidationError as error:
            wrong.append(Finding(row, fact.cls.__name__, "malformed", str(error)))
            return None
        return Event(
            id=id_,
            source=self.source,
            type=TYPE_OF[fact.cls],
            key=key_of(data),
            time=recorded,
            data=data,
            backfill=self.live_from is None or local_date(recorded) < self.live_from,
        )


def _taken(take: Take, cells: Row, row: int, place: str, wrong: list[Finding]) -> Any:
    """A value, or None and one finding more."""
    try:
        return take(cells)
    except CellError as error:
        wrong.append(Finding(row, place, error.code, str(error)))
    except KeyError as missing:
        wrong.append(Finding(row, place, "missing_column", f"the row has no column {missing.args[0]}"))
    return None


def _compiled(declaration: Declaration, fact: DeclaredFact) -> _Fact:
    cls = contract_of(fact)
    assert cls is not None
    hints = {f.name: f.type for f in msgspec.structs.fields(cls)}
    return _Fact(
        cls,
        _id(fact.id),
        _recorded(declaration, as_field(fact.recorded)),
        tuple((name, _field(declaration, name, as_field(one), hints[name])) for name, one in fact.fields.items()),
        _meant(fact.when),
    )


def _field(declaration: Declaration, name: str, field: Field, hint: Any) -> Take:
    if field.constant is not None:
        constant = field.constant
        return lambda _: constant
    if field.text is not None:
        return _text(field.text)
    kind: Kind = field.kind or kind_of(name, hint)
    reader = (
        values.coded(declaration.codes[field.codes], field.codes) if field.codes else _reader(kind, declaration, field)
    )
    return _cell(field.column or "", reader, is_omitted=field.empty == "omit")


def _reader(kind: Kind, declaration: Declaration, field: Field) -> Reader:
    form = field.format or declaration.dates
    match kind:
        case "date":
            return values.day_as(form)
        case "time":
            return values.moment_as(form, is_day=False)
        case "yuan":
            return values.fen_of_yuan
        case "integer" | "fen":
            return values.integer
        case "boolean":
            return values.boolean
        case "text":
            return values.text


def _recorded(declaration: Declaration, field: Field) -> Take:
    """When the core recorded it: an instant, or the day's 09:00."""
    form = field.format or declaration.dates
    reader = values.moment_as(form, is_day=(field.kind or "date") == "date")
    return _cell(field.column or "", reader, is_omitted=False)


def _cell(column: str, reader: Reader, *, is_omitted: bool) -> Take:
    def take(cells: Row) -> Any:
        cell = cells[column]
        if not values.is_empty(cell):
            try:
                return reader(cell)
            except CellError as error:
                raise CellError(error.code, f"{column}: {error}") from None
        if is_omitted:
            return _OMIT
        raise CellError("empty", f"{column}: the cell is empty")

    return take


def _id(template: str) -> Take:
    take = _text(template)

    def bounded(cells: Row) -> str:
        made: str = take(cells)
        if len(made) > ID_CHARS_MAX:
            raise CellError("id_too_long", f"the fact's id has {len(made)} characters, at most {ID_CHARS_MAX}")
        return made

    return bounded


def _text(template: str) -> Take:
    """`P-{ID}`: the words between the braces are columns."""
    parts = COLUMN.split(template)
    words, columns = parts[::2], parts[1::2]

    def take(cells: Row) -> str:
        out = [words[0]]
        for column, word in zip(columns, words[1:], strict=True):
            cell = cells[column]
            if values.is_empty(cell):
                raise CellError("empty", f"{column}: the cell is empty")
            out += (values.text(cell), word)
        return "".join(out)

    return take


def _meant(conditions: tuple[When, ...]) -> Callable[[Row], bool]:
    def is_meant(cells: Row) -> bool:
        return all(_holds(one, cells.get(one.column)) for one in conditions)

    return is_meant


def _holds(one: When, cell: object) -> bool:
    if one.present is not None and values.is_empty(cell) == one.present:
        return False
    return not one.among or values.text(cell) in one.among
