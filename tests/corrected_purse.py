"""A purse whose dues change: what is not due any more is taken back, what is owed is repaid first, and two purses may become one.

Read from DESIGN 5.3 and DOMAIN 12-16 and 22, as `purse` is. Taken back: what is left of the due's own lots, what of them is over unused,
what is there of its term's other lots, what is there of all others as they are spent, and the rest is owed. A correction that counts
from an earlier day takes from others as it would have on that day: what was there then, though it be over since, but for what no
policy earned and is over for 92 days. What is due again returns to where it was taken from, and comes anew where it cannot.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from .purse import Lot, Purse
from .second_reading import Due, expiry

Name = tuple[str, str, str]
FOR_EVER: Final = timedelta(99_999)
REMEMBERED: Final = timedelta(92)
LATE: Final = timedelta(7)
TURNS: Final = {"anniversary": 1, "no_claim_year": 1, "referral": 2}
"""Of what one fact takes or gives back, years come after a policy's other dues, and whoever brought a customer hears of it last."""


@dataclass
class CorrectedPurse(Purse):
    """One member's points, with spending, expiry and corrections."""

    owed: int = 0
    frozen: bool = False
    quizzed: set[date] = field(default_factory=set)
    walked: dict[date, list[Lot]] = field(default_factory=dict)
    lots_of: dict[Name, list[Lot]] = field(default_factory=dict)

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
        """What is due by everything known now, by a fact that counts from a day; for who referred somebody, from when it is heard."""
        known = {(due.rule, due.policy_no, due.number): due for due in dues}
        for name, lots in sorted(self.lots_of.items(), key=lambda one: one[0][0] == "referral"):
            lost, since = self._stands(name) - worth(known, name), self.today if name[0] == "referral" else counts_from
            if lost > 0:
                self._take_back(lots, lost, max(since, lots[0].earned_on))
        for name, lots in sorted(self.lots_of.items(), key=lambda one: TURNS.get(one[0][0], 0)):
            won = worth(known, name) - self._stands(name)
            if won > 0:
                self._stand_again(lots, won)
        for name, due in known.items():
            if name not in self.lots_of:
                self._earn(name, due)

    def _stands(self, name: Name) -> int:
        return sum(lot.stands for lot in self.lots_of[name])

    def _earn(self, name: Name, due: Due) -> None:
        term = None if due.term_no is None else (due.policy_no, due.term_no)
        lot = Lot(due.on, due.active_on, expiry(due.active_on), due.points, term=term, granted=due.points)
        self.lots_of[name] = [lot]
        self._add(lot)

    def _add(self, lot: Lot) -> Lot:
        self.lots.append(lot)
        self._let_end(lot)
        return lot

    def _take_back(self, group: list[Lot], points: int, since: date) -> None:
        for lot in reversed(group):
            share = min(points, lot.stands)
            points -= share
            for source in (lot, *(t for t in group if t is not lot), *self._others(group, since)):
                fresh = min(share, source.left)
                stale = min(share - fresh, source.over)
                source.left, source.over, share = source.left - fresh, source.over - stale, share - fresh - stale
                note(lot, source, fresh + stale)
            self.owed += share
            note(lot, None, share)

    def _others(self, group: list[Lot], since: date) -> list[Lot]:
        policies = {lot for lots in self.lots_of.values() for lot in lots}

        def there(lot: Lot) -> bool:
            known = FOR_EVER if lot in policies else REMEMBERED
            return lot.active_on <= self.today and lot.ends_on > since and self.today - lot.ends_on < known

        own = group[0].term
        others = [lot for lot in self.lots if lot not in group and there(lot)]
        return sorted(
            others, key=lambda t: (own is None or t.term != own, max(t.active_on, since), t.ends_on, t.earned_on)
        )

    def _stand_again(self, group: list[Lot], points: int) -> None:
        """Last taken, first returned, with the dates it had; what was owed and is repaid meanwhile comes anew."""
        for lot in reversed(group):
            for source, taken in reversed(list(lot.taken.items())):
                back = min(points, taken) if source else min(points, taken, self.owed)
                points -= back
                note(lot, source, -back)
                if source is None:
                    self.owed -= back
                else:
                    source.left += back
                    self._let_end(source)
        first = group[0]
        if points:
            more = Lot(first.earned_on, first.active_on, first.ends_on, points, term=first.term, granted=points)
            group.append(self._add(more))

    def place(self, name: str, points: int) -> bool:
        return not self.owed and not self.frozen and super().place(name, points)

    def quiz(self) -> None:
        """Ten points, once a day."""
        if self.today not in self.quizzed:
            self.quizzed.add(self.today)
            self._new(10)

    def walk(self) -> None:
        """Ten points for a day of steps; what was corrected may be corrected again."""
        if self.today not in self.walked:
            self.walked[self.today] = [self._new(10)]
        group = self.walked[self.today]
        self._stand_again(group, group[0].granted - sum(lot.stands for lot in group))

    def walked_less(self, day: date) -> None:
        """A day's steps turn out to be too few: its points go, if that is heard within a week."""
        if day in self.walked and self.today - day <= LATE:
            self._take_back(self.walked[day], sum(lot.stands for lot in self.walked[day]), day)

    def corrected(self, points: int) -> bool:
        """More by hand, or less of what is there, as it is spent."""
        if points < 0 and self.available < -points:
            return False
        if points > 0:
            self._new(points)
        for lot in self._free() if points < 0 else ():
            taken = min(lot.left, -points)
            lot.left, points = lot.left - taken, points + taken
        return True

    def _new(self, points: int) -> Lot:
        return self._add(Lot(self.today, self.today, expiry(self.today), points, granted=points))

    def take_over(self, other: "CorrectedPurse") -> None:
        """The other's lots come with their dates, its reservations, and what it owes; whatever is there pays for that."""
        self.lots += other.lots
        self.lots_of |= other.lots_of
        self.reserved |= other.reserved
        self.owed += other.owed
        self.frozen = self.frozen or other.frozen
        self.quizzed |= other.quizzed
        self.walked = other.walked | self.walked
        for lot in self._free():
            self._let_end(lot)


def worth(known: Mapping[Name, Due], name: Name) -> int:
    return known[name].points if name in known else 0


def note(lot: Lot, source: Lot | None, points: int) -> None:
    """So much was taken for a lot from another, or was given back."""
    lot.taken[source] = lot.taken.get(source, 0) + points
    if not lot.taken[source]:
        del lot.taken[source]
