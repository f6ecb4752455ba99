"""Whatever hypothesis thinks of, the books hold and equal a slow, plain model that knows no lots of other kinds than a list.

The model keeps points as single coins, each with its dates, and finds everything by looking at all of them.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from points_ledger.commands import CaptureHold, PlaceHold, RefundHold, ReleaseHold
from points_ledger.rules.account import WALLETS, Transfer
from tenure import programme
from tenure.calendar import add_months, end_of_month
from tenure.contracts import points as told_points
from tenure.contracts.decision import RefusedError
from tenure.contracts.event import Data
from tenure.testing import PROGRAMME_DIR

from .world import M, World, cancelled, did, issued, paid, refunded, renewed, term, tiers, uncancelled

FIRST = date(2026, 1, 1)
WALL = datetime(2030, 1, 1, tzinfo=UTC)
RULES = cache(programme.load)
common = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])


@dataclass
class Coin:
    """One point."""

    expires_on: date
    earned_on: date
    lot: int
    place: str = "available"
    grace: bool = False


@dataclass
class Model:
    """Grants of activities, holds, and what becomes of them, coin by coin."""

    coins: list[Coin] = field(default_factory=list)
    holds: dict[str, list[Coin]] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    placed: dict[str, date] = field(default_factory=dict)
    lots: int = 0

    def live(self, day: date) -> None:
        for coin in self.coins:
            if coin.place == "available" and coin.expires_on <= day:
                coin.place = "expired"

    def grant(self, day: date, points: int) -> None:
        self.lots += 1
        expires_on = end_of_month(add_months(day, 24))
        self.coins += [Coin(expires_on, day, self.lots) for _ in range(points)]

    def hold(self, hold_id: str, points: int, day: date) -> bool:
        free = [c for c in self.coins if c.place == "available"]
        free.sort(key=lambda c: (c.expires_on, c.earned_on, c.lot))
        if len(free) < points or hold_id in self.holds:
            return False
        self.holds[hold_id], self.states[hold_id] = free[:points], "held"
        self.placed[hold_id] = day
        for coin in free[:points]:
            coin.place = "held"
        return True

    def capture(self, hold_id: str, points: int | None, day: date) -> bool:
        coins = self.holds.get(hold_id, [])
        points = len(coins) if points is None else points
        if self.states.get(hold_id) != "held" or points > len(coins):
            return False
        for n, coin in enumerate(coins):
            coin.place = "spent" if n < points else "available"
        self.holds[hold_id], self.states[hold_id] = coins[:points], "captured"
        self.live(day)
        return True

    def release(self, hold_id: str, day: date) -> bool:
        if self.states.get(hold_id) != "held":
            return False
        for coin in self.holds[hold_id]:
            coin.place = "available"
        self.states[hold_id] = "released"
        self.live(day)
        return True

    def refund(self, hold_id: str, points: int | None, day: date) -> bool:
        coins = self.holds.get(hold_id, [])
        points = len(coins) if points is None else points
        if self.states.get(hold_id) != "captured" or not 0 < points <= len(coins):
            return False
        if day > self.placed[hold_id] + timedelta(366):
            return False
        fresh: dict[int, int] = {}
        for coin in reversed(coins[len(coins) - points :]):
            coin.place = "available"
            if coin.expires_on <= day and not coin.grace:
                if coin.lot not in fresh:
                    self.lots += 1
                    fresh[coin.lot] = self.lots
                coin.expires_on, coin.grace, coin.lot = day + timedelta(30), True, fresh[coin.lot]
        self.holds[hold_id] = coins[: len(coins) - points]
        self.live(day)
        return True

    def places(self) -> Counter[str]:
        return Counter(coin.place for coin in self.coins)


steps = st.lists(
    st.tuples(
        st.integers(0, 420),
        st.sampled_from(["check_up", "quiz", "article", "hold", "hold", "capture", "release", "refund", "day"]),
        st.integers(1, 600),
        st.sampled_from(["H-1", "H-2", "H-3"]),
    ),
    max_size=25,
)


@common
@given(steps)
def test_grants_and_holds_against_the_model(script: list[tuple[int, str, int, str]]) -> None:
    world, model, day = World(RULES(PROGRAMME_DIR)), Model(), FIRST
    for n, (days, what, points, hold_id) in enumerate(script):
        day += timedelta(days if what != "capture" else days % 3)
        model.live(day)
        _both(world, model, day, what, points, f"{hold_id}")
        assert_books(world)
        if what == "hold" and n % 2:
            _both(world, model, day, "capture", points, hold_id)
    world.day(day)
    model.live(day)
    places, account = model.places(), world.accounts[M]
    assert (world.balance("points_available"), world.balance("points_held")) == (places["available"], places["held"])
    spent = sum(lot.spent for lot in account.lots.values()) - _moved_to_grace(world)
    assert (spent, sum(lot.expired for lot in account.lots.values())) == (places["spent"], places["expired"])


def _moved_to_grace(world: World) -> int:
    """A refund into a lot of grace leaves the old lot spent: the grace lot's grant is the same points again."""
    return sum(lot.granted for lot in world.accounts[M].lots.values() if lot.rule == "refund_grace")


