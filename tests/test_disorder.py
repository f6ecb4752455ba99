"""Delivery that is duplicated, delayed and reordered has the same effects as an orderly one: for every service, with its real rules.

The home-insurance cast's facts go through all services once, which gives each service the stream it reads. Then each is given its stream
twice, on fresh databases: as it was, and as a bad day delivers it: keys overtake one another, records come again at once, later in the
same poll, or many polls later, and polls are cut anywhere. Tables and what was told must be the same. The order of one key is kept: that
is what the log promises.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pytest
from tenure.service import Service
from tenure.settings import Settings
from tenure.spine.codec import StructuredEvent, decode_structured, encode
from tenure.spine.log import Outgoing, Record
from tenure.testing import Under, under_test
from tenure_local.services import SERVICES

CAST: Final = Path(__file__).resolve().parents[1] / "examples" / "home-cast" / "facts.ndjson"
DAYS: Final = [date(y, m, 1) for y in (2016, 2017, 2018) for m in (7, 10, 12)] + [date(2019, 1, 1), date(2019, 3, 1)]
SPINES_OWN: Final = {
    "inbox",
    "outbox",
    "published",
    "progress",
    "parked",
    "parked_log",
    "idempotency",
    "calendar",
    "alembic_version",
}
COUNTS_SAVES: Final = {("member_view", "version")}
"""Grows with each transaction that changed the row, so it depends on where polls are cut."""
SEEDS: Final = (1, 2)
AGAIN: Final = 0.3
Told = dict[str, list[tuple[str, bytes]]]


class Step(NamedTuple):
    """What one service reads before a day comes."""

    records: list[Record]
    day: date


Streams = dict[str, list[Step]]
_streams: Streams = {}


async def streams(settings: Settings) -> Streams:
    """What each service reads, when everything goes well; made once."""
    if not _streams:
        async with AsyncExitStack() as stack:
            all_of_them = [await stack.enter_async_context(under_test(s, settings)) for s in SERVICES]
            _streams.update(await recorded(all_of_them))
    return _streams


async def recorded(all_of_them: Sequence[Under]) -> Streams:
    found: Streams = {t.door.service.name: [] for t in all_of_them}
    log: list[Record] = []
    read = dict.fromkeys(found, 0)
    facts = cast()
    for day in DAYS:
        log += placed((encode(e) for e in facts if e.day < day), len(log))
        facts = [e for e in facts if e.day >= day]
        steps: dict[str, list[Record]] = defaultdict(list)
        for day_came in (False, True):
            if day_came:
                for t in all_of_them:
                    await t.day(day)
                    log += placed((encode(e) for e in await t.emitted_events()), len(log))
            while any(at < len(log) for at in read.values()):
                for t in all_of_them:
                    name = t.door.service.name
                    mine = [r for r in log[read[name] :] if r.topic in {topic.name for topic in t.door.service.reads}]
                    read[name] = len(log)
                    steps[name] += mine
                    await t.deliver(mine)
                    log += placed((encode(e) for e in await t.emitted_events()), len(log))
        for t in all_of_them:
            assert await t.parked() == []
            found[t.door.service.name].append(Step(steps[t.door.service.name], day))
    return found


def cast() -> list[Any]:
    lines = CAST.read_bytes().splitlines()
    events = [
        decode_structured(msgspec.json.decode(line, type=StructuredEvent), received=datetime.now(UTC)) for line in lines
    ]
    return sorted(events, key=lambda e: e.time)


def placed(outgoing: Iterator[Outgoing], offset: int) -> list[Record]:
    return [
        Record(o.topic, 0, offset + n, o.key, o.value, o.headers, 0)
        for n, o in enumerate(outgoing)
        if o.topic != "time.v1"
    ]


def disordered(steps: list[Step], rng: random.Random) -> Iterator[tuple[list[list[Record]], date]]:
    """The same stream on a bad day, as polls."""
    before: list[Record] = []
    for records, day in steps:
        shuffled = again(overtaking(records, rng), before, rng)
        before = (before + records)[-300:]
        yield list(polls(shuffled, rng)), day


def overtaking(records: list[Record], rng: random.Random) -> list[Record]:
    """Keys overtake one another, by as much as it takes; the records of one key, on one topic or several, keep their order."""
    lanes: dict[bytes, list[Record]] = defaultdict(list)
    for r in records:
        lanes[r.key or b""].append(r)
    turns = [key for key, lane in lanes.items() for _ in lane]
    rng.shuffle(turns)
    ways = {key: iter(lane) for key, lane in lanes.items()}
    return [next(ways[key]) for key in turns]


def again(records: list[Record], before: list[Record], rng: random.Random) -> list[Record]:
    """Some come twice: at once, a little later, or when much else has come."""
    out: list[Record] = []
    late: list[Record] = [r for r in before if rng.random() < AGAIN]
    for r in records:
        out.append(r)
        if rng.random() < AGAIN:
            out.append(r)
        if rng.random() < AGAIN:
            late.append(r)
        if late and rng.random() < AGAIN:
            out.append(late.pop(rng.randrange(len(late))))
    return out + late


def polls(records: list[Record], rng: random.Random) -> Iterator[list[Record]]:
    rest = iter(records)
    while poll := list(islice(rest, rng.choice((1, 2, 7, 40, 500)))):
        yield poll


async def effects(t: Under) -> dict[str, list[str]]:
    """Every row of the service's own tables, without what says when or in which order it was written."""
    columns = await t.pool.fetch(
        """SELECT table_name, array_agg(quote_ident(column_name::text) ORDER BY ordinal_position) AS names
           FROM information_schema.columns
           WHERE table_schema = 'public' AND is_identity = 'NO' AND coalesce(column_default, '') NOT LIKE '%now()%'
           GROUP BY 1 ORDER BY 1"""
    )
    found = {}
    for name, names in columns:
        if name not in SPINES_OWN:
            same = ", ".join(n for n in names if (name, n) not in COUNTS_SAVES)
            rows = await t.pool.fetch(f'SELECT ROW({same})::text AS row FROM "{name}"')
            found[name] = sorted(row["row"] for row in rows)
    return found


