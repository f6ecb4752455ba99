"""A file of facts looked at before anybody sends it: line by line, what is wrong with it and how to mend that. Needs no platform.

The invariant: what it finds nothing wrong with, an empty platform takes; the same decoder, the same declarations and the same rules
look at it. What only a platform can know (a policy that is there already) it cannot say.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec
from tenure.contracts import core
from tenure.contracts.event import Event, WrongEventError
from tenure.contracts.topics import TOPIC_OF, TYPES
from tenure.spine.codec import StructuredEvent, decode_structured, without_values

from policy_sync import rules
from policy_sync.pushed import check_whole
from policy_sync.rules.gaps import Missing, gaps
from policy_sync.rules.policies import PolicyState
from policy_sync.sources import catalogue
from policy_sync.sources.mapped import Finding, Mapped

MEND: Final[Mapping[str, str]] = MappingProxyType(
    {
        "not_json": "write one JSON object on each line",
        "malformed": "compare the field named with the schema in docs/contracts/schemas",
        "missing_attribute": "give every event an id, a source, a type and data",
        "no_time": "say when the core recorded it, with an offset: order depends on it",
        "unknown_type": "take a type of docs/contracts/schemas, spelt as there",
        "unknown_version": "send version 1, or leave dataschema out",
        "unknown_field": "it is ignored; spell it as in the schema, or leave it out",
        "same_id": "an id is one event for ever: give another event another id",
        "end_before_start": "terms are half-open: the end is the first day without cover",
        "term_overlaps": "end or cancel the other term first, or give this one its own dates",
        "contradicts_known_fact": "a term, instalment or endorsement keeps its number and content; a change is an endorsement",
        "date_out_of_range": "dates lie between 1900 and 2199",
        "merge_into_itself": "name two customers",
        "survivor_merged": "undo the later merger, then this one, then merge again whom it is true of",
        "waits": "send what it stands on, before or after it; until then it has no effect",
        "no_room": "correct its dates, or send what ends the term in its way; until then it has no effect",
    }
)
_KEYS: Final = frozenset(
    {"specversion", "datacontenttype", "dataschema", "subject", *StructuredEvent.__struct_fields__}
)


def validate(path: Path, *, source: str = "", folder: Path | None = None) -> Iterator[Finding]:
    """What is wrong with each row. CloudEvents by default; with a `source`, rows as its declaration in `folder` reads them.

    Raises SourceError, FileError, OSError.
    """
    if source:
        assert folder is not None
        declaration = catalogue.declaration_of(folder, source)
        rows: Iterable[Mapped] = catalogue.read(path, source=source, declaration=declaration)
    else:
        rows = _events(path)
    yield from _judged(rows)


def mend(code: str) -> str:
    """How to mend what a code names."""
    return MEND.get(code, "correct the cell, or the declaration of its column")


def _events(path: Path) -> Iterator[Mapped]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _event(number, line)


def _event(number: int, line: bytes) -> Mapped:
    try:
        structured = msgspec.json.decode(line, type=StructuredEvent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        code = "missing_attribute" if "missing required" in str(error) else "malformed"
        return Mapped(number, (), (Finding(number, "event", code, without_values(error)),))
    if structured.time is None:
        return Mapped(number, (), (Finding(number, structured.type, "no_time", "the event has no time"),))
    if (topic := TOPIC_OF.get(structured.type)) is None or not topic.name.startswith("core."):
        near = difflib.get_close_matches(
            structured.type, [n for n, t in TOPIC_OF.items() if t.name.startswith("core.")], 1
        )
        hint = f"; did you mean {near[0]}?" if near else ""
        return Mapped(
            number, (), (Finding(number, structured.type[:40], "unknown_type", f"no fact of this type{hint}"),)
        )
    try:
        check_whole(line)
        event = decode_structured(structured, received=structured.time)
    except WrongEventError as wrong:
        return Mapped(number, (), (Finding(number, structured.type, wrong.code, wrong.detail),))
    return Mapped(number, (event,), tuple(_misspelt(number, structured, line)))


def _misspelt(number: int, structured: StructuredEvent, line: bytes) -> Iterator[Finding]:
    """Names that the contract does not know are ignored when read, so a slip of the pen would go unnoticed."""
    whole: dict[str, Any] = msgspec.json.decode(line)
    known = [f.name for f in msgspec.structs.fields(TYPES[structured.type])]
    unknown = [*(set(whole["data"]) - set(known)), *(set(whole) - _KEYS)]
    for name in sorted(unknown):
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        yield Finding(number, structured.type, "unknown_field", f"{structured.type} has no field {name[:40]}{hint}")


def _judged(rows: Iterable[Mapped]) -> Iterator[Finding]:
    """Each row's own faults, then what the rules say of its facts, then what is left waiting at the end of the file."""
    book = _Book()
    for row in rows:
        yield from row.wrong
        for event in row.events:
            yield from book.take(row.row, event)
    yield from book.waiting()


class _Book:
    """An empty platform's policies and customers, as this file would leave them."""

    def __init__(self) -> None:
        self._states: dict[str, Any] = {}
        self._rows: dict[tuple[str, str], tuple[int, datetime, object]] = {}

    def take(self, row: int, event: Event) -> Iterator[Finding]:
        name = (event.source, event.id)
        if name in self._rows:
            first, time, data = self._rows[name]
            if (time, data) != (event.time, event.data):
                yield Finding(row, event.type, "same_id", f"the id {event.id} was another event's, in row {first}")
            return
        keys = rules.keys(event)
        states = tuple(self._state(key) for key in keys)
        decide: Any = rules.on_fact if isinstance(event.data, core.PolicyFact) else rules.on_customer
        try:
            decided = decide(states if len(states) > 1 else states[0], event, None)
        except WrongEventError as wrong:
            yield Finding(row, event.type, wrong.code, wrong.detail)
            return
        self._rows[name] = (row, event.time, event.data)
        self._states.update(zip(keys, decided.state if len(states) > 1 else (decided.state,), strict=True))

    def _state(self, key: str) -> Any:
        return self._states.get(key) or rules.blank(key)

    def waiting(self) -> Iterator[Finding]:
        for state in self._states.values():
            if isinstance(state, PolicyState):
                for gap in gaps(state.facts):
                    row, _, _ = self._rows[gap.fact.source, gap.fact.id]
                    code, why = _why(gap.missing)
                    yield Finding(row, type(gap.fact.data).__name__, code, f"{state.policy_no}: {why}")


def _why(missing: Missing) -> tuple[str, str]:
    """Why a fact waits: the code of the finding, and its words."""
    if missing == "room":
        return "no_room", "it would leave a term without days, or give two terms one day"
    return "waits", f"there is no {missing.replace('_', ' ')} for it"