def _both(world: World, model: Model, day: date, what: str, points: int, hold_id: str) -> None:
    amount = {"check_up": 500, "quiz": 10, "article": 5}.get(what)
    if amount is not None:
        if world.hear(did(what, day)).points:
            model.grant(day, amount)
        return
    if what == "day":
        world.day(day)
        return
    part = points if points % 3 == 0 else None
    command, expected = {
        "hold": lambda: (
            PlaceHold(hold_id=hold_id, member_id=M, wallet="points", points=points, reference="", expires_at=WALL),
            model.hold(hold_id, points, day),
        ),
        "capture": lambda: (CaptureHold(hold_id=hold_id, points=part), model.capture(hold_id, part, day)),
        "release": lambda: (ReleaseHold(hold_id=hold_id), model.release(hold_id, day)),
        "refund": lambda: (RefundHold(hold_id=hold_id, points=part), model.refund(hold_id, part, day)),
    }[what]()
    try:
        world.hear(command, day)
        accepted = True
    except RefusedError:
        accepted = False
    assert accepted == expected, (what, hold_id, points)


def as_a_reader_adds_up(told: list[Data], member_id: str) -> Counter[str]:
    """The balances of one member, from `points.v1` alone, as the contract says."""
    found: Counter[str] = Counter()
    for e in (e for e in told if isinstance(e, told_points.PointsEvent) and e.member_id == member_id):
        into = dict.fromkeys(("pending", "available", "held", "debt"), 0)
        match e:
            case told_points.PointsGranted():
                into["pending" if e.activates_on > e.effective else "available"] += e.amount
            case told_points.PointsActivated():
                into |= {"pending": -e.amount, "available": e.amount}
            case told_points.PointsHeld():
                into |= {"available": -e.amount, "held": e.amount}
            case told_points.PointsCaptured():
                into["held"] = -e.amount
            case told_points.PointsReleased():
                into |= {"held": -e.amount, "available": e.amount}
            case told_points.PointsRefunded() | told_points.PointsAdjusted():
                into["available"] = e.amount
            case told_points.PointsReversed():
                into |= {"pending": -e.from_pending, "available": -e.from_lots, "debt": e.as_debt}
            case told_points.PointsExpired():
                into["available"] = -e.amount
        into["available"] -= getattr(e, "repaid_debt", 0)
        into["debt"] -= getattr(e, "repaid_debt", 0)
        for bucket, amount in into.items():
            found[f"{e.wallet}_{bucket}"] += amount
    return found


def assert_books(world: World, *, told_all: bool = True) -> None:
    """The balances are what the journal says, what the lots hold and what was told, and nothing is negative. What a merger moves is
    told by the customer's own event: then `points.v1` has not `told_all`.
    """
    for name, account in world.accounts.items():
        told = as_a_reader_adds_up(world.told, name)
        assert not told_all or {key: told[key] for key in account.balances} == account.balances
        journal: Counter[str] = Counter()
        for row in world.rows:
            if isinstance(row, Transfer) and row.member_id == name:
                journal[f"{row.wallet}_{row.debit}"] -= row.amount
                journal[f"{row.wallet}_{row.credit}"] += row.amount
        lots = account.lots.values()
        for wallet in WALLETS:
            mine = [lot for lot in lots if lot.wallet == wallet]
            pending = sum(lot.remaining for lot in mine if lot.is_pending(account.lived_to or FIRST))
            available = sum(lot.remaining for lot in mine) - pending
            held = sum(lot.held for lot in mine)
            debt = -journal[f"{wallet}_debt"]
            stored = tuple(account.balances[f"{wallet}_{b}"] for b in ("pending", "available", "held", "debt"))
            assert stored == (pending, available, held, debt)
            assert stored[:3] == tuple(journal[f"{wallet}_{b}"] for b in ("pending", "available", "held"))
            assert min(stored) >= 0
            assert not (debt and available), "a debt leaves nothing available"
        assert all(x.granted == x.remaining + x.held + x.spent + x.reversed + x.expired for x in lots)
        assert all(x.standing >= 0 for x in lots)


# --- insuring, in any order and with any ticks ---

