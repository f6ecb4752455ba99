"""A dry run: facts decided by the real rules on copies of the real states, and nothing written.

The invariant: what it says of a fact is what an import would have said, as long as nobody else changes the same policies in the
meantime. States live in memory, so a file may touch so many policies and customers and no more.
"""

import uuid
from collections.abc import Sequence
from typing import Any, Final

from tenure.contracts import core
from tenure.contracts.event import Event, WrongEventError
from tenure.spine.codec import event_key
from tenure.spine.transact import Door

from policy_sync import rules, store
from policy_sync.sources.rows import FileError

STATES_MAX: Final = 200_000


class Rehearsal:
    """The states as this file would leave them."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._states: dict[str, Any] = {}
        self._seen: set[uuid.UUID] = set()

    async def take(self, events: Sequence[Event]) -> list[str | tuple[str, str]]:
        """What would become of each. Raises FileError when the file touches too much for memory."""
        await self._look_up({key for event in events for key in rules.keys(event)})
        named = [event_key(event.source, event.id) for event in events]
        rows = await self._door.pool.fetch("SELECT event_key FROM inbox WHERE event_key = ANY ($1::uuid[])", named)
        self._seen |= {row["event_key"] for row in rows}
        return [self._once(name, event) for name, event in zip(named, events, strict=True)]

    def _once(self, name: uuid.UUID, event: Event) -> str | tuple[str, str]:
        """What has its id already has no effect, whatever it says; what is refused does not keep its id."""
        if name in self._seen:
            return "duplicate"
        fate = self._decided(event)
        if isinstance(fate, str):
            self._seen.add(name)
        return fate

    async def _look_up(self, keys: set[str]) -> None:
        new = sorted(keys - self._states.keys())
        if len(self._states) + len(new) > STATES_MAX:
            raise FileError(f"a dry run takes {STATES_MAX:,} policies and customers at most: cut the file in pieces")
        if new:
            async with self._door.pool.acquire(timeout=self._door.acquire_timeout_s) as conn:
                self._states |= await store.peek(conn, new)  # type: ignore[arg-type]

    def _decided(self, event: Event) -> str | tuple[str, str]:
        keys = rules.keys(event)
        states = tuple(self._states[key] for key in keys)
        decide: Any = rules.on_fact if isinstance(event.data, core.PolicyFact) else rules.on_customer
        try:
            decided = decide(states if len(states) > 1 else states[0], event, self._door.programme)
        except WrongEventError as wrong:
            return wrong.code, wrong.detail
        after = decided.state if len(states) > 1 else (decided.state,)
        self._states.update(zip(keys, after, strict=True))
        status: str = decided.reply["status"]
        return status
