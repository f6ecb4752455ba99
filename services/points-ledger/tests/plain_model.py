"""The ledger as a child would build it: every point is a coin with its dates and a place, and everything is found by looking at all.

It shares no code with the rules. What it knows of them is what DESIGN 5.3 says: earliest expiry first, pending until cooling-off
ends, a void policy gives back what it earned and a refunded premium its share of it (pending coins first, then the policy's own,
then others, then a debt), and earnings repay a debt first. What was taken goes back where it was when a cancellation is taken back, or
when more is paid and the refund is a smaller share of it: last taken, first returned. A person who turns out to be the same brings
their coins; when they turn out to be another after all, what is left of these goes with them, and no coin returns to them.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from operator import attrgetter

from tenure.calendar import add_months, end_of_month

GRACE = timedelta(30)
REFUNDABLE = timedelta(366)
DEBT = 0
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
class Grant:
    """One lot of a payment. `taken`: by the lot they were taken from, the coins that were taken back for it; and what became a debt."""

    lot: int
    points: int
    taken: dict[int, list[Coin | None]] = field(default_factory=dict)

    @property
    def standing(self) -> int:
        return self.points - sum(map(len, self.taken.values()))

    def take(self, coin: Coin | None) -> None:
        self.taken.setdefault(coin.lot if coin else DEBT, []).append(coin)


@dataclass(slots=True)
class Payment:
    """What was paid, in points, and the lots it has: more than one if it got back what had been taken and could not be returned."""

    points: int
    paid_on: date
    active_on: date
    grants: list[Grant]

    @property
    def standing(self) -> int:
        return sum(grant.standing for grant in self.grants)


@dataclass(slots=True)
class Policy:
    """A policy of one term. A point is a yuan, so what was paid for it is its points' yuan."""

    cooling_off_end: date
    payments: list[Payment] = field(default_factory=list)
    paid: int = 0
    refunded_fen: int = 0
    void: bool = False

    def worth(self, points: int) -> int:
        """What a payment leaves: nothing if the policy never was; otherwise all but its share, and the member keeps the fraction."""
        paid_fen = self.paid * 100
        return 0 if self.void else points - points * min(self.refunded_fen, paid_fen) // paid_fen


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
    frozen: bool = False
    theirs: list[Coin] = field(default_factory=list)
    came: int = 0
    gone: set[int] = field(default_factory=set)

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

    def _grant(self, points: int, active_on: date, policy: str = "", earned_on: date | None = None) -> int:
        """New coins, in a lot of their own. Returns its number."""
        self.lots += 1
        place = "pending" if active_on > self.today else "available"
        expires_on = end_of_month(add_months(active_on, 24))
        new = [Coin(expires_on, earned_on or self.today, self.lots, place, active_on, policy) for _ in range(points)]
        self.coins += new
        self._repay(new)
        self._expire(self.today)
        return self.lots

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
        """Of more that is paid a refund is a smaller share: the earlier payments get back first."""
        policy, active_on = self.policies[name], max(self.policies[name].cooling_off_end, self.today)
        policy.paid += points
        self._settle(name)
        left = policy.worth(points)
        policy.payments.append(
            Payment(points, self.today, active_on, [Grant(self._grant(left, active_on, name), left)])
        )

    def pay_back(self, name: str, fen: int) -> None:
        self.policies[name].refunded_fen += fen
        self._settle(name)

    def cancel(self, name: str) -> None:
        self.policies[name].void = True
        self._settle(name)

    def stand_again(self, name: str, refunded_fen: int) -> None:
        """The cancellation is taken back, and with it what was refunded since: so much was before."""
        policy = self.policies[name]
        policy.void, policy.refunded_fen = False, refunded_fen
        self._settle(name)

    def _settle(self, name: str) -> None:
        """Each payment, oldest first, comes to what it is worth by now."""
        for payment in self.policies[name].payments:
            owed = payment.standing - self.policies[name].worth(payment.points)
            if owed > 0:
                self._take_back(name, payment, owed)
            else:
                self._give_back(name, payment, -owed)

    def _take_back(self, name: str, payment: Payment, owed: int) -> None:
        for grant in reversed(payment.grants):
            share = min(owed, grant.standing)
            coins = self._to_take(name, grant, payment)[:share]
            for coin in coins:
                coin.place = "reversed"
                grant.take(coin)
            for _ in range(share - len(coins)):
                self.debt += 1
                grant.take(None)
            owed -= share

    def _to_take(self, name: str, grant: Grant, payment: Payment) -> list[Coin]:
        """Its own coins that are pending, there, or expired unused; then the policy's others; then others in spending order."""
        own = [grant.lot, *sorted(g.lot for g in payment.grants if g is not grant)]
        others = sorted(
            (c for c in self.at("available") if c.lot not in own), key=lambda c: (c.policy != name, c.order)
        )
        found: list[Coin] = []
        for lot in own:
            coins = [coin for coin in self.coins if coin.lot == lot]
            found += [coin for coin in coins if coin.place in ("pending", "available")]
            found += [coin for coin in coins if coin.place == "expired"]
        return [*found, *others]

    def _give_back(self, name: str, payment: Payment, due: int) -> None:
        """A debt that is still owed is let off, coins go where they were; for what was paid of the debt meanwhile there are new ones."""
        for grant in reversed(payment.grants):
            for lot in reversed(list(grant.taken)):
                taken = grant.taken[lot]
                back = 0 if lot in self.gone else min(due, len(taken), self.debt if lot == DEBT else due)
                returned = [taken.pop() for _ in range(back)]
                due -= back
                if lot == DEBT:
                    self.debt -= back
                self._return([coin for coin in returned if coin])
                if not taken:
                    del grant.taken[lot]
        if due:
            payment.grants.append(Grant(self._grant(due, payment.active_on, name, payment.paid_on), due))

    def _return(self, coins: list[Coin]) -> None:
        for coin in coins:
            coin.place = "pending" if coin.active_on > self.today else "available"
        self._repay(coins)
        self._expire(self.today)

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

    # --- one person or two ---

    def join(self) -> None:
        """Another number is the same person's: whoever it was had been to a class, which earned growth, too."""
        if not self.came and not self.theirs:
            expires_on = end_of_month(add_months(self.today, 24))
            self.theirs = [Coin(expires_on, self.today, 0, "available", self.today) for _ in range(50)]
        self.came, self.lots = self.lots + 1, self.lots + 2
        for coin in self.theirs:
            coin.lot = self.came
        self.coins, self.theirs = [*self.coins, *self.theirs], []
        self._expire(self.today)
        self._repay(sorted(self.at("available"), key=lambda c: c.order))

    def part(self) -> bool:
        """They were two after all. What is reserved of theirs has to be resolved first."""
        own = [coin for coin in self.coins if coin.lot == self.came]
        if any(coin.place == "held" for coin in own):
            return False
        self.theirs = [coin for coin in own if coin.place in ("available", "expired")]
        self.coins = [coin for coin in self.coins if coin not in self.theirs]
        self.gone.add(self.came)
        return True

    # --- reservations ---

    def hold(self, hold_id: str, points: int) -> bool:
        free = sorted(self.at("available"), key=lambda c: c.order)
        if hold_id in self.holds or self.frozen or self.debt or len(free) < points:
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
            if coin.lot in self.gone or (coin.expires_on <= self.today and not coin.grace):
                if coin.lot not in fresh:
                    self.lots += 1
                    fresh[coin.lot] = self.lots
                coin.earned_on = held.placed_on if coin.lot in self.gone else coin.earned_on
                coin.lot, coin.grace = fresh[coin.lot], True
                coin.expires_on, coin.active_on, coin.policy = self.today + GRACE, self.today, ""
        self._repay(reversed(back))
        self._expire(self.today)
        held.coins = held.coins[: len(held.coins) - points]
        return True