COOLING = date(2026, 1, 20)
FIRST_TERM = term(cooling_off_end=COOLING)
SECOND_TERM = term(2)
GOLD = tiers(("2026-01-01", "basic"), ("2026-06-01", "gold"))
DIAMOND = tiers(("2026-01-01", "basic"), ("2026-06-01", "diamond"))
FACTS = [
    (issued(FIRST_TERM), "2026-01-01"),
    (paid(FIRST_TERM, 30_050), "2026-01-01"),
    (paid(FIRST_TERM, 20_050, "2026-03-01", n=2), "2026-03-01"),
    (GOLD, "2026-06-01"),
    (refunded(FIRST_TERM, 12_345, "2026-08-01", version=5), "2026-08-01"),
    (renewed(SECOND_TERM, "2026-12-20", early=12), "2026-12-20"),
    (paid(SECOND_TERM, 50_000, "2026-12-20"), "2026-12-20"),
    (DIAMOND, "2027-01-10"),
    (cancelled(SECOND_TERM, "2027-02-01", "flat"), "2027-02-01"),
    (uncancelled(SECOND_TERM, "2027-03-01"), "2027-03-01"),
]


@common
@given(st.permutations(range(len(FACTS))), st.lists(st.integers(0, 500), max_size=6), st.integers(0, 9))
def test_facts_in_any_order_with_any_ticks_end_alike(order: list[int], ticks: list[int], every: int) -> None:
    """Of two timelines the one heard last holds, so these keep their order; everything else may come as it likes."""
    if order.index(3) > order.index(7):
        i, j = order.index(3), order.index(7)
        order[i], order[j] = order[j], order[i]
    world = World(RULES(PROGRAMME_DIR))
    for n, which in enumerate(order):
        world.hear(*FACTS[which])
        if n < len(ticks) and n % (every + 1) == 0:
            world.day(FIRST + timedelta(ticks[n]))
        assert_books(world)
    world.day("2027-06-01")
    # 501.00 paid makes 500 points by instalments; 123.45 of 501.00 refunded takes floor(300 x ..) = 73 and floor(200 x ..) = 49.
    kept = 300 + 200 - 300 * 12_345 // 50_100 - 200 * 12_345 // 50_100
    assert world.points() == (0, kept + 400 * 150 // 100 + 500, 0)


@common
@given(st.permutations(range(len(FACTS))), st.lists(st.tuples(st.integers(0, 9), st.integers(1, 900)), max_size=4))
def test_spending_in_between_never_breaks_the_books(order: list[int], purchases: list[tuple[int, int]]) -> None:
    """Whatever was spent or held when a reversal came, at the end nothing is lost and nothing is won."""
    world, spent = World(RULES(PROGRAMME_DIR)), 0
    spending = dict(purchases)
    for n, which in enumerate(order):
        world.hear(*FACTS[which])
        if n in spending and world.accounts[M].lived_to is not None:
            spent += _buy(world, f"H-{n}", spending[n])
        assert_books(world)
    timeline = GOLD if order.index(3) > order.index(7) else DIAMOND
    world.hear(replace(timeline, retroactive=True), "2027-05-01")
    for hold in [hold for hold in world.accounts[M].holds.values() if hold.state == "held"]:
        world.hear(ReleaseHold(hold_id=hold.hold_id), "2027-05-02")
        assert_books(world)
    world.day("2027-06-01")
    assert_books(world)
    pending, available, debt = world.points()
    percent = 120 if timeline is GOLD else 150
    kept = 500 - 300 * 12_345 // 50_100 - 200 * 12_345 // 50_100
    assert pending + available - debt + spent == kept + 400 * percent // 100 + 500


@common
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 900)), max_size=4), st.sets(st.integers(0, 700), max_size=12)
)
def test_a_life_with_ticks_is_the_same_life(purchases: list[tuple[int, int]], ticks: set[int]) -> None:
    """Facts and purchases in order of time, with any days started in between or none: the same lots, to the last field."""
    ended = []
    for days in (set[int](), ticks):
        world, spending, started = World(RULES(PROGRAMME_DIR)), dict(purchases), sorted(days)
        for n, (data, at) in enumerate(FACTS):
            while started and FIRST + timedelta(started[0]) <= date.fromisoformat(at):
                world.day(FIRST + timedelta(started.pop(0)))
            world.hear(data, at)
            if n in spending:
                _buy(world, f"H-{n}", spending[n], date.fromisoformat(at))
        world.day("2030-01-01")
        account = world.accounts[M]
        ended.append(({no: replace(lot, source_id="") for no, lot in account.lots.items()}, account.balances))
    assert ended[0] == ended[1]


def _buy(world: World, hold_id: str, points: int, on: date | None = None) -> int:
    """Buy for so many points, or (every third) only reserve them. Returns what was spent."""
    day = on or world.accounts[M].lived_to
    try:
        place = PlaceHold(hold_id=hold_id, member_id=M, wallet="points", points=points, reference="", expires_at=WALL)
        world.hear(place, day)
    except RefusedError:
        return 0
    if points % 3 == 0:
        return 0
    world.hear(CaptureHold(hold_id=hold_id), day)
    return points
