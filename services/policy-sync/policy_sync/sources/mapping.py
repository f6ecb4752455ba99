"""Declared sources: one YAML file says how the rows of a file become facts (`programme/sources/<name>.yaml`).

The invariant: a declaration that was taken can be applied to any row; what is wrong with it is said when it is read, with the
place. Units are never guessed: a field in fen says whether its column holds yuan or fen.
"""

import datetime as dt
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import yaml
from tenure.contracts import core
from tenure.contracts.event import Data
from tenure.contracts.topics import TYPES

FILE_BYTES_MAX: Final = 262_144
FACTS_A_ROW_MAX: Final = 20
Kind = Literal["text", "integer", "date", "time", "yuan", "fen", "boolean"]
Format = Literal["csv", "ndjson", "parquet"]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,63}$")]


class SourceError(Exception):
    """A declaration cannot be used; the message names the file and the place."""


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a value comes from: a `column`, a `constant`, or a `text` with columns in braces (`P-{ID}`).

    `as` names the unit or kind where the field's own type does not; `format` is a date's (strptime); `codes` names a table of
    codes; `empty: omit` leaves the field out where the cell is empty.
    """

    column: str | None = None
    constant: str | int | bool | None = None
    text: str | None = None
    kind: Kind | None = msgspec.field(default=None, name="as")
    format: str | None = None
    codes: str | None = None
    empty: Literal["refuse", "omit"] = "refuse"


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row gives this fact only if the column holds one of these, or (`present`) anything or nothing."""

    column: str
    among: tuple[str, ...] = msgspec.field(default=(), name="in")
    present: bool | None = None


class DeclaredFact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fact of a row. `id` must name what makes it one: the same row gives the same id for ever."""

    type: str
    id: str
    recorded: str | Field
    fields: Mapping[str, str | Field]
    when: tuple[When, ...] = ()


class Csv(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    separator: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = ","
    encoding: Literal["utf-8", "utf-8-sig", "gb18030", "latin-1"] = "utf-8-sig"


class Declaration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole source. `dates` is the format of every date that names none of its own; default 2026-03-01."""

    source: Annotated[str, msgspec.Meta(pattern=r"^/[a-z0-9/_.-]{1,200}$")]
    format: Format = "csv"
    csv: Csv = Csv()
    dates: str = "%Y-%m-%d"
    codes: Mapping[str, Mapping[str, str]] = {}
    facts: Annotated[tuple[DeclaredFact, ...], msgspec.Meta(min_length=1, max_length=FACTS_A_ROW_MAX)]


def declared(folder: Path, name: str) -> str:
    """The text of a declaration. Raises SourceError."""
    path = folder / "sources" / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in (folder / "sources").glob("*.yaml"))) or "none"
        raise SourceError(f"no source {name!r} is declared in programme/sources; there are: {known}")
    if path.stat().st_size > FILE_BYTES_MAX:
        raise SourceError(f"{path.name} is larger than {FILE_BYTES_MAX} bytes")
    return path.read_text(encoding="utf-8")


def parse(text: str, name: str) -> Declaration:
    """The declaration in a text. Raises SourceError with the place."""
    try:
        found = msgspec.convert(yaml.safe_load(text), Declaration)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise SourceError(f"{name}.yaml: {error}") from None
    for number, fact in enumerate(found.facts):
        for fault in _faults(found, fact):
            raise SourceError(f"{name}.yaml: facts[{number}] ({fact.type}): {fault}")
    return found


COLUMN: Final = re.compile(r"\{([^{}]+)\}")
"""A column in a text: `P-{ID}`."""


def columns_of(declaration: Declaration) -> frozenset[str]:
    """Every column that any of its facts names."""
    found = set[str]()
    for fact in declaration.facts:
        found |= {one.column for one in fact.when}
        found |= {*COLUMN.findall(fact.id), as_field(fact.recorded).column or ""}
        for one in map(as_field, fact.fields.values()):
            found |= {one.column or "", *COLUMN.findall(one.text or "")}
    return frozenset(found - {""})


def contract_of(fact: DeclaredFact) -> type[Data] | None:
    """The type a declared fact makes; None if the core has none of that name."""
    cls = TYPES.get(fact.type)
    return cls if cls is not None and issubclass(cls, (core.PolicyFact, core.CustomerFact)) else None


def kind_of(name: str, annotation: Any) -> Kind:
    """What a contract's field holds. Amounts are not told by their type: they must be declared."""
    parts = [a for a in _parts(annotation) if a is not type(None)]
    if dt.date in parts:
        return "date"
    if bool in parts:
        return "boolean"
    if int in parts:
        return "fen" if name.endswith("_fen") else "integer"
    return "text"


def _parts(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) is Annotated:
        return _parts(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [part for arg in typing.get_args(annotation) for part in _parts(arg)]
    return [annotation]


def _faults(declaration: Declaration, fact: DeclaredFact) -> typing.Iterator[str]:
    cls = contract_of(fact)
    if cls is None:
        yield "the core has no fact of this type"
        return
    hints = typing.get_type_hints(cls, include_extras=True)
    yield from (f"{cls.__name__} has no field {name}" for name in fact.fields if name not in hints)
    needed = [f.name for f in msgspec.structs.fields(cls) if f.required]
    yield from (f"the field {name} is not declared" for name in needed if name not in fact.fields)
    if "{" not in fact.id:
        yield "its id names no column, so every row would be one and the same fact"
    for name, one in fact.fields.items():
        yield from _faults_of_field(declaration, name, as_field(one), hints.get(name))
    if (as_field(fact.recorded).kind or "date") not in ("date", "time"):
        yield "recorded must be a date or a time"


def _faults_of_field(declaration: Declaration, name: str, one: Field, hint: Any) -> typing.Iterator[str]:
    ways = [way for way in (one.column, one.constant, one.text) if way is not None]
    if len(ways) != 1:
        yield f"{name}: say one of column, constant and text"
    if name.endswith("_fen") and one.kind not in ("yuan", "fen"):
        yield f"{name}: say `as: yuan` or `as: fen`"
    if one.codes is not None and one.codes not in declaration.codes:
        yield f"{name}: there is no table of codes {one.codes}"
    kind = kind_of(name, hint)
    if one.kind is not None and kind in ("date", "boolean") and one.kind != kind:
        yield f"{name}: is a {kind}, not {one.kind}"


def as_field(one: str | Field) -> Field:
    """A bare word is a column."""
    return Field(column=one) if isinstance(one, str) else one
