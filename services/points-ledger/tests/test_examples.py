"""Every example of the contracts that points-ledger lists is taken, twice is once, and its own events read back as written."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import tenure.contracts
from points_ledger.service import SERVICE
from tenure.contracts.topics import TOPIC_OF
from tenure.spine.codec import StructuredEvent, decode_structured, encode
from tenure.testing import under_test

EXAMPLES = Path(tenure.contracts.__file__).parent / "examples"
# The spine itself takes day.started, and turns it into due work.
READS = sorted({name for topic in SERVICE.reads for name in topic.types} - {"day.started"})
TOLD = sorted(name for name, topic in TOPIC_OF.items() if topic.producer == "points-ledger")
OURS = [*TOLD, "activity.completed", "agent_service.recorded", "referral.converted"]


def examples_of(name):
    return sorted([*EXAMPLES.glob(f"{name}.json"), *EXAMPLES.glob(f"{name}.*.json")])


def example(path):
    return decode_structured(msgspec.json.decode(path.read_bytes(), type=StructuredEvent), received=datetime.now(UTC))


async def test_each_example_twice_is_once(settings):
    async with under_test(SERVICE, settings) as t:
        records = [t.as_record(encode(example(path))) for name in READS for path in examples_of(name)]
        await t.deliver(records)
        assert await t.parked() == []
        assert await t.emitted()
        await t.deliver(records)
        assert await t.emitted() == []


@pytest.mark.parametrize("name", OURS)
def test_every_event_of_ours_has_an_example(name):
    paths = examples_of(name)
    assert paths
    for path in paths:
        event = example(path)
        assert event.type == name
        written = msgspec.json.decode(path.read_bytes())["data"]
        read = msgspec.to_builtins(event.data)
        assert {key: read[key] for key in written} == written
