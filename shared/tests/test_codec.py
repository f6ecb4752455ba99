"""What the spine takes for an event, at the ends of what it takes: over REST, and as a record of the log."""

from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations

import msgspec
import pytest
from tenure.contracts.event import Event, WrongEventError
from tenure.spine.codec import (
    StructuredEvent,
    check_happened,
    decode,
    decode_structured,
    encode,
    event_key,
    latest_of,
    ordering_key,
    type_name,
    without_values,
)

from .toy import grant

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ID = "0190163d-8694-7abc-8def-0123456789ab"
GRANTED = msgspec.json.encode(grant("M-1", 5))


@dataclass(frozen=True)
class Said:
    """The attributes of one event, as its sender gives them."""

    id: str = "e-1"
    source: str = "/core"
    time: str = "2026-01-01T09:00:00+08:00"
    schema: str = ""
    trace: str = ""
    backfill: bool = False

    def over_rest(self) -> Event:
        return decode_structured(
            StructuredEvent(
                id=self.id,
                source=self.source,
                type="points.granted",
                data=msgspec.Raw(GRANTED),
                time=datetime.fromisoformat(self.time),
                dataschema=self.schema,
                traceparent=self.trace,
                backfill=self.backfill,
            ),
            received=NOW,
        )

    def as_record(self) -> Event:
        headers = {"id": self.id, "source": self.source, "time": self.time, "dataschema": self.schema}
        headers |= {"type": "points.granted", "backfill": "true" if self.backfill else "false"}
        named = [
            *((f"ce_{name}", value.encode()) for name, value in headers.items()),
            ("traceparent", self.trace.encode()),
        ]
        return decode(named, GRANTED)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (Said(), None),
        (Said(id="x" * 256), None),
        (Said(id="x" * 257), "missing_attribute"),
        (Said(id=""), "missing_attribute"),
        (Said(source="x" * 256), None),
        (Said(source="x" * 257), "missing_attribute"),
        (Said(source=""), "missing_attribute"),
        (Said(time="2026-01-01T09:00:00"), "malformed"),
        (Said(time="1899-12-31T16:00:00+00:00"), None),  # midnight in Shanghai: 1900 begins
        (Said(time="1898-12-31T23:59:59+08:00"), "date_out_of_range"),
        (Said(time="2200-01-01T05:59:59+14:00"), None),  # still 2199 in Shanghai
        (Said(time="2201-01-01T00:00:00+08:00"), "date_out_of_range"),
        (Said(schema="/schemas/points.granted/1"), None),
        (Said(schema="/schemas/points.granted/1.json"), None),
        (Said(schema="/schemas/points.granted/11.json"), "unknown_version"),
        (Said(schema="/schemas/points.granted/2"), "unknown_version"),
    ],
)  # fmt: skip
def test_an_event_is_judged_alike_over_rest_and_as_a_record(said: Said, code: str | None) -> None:
    for decoded in (said.over_rest, said.as_record):
        with pytest.raises(WrongEventError) if code else nullcontext() as wrong:
            event = decoded()
        if wrong is not None:
            assert wrong.value.code == code
        else:
            assert (event.id, event.source, event.time.isoformat()) == (said.id, said.source, said.time)


@pytest.mark.parametrize(
    ("said", "trace"),
    [(TRACE, TRACE), (TRACE + "0", ""), ("x" * 9_000, ""), ("", "")],
    ids=["a trace's context", "more than one", "anything", "none"],
)
def test_only_the_context_of_a_trace_goes_on_to_the_effects(said: str, trace: str) -> None:
    assert {Said(trace=said).over_rest().traceparent, Said(trace=said).as_record().traceparent} == {trace}


@pytest.mark.parametrize("backfill", [True, False])
def test_what_is_told_of_the_past_says_so_wherever_it_goes(backfill: bool) -> None:
    for event in (Said(backfill=backfill).over_rest(), Said(backfill=backfill).as_record()):
        told = encode(event)
        assert decode(told.headers, told.value).backfill is backfill


def test_without_a_time_it_happened_when_it_was_received_and_else_when_it_says() -> None:
    silent = StructuredEvent(id="e", source="/core", type="points.granted", data=msgspec.Raw(GRANTED))
    assert decode_structured(silent, received=NOW).time == NOW
    assert Said().over_rest().time == NOW + timedelta(hours=1)


def test_a_value_may_have_a_megabyte_and_no_more() -> None:
    headers = encode(Said().over_rest()).headers
    fits = GRANTED + b" " * (1_048_576 - len(GRANTED))
    assert decode(headers, fits).data == grant("M-1", 5)
    with pytest.raises(WrongEventError, match="1048577 bytes"):
        decode(headers, fits + b" ")


@pytest.mark.parametrize(
    ("said", "ahead", "wrong"),
    [
        pytest.param("PolicyIssued", timedelta(days=1), False, id="a clock may be a day ahead"),
        pytest.param("PolicyIssued", timedelta(days=1, microseconds=1), True, id="and no longer"),
        pytest.param("day.started", timedelta(days=40), False, id="what Tenure says itself is no fact of the core"),
    ],
)
def test_a_fact_ahead_of_the_wall_waits(said: str, ahead: timedelta, wrong: bool) -> None:
    event = Event(id="e", source="/core", type=said, key="P-1", time=NOW + ahead, data=grant("M-1", 5))
    check_happened(event, latest_of("events", NOW))
    with pytest.raises(WrongEventError, match="lies ahead") if wrong else nullcontext():
        check_happened(event, latest_of("wall", NOW))


def test_two_events_have_two_places_in_the_inbox() -> None:
    """However alike source and id are, and wherever one ends and the other begins."""
    other = ID[:-1] + "c"
    named = [("/core", "a"), ("/cor", "ea"), ("/core2", "a"), ("/core", ID), ("/core2", ID), ("/core", other)]
    named += [
        ("/core", ID.replace("-7abc", "-4abc")),
        ("/core", "x" * 14 + "7" + "x" * 21),
        ("/core", "x" * 14 + "7" + "y" * 21),
    ]
    keys = [event_key(*name) for name in named]
    assert all(one != two for one, two in combinations(keys, 2))
    assert keys == [event_key(*name) for name in named]
    assert str(event_key("/core", ID))[:18] == ID[:18], "in the order of their time"
    assert str(event_key("/core", ID.replace("-7abc", "-4abc")))[:8] != ID[:8], "an id at random has no time"


@pytest.mark.parametrize(
    ("key", "kept"),
    [
        ("M-1", "M-1"),
        ("x" * 512, "x" * 512),
        ("x" * 513, "x" * 512),
        ("M\0-1", "M-1"),
        ("M-\ud800", "M-?"),
        ("保单-1", "保单-1"),
    ],
)
def test_a_key_is_kept_as_the_database_takes_it(key: str, kept: str) -> None:
    assert ordering_key(key) == kept


def test_what_is_said_of_a_wrong_event_has_nothing_of_what_was_in_it() -> None:
    assert without_values(ValueError("Invalid enum value 'Li\nLei' - at `$.channel`")) == (
        "Invalid enum value - at `$.channel`"
    )
    assert type_name("PolicyInvented") == "'PolicyInvented'"
    assert type_name("李雷 13812345678") == type_name("x" * 81) == "of that name"
