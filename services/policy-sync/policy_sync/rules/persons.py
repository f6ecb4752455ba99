"""What customers said of themselves, under whichever of their numbers: erasure and consent are the person's, not the number's.

The invariant: it makes no difference whether it was heard before or after the merger of the numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Final

import msgspec
from tenure.contracts import core, policy

from policy_sync.rules.facts import Fact

Said = Mapping[str, Sequence[Fact]]
"""Facts by the number they were said under."""

# No id holds a space, so no policy has this key.
WEB: Final = "whose numbers"


class Web(msgspec.Struct, frozen=True, kw_only=True):
    """Of every number that those in hand were ever tied to, near or far: `ties`, the mergers that gave it up and their undoings,
    and what was `said` under it of erasure and consent. One for all that one poll brings: each sees what the one before it tied.
    """

    ties: Mapping[str, Sequence[Fact]] = {}
    said: Said = {}


def is_erased(numbers: Iterable[str], said: Said) -> bool:
    return any(isinstance(f.data, core.CustomerErased) for n in numbers for f in said.get(n, ()))


def consent(numbers: Iterable[str], said: Said) -> Fact | None:
    """The newest word on consent under any of these numbers; of two of one moment, that under the first of them."""
    found = [f for n in numbers for f in said.get(n, ()) if isinstance(f.data, core.ConsentChanged)]
    return max(found, key=said_at, default=None)


def said_at(fact: Fact) -> tuple[datetime, date]:
    return fact.time, fact.effective


def consented(person: str, fact: Fact, *, said_at: datetime | None) -> policy.ConsentChanged:
    """`said_at`: None where it counts from now, whatever was said since."""
    return policy.ConsentChanged(
        member_id=person, marketing=fact.data.marketing, effective=fact.effective, said_at=said_at
    )
