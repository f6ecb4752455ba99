"""What spending does to points, read once more from DESIGN 5.3 and DOMAIN 13, 17 and 18 alone; the companion of `second_reading`.

A purse knows lots with three dates and what was taken from which; the earliest expiry goes first, what is held does not expire
under the hold, a refund goes back where it came from and gives no more time, but for some days where the lot is over.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from .second_reading import Due, Life, expiry

GRACE: Final = timedelta(30)
REFUNDABLE: Final = timedelta(366)


@dataclass(eq=False)
class Lot:
    earned_on: date
    active_on: date
    ends_on: date
    left: int
    grace: bool = False
    over: int = 0
    term: tuple[str, int] | None = None
    granted: int = 0
    taken: dict["Lot | None", int] = field(default_factory=dict)

    @property
    def stands(self) -> int:
        """What was granted, less what was taken back for it, from whichever lot, or owed (None)."""
        return self.granted - sum(self.taken.values())


@dataclass
class Reserved:
    """`parts`: what is held, in order of use; once captured, what was and is not given back."""

    placed_on: date
    parts: list[tuple[Lot, int]]
    state: str = "held"

    @property
    def points(self) -> int:
        return sum(points for _, points in self.parts)


@dataclass
class Purse:
    """One member's points, with spending and without corrections."""

    coming: list[tuple[date, Due]]
    lots: list[Lot] = field(default_factory=list)
    reserved: dict[str, Reserved] = field(default_factory=dict)
    today: date = date.min

    def live_to(self, day: date) -> None:
        """What was heard of by then is there; what is over is gone."""
        known = [due for on, due in self.coming if on <= day]
        self.coming = [(on, due) for on, due in self.coming if on > day]
        self.lots += [Lot(d.on, d.active_on, expiry(d.active_on), d.points) for d in known]
        self.today = max(self.today, day)
        for lot in self.lots:
            self._let_end(lot)

    def _let_end(self, lot: Lot) -> None:
        if lot.ends_on <= self.today:
            lot.left, lot.over = 0, lot.over + lot.left

    def _free(self) -> list[Lot]:
        free = [lot for lot in self.lots if lot.left and lot.active_on <= self.today]
        return sorted(free, key=lambda lot: (lot.ends_on, lot.earned_on))

    @property
    def available(self) -> int:
        return sum(lot.left for lot in self._free())

    def figures(self) -> tuple[int, int, int, int, int]:
        """Pending, available, held, spent, expired."""
        pending = sum(lot.left for lot in self.lots if lot.active_on > self.today)
        held = sum(r.points for r in self.reserved.values() if r.state == "held")
        spent = sum(r.points for r in self.reserved.values() if r.state == "captured")
        return pending, self.available, held, spent, sum(lot.over for lot in self.lots)

    def place(self, name: str, points: int) -> bool:
        if name in self.reserved or not 0 < points <= self.available:
            return False
        parts, wanted = [], points
        for lot in self._free():
            taken = min(lot.left, wanted)
            lot.left, wanted = lot.left - taken, wanted - taken
            parts += [(lot, taken)] if taken else []
        self.reserved[name] = Reserved(self.today, parts)
        return True

    def capture(self, name: str, points: int | None) -> bool:
        one = self.reserved.get(name)
        points = one.points if one and points is None else points or 0
        if one is None or one.state != "held" or points > one.points:
            return False
        one.parts, rest = cut(one.parts, points)
        one.state = "captured"
        self._set_free(rest)
        return True

    def release(self, name: str) -> bool:
        one = self.reserved.get(name)
        if one is None or one.state != "held":
            return False
        self._set_free(one.parts)
        one.state, one.parts = "released", []
        return True

    def _set_free(self, parts: list[tuple[Lot, int]]) -> None:
        for lot, points in parts:
            lot.left += points
            self._let_end(lot)

    def refund(self, name: str, points: int | None) -> bool:
        one = self.reserved.get(name)
        if one is None or one.state != "captured" or self.today > one.placed_on + REFUNDABLE:
            return False
        points = one.points if points is None else points
        if not 0 < points <= one.points:
            return False
        one.parts, back = cut(one.parts, one.points - points)
        for lot, amount in reversed(back):
            self._give_back(lot, amount)
        return True

    def _give_back(self, lot: Lot, points: int) -> None:
        if lot.ends_on <= self.today and not lot.grace:
            lot = Lot(lot.earned_on, self.today, self.today + GRACE, 0, grace=True)
            self.lots.append(lot)
        lot.left += points
        self._let_end(lot)


def cut(parts: list[tuple[Lot, int]], points: int) -> tuple[list[tuple[Lot, int]], list[tuple[Lot, int]]]:
    """The first so many points, and the rest."""
    head, tail = [], []
    for lot, amount in parts:
        first = min(points, amount)
        points -= first
        head += [(lot, first)] if first else []
        tail += [(lot, amount - first)] if amount > first else []
    return head, tail


def heard_on(due: Due, life: Life) -> date:
    """A policy told in order: nothing is known before the policy is, and a year not before its last cover was sold."""
    issued = life.terms[0].start - timedelta(30)
    sold = [t.sold_on for t in life.terms if t.start < due.on] if due.rule in ("anniversary", "no_claim_year") else []
    return max(due.on, issued, *sold)
