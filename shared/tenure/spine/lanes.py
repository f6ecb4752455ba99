"""A large poll is worked in lanes: while PostgreSQL writes what one lane decided, another is decoded and decided.

The invariant: order per key holds, because a key's records stand under one partition number, in every topic, and all of a number
are in one lane, in the order of the poll. Lanes are to each other what two consumers of a group are: each has transactions and
positions of its own, and they meet only where an event touches two keys, in the order of the locks.

A poll with a tick in it is one lane: a day begins with everything that was read before it, or not at all.
"""

from collections.abc import Sequence
from typing import Final

from tenure.contracts.topics import TOPIC_OF
from tenure.spine.log import Record

TICKS: Final = TOPIC_OF["day.started"].name
LANE_RECORDS_MIN: Final = 500
"""Smaller ones would pay more for their own transactions than the overlap gains."""


def in_lanes(records: Sequence[Record], *, lanes_max: int) -> list[Sequence[Record]]:
    """The records of one poll, cut by partition number into at most `lanes_max` lanes; one lane where that is not worth it."""
    lanes = min(lanes_max, len(records) // LANE_RECORDS_MIN)
    if lanes < 2 or any(record.topic == TICKS for record in records):  # noqa: PLR2004 - one lane is no lanes
        return [records]
    numbers = sorted({record.partition for record in records})
    lane_of = {number: n % lanes for n, number in enumerate(numbers)}
    cut: list[list[Record]] = [[] for _ in range(min(lanes, len(numbers)))]
    for record in records:
        cut[lane_of[record.partition]].append(record)
    return list(cut)
