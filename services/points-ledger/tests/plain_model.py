"""The ledger as a child would build it: every point is a coin with its dates and a place, and everything is found by looking at all.

It shares no code with the rules. What it knows of them is what DESIGN 5.3 says: earliest expiry first, pending until cooling-off
ends, a void policy gives back what it earned and a refunded premium its share of it (pending coins first, then the policy's own,
then others, then a debt), and earnings repay a debt first.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from operator import attrgetter

from tenure.calendar import add_months, end_of_month

GRACE = timedelta(30)
REFUNDABLE = timedelta(366)
ONCE_A_DAY = {"quiz": (10, 1), "article": (5, 3)}


@dataclass(slots=True)
class Coin:
    """One point."""

    expires_on: date
    earned_on: date
    lot: int
    place: str
    active_on: date
    policy: str = ""
    grace: bool = False

    @property
    def order(self) -> tuple[date, date, int]:
        return (self.expires_on, self.earned_on, self.lot)


@dataclass(slots=True)
class Held:
    coins: list[Coin]
    placed_on: date
    state: str = "held"


@dataclass(slots=True)
class Payment:
    """What one payment earned: one lot. `lost`: what was taken back for it, from wherever."""

    lot: int
    points: int
    lost: int = 0


@dataclass(slots=True)
class Policy:
    """A policy of one term. A point is a yuan, so what was paid for it is its points' yuan."""

    cooling_off_end: date
    payments: list[Payment] = field(default_factory=list)
    refunded_fen: int = 0
    void: bool = False

    def to_lose(self, points: int) -> int:
        """What a payment loses in all: everything if the policy never was; otherwise its share, and the member keeps the fraction."""
        paid_fen = sum(payment.points for payment in self.payments) * 100
        return points if self.void else points * min(self.refunded_fen, paid_fen) // paid_fen


