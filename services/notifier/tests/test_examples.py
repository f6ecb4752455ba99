"""Every published example of every event this service reads is accepted, twice over, and parks nothing."""

from pathlib import Path

import tenure.contracts
from msgspec import json
from notifier.service import SERVICE
from tenure.settings import Settings
from tenure.spine.codec import StructuredEvent, decode_structured, encode, utc_now
from tenure.testing import under_test

EXAMPLES = Path(tenure.contracts.__file__).parent / "examples"


async def test_examples(settings: Settings) -> None:
    wanted = {name for topic in SERVICE.reads for name in topic.types if name != "day.started"}
    files = [path for path in sorted(EXAMPLES.glob("*.json")) if path.name.removesuffix(".json") in wanted]
    read = [json.decode(path.read_bytes(), type=StructuredEvent) for path in files]
    events = [decode_structured(one, received=utc_now()) for one in read]
    async with under_test(SERVICE, settings) as t:
        records = [t.as_record(encode(event)) for event in events]
        for _ in range(2):
            await t.deliver(records)
        assert await t.parked() == []