async def told(t: Under) -> Told:
    by_key: Told = defaultdict(list)
    for event in await t.emitted_events():
        by_key[event.key].append((event.type, msgspec.json.encode(event.data)))
    return dict(by_key)


@pytest.mark.parametrize("service", SERVICES, ids=lambda s: s.name)
async def test_a_bad_days_delivery_has_the_effects_of_an_orderly_one(service: Service[Any], settings: Settings) -> None:
    steps = (await streams(settings))[service.name]
    assert sum(len(step.records) for step in steps) > 30, "the cast tells this service something"
    async with under_test(service, settings) as orderly:
        for records, day in steps:
            await orderly.deliver(records)
            await orderly.day(day)
        rows, words = await effects(orderly), await told(orderly)
        had = await orderly.pool.fetchval("SELECT count(*) FROM inbox")
    assert any(rows.values())
    for seed in SEEDS:
        async with under_test(service, settings) as t:
            for polled, day in disordered(steps, random.Random(seed)):
                for poll in polled:
                    await t.deliver(poll)
                await t.day(day)
            assert await t.parked() == []
            assert await t.pool.fetchval("SELECT count(*) FROM inbox") == had, "each event had its effect once"
            assert await effects(t) == rows, f"seed {seed}"
            same_words(await told(t), words, in_order=service.name != "policy-sync", seed=seed)


def same_words(found: Told, words: Told, *, in_order: bool, seed: int) -> None:
    assert found.keys() == words.keys(), f"seed {seed}"
    for key, said in words.items():
        if in_order:
            assert found[key] == said, f"{key}, seed {seed}"
        else:
            assert Counter(found[key]) == Counter(said), f"{key}, seed {seed}"
