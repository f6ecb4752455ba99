"""One topic, as the table in `topics` declares it."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from tenure.contracts.event import Data

OUTSIDE: Final = ("insurer core", "app, agent platform")
"""Producers that are not Tenure, named first: what they say of the time is checked where the platform goes by the wall's clock."""


class Topic(NamedTuple):
    """`retention_days` None = kept for ever: whoever comes later reads all of it."""

    name: str
    key: str
    partitions: int
    retention_days: int | None
    producer: str
    consumers: tuple[str, ...]
    types: Mapping[str, type[Data]]
