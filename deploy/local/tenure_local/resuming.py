"""A platform that is started again, maybe on a log that is another one than last time.

The invariant: positions noted against a log that is gone are never compared with a new one. The wheel broker forgets everything
when it ends, so after its start (and after a change to another broker) every service's notes of what it has read and published
are deleted; and if someone had not read everything, all that the outboxes retain goes out again (inboxes drop what they know).
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

import asyncpg
from tenure.embedded.choose import Chosen
from tenure.embedded.whole import write_whole
from tenure.settings import Settings
from tenure.spine import outbox

from tenure_local.drained import Backlog, Targets, Watch, watch
from tenure_local.home import Home
from tenure_local.playback import calendar

ROWS_AT_ONCE_MAX: Final = 5_000


@dataclass(frozen=True)
class Resumed:
    """Where the calendar stands, outbox rows that go out again, and facts of an import or replay that no one had read."""

    day: date | None
    rows_again: int = 0
    facts_lost: int = 0

    def lines(self) -> list[str]:
        found = []
        if self.day is not None:
            found.append(f"resuming where the earlier run ended: the calendar stands at {self.day}")
        if self.rows_again:
            found.append("the log is a new one, and not everyone had read the old one: services publish again")
        if self.facts_lost:
            found.append(
                f"{self.facts_lost:,} facts of an import or replay were lost with the old log, unread: send them again"
            )
        return found


async def resume(home: Home, settings: Settings, broker: Chosen) -> Resumed:
    """Meant for the moment when every database is there and no service runs yet."""
    async with watch(settings, home.addresses().worker_url) as services:
        day = await calendar(services)
        if broker.durable and home.log_name.exists() and home.log_name.read_text() == _name(broker):
            return Resumed(day)
        found = await _on_another_log(home, services)
    write_whole(home.log_name, _name(broker).encode())
    return Resumed(day, *found)


def _name(broker: Chosen) -> str:
    return f"{broker.kind} {broker.bootstrap if broker.kind == 'configured' else ''}".strip()


async def _on_another_log(home: Home, services: Watch) -> tuple[int, int]:
    own = await services.look()
    lost = _unread(await services.look(Targets(home.targets).positions())) - _unread(own)
    again = 0
    for conn in services.connections():
        if _unread(own):
            while done := await outbox.publish_again(conn, rows_max=ROWS_AT_ONCE_MAX):
                again += done
        await _forget_positions(conn)
    home.targets.unlink(missing_ok=True)
    return again, lost


def _unread(backlog: Backlog) -> int:
    return sum(backlog.unread.values())


async def _forget_positions(conn: asyncpg.Connection) -> None:
    await conn.execute("WITH gone AS (DELETE FROM published) DELETE FROM progress")
