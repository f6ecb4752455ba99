"""Whatever happens to a member's points, the rules and a plain model (`plain_model`) agree at every step, and the books hold.

Hypothesis drives the pure rules: 500 runs of up to 50 steps. PostgreSQL then plays some lives of 50 steps drawn from a seed, several
events a transaction, and must end with the same accounts, lots and holds.
"""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from points_ledger import audit
from points_ledger.rules.account import Account
from points_ledger.service import SERVICE
from points_ledger.store import load
from tenure.calendar import start_of
from tenure.contracts.event import Event
from tenure.contracts.topics import TYPE_OF
from tenure.settings import Settings
from tenure.spine.transact import Item
from tenure.testing import under_test

from .long_forms import sized
from .one_life import Life
from .test_against_the_model import assert_books
from .world import M

RUNS, STEPS = sized(500, 3_000), 50
HOLDS = st.sampled_from([f"H-{n}" for n in range(1, 9)])
POINTS = st.integers(1, 120)
FEN = st.integers(1, 15_000)
PART = st.none() | st.integers(1, 60)


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.life = Life()

    @rule(days=st.sampled_from([0, 1, 1, 7, 16, 31, 180, 370]))
    def day(self, days: int) -> None:
        self.life.day(days)
        self.life.agree()

    @rule(kind=st.sampled_from(["quiz", "article", "class"]))
    def activity(self, kind: str) -> None:
        self.life.activity(kind)
        self.life.agree()

    @rule(points=POINTS, cooling_off_days=st.sampled_from([0, 0, 15]))
    def insure(self, points: int, cooling_off_days: int) -> None:
        self.life.insure(points, cooling_off_days)
        self.life.agree()

    @precondition(lambda self: self.life.terms)
    @rule(which=st.integers(0, 9), points=POINTS)
    def pay(self, which: int, points: int) -> None:
        self.life.pay(which, points)
        self.life.agree()

    @precondition(lambda self: self.life.terms)
    @rule(which=st.integers(0, 9), fen=FEN, ends=st.booleans())
    def pay_back(self, which: int, fen: int, ends: bool) -> None:
        if ends:
            self.life.cut_short(which, fen)
        else:
            self.life.pay_back(which, fen)
        self.life.agree()

    @precondition(lambda self: self.life.terms)
    @rule(which=st.integers(0, 9))
    def cancel(self, which: int) -> None:
        self.life.cancel(which)
        self.life.agree()

    @precondition(lambda self: any(term.status != "in_force" for term in self.life.terms))
    @rule(which=st.integers(0, 9))
    def stand_again(self, which: int) -> None:
        self.life.stand_again(which)
        self.life.agree()

    @rule(points=st.integers(-60, 60).filter(bool))
    def adjust(self, points: int) -> None:
        self.life.adjust(points)
        self.life.agree()

    @rule(hold_id=HOLDS, points=POINTS, everything=st.booleans())
    def hold(self, hold_id: str, points: int, everything: bool) -> None:
        """For so many points; or all there is is spent at once, so that what comes back later is owed."""
        self.life.hold(hold_id, max(1, self.life.model.balances()[1]) if everything else points)
        if everything:
            self.life.capture(hold_id, None)
        self.life.agree()

    @rule(hold_id=HOLDS, points=PART)
    def capture(self, hold_id: str, points: int | None) -> None:
        self.life.capture(hold_id, points)
        self.life.agree()

    @rule(hold_id=HOLDS)
    def release(self, hold_id: str) -> None:
        self.life.release(hold_id)
        self.life.agree()

    @rule(hold_id=HOLDS, points=PART)
    def refund(self, hold_id: str, points: int | None) -> None:
        self.life.refund(hold_id, points)
        self.life.agree()

    @rule()
    def freeze(self) -> None:
        """Nothing is redeemed meanwhile; everything else goes on."""
        self.life.freeze()
        self.life.agree()

    @rule()
    def merge(self) -> None:
        """Another number is the same person's; or, if it was said to be, it is not after all."""
        if self.life.joined:
            self.life.part()
        else:
            self.life.join()
        self.life.agree()

    def teardown(self) -> None:
        assert_books(self.life.world, told_all=not self.life.ever_joined)


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=RUNS, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck)
)


