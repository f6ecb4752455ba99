"""What a policy takes from those that it continues (a rewrite, a company transfer; DOMAIN 9): their days of cover and their losses.

The invariant: what is handed on follows from each policy's own facts, and nobody is handed what is their own; so policies that name
one another come to rest.
"""

from collections.abc import Iterable
from datetime import date
from typing import Final

import msgspec
from tenure.calendar import Period, union

LINKS_MAX: Final = 64
"""So many policies back a chain is known, nearest first."""


class Link(msgspec.Struct, frozen=True):
    """One policy of the chain: its days of cover, its claims that count by the day of the loss, and since when it is live."""

    policy_no: str
    covers: tuple[Period, ...]
    losses: tuple[tuple[str, date], ...] = ()
    live_from: date | None = None


Links = tuple[Link, ...]


def received(policy_no: str, handed: Iterable[Link]) -> Links:
    """What is handed to a policy, as far as it is not its own."""
    return tuple(link for link in handed if link.policy_no != policy_no)[:LINKS_MAX]


def covered(links: Links) -> tuple[Period, ...]:
    """The days on which any of them gave cover."""
    return tuple(union(period for link in links for period in link.covers))


def live_since(links: Links, live_from: date) -> date:
    """From which day the years of a policy that lives from a day are told: those it continues may have lived before it."""
    return min([live_from, *(link.live_from for link in links if link.live_from is not None)])
