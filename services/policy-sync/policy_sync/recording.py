"""An import's facts through the write door, in lanes: while PostgreSQL writes what one lane decided, another is decided.

The invariant: facts that touch a policy or a customer in common are in one lane, in the order of the file, so they are recorded
and told as if they had come one after the other. Each lane is a transaction of its own; a chunk is done when all of its lanes are.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from tenure.contracts.event import Event
from tenure.spine.gather import Gatherer
from tenure.spine.item import Item
from tenure.spine.transact import Door

from policy_sync import rules
from policy_sync.resent import judged
from policy_sync.rules.persons import WEB

FACTS_AT_ONCE_MAX: Final = 40_000
LANES_MAX: Final = 2
LANE_FACTS_MIN: Final = 500
"""Smaller ones would pay more for their own transactions than the overlap gains."""
WAIT_MAX_S: Final = 300.0
Fate = str | tuple[str, str]


class Recording:
    """Facts through the write door, each standing or falling alone."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._lanes = [
            Gatherer(door, batch_items_max=FACTS_AT_ONCE_MAX, queue_items_max=FACTS_AT_ONCE_MAX, wait_s_max=WAIT_MAX_S)
            for _ in range(LANES_MAX)
        ]

    def close(self) -> None:
        """Nothing is kept between chunks."""

    async def take(self, events: Sequence[Event]) -> list[Fate]:
        """What became of each: accepted, waiting or duplicate, or why it was refused."""
        fates: list[Fate] = [""] * len(events)
        lanes = in_lanes(events)
        done = await asyncio.gather(
            *(self._record(n, [events[i] for i in lane]) for n, lane in enumerate(lanes)), return_exceptions=True
        )
        for lane, found in zip(lanes, done, strict=True):
            if isinstance(found, BaseException):
                raise found  # when all lanes have come to an end: whoever tries again meets none of them under way
            for i, fate in zip(lane, found, strict=True):
                fates[i] = fate
        return fates

    async def _record(self, lane: int, events: list[Event]) -> list[Fate]:
        done = await self._lanes[lane].submit([Item(event, once=True) for event in events])
        outcomes = await judged(self._door.pool, events, done, is_timed=True)
        return [
            (o.wrong.code, o.wrong.detail) if o.wrong is not None else "duplicate" if o.seen else _status_of(o.body)
            for o in outcomes
        ]


def _status_of(body: bytes) -> str:
    return "waiting" if b'"waiting"' in body else "duplicate" if b'"duplicate"' in body else "accepted"


def in_lanes(events: Sequence[Event]) -> list[list[int]]:
    """The places of the events, cut into at most `LANES_MAX` lanes of about one length; one lane where more is not worth it."""
    count = min(LANES_MAX, len(events) // LANE_FACTS_MIN)
    if count < 2:  # noqa: PLR2004 - one lane is no lanes
        return [list(range(len(events)))]
    lanes: list[list[int]] = [[] for _ in range(count)]
    for group in sorted(_groups(events), key=lambda places: places[0]):
        min(lanes, key=len).extend(group)
    return [sorted(lane) for lane in lanes if lane]


def _groups(events: Sequence[Event]) -> list[list[int]]:
    """Places of events that hang together by what they touch, however far apart they stand."""
    leads: dict[str, str] = {}
    first = [_joined(leads, [key for key in rules.keys(event) if key != WEB]) for event in events]
    groups: dict[str, list[int]] = {}
    for i, key in enumerate(first):
        groups.setdefault(_lead(leads, key), []).append(i)
    return list(groups.values())


def _joined(leads: dict[str, str], keys: Sequence[str]) -> str:
    lead = _lead(leads, keys[0])
    for key in keys[1:]:
        leads[_lead(leads, key)] = lead
    return lead


def _lead(leads: dict[str, str], key: str) -> str:
    """Who leads the group of a key; the way there is cut short for the next who asks."""
    while (up := leads.setdefault(key, key)) != key:
        leads[key] = key = leads[up]
    return key
