"""Which of the cover that was added to a term is there (DOMAIN 4): the same cover is rewarded once, however often it is added.

The invariants: what stands of all increases together is what the premium came to above its sale, by endorsements, and never less
than nothing; so a reversal and its re-application change nothing. It follows from which endorsements are known, in order of the
days from which they count, not from when they were heard.
"""

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

from points_ledger.rules.term_memory import TermMemory

Endorsed = Mapping[str, tuple[date, int]]


class Added(NamedTuple):
    """What one endorsement added to the premium, and what of it was taken away again, in fen."""

    fen: int
    gone_fen: int


def key_of(term_id: str, endorsement_no: str) -> str:
    """The fact that adding cover is."""
    return f"{term_id}+{endorsement_no}"


def added_by(fact: str, term_id: str, term: TermMemory) -> Added | None:
    """What the endorsement that this fact is comes to; None for any other fact."""
    prefix = key_of(term_id, "")
    known = term.endorsed.get(fact.removeprefix(prefix)) if fact.startswith(prefix) else None
    if known is None or known[1] <= 0:
        return None
    return Added(known[1], known[1] - standing(term.endorsed)[fact.removeprefix(prefix)])


def standing(endorsed: Endorsed) -> dict[str, int]:
    """What of each increase is there, in fen. The newest is taken away first; what was sold is restored before more is added."""
    left: dict[str, int] = {}
    missing = 0
    for no, (_, delta) in sorted(endorsed.items(), key=lambda one: (one[1][0], one[0])):
        if delta > 0:
            restored = min(missing, delta)
            missing -= restored
            left[no] = delta - restored
        else:
            missing += _taken_away(left, -delta)
    return left


def _taken_away(left: dict[str, int], fen: int) -> int:
    """Take so much from what was added. Returns what of it had been sold with the term."""
    for no in reversed(left):
        taken = min(fen, left[no])
        left[no] -= taken
        fen -= taken
    return fen
