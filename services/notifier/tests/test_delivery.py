"""The notifier on its database: twice is once, halves are the whole, and a text message goes out at most once."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from notifier import sending
from notifier.channels import Result, TextMessage
from notifier.channels.sms_file import SmsFile
from notifier.commands import ClaimSms, SendDue
from notifier.rules.letters import key_of
from notifier.rules.member import Book
from notifier.service import SERVICE
from tenure.contracts.event import Data
from tenure.contracts.message import MessageDelivered, MessageFailed, MessageRequested, MessageSent, MessageSuppressed
from tenure.contracts.policy import CustomerErased, CustomerRegistered, MemberEnrolled
from tenure.settings import Settings
from tenure.spine.aside import Aside
from tenure.spine.codec import utc_now
from tenure.testing import Under, under_test

from .cast import D, M, advised, claim, consent, earned, expiring, fulfilled, granted, renewed, tier_changed

DAY_OF_EVENTS: Sequence[Data] = (
    CustomerRegistered(member_id=M, effective=D, language="en"),
    MemberEnrolled(member_id=M, effective=D),
    tier_changed("none", "silver"),
    granted("appliance_repair"),
    earned("anniversary", 110),
    earned("no_claim_year", 300, lot="L-2"),
    expiring("P-1"),
    expiring("P-2"),
    renewed("P-1"),
    claim(),
    advised(),
    fulfilled(),
)


async def _inbox(t: Under) -> list[dict[str, Any]]:
    rows = await t.pool.fetch("SELECT member_id, dedupe, sent_at, text_en, sms FROM message ORDER BY dedupe")
    return [dict(row) for row in rows]


async def _feed_and_tell(settings: Settings, batches: Sequence[Sequence[int]], *, repeat: int = 1) -> Any:
    async with under_test(SERVICE, settings) as t:
        records = t.records(*DAY_OF_EVENTS)
        for _ in range(repeat):
            for batch in batches:
                await t.deliver([records[i] for i in batch])
        while await sending.tell(t.door, None):
            pass
        assert await t.parked() == []
        return await _inbox(t), await t.emitted()


async def test_twice_is_once_and_halves_are_the_whole(settings: Settings) -> None:
    n = len(DAY_OF_EVENTS)
    whole = await _feed_and_tell(settings, [range(n)])
    assert len(whole[0]) == 7
    assert whole == await _feed_and_tell(settings, [range(n)], repeat=2)
    assert whole == await _feed_and_tell(settings, [range(n // 2), range(n // 2, n)])
    assert whole == await _feed_and_tell(settings, [[i] for i in range(n)])


async def test_topics_may_arrive_in_any_order(settings: Settings) -> None:
    """Within a topic events keep their order; between topics there is none."""
    policies, others = [0, 1, 6, 7, 8, 9], [2, 3, 4, 5, 10, 11]
    whole, _ = await _feed_and_tell(settings, [range(len(DAY_OF_EVENTS))])
    for order in ([*others, *policies], [*policies, *others], [3, 11, 4, 4, 5, 2, 10, *policies]):
        assert (await _feed_and_tell(settings, [order]))[0] == whole


async def test_what_was_told_before_is_not_told_again_from_the_database(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(claim())
        await sending.tell(t.door, None)
        await t.feed(claim())
        await sending.tell(t.door, None)
        assert len(await _inbox(t)) == 1
        assert [type(e) for e in await t.emitted()] == [MessageSent, MessageSuppressed]


async def test_the_cap_holds_between_runs_of_the_sender(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        for n in range(7):
            await t.feed(fulfilled(f"O-{n}"))
            await sending.tell(t.door, None)
        assert len(await _inbox(t)) == 5
        await t.feed(fulfilled("O-next"), at=D + timedelta(days=1))
        await sending.tell(t.door, None)
        assert len(await _inbox(t)) == 6
        verified = await t.http.get("/v1/messages/verify", headers=t.auth("operator"))
        assert set(verified.json().values()) == {True}


async def test_backfill_leaves_a_count_and_nothing_else(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(*DAY_OF_EVENTS, backfill=True)
        assert await sending.tell(t.door, None) == 0
        assert await t.emitted() == []
        totals = (await t.http.get("/v1/messages/totals", headers=t.auth("operator"))).json()
        assert totals["sent"] == 0
        assert totals["suppressed"] == {"backfill": 9}


async def test_a_wrong_request_is_parked_and_its_key_queues_while_others_flow(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        wrong = MessageRequested(member_id="M-2", template="no_such", dedupe="1")
        after = MessageRequested(member_id="M-2", template="service_notice", dedupe="2", params={"topic": "x"})
        await t.feed(wrong, after, claim(), at=D)
        assert await t.parked() == [("M-2", "unknown_template"), ("M-2", "behind")]
        await sending.tell(t.door, None)
        assert [m["member_id"] for m in await _inbox(t)] == [M]


class _Phone:
    """A channel that answers as told and keeps what it was given."""

    name = "phone"

    def __init__(self, answer: Any = "sent") -> None:
        self.answer, self.got = answer, list[TextMessage]()

    async def send(self, messages: Sequence[TextMessage]) -> list[Result]:
        self.got += messages
        return [Result(self.answer, "as told")] * len(messages)


async def test_a_text_message_is_a_line_in_the_file_once(settings: Settings, tmp_path: Path) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(tier_changed("none", "silver"), consent())
        await sending.tell(t.door, None)
        channel = SmsFile(tmp_path / "out" / "sms.jsonl")
        assert [await sending.deliver(t.door, channel, None) for _ in range(2)] == [1, 0]
        (line,) = channel.path.read_text(encoding="utf-8").splitlines()
        sms = json.loads(line)
        assert sms.keys() == {"at", "member_id", "text", "message_id"}
        assert sms["member_id"] == M
        assert "白银" in sms["text"]
        assert [e.channel for e in await t.emitted(MessageSent)] == ["in_app", "sms"]


async def test_no_text_message_leaves_in_quiet_hours_or_against_the_members_wish(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.http.put("/v1/preferences", json={"sms": False}, headers=t.auth("member", subject="M-2"))
        await t.feed(tier_changed("none", "silver"))
        await sending.tell(t.door, None)
        night = utc_now().replace(hour=14)  # 22:00 in Shanghai
        assert await sending.deliver(t.door, _Phone(), night) == 0
        assert (await t.http.get("/v1/preferences", headers=t.auth("member", subject="M-2"))).json()["sms"] is False


async def test_after_a_crash_while_sending_nothing_is_sent_again(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(tier_changed("none", "silver"))
        await sending.tell(t.door, None)
        (message_id,) = [r["message_id"] for r in await t.pool.fetch("SELECT message_id FROM message")]
        await sending._on_letters(t.door, [ClaimSms(message_id=message_id)], at=utc_now() - timedelta(minutes=5))
        phone = _Phone()
        assert await sending.deliver(t.door, phone, None) == 0
        assert await sending.give_up(t.door, utc_now() - timedelta(minutes=1)) == 1
        assert await sending.give_up(t.door, utc_now() - timedelta(minutes=1)) == 0
        assert await sending.deliver(t.door, phone, None) == 0
        assert phone.got == []
        listed = (await t.http.get("/v1/messages/unknown", headers=t.auth("operator"))).json()["items"]
        assert [(m["message_id"], m["sms"]) for m in listed] == [(message_id, "unknown")]


@pytest.mark.parametrize(("status", "told"), [("delivered", MessageDelivered), ("failed", MessageFailed)])
async def test_a_receipt_settles_a_text_message_once(settings: Settings, status: str, told: type[Data]) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(tier_changed("none", "silver"))
        await sending.tell(t.door, None)
        await sending.deliver(t.door, _Phone(), None)
        message_id = await t.pool.fetchval("SELECT message_id FROM message")
        for word in (status, "delivered"):
            body = {"message_id": message_id, "status": word}
            answer = await t.http.post("/v1/receipts/sms_file", json=body, headers=t.auth("service"))
            assert answer.json() == {"message_id": message_id, "sms": status}
        assert len(await t.emitted(MessageDelivered, MessageFailed)) == 1
        assert await t.pool.fetchval("SELECT sms FROM message") == status
        assert told in (MessageDelivered, MessageFailed)


async def test_a_text_message_that_a_channel_refuses_has_failed(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(tier_changed("none", "silver"))
        await sending.tell(t.door, None)
        await sending.deliver(t.door, _Phone("failed"), None)
        assert [e.reason for e in await t.emitted(MessageFailed)] == ["as told"]


async def test_nothing_is_left_of_an_erased_member_and_nothing_comes(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(claim(), fulfilled())
        await sending.tell(t.door, None)
        await t.feed(expiring(), CustomerErased(member_id=M, effective=D), claim("paid"))
        assert await sending.tell(t.door, None) == 0
        assert await _inbox(t) == []


async def test_two_senders_at_once_tell_and_send_once(settings: Settings) -> None:
    import asyncio

    async with under_test(SERVICE, settings) as t:
        await t.feed(*DAY_OF_EVENTS)
        await asyncio.gather(*(sending.tell(t.door, None) for _ in range(4)))
        assert len(await _inbox(t)) == 7
        phone = _Phone()
        await asyncio.gather(*(sending.deliver(t.door, phone, None) for _ in range(4)))
        assert len(phone.got) == len({m.message_id for m in phone.got}) == 3
        assert await t.pool.fetchval("SELECT count(*) FROM message WHERE sms = 'sent'") == 3


def test_a_messages_key_can_be_no_members() -> None:
    assert " " in key_of("x")


async def test_a_member_whose_queue_no_rule_can_tell_keeps_nobody_waiting(settings: Settings) -> None:
    def broken(state: Any, event: Any, programme: Any) -> Any:
        if event.key == "M-1":
            raise KeyError("no such template")
        return SERVICE.rules[SendDue](state, event, programme)

    service = replace(SERVICE, rules={**SERVICE.rules, SendDue: broken})
    async with under_test(service, settings.model_copy(update={"clock": "wall"})) as t:
        for member in ("M-1", "M-2"):
            await t.pool.execute(
                "INSERT INTO member (member_id, send_at, waiting, book) VALUES ($1, now() - interval '1 hour', 1, $2)",
                member, msgspec.msgpack.encode(Book()),
            )  # fmt: skip
        aside = Aside()
        assert [await sending.tell(t.door, utc_now(), members_max=1, aside=aside) for _ in range(2)] == [0, 1]
        assert aside.keys() == {"M-1"}, "tried again later, and not again and again"
