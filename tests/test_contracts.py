"""The language between the services: every event type has examples, and every consumer that lists a topic takes them all.

Examples are delivered as the consumer delivers a poll: decoded, claimed, decided, saved, the day of `day.started` included.
Nothing may be parked, and the same poll again changes no row of any table.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import structlog
from jsonschema import Draft202012Validator, FormatChecker
from tenure.contracts.event import Event
from tenure.contracts.retention import READ_AGAIN_DAYS, SEGMENT_DAYS
from tenure.contracts.topics import TOPIC_OF, TOPICS, TYPES
from tenure.service import Service
from tenure.settings import Settings
from tenure.spine.codec import StructuredEvent, decode_structured, encode
from tenure.spine.consumer import Consumer
from tenure.spine.log import Record, open_log
from tenure.telemetry import PERSONAL
from tenure.testing import Under, under_test
from tenure_local.services import SERVICES

from .scripts import script

CONTRACTS: Final = script("contracts")
FILES: Final[list[Path]] = sorted(CONTRACTS.EXAMPLES.glob("*.json"))
SCHEMAS: Final[dict[str, dict[str, Any]]] = CONTRACTS.schemas()
RECEIVED: Final = datetime(2026, 3, 1, tzinfo=UTC)
LONG_AFTER: Final = date(2031, 1, 1)
PERSONAL_NAMES: Final = PERSONAL | {
    "full_name",
    "first_name",
    "last_name",
    "birth_date",
    "id_card",
    "wechat",
    "bank_account",
}
MOBILE_OR_IDENTITY_NUMBER: Final = re.compile(r"(?<!\d)(1[3-9]\d{9}|\d{17}[\dXx])(?!\d)")

every_example = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def example(path: Path) -> Event:
    return decode_structured(msgspec.json.decode(path.read_bytes(), type=StructuredEvent), received=RECEIVED)


def in_the_tables_order() -> list[Event]:
    order = {name: n for n, name in enumerate(TYPES)}
    return sorted(map(example, FILES), key=lambda event: order[event.type])


# The examples themselves.


@pytest.mark.parametrize("name", TYPES)
def test_every_event_type_has_an_example(name: str) -> None:
    assert name in {example(path).type for path in FILES}


@every_example
def test_an_example_is_an_event_named_by_its_file(path: Path) -> None:
    event = example(path)
    assert path.name.startswith(event.type + "."), "call the file <type>.json or <type>.<what>.json"
    assert event.time.utcoffset() is not None


@every_example
def test_an_example_validates_against_its_schema(path: Path) -> None:
    raw = json.loads(path.read_bytes())
    Draft202012Validator(SCHEMAS[raw["type"]], format_checker=FormatChecker()).validate(raw["data"])


@every_example
def test_an_example_names_only_what_the_schema_declares(path: Path) -> None:
    """Unknown fields are ignored when read, so a misspelt one would go unnoticed here."""
    raw = json.loads(path.read_bytes())
    known = msgspec.to_builtins(example(path).data)
    assert set(raw["data"]) <= set(known)


@every_example
def test_a_field_of_tomorrow_is_ignored_today(path: Path) -> None:
    raw = json.loads(path.read_bytes())
    raw["data"]["added_tomorrow"] = {"anything": [1]}
    structured = msgspec.convert(raw | {"data": msgspec.Raw(json.dumps(raw["data"]).encode())}, StructuredEvent)
    assert decode_structured(structured, received=RECEIVED).data == example(path).data


@every_example
def test_an_example_carries_no_personal_data(path: Path) -> None:
    raw = json.loads(path.read_bytes())["data"]
    assert set(names_in(raw)) & PERSONAL_NAMES == set()
    assert not MOBILE_OR_IDENTITY_NUMBER.search(json.dumps(raw))


@pytest.mark.parametrize("name", TYPES)
def test_a_schema_is_one_and_has_no_place_for_personal_data(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    fields = {p for part in parts_of(SCHEMAS[name]) for p in part.get("properties", {})}
    assert fields & PERSONAL_NAMES == set()


def test_no_two_examples_are_one_event() -> None:
    ids = [(event.source, event.id) for event in map(example, FILES)]
    assert len(set(ids)) == len(ids)


def names_in(value: Any) -> Iterator[str]:
    """Names of fields, but for those of a rule file: what has a name there is a tier."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from names_in(inner) if name != "document" else ()
    elif isinstance(value, list):
        for inner in value:
            yield from names_in(inner)


def parts_of(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for inner in schema.values():
            yield from parts_of(inner)


# The table and the services that stand on it.


def test_the_table_names_the_services_that_there_are() -> None:
    names = {s.name for s in SERVICES}
    assert {c for topic in TOPICS for c in topic.consumers} <= names | {"insurer core", "auditors' archive"}
    assert {s.name for s in SERVICES if not s.reads} == set(), (
        "a service that reads nothing does not belong to the table"
    )


def test_every_inbox_remembers_longer_than_the_topics_of_its_service_are_kept() -> None:
    """What is kept for ever is kept by its own id by whoever reads it."""
    longest = max(topic.retention_days or 0 for service in SERVICES for topic in service.reads)
    assert longest + SEGMENT_DAYS == READ_AGAIN_DAYS < Settings.model_fields["inbox_retention_days"].default


@pytest.mark.parametrize("service", SERVICES, ids=lambda s: s.name)
async def test_every_example_is_taken_once_by_every_consumer_that_lists_it(
    service: Service[Any], settings: Settings
) -> None:
    events = [e for e in in_the_tables_order() if TOPIC_OF[e.type] in service.reads]
    async with under_test(service, settings) as t:
        with structlog.testing.capture_logs() as lines:
            records = [t.as_record(encode(event)) for event in events]
            await poll(t, records)
            assert await parked(t) == []
            await t.day(max(e.data.date for e in in_the_tables_order() if e.type == "day.started"))
            before = await rows(t)

            outcomes = await poll(t, records)
            assert all(outcome.seen for outcome in outcomes)
            assert await rows(t) == before
            await t.day(LONG_AFTER)
        assert [line for line in lines if line["log_level"] in ("error", "critical")] == []
        await what_it_told_is_its_own_and_well_formed(t)


async def poll(t: Under, records: list[Record]) -> list[Any]:
    """One poll through the consumer's own steps."""
    log = open_log(t.settings.kafka)
    consumer = Consumer(t.door, log, batch_records_max=1_000, poll_timeout_s=1.0, parked_run_max=1_000)
    items, day = await consumer.intake.items(records)
    outcomes = await consumer.intake.transact(items, (), day)
    await log.close()
    return outcomes


async def parked(t: Under) -> list[tuple[str, str, str]]:
    found = await t.pool.fetch("SELECT topic, code, detail, value FROM parked ORDER BY seq")
    return [(row["topic"], row["code"], f"{row['detail']}: {bytes(row['value']).decode()}") for row in found]


async def rows(t: Under) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    tables = await t.pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    names = [row["tablename"] for row in tables]
    return {
        name: [row["row"] for row in await t.pool.fetch(f'SELECT x::text AS row FROM "{name}" x ORDER BY 1')]
        for name in names
    }


async def what_it_told_is_its_own_and_well_formed(t: Under) -> None:
    for event in await t.emitted_events():
        producer = TOPIC_OF[event.type].producer
        assert t.door.service.name in producer or "any" in producer, f"{event.type} is not this service's to tell"
        Draft202012Validator(SCHEMAS[event.type]).validate(json.loads(msgspec.json.encode(event.data)))
