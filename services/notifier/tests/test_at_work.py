"""The notifier at work in a replay: events from the log in, messages and a text message out, by its own timers."""

import asyncio
from pathlib import Path

from notifier.service import SERVICE
from tenure.calendar import start_of
from tenure.contracts.event import Data
from tenure.contracts.message import MessageSent
from tenure.settings import Settings
from tenure.spine.codec import decode, encode, event_of
from tenure.spine.log import Log, Outgoing, open_log
from tenure.spine.runtime import Runtime
from tenure.spine.topics import ensure_topics
from tenure.testing import under_test

from .cast import D, granted, tier_changed


def _out(data: Data, number: int) -> Outgoing:
    return encode(event_of(data, id=f"e-{number}", source="/test", time=start_of(D)))


async def _sent(log: Log, count: int) -> list[MessageSent]:
    reader = await log.consumer("reader", ["message.v1"])
    seen: list[MessageSent] = []
    async with asyncio.timeout(20):
        while len(seen) < count:
            records = await reader.poll(records_max=100, timeout_s=1)
            seen += [decode(r.headers, r.value).data for r in records]
    await reader.close()
    return seen


async def test_a_replayed_upgrade_is_told_in_the_inbox_and_by_text(settings: Settings, tmp_path: Path) -> None:
    replay = settings.model_copy(update={"clock": "events", "sms_file": tmp_path / "sms.jsonl"})
    log = open_log(replay.kafka)
    await ensure_topics(log)
    async with under_test(SERVICE, replay) as t:
        producer = await log.producer()
        async with Runtime(t.door, log, replay):
            await producer.send([_out(tier_changed("none", "silver"), 1), _out(granted("appliance_repair"), 2)])
            sent = await _sent(log, 2)
        assert [(m.template, m.channel) for m in sent] == [("tier_upgraded", "in_app"), ("tier_upgraded", "sms")]
        assert [m.at.astimezone(start_of(D).tzinfo).hour for m in sent] == [8, 8]
        assert len((tmp_path / "sms.jsonl").read_text(encoding="utf-8").splitlines()) == 1
        await producer.close()
    await log.close()
