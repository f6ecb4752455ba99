"""Rules that another service published: kept once, whole, in the database of everyone who goes by them. Here: the mall."""

import asyncio
from datetime import UTC, date, datetime

import msgspec
import pytest
import yaml
from mall.service import SERVICE as MALL
from tenure.contracts.publication import RulesPublished, RulesWithdrawn
from tenure.contracts.topics import TOPICS
from tenure.rulebook.following import digest_of
from tenure.rulebook.telling import tell_again
from tenure.spine.consumer import Consumer
from tenure.spine.log import Log
from tenure.spine.relay import Relay
from tenure.spine.transact import Door
from tenure.testing import ROOT, Under, under_test
from tenure_local.services import SERVICES
from tier_engine.service import SERVICE as TIERS

NOW = datetime(2026, 11, 3, tzinfo=UTC)
JANUARY = date(2027, 1, 1)
DOCUMENT = yaml.safe_load((ROOT / "examples/rules/dearer-silver.yaml").read_text(encoding="utf-8"))


def published(version: int = 2, effective: date = JANUARY, **more: object) -> RulesPublished:
    given = {"kind": "tiers", "version": version, "effective": effective, "draft_id": f"R-{version}"}
    digest = digest_of(DOCUMENT, version=version, effective=effective)
    return RulesPublished(**{**given, "digest": digest, "document": DOCUMENT, **more})  # type: ignore[arg-type]


def withdrawn(one: RulesPublished) -> RulesWithdrawn:
    return RulesWithdrawn(kind=one.kind, version=one.version, effective=one.effective, draft_id=one.draft_id)


async def known(t: Under) -> list[int]:
    """The versions a process goes by that begins now."""
    programme = await Door(t.door.service, t.pool, t.door.rulebook.base).follow_rules(t.pool)
    assert programme.tiers.all == (await t.door.follow_rules(t.pool)).tiers.all, "one that runs knows as much"
    return [version.version for version in programme.tiers.all]


async def refused(t: Under, one: RulesPublished, log: Log) -> list[tuple[str, str]]:
    """What is parked when this comes as a record of the log; it is let go again."""
    consumer = Consumer(t.door, log, batch_records_max=10, poll_timeout_s=1.0, parked_run_max=10)
    await consumer.intake.apply(t.records(one, at=NOW))
    found = await t.parked()
    await t.pool.execute("DELETE FROM parked")
    return found


@pytest.fixture
async def mall(settings):
    async with under_test(MALL, settings) as t:
        yield t


async def test_what_is_published_is_kept_once_and_what_is_withdrawn_never_comes_back(mall: Under) -> None:
    """Twice, withdrawn and published anew for the same day in one poll; then all of it again, as after a log that forgot."""
    first, second = published(), published(3)
    records = mall.records(first, at=NOW)
    for _ in range(2):
        await mall.deliver(records)
        assert (await mall.door.recent_rules(mall.pool)).tiers.at(JANUARY).version == 2, "at once"
    assert await known(mall) == [1, 2]
    await mall.deliver(mall.records(withdrawn(first), second, at=NOW))
    assert await known(mall) == [1, 3]
    await mall.deliver(mall.records(second, first, withdrawn(first), at=NOW))
    assert await known(mall) == [1, 3]
    assert await mall.parked() == []


async def test_one_withdrawn_before_it_was_heard_of_is_none(mall: Under) -> None:
    await mall.feed(withdrawn(published()), at=NOW)
    await mall.feed(published(), at=NOW)
    assert await known(mall) == [1]


async def test_what_does_not_fit_is_parked_and_the_service_goes_on(mall: Under, log: Log) -> None:
    """Altered on its way; contradicting the files; a schema nobody knows; another version of a day that is taken."""
    await mall.feed(published(), at=NOW)
    others = {**DOCUMENT, "colour": "red"}
    wrong = (
        (published(3, digest="0" * 64), "rules_altered"),
        (published(1), "rules_invalid"),
        (published(4, document=others, digest=digest_of(others, version=4, effective=JANUARY)), "rules_invalid"),
        (published(5), "data_refused"),
    )
    for one, code in wrong:
        assert await refused(mall, one, log) == [("tiers", code)]
        assert await known(mall) == [1, 2]


async def test_a_kind_it_does_not_go_by_leaves_nothing(mall: Under) -> None:
    await mall.feed(published(kind="earning"), at=NOW)
    assert await mall.pool.fetchval("SELECT count(*) FROM rules_heard") == 0
    assert await mall.parked() == []


async def test_a_log_that_never_heard_or_forgot_is_told_every_version(settings, log: Log) -> None:
    """Approved before there was a topic; then again when the broker forgot. A reader that comes last gets both."""
    async with under_test(TIERS, settings) as t:
        approved = (
            "INSERT INTO rule_drafts VALUES ($1, DEFAULT, 'tiers', $2, $3, $4, 'r', 'a', $5, $6, 'b', $5, $7, $8)"
        )
        document = msgspec.json.encode(DOCUMENT).decode()
        await t.pool.execute(approved, "R-2", "withdrawn", JANUARY, document, NOW, 2, "c", NOW)
        await t.pool.execute(approved, "R-3", "approved", JANUARY, document, NOW, 3, None, None)

        async def again(conn):
            await tell_again(conn, source=t.door.source)

        async def heard(count: int) -> list[tuple[str, str]]:
            relay = Relay("tier-engine", t.pool, log, tell_again=again)
            running = asyncio.create_task(relay.run())
            reader = await log.consumer(f"reader-{count}", ["programme.v1"])
            found: list[tuple[str, str]] = []
            async with asyncio.timeout(20):
                while len(found) < count:
                    records = await reader.poll(records_max=100, timeout_s=1)
                    found += [(h["ce_type"].decode(), h["ce_id"].decode()) for h in (dict(r.headers) for r in records)]
            relay.stop()
            await running
            await reader.close()
            return found

        both = [("rules.withdrawn", "R-2.withdrawn"), ("rules.published", "R-3.approved")]
        assert await heard(2) == both
        assert await heard(2) == both, "a relay that begins again tells nothing twice"
        await t.pool.execute("DELETE FROM outbox")
        await t.pool.execute("UPDATE published SET next_offset = 1000")
        assert await heard(4) == both * 2


def test_every_service_the_topic_names_goes_by_some_rules_of_it() -> None:
    (topic,) = [topic for topic in TOPICS if topic.name == "programme.v1"]
    assert {s.name for s in SERVICES if s.follows} == set(topic.consumers)
    owned = {kind for s in SERVICES for kind in s.rulebooks}
    assert {kind for s in SERVICES for kind in s.follows} <= owned
    assert {s.name for s in SERVICES if s.rulebooks} == set(topic.producer.split(", "))
