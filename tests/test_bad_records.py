"""Bad input from the core's topics, on real PostgreSQL: it is parked, listed as `tenure parked list` shows it, and only its own policy
waits until someone discards it.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace
from policy_sync.service import SERVICE as POLICY_SYNC
from tenure.settings import Settings
from tenure.spine import park
from tenure.spine.consumer import Consumer
from tenure.spine.log import Outgoing, open_log
from tenure.testing import Under, under_test

from .test_bad_input import GOOD, TEN_MB, every_wrong_fact, every_wrong_term, fact, issued, listed, parked, told


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(POLICY_SYNC, settings) as under:
        yield under


def outgoing(wrong: dict[str, Any], key: str = "P-1") -> Outgoing:
    """A structured event as the record a core system would send."""
    names = {"id": "ce_id", "source": "ce_source", "type": "ce_type", "time": "ce_time", "dataschema": "ce_dataschema"}
    headers = [(names[n], str(v).encode()) for n, v in wrong.items() if n in names]
    return Outgoing("core.policy.v1", key.encode(), json.dumps(wrong["data"]).encode(), headers)


async def poll(t: Under, *records: Outgoing, clock: str = "events") -> None:
    """One poll through the consumer's own steps."""
    log = open_log(t.settings.kafka)
    consumer = Consumer(t.door, log, batch_records_max=1_000, poll_timeout_s=1.0, parked_run_max=1_000, clock=clock)
    await consumer.intake.apply([t.as_record(record) for record in records])
    await log.close()


@every_wrong_fact
async def test_a_wrong_record_is_parked_and_only_its_policy_waits_until_someone_discards_it(
    t: Under, wrong: dict[str, Any], code: str
) -> None:
    behind, other = fact("2", issued()), GOOD
    await poll(t, outgoing(wrong), outgoing(behind), outgoing(other, "P-GOOD"))
    # An event that cannot be read is known by its record's key; either way it is the policy's.
    assert await listed(t) == [("P-1", code), ("P-1", "behind")]
    assert await told(t) == [("P-GOOD", 30_001)]
    row = (await parked(t))[0]
    assert row.detail
    assert json.loads(row.value) == wrong["data"], "what was sent is kept as it was sent"

    assert await park.replay(t.door, "P-1") == 0, "it is still wrong"
    await t.door.leave_park([row.seq], action="discarded", actor="li", reason="a test of the core")
    assert await park.replay(t.door, "P-1") == 1
    assert await told(t) == [("P-1", 30_001)]
    assert await listed(t) == []
    logged = await t.pool.fetch("SELECT action, actor FROM parked_log ORDER BY at")
    assert [tuple(row) for row in logged] == [("discarded", "li"), ("replayed", "replay")]


@every_wrong_term
async def test_a_wrong_term_from_a_topic_is_parked(t: Under, wrong: dict[str, Any], code: str) -> None:
    await poll(t, outgoing(fact("1", issued())), outgoing(wrong), outgoing(GOOD, "P-GOOD"))
    assert await listed(t) == [("P-1", code)]
    assert await told(t) == [("P-1", 30_001), ("P-GOOD", 30_001)]


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ("malformed JSON", "malformed"),
        ("an empty value", "malformed"),
        ("no value, as what deletes a key in a compacted topic", "malformed"),
        ("no headers", "missing_attribute"),
        ("a header that is not UTF-8", "malformed"),
        ("a header without a value", "malformed"),
        ("a time that is none", "malformed"),
        ("10 MB", "too_large"),
    ],
)
async def test_a_record_that_is_no_event_is_parked(t: Under, record: str, code: str) -> None:
    good = outgoing(fact("1", issued()))
    headers = dict(good.headers)
    wrong = {
        "malformed JSON": replace(good, value=b'{"policy_no": '),
        "an empty value": replace(good, value=b""),
        "no value, as what deletes a key in a compacted topic": replace(good, value=None),
        "no headers": replace(good, headers=[]),
        "a header that is not UTF-8": replace(good, headers=[*good.headers, ("note", b"\xff\xfe")]),
        "a header without a value": replace(good, headers=[*good.headers, ("note", None)]),
        "a time that is none": replace(good, headers=list((headers | {"ce_time": b"yesterday"}).items())),
        "10 MB": replace(good, value=b'{"x": "' + b" " * TEN_MB + b'"}'),
    }[record]
    await poll(t, wrong, outgoing(GOOD, "P-GOOD"))
    assert await listed(t) == [("P-1", code)]
    assert await told(t) == [("P-GOOD", 30_001)]
    (row,) = await parked(t)
    assert (row.headers, row.value) == (wrong.headers, wrong.value or b""), "as it was sent"

    assert await park.replay_all(t.door) == {}
    for seen in (row.seq, None):
        answer = await t.http.get(f"/v1/parked/policy-sync{f'/{seen}' if seen else ''}", headers=t.auth("operator"))
        assert answer.status_code == 200, answer.text
    await t.door.leave_park([row.seq], action="discarded", actor="li", reason="nobody can read it")
    await poll(t, outgoing(fact("2", issued())))
    assert await told(t) == [("P-1", 30_001)]
