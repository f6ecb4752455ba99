"""The notifier's inbox behind the model: what was told, which members have something waiting, and since when nothing touched them.

The invariant: what a member's state says of messages (`taken`, `told`) is looked up among those that were told, as by the
notifier's own SQL, never remembered with the state.
"""

import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from msgspec.structs import replace
from notifier.rules.letters import KEY_PREFIX
from notifier.rules.member import Member
from notifier.rules.mergers import Hand, HandBack, way_of
from notifier.rules.preferences import Forget
from notifier.rules.release import Told
from notifier.sending import DUE
from tenure.calendar import local_date
from tenure.service import Saved
from tenure.simulation.park_statements import Answer
from tenure.simulation.states import Shape
from tenure.simulation.tables import Store, Transaction


class Message(NamedTuple):
    sent_at: datetime
    capped: bool
    handed_by: tuple[str, ...] = ()


Inbox = Mapping[str, Message]
"""What one member was told, by the key that keeps it from being told twice."""


def shape() -> Shape:
    return Shape(blank=_blank, read=_read, also_saved=_keep)


def answers(store: Store) -> None:
    """Let the store answer what the sender asks."""
    store.statements[DUE] = _due


def _blank(key: str) -> Member | None:
    return None if key.startswith(KEY_PREFIX) else Member(member_id=key)


def _read(tx: Transaction, key: str, member: Member) -> Member:
    """With what was told before: a member is locked while anything is told to them."""
    pending = member.book.pending
    if not pending:
        return replace(member, taken=frozenset(), told={}) if member.taken or member.told else member
    inbox: Inbox = tx.store.tables["messages"].get(key, {})
    days = {local_date(p.send_at) for p in pending}
    told = Counter(day for m in inbox.values() if m.capped and (day := local_date(m.sent_at)) in days)
    return replace(member, taken=frozenset(p.dedupe for p in pending if p.dedupe in inbox), told=dict(told))


def _keep(tx: Transaction, saved: Saved[Any]) -> None:
    now = time.monotonic()
    for key, member in saved.after.items():
        if member.send_at is not None:
            tx.put("queue", key, (member.send_at, now))
        elif tx.get("queue", key) is not None:
            tx.delete("queue", key)
    for row in saved.rows:
        if isinstance(row, Told):
            told = Message(row.sent_at, row.capped, row.handed_by)
            _put(tx, row.member_id, {row.dedupe: told} | _inbox(tx, row.member_id))
        elif isinstance(row, Hand):
            _hand(tx, row)
        elif isinstance(row, HandBack):
            _hand_back(tx, row)
        elif isinstance(row, Forget):
            _put(tx, row.member_id, {})


def _inbox(tx: Transaction, key: str) -> dict[str, Message]:
    return tx.get("messages", key) or {}


def _put(tx: Transaction, key: str, inbox: Inbox) -> None:
    tx.put("messages", key, inbox)


def _hand(tx: Transaction, hand: Hand) -> None:
    """What the other has already, stays where it is."""
    ours, theirs = _inbox(tx, hand.from_id), _inbox(tx, hand.to_id)
    came = {d: m._replace(handed_by=way_of(m.handed_by, hand.from_id, hand.to_id)) for d, m in ours.items()}
    _put(tx, hand.to_id, came | theirs)
    _put(tx, hand.from_id, {dedupe: message for dedupe, message in ours.items() if dedupe in theirs})


def _hand_back(tx: Transaction, hand: HandBack) -> None:
    theirs, own = _inbox(tx, hand.from_id), _inbox(tx, hand.to_id)
    back = {d: m for d, m in theirs.items() if hand.to_id in m.handed_by and d not in own}
    _put(tx, hand.from_id, {dedupe: message for dedupe, message in theirs.items() if dedupe not in back})
    came = {d: m._replace(handed_by=m.handed_by[: m.handed_by.index(hand.to_id)]) for d, m in back.items()}
    _put(tx, hand.to_id, own | came)


async def _due(
    _: Any, tx: Transaction, now: datetime | None, untouched_s: float, members_max: int, aside: list[str]
) -> Answer:
    until = time.monotonic() - untouched_s
    queue = tx.store.tables["queue"].items()
    due = sorted(
        (at, key)
        for key, (at, touched) in queue
        if touched <= until and (now is None or at <= now) and key not in aside
    )
    return [{"member_id": key, "send_at": at} for at, key in due[:members_max]]
