"""What an account remembers of one policy term: enough to say what the term's facts are worth today.

The invariant: it is the same whatever the order in which the term's events were heard. How the term stands is said by its highest
version; payments, refunds, cancellations and their reversals are kept under their own numbers; what stands of them is derived.
"""

from datetime import UTC, date, datetime
from typing import Final

import msgspec
from msgspec.structs import replace
from tenure.calendar import local_date

NUMBERED: Final = ("paid", "refunds", "refunded_at", "cancelled_at", "stood_again_at", "endorsed")
"""What is kept under its own number, whichever version says how the term stands."""
_LONG_AGO: Final = datetime(1900, 1, 1, tzinfo=UTC)


class TermMemory(msgspec.Struct, frozen=True, array_like=True):
    """What the ledger keeps of a policy term: enough to say what its facts are worth today.

    `paid` by instalment; `endorsed` by endorsement, from which day and by how much the premium changed; everything else by the
    version that made it, and at which instant the core recorded it. `continues`: the policy that its policy was sold in place of.
    """

    version: int
    start: date
    written_end: date
    person: bool
    premium_fen: int
    void: bool = False
    ended: date | None = None
    paid: dict[int, int] = {}
    refunds: dict[int, int] = {}
    refunded_at: dict[int, datetime] = {}
    cancelled_at: dict[int, datetime] = {}
    stood_again_at: dict[int, datetime] = {}
    refunded_known_fen: int | None = None
    endorsed: dict[str, tuple[date, int]] = {}
    continues: str | None = None

    @property
    def is_whole(self) -> bool:
        """Neither void nor ended early nor refunded, and no cover taken away: everything it earned stands."""
        return not self.void and self.ended is None and not self.refunded_fen and not self.reduced_fen

    @property
    def reduced_fen(self) -> int:
        """By how much endorsements lowered its premium."""
        return -sum(delta for _, delta in self.endorsed.values() if delta < 0) if self.endorsed else 0

    @property
    def paid_fen(self) -> int:
        """What was paid for it; where no payment was seen here, what it cost before refunds."""
        return sum(self.paid.values()) or self.premium_fen + self.refunded_fen

    @property
    def refunded_fen(self) -> int:
        """What was refunded and stands: a cancellation that was reversed took with it what was refunded since its day.

        Its highest version says so. Where it was told before terms said so, it is worked out from the instants remembered.
        """
        if self.refunded_known_fen is not None:
            return self.refunded_known_fen
        if not self.stood_again_at:
            return sum(self.refunds.values())
        return sum(fen for version, fen in self.refunds.items() if not self._is_undone(version))

    def _is_undone(self, version: int) -> bool:
        at = self.refunded_at.get(version)
        if at is None:  # remembered before instants were
            return version < max(self.stood_again_at)
        return any(
            at <= again and local_date(at) >= self._cancelled_on(again) for again in self.stood_again_at.values()
        )

    def _cancelled_on(self, before: datetime) -> date:
        """The day on which the cancellation that was reversed then had been recorded."""
        return local_date(max((at for at in self.cancelled_at.values() if at <= before), default=_LONG_AGO))


def policy_of(term_id: str) -> str:
    """The policy of a term's key."""
    return term_id.rpartition("/")[0]


def together(some: dict[str, TermMemory], more: dict[str, TermMemory]) -> dict[str, TermMemory]:
    """The terms of two accounts; what either heard of one term is known of it."""
    both = {key: _joined(some[key], more[key]) for key in some.keys() & more.keys()}
    return {**some, **more, **both}


def _joined(one: TermMemory, more: TermMemory) -> TermMemory:
    """It stands as the higher version says."""
    newest = one if one.version > more.version else more
    return replace(newest, **{name: {**getattr(one, name), **getattr(more, name)} for name in NUMBERED})
