"""A purse whose dues change: what is not due any more is taken back, what is owed is repaid first, and two purses may become one.

Read from DESIGN 5.3 and DOMAIN 12-16 and 22, as `purse` is. Taken back: what is left of the due's own lot, what of it is over unused,
what is there of its term's other lots, what is there of all others as they are spent, and the rest is owed. A correction that counts
from an earlier day takes from others as it would have on that day: what was there then, though it be over since.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from .purse import Lot, Purse
from .second_reading import Due, expiry

Name = tuple[str, str, str]


@dataclass
class CorrectedPurse(Purse):
    """One member's points, with spending, expiry and corrections."""

    owed: int = 0
    lot_of: dict[Name, Lot] = field(default_factory=dict)
    worth: dict[Name, int] = field(default_factory=dict)

    def figures(self) -> tuple[int, ...]:
        """Pending, available, held, spent, expired, owed."""
        return (*super().figures(), self.owed)

    def by_expiry(self) -> dict[date, int]:
        """What is left, by the day on which it will be over."""
        left: dict[date, int] = {}
        for lot in self.lots:
            left[lot.ends_on] = left.get(lot.ends_on, 0) + lot.left
        return {day: points for day, points in left.items() if points}

    def live_to(self, day: date) -> None:
        """Each thing on its own day: what becomes active repays what is owed before what is over is gone."""
        for on in sorted(
            {lot.active_on for lot in self.lots if self.today < lot.active_on <= day} | {max(day, self.today)}
        ):
            self.today = on
            for lot in self.lots:
                self._let_end(lot)

    def _let_end(self, lot: Lot) -> None:
        if lot.active_on <= self.today:
            paid = min(self.owed, lot.left)
            lot.left, self.owed = lot.left - paid, self.owed - paid
        super()._let_end(lot)

    def hear(self, dues: Iterable[Due], counts_from: date) -> None:
        """What is due by everything known now, by a fact that counts from a day."""
        known = {(due.rule, due.policy_no, due.number): due for due in dues}
        for name, lot in list(self.lot_of.items()):
            points = known[name].points if name in known else 0
            assert points <= self.worth[name], "nothing is ever given back in these lives"
            lost, self.worth[name] = self.worth[name] - points, points
            self._take_back(lot, lost, max(counts_from, lot.earned_on))
        for name, due in known.items():
            if name not in self.lot_of:
                self._earn(name, due)

    def _earn(self, name: Name, due: Due) -> None:
        term = None if due.term_no is None else (due.policy_no, due.term_no)
        lot = Lot(due.on, due.active_on, expiry(due.active_on), due.points, term=term)
        self.lots.append(lot)
        self.lot_of[name], self.worth[name] = lot, due.points
        self._let_end(lot)

    def _take_back(self, own: Lot, points: int, since: date) -> None:
        others = [lot for lot in self.lots if lot is not own and lot.active_on <= self.today and lot.ends_on > since]
        others.sort(
            key=lambda t: (own.term is None or t.term != own.term, max(t.active_on, since), t.ends_on, t.earned_on)
        )
        for lot in (own, *others):
            fresh = min(points, lot.left)
            stale = min(points - fresh, lot.over)
            lot.left, lot.over, points = lot.left - fresh, lot.over - stale, points - fresh - stale
        self.owed += points

    def place(self, name: str, points: int) -> bool:
        return not self.owed and super().place(name, points)

    def take_over(self, other: "CorrectedPurse") -> None:
        """The other's lots come with their dates, its reservations, and what it owes; whatever is there pays for that."""
        self.lots += other.lots
        self.lot_of |= other.lot_of
        self.worth |= other.worth
        self.reserved |= other.reserved
        self.owed += other.owed
        for lot in self._free():
            self._let_end(lot)