@dataclass
class Model:
    """One member's points."""

    today: date
    coins: list[Coin] = field(default_factory=list)
    holds: dict[str, Held] = field(default_factory=dict)
    debt: int = 0
    repaid: int = 0
    lots: int = 0
    done: Counter[tuple[str, date]] = field(default_factory=Counter)
    policies: dict[str, Policy] = field(default_factory=dict)

    # --- what is there ---

    def at(self, *places: str) -> list[Coin]:
        return [coin for coin in self.coins if coin.place in places]

    def balances(self) -> tuple[int, int, int, int]:
        """(pending, available, held, debt)."""
        places = Counter(map(attrgetter("place"), self.coins))
        return places["pending"], places["available"], places["held"], self.debt

    def by_lot(self) -> dict[tuple[int, str], int]:
        """How many coins of which lot are where; those that are gone for good are left out."""
        where = {"pending": "left", "available": "left", "held": "held", "expired": "expired"}
        found = Counter(map(attrgetter("lot", "place"), self.coins))
        return {(lot, where[place]): points for (lot, place), points in found.items() if place in where}

    # --- what happens ---

    def day(self, day: date) -> None:
        """Each thing on its own day: a coin that becomes active repays a debt before one that is over expires."""
        for on in sorted({d for c in self.at("pending") for d in [c.active_on] if d <= day}):
            for coin in self.at("pending"):
                if coin.active_on == on:
                    coin.place = "available"
                    self._repay([coin])
            self._expire(on)
        self._expire(day)
        self.today = max(self.today, day)

    def _expire(self, day: date) -> None:
        for coin in self.at("available"):
            if coin.expires_on <= day:
                coin.place = "expired"

    def _repay(self, coins: Iterable[Coin]) -> None:
        for coin in coins:
            if self.debt and coin.place == "available":
                coin.place, self.debt, self.repaid = "repaid", self.debt - 1, self.repaid + 1

    def _grant(self, points: int, active_on: date, policy: str = "") -> None:
        self.lots += 1
        place = "pending" if active_on > self.today else "available"
        expires_on = end_of_month(add_months(active_on, 24))
        new = [Coin(expires_on, self.today, self.lots, place, active_on, policy) for _ in range(points)]
        self.coins += new
        self._repay(new)

    def earn(self, kind: str) -> None:
        points, times = ONCE_A_DAY[kind]
        if self.done[kind, self.today] < times:
            self.done[kind, self.today] += 1
            self._grant(points, self.today)

    def attend(self) -> None:
        self._grant(50, self.today)
        self.lots += 1  # the growth beside it has a lot, too

    def insure(self, name: str, cooling_off_end: date) -> None:
        self.policies[name] = Policy(cooling_off_end)

    def pay(self, name: str, points: int) -> None:
        policy = self.policies[name]
        self._grant(points, max(policy.cooling_off_end, self.today), name)
        policy.payments.append(Payment(self.lots, points))

    def pay_back(self, name: str, fen: int) -> None:
        self.policies[name].refunded_fen += fen
        self._settle(name)

    def cancel(self, name: str) -> None:
        self.policies[name].void = True
        self._settle(name)

    def _settle(self, name: str) -> None:
        """Each payment, oldest first, gives back what it is to lose and has not lost yet."""
        policy = self.policies[name]
        for payment in policy.payments:
            owed = policy.to_lose(payment.points) - payment.lost
            payment.lost += owed
            for coin in self._to_take(name, payment.lot)[:owed]:
                coin.place, owed = "reversed", owed - 1
            self.debt += owed

    def _to_take(self, name: str, lot: int) -> list[Coin]:
        """Its own coins that are pending, there, or expired unused; then the policy's others; then others in spending order."""
        own = [coin for coin in self.coins if coin.lot == lot]
        others = sorted((c for c in self.at("available") if c.lot != lot), key=lambda c: (c.policy != name, c.order))
        return [
            *(coin for coin in own if coin.place in ("pending", "available")),
            *(coin for coin in own if coin.place == "expired"),
            *others,
        ]

    def adjust(self, points: int) -> bool:
        if points > 0:
            self._grant(points, self.today)
            return True
        free = sorted(self.at("available"), key=lambda c: c.order)
        if len(free) < -points:
            return False
        for coin in free[:-points]:
            coin.place = "adjusted"
        return True

    # --- reservations ---

    def hold(self, hold_id: str, points: int) -> bool:
        free = sorted(self.at("available"), key=lambda c: c.order)
        if hold_id in self.holds or self.debt or len(free) < points:
            return False
        self.holds[hold_id] = Held(free[:points], self.today)
        for coin in free[:points]:
            coin.place = "held"
        return True

    def capture(self, hold_id: str, points: int | None) -> bool:
        held = self.holds.get(hold_id)
        if held is None or held.state != "held" or (points or 0) > len(held.coins):
            return False
        cut = len(held.coins) if points is None else points
        for coin in held.coins[:cut]:
            coin.place = "spent"
        self._free(held.coins[cut:])
        held.state, held.coins = "captured", held.coins[:cut]
        return True

    def release(self, hold_id: str) -> bool:
        held = self.holds.get(hold_id)
        if held is None or held.state != "held":
            return False
        self._free(held.coins)
        held.state = "released"
        return True

    def _free(self, coins: list[Coin]) -> None:
        for coin in coins:
            coin.place = "available"
        self._repay(coins)
        self._expire(self.today)

    def refund(self, hold_id: str, points: int | None) -> bool:
        held = self.holds.get(hold_id)
        if held is None or held.state != "captured" or self.today > held.placed_on + REFUNDABLE:
            return False
        points = len(held.coins) if points is None else points
        if not 0 < points <= len(held.coins):
            return False
        back = held.coins[len(held.coins) - points :]
        fresh: dict[int, int] = {}
        for coin in reversed(back):
            coin.place = "available"
            if coin.expires_on <= self.today and not coin.grace:
                if coin.lot not in fresh:
                    self.lots += 1
                    fresh[coin.lot] = self.lots
                coin.lot, coin.grace = fresh[coin.lot], True
                coin.expires_on, coin.active_on, coin.policy = self.today + GRACE, self.today, ""
        self._repay(reversed(back))
        self._expire(self.today)
        held.coins = held.coins[: len(held.coins) - points]
        return True
