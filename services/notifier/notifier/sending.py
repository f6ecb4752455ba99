"""The notifier's two timers: tell what is due, and hand text messages to their channel.

The invariants: what is told is decided and written in one transaction; a text message is marked as being sent before it is, so
that a crash leaves `sending`, which becomes `unknown` and is never sent again by itself; a member whose queue no rule can tell
is left alone for a while, and keeps nobody waiting.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog
from tenure.calendar import local_date
from tenure.contracts.event import Data, Event
from tenure.spine.aside import ASIDE_S, Aside
from tenure.spine.codec import utc_now
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.spine.transact import Door, Item, Outcome
from uuid_utils import uuid7

from notifier.channels import Channel, TextMessage
from notifier.channels.sms_file import SmsFile
from notifier.commands import ClaimSms, SendDue, SettleSms
from notifier.rules.letters import key_of
from notifier.rules.quiet import is_quiet

if TYPE_CHECKING:
    from tenure.spine.runtime import Worker

log: Final = structlog.get_logger(__name__)
SOURCE: Final = "/tenure/notifier/timer"
LOOK_EVERY_S: Final = 0.5
CATCH_UP_WAIT_MAX_S: Final = 30.0
QUIET_FOR_S: Final = 1.0
"""In a replay a member's queue is told once nothing touched it for so long: what belongs to one change has arrived by then."""
MEMBERS_MAX: Final = 500
TEXTS_MAX: Final = 200
SENDING_MAX_S: Final = 60.0
SMS_FILE: Final = "sms.ndjson"

DUE: Final = """
SELECT member_id, send_at FROM member
WHERE send_at IS NOT NULL AND ($1::timestamptz IS NULL OR send_at <= $1) AND touched_at <= now() - make_interval(secs => $2)
  AND member_id <> ALL ($4::text[])
ORDER BY send_at LIMIT $3
"""
_QUEUED: Final = """
SELECT message_id, member_id, sent_at, CASE language WHEN 'en' THEN text_en ELSE text_zh END AS text
FROM message WHERE sms = 'queued' ORDER BY sent_at, asked_at LIMIT $1
"""
_ABANDONED: Final = """
SELECT message_id, sent_at FROM message WHERE sms = 'sending' AND sms_at < $1 ORDER BY sent_at LIMIT $2
"""


async def send_due(worker: "Worker") -> None:
    """Tell what is due, once the facts recorded so far are read: a fact may cancel a message that waits."""
    aside = Aside()

    async def turn() -> int:
        await _facts_first(worker)
        told = await tell(worker.door, _now(worker), untouched_s=0 if _now(worker) else QUIET_FOR_S, aside=aside)
        if told:
            worker.wake_relay.set()
        return told

    await _repeat(worker, turn)


async def deliver_texts(worker: "Worker") -> None:
    """Hand queued text messages to the channel, and give up on those a crash left half-way."""
    channel = SmsFile(worker.settings.sms_file or worker.settings.data_dir / SMS_FILE)

    async def turn() -> int:
        await give_up(worker.door, utc_now() - timedelta(seconds=SENDING_MAX_S))
        sent = await deliver(worker.door, channel, _now(worker))
        if sent:
            worker.wake_relay.set()
        return sent

    await _repeat(worker, turn)


async def _facts_first(worker: "Worker") -> None:
    """Wait, but not for ever, until the facts recorded so far are read."""
    for _ in range(int(CATCH_UP_WAIT_MAX_S / LOOK_EVERY_S)):
        if worker.stopping.is_set() or await wait_or(worker.consumer.caught_up, LOOK_EVERY_S):
            return


def _now(worker: "Worker") -> datetime | None:
    """The wall's instant where messages wait for it; None in a replay."""
    return utc_now() if worker.settings.clock == "wall" else None


async def _repeat(worker: "Worker", turn: Callable[[], Awaitable[int]]) -> None:
    backoff = Backoff(stopping=worker.stopping, of=(worker.door.service.name, "messages"))
    while not worker.stopping.is_set():
        try:
            done = await turn()
            backoff.succeeded()
            if not done:
                await wait_or(worker.stopping, LOOK_EVERY_S)
        except WORLD_DOWN as error:
            log.warning("messages_wait", reason=str(error)[:200])
            await backoff.wait(error)


async def tell(
    door: Door,
    now: datetime | None,
    *,
    untouched_s: float = 0,
    members_max: int = MEMBERS_MAX,
    aside: Aside | None = None,
) -> int:
    """Let the queues of up to `members_max` members be told, none of those `aside`. Returns how many were."""
    aside = Aside() if aside is None else aside
    due = await door.pool.fetch(DUE, now, untouched_s, members_max, list(aside.keys()))
    items = [
        _item(SendDue(member_id=row["member_id"], now=now), key=row["member_id"], at=now or row["send_at"])
        for row in due
    ]
    outcomes = await door.transact(items) if items else []
    refused = [(row["member_id"], o.wrong) for row, o in zip(due, outcomes, strict=True) if o.wrong is not None]
    for member_id, wrong in refused:
        log.error("messages_not_told", member=member_id, reason=str(wrong), tries_again_in_s=ASIDE_S)
    aside.put(member_id for member_id, _ in refused)
    return len(items) - len(refused)


async def deliver(door: Door, channel: Channel, now: datetime | None, *, texts_max: int = TEXTS_MAX) -> int:
    """Claim, send, settle: two transactions with the sending between them. Returns how many went out."""
    if now is not None and is_quiet(now, door.programme.messages.at(local_date(now))):
        return 0
    queued = await door.pool.fetch(_QUEUED, texts_max)
    if not queued:
        return 0
    claimed = await _claim(door, queued)
    texts = [TextMessage(r["message_id"], r["member_id"], now or r["sent_at"], r["text"]) for r in claimed]
    results = await channel.send(texts)
    settled = [
        SettleSms(message_id=text.message_id, result=result.result, at=text.at, reason=result.reason)
        for text, result in zip(texts, results, strict=True)
    ]
    await _on_letters(door, settled, at=utc_now())
    return len(texts)


async def _claim(door: Door, queued: Sequence[asyncpg.Record]) -> list[asyncpg.Record]:
    """Those that are ours to send: another worker may have claimed some meanwhile."""
    outcomes = await _on_letters(door, [ClaimSms(message_id=r["message_id"]) for r in queued], at=utc_now())
    return [row for row, outcome in zip(queued, outcomes, strict=True) if outcome.body == b"true"]


async def give_up(door: Door, before: datetime, *, texts_max: int = TEXTS_MAX) -> int:
    """What has been `sending` since before then is `unknown` from now on. Returns how many."""
    rows = await door.pool.fetch(_ABANDONED, before, texts_max)
    lost = [
        SettleSms(message_id=r["message_id"], result="unknown", at=r["sent_at"], reason="interrupted") for r in rows
    ]
    await _on_letters(door, lost, at=utc_now())
    return len(lost)


async def _on_letters(door: Door, commands: Sequence[ClaimSms | SettleSms], *, at: datetime) -> list[Outcome]:
    if not commands:
        return []
    return await door.transact([_item(command, key=key_of(command.message_id), at=at) for command in commands])


def _item(command: Data, *, key: str, at: datetime) -> Item:
    return Item(Event(id=str(uuid7()), source=SOURCE, type=type(command).__name__, key=key, time=at, data=command))
