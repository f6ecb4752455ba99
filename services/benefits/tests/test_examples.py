"""Every example of the contracts that benefits lists is taken, and taking it twice is taking it once."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import tenure.contracts
from benefits.service import SERVICE
from tenure.contracts.topics import TOPIC_OF
from tenure.spine.codec import StructuredEvent, decode_structured, encode
from tenure.testing import under_test

EXAMPLES = Path(tenure.contracts.__file__).parent / "examples"
# The spine itself takes day.started, and turns it into due work.
READS = {name for topic in SERVICE.reads for name in topic.types} - {"day.started"}
TOLD = {name for name, topic in TOPIC_OF.items() if topic.producer == "benefits"}


def example(path):
    return decode_structured(msgspec.json.decode(path.read_bytes(), type=StructuredEvent), received=datetime.now(UTC))


def examples_of(names):
    return sorted(p for name in names for p in (*EXAMPLES.glob(f"{name}.json"), *EXAMPLES.glob(f"{name}.*.json")))


async def test_each_example_twice_is_once(settings):
    async with under_test(SERVICE, settings) as t:
        records = [t.as_record(encode(example(path))) for path in examples_of(READS)]
        await t.deliver(records)
        rows = await t.pool.fetch("SELECT * FROM members ORDER BY 1")
        await t.emitted()
        await t.deliver(records)
        assert await t.parked() == []
        assert await t.emitted() == []
        assert await t.pool.fetch("SELECT * FROM members ORDER BY 1") == rows
        assert rows


@pytest.mark.parametrize("name", sorted(TOLD))
def test_what_benefits_tells_has_an_example_that_decodes(name):
    found = [example(path) for path in examples_of({name})]
    assert found
    assert {event.type for event in found} == {name}
