"""Several services on databases of their own; their outboxes are carried to whoever reads them until nothing more is told."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date, datetime, time
from typing import Any

from notifier import sending
from tenure.calendar import SHANGHAI
from tenure.contracts.event import Data, Event
from tenure.contracts.topics import TOPIC_OF
from tenure.service import Service
from tenure.settings import Settings
from tenure.spine.codec import encode
from tenure.testing import Under, under_test


class House:
    """The services, and what flowed between them. What `is_late` is told to nobody before `catch_up`."""

    def __init__(self, services: dict[str, Under]) -> None:
        self.services, self.told = services, list[Event]()
        self.is_late: Callable[[Event], bool] = lambda _: False
        self.late = list[Event]()

    async def say(self, *facts: Data, at: datetime, backfill: bool = False) -> list[Event]:
        """Facts of the core at an instant; returns everything they led to."""
        before = len(self.told)
        await self["policy-sync"].feed(*facts, at=at, backfill=backfill)
        await self.carry()
        return self.told[before:]

    async def day(self, day: date) -> list[Event]:
        before = len(self.told)
        for service in self.services.values():
            await service.day(day)
            await self.carry()
        return self.told[before:]

    async def catch_up(self) -> None:
        """What was late is heard, after everything else."""
        late, self.late, self.is_late = self.late, [], lambda _: False
        await self._deliver(late)
        await self.carry()

    async def messages(self) -> list[str]:
        """Whatever waits is told; the templates of all that was ever told, in order."""
        notifier = self["notifier"]
        while await sending.tell(notifier.door, None):
            await self.carry()
        rows = await notifier.pool.fetch("SELECT template FROM message ORDER BY asked_at, message_id")
        return [r["template"] for r in rows]

    def __getitem__(self, name: str) -> Under:
        return self.services[name]

    async def carry(self) -> None:
        """What services told is heard by whom it concerns, and what they tell upon that."""
        moved = True
        while moved:
            moved = False
            for service in self.services.values():
                events = await service.emitted_events()
                self.told += events
                moved = moved or bool(events)
                self.late += [e for e in events if self.is_late(e)]
                await self._deliver([e for e in events if not self.is_late(e)])

    async def _deliver(self, events: Sequence[Event]) -> None:
        for name, reader in self.services.items():
            heard = [e for e in events if name in TOPIC_OF[e.type].consumers]
            if heard:
                await reader.deliver([reader.as_record(encode(e)) for e in heard])
                assert await reader.parked() == []


@asynccontextmanager
async def opened(settings: Settings, services: Sequence[Service[Any]]) -> AsyncIterator[House]:
    events = settings.model_copy(update={"clock": "events"})
    async with AsyncExitStack() as stack:
        yield House({s.name: await stack.enter_async_context(under_test(s, events)) for s in services})


def at(day: str, hour: int = 12, minute: int = 0) -> datetime:
    return datetime.combine(date.fromisoformat(day), time(hour, minute), SHANGHAI)