# --- the same on PostgreSQL ---


OF_POLICIES = ("insure", "insure", "pay", "pay_back", "pay_back", "cut_short", "cancel", "stand_again")
OF_ORDERS = ("hold", "hold", "hold", "capture", "capture", "release", "refund")
CHOICES = ("day", "earn", "earn", "adjust", "freeze", *OF_POLICIES, *OF_ORDERS)


def lived(seed: int) -> Life:
    """A life of fifty random steps."""
    r, life = random.Random(seed), Life()
    for n in range(STEPS):
        what = r.choice(CHOICES)
        if what in OF_ORDERS:
            shop(life, r, what, n)
        elif what in OF_POLICIES:
            insure(life, r, what)
        elif what == "day":
            life.day(r.choice([0, 1, 7, 16, 31, 180, 370]))
        elif what == "freeze":
            life.freeze()
        elif what == "earn":
            life.activity(r.choice(["quiz", "article", "class"]))
        else:
            life.adjust(r.choice([-40, 25]))
        life.agree()
    return life


def insure(life: Life, r: random.Random, what: str) -> None:
    which, points, fen = r.randrange(9), r.randrange(1, 121), r.randrange(1, 15_001)
    match what:
        case "insure":
            life.insure(points, r.choice([0, 15]))
        case "pay" if life.terms:
            life.pay(which, points)
        case "pay_back" if life.terms:
            life.pay_back(which, fen)
        case "cut_short" if life.terms:
            life.cut_short(which, fen)
        case "cancel" if life.terms:
            life.cancel(which)
        case "stand_again" if life.terms:
            life.stand_again(which)


def shop(life: Life, r: random.Random, what: str, n: int) -> None:
    """Something about one of the last orders, or a new one."""
    placed, part = [f"H-{m}" for m in range(max(0, n - 9), n)] or ["H-0"], r.choice([None, r.randrange(1, 61)])
    match what:
        case "hold":
            life.hold(f"H-{n}", r.randrange(1, 121))
        case "release":
            life.release(r.choice(placed))
        case "capture":
            life.capture(r.choice(placed), part)
        case "refund":
            life.refund(r.choice(placed), part)


@pytest.mark.parametrize("seed", range(sized(3, 60)))
async def test_postgresql_ends_where_the_rules_do(settings: Settings, seed: int) -> None:
    life, r = lived(seed), random.Random(-seed)
    events = [
        Event(
            id=f"e-{n}",
            source="/test",
            type=TYPE_OF.get(type(data), type(data).__name__),
            key=M,
            time=start_of(day),
            data=data,
        )
        for n, (data, day) in enumerate(life.steps, 1)
    ]
    async with under_test(SERVICE, settings) as t:
        at = 0
        while at < len(events):
            size = r.choice([1, 2, 5, 20])
            await t.door.transact([Item(event) for event in events[at : at + size]])
            at += size
        async with t.pool.acquire() as conn:
            stored = (await load(conn, [M]))[M]  # type: ignore[arg-type]
        assert {name for name, holds in (await audit.verify(t.pool)).items() if not holds} == set()
    assert _whole(stored) == _whole(life.world.accounts[M], only=stored)


def _whole(account: Account, only: Account | None = None) -> tuple[Any, ...]:
    """What is loaded is what may still matter, so lots and holds that are over are left out of the comparison."""
    lots = {no: lot for no, lot in account.lots.items() if only is None or no in only.lots}
    holds = {name: hold for name, hold in account.holds.items() if only is None or name in only.holds}
    return (account.balances, account.lots_no, account.transfers_no, account.lived_to, account.due_on, lots, holds)
