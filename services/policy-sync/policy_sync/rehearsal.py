"""A dry run: facts decided by the real rules on copies of the real states, and nothing written.

The invariant: what it says of a fact is what an import would have said, as long as nobody else changes the same policies in the
meantime. Of the states only the newest touched are in memory; the others are put aside in a file.
"""

import asyncio
import uuid
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from tenure.contracts import core
from tenure.contracts.event import Event, WrongEventError
from tenure.spine.codec import event_key
from tenure.spine.transact import Door

from policy_sync import rules, store
from policy_sync.aside import Aside
from policy_sync.resent import otherwise
from policy_sync.rules.fold import NO_SURVIVORS
from policy_sync.rules.policies import PolicyState

STATES_MAX: Final = 40_000
"""In memory, of policies and customers: a chunk's own may come on top."""


class Rehearsal:
    """The states as this file would leave them."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._aside = Aside()
        self._states: dict[str, Any] = {}  # what was touched last stands last
        self._seen: set[uuid.UUID] = set()  # of this chunk
        self._new: list[uuid.UUID] = []

    def close(self) -> None:
        self._aside.close()

    async def take(self, events: Sequence[Event]) -> list[str | tuple[str, str]]:
        """What would become of each."""
        await self._look_up({key for event in events for key in rules.keys(event)})
        named = [event_key(event.source, event.id) for event in events]
        rows = await self._door.pool.fetch("SELECT event_key FROM inbox WHERE event_key = ANY ($1::uuid[])", named)
        self._seen = {row["event_key"] for row in rows} | await asyncio.to_thread(self._aside.seen, named)
        fates = [self._once(name, event) for name, event in zip(named, events, strict=True)]
        await asyncio.to_thread(self._put_aside)
        return fates

    def _once(self, name: uuid.UUID, event: Event) -> str | tuple[str, str]:
        """What has its id already has no effect, and is refused if it says otherwise; what is refused does not keep its id."""
        if name in self._seen:
            state = self._states[rules.keys(event)[0]]
            persons = state.ties.survivors if isinstance(state, PolicyState) else NO_SURVIVORS
            wrong = otherwise(event, state.facts, persons, is_timed=True)
            return (wrong.code, wrong.detail) if wrong else "duplicate"
        fate = self._decided(event)
        if isinstance(fate, str):
            self._seen.add(name)
            self._new.append(name)
        return fate

    async def _look_up(self, keys: set[str]) -> None:
        new = sorted(keys - self._states.keys())
        self._states |= await asyncio.to_thread(self._aside.take, new)
        if unknown := [key for key in new if key not in self._states]:
            async with self._door.pool.acquire(timeout=self._door.acquire_timeout_s) as conn:
                self._states |= await store.peek(conn, unknown)  # type: ignore[arg-type]
        self._states |= {key: self._states.pop(key) for key in keys}

    def _put_aside(self) -> None:
        """What was not touched for longest goes, and the ids of this chunk."""
        old = list(islice(self._states, max(0, len(self._states) - STATES_MAX)))
        self._aside.put({key: self._states.pop(key) for key in old})
        self._aside.see(self._new)
        self._new = []

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
