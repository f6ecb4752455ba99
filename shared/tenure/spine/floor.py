"""Where the relay begins to look: below the floor every row is published, and nobody is left who could still commit one there.

Without it every look would begin at the first row there ever was: while some transaction, anybody's, keeps old row versions alive,
the rows already marked stay in the index of those waiting and are passed one by one, more of them with every second.

How it is known that nobody is left: who inserts into the outbox locks the table (as every INSERT does, before it draws its `seq`)
and holds the lock until its commit can be seen. So when those who held it after `seq` stood at s are gone, all up to s is final. A
foreign transaction holds no such lock, and however long it stays open it holds up nothing. The floor is the leader's memory; a new
leader begins at the bottom.

The same holds for any table whose rows draw a number from a sequence of its own (`of`): up to `settled`, all its rows can be seen.
"""

import time
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from asyncpg.connection import Connection

LOOK_EVERY_S: Final = 0.2
BOTTOM: Final = 0


class Numbered(NamedTuple):
    """A table whose rows are numbered as they are inserted: what asks how far, and what asks who inserts."""

    drawn: str
    writers: str


def numbered(table: str) -> Numbered:
    """A table with an identity column `seq`."""
    return Numbered(
        f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {table}_seq_seq",
        f"""
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = '{table}'::regclass AND mode = 'RowExclusiveLock'
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND pid IS DISTINCT FROM pg_backend_pid()
""",
    )


OUTBOX: Final = numbered("outbox")
DRAWN: Final = OUTBOX.drawn
WRITERS: Final = OUTBOX.writers


@dataclass(slots=True)
class Floor:
    """Of one leader. `look` before reading the waiting rows, `rise` after: what is settled then was seen."""

    of: Numbered = OUTBOX
    seq: int = BOTTOM
    _drawn: int = BOTTOM
    _writers: set[str] = field(default_factory=set)
    _settled: int = BOTTOM
    _looked_at: float = 0.0

    async def look(self, conn: Connection) -> None:
        """Now and then: are those gone who might have committed late? Then note who might now."""
        if time.monotonic() < self._looked_at + LOOK_EVERY_S:
            return
        writers = await self._who_writes(conn)
        if self._writers.isdisjoint(writers):
            self._settled = self._drawn
            self._drawn = await conn.fetchval(self.of.drawn)
            self._writers = await self._who_writes(conn)  # after: who drew and is still at it is among them
        self._looked_at = time.monotonic()

    def rise(self, first_waiting: int | None) -> None:
        """The rows waiting from the floor up were read after the last look; this is the first of them."""
        reached = self._settled if first_waiting is None else min(self._settled, first_waiting - 1)
        self.seq = max(self.seq, reached)

    @property
    def settled(self) -> int:
        """Up to here every row that will ever be there can be seen, by the last look."""
        return self._settled

    async def _who_writes(self, conn: Connection) -> set[str]:
        return {row["virtualtransaction"] for row in await conn.fetch(self.of.writers)}
