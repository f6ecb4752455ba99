"""Whatever happens to a member's points, the rules and a plain model (`plain_model`) agree at every step, and the books hold.

Hypothesis drives the pure rules: 500 runs of up to 50 steps. PostgreSQL then plays some lives of 50 steps drawn from a seed, several
events a transaction, and must end with the same accounts, lots and holds.
"""

import random
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from points_ledger import audit
from points_ledger.commands import (
    ApproveAdjustment,
    CaptureHold,
    PlaceHold,
    ProposeAdjustment,
    RefundHold,
    ReleaseHold,
)
from points_ledger.rules.account import Account
from points_ledger.service import SERVICE
from points_ledger.store import load
from tenure import programme
from tenure.calendar import start_of
from tenure.contracts.decision import DayReached, RefusedError
from tenure.contracts.event import Data, Event
from tenure.contracts.topics import TYPE_OF
from tenure.settings import Settings
from tenure.spine.transact import Item
from tenure.testing import PROGRAMME_DIR, under_test

from .long_forms import sized
from .plain_model import Model
from .test_against_the_model import assert_books
from .world import M, World, cancelled, did, paid, term

FIRST = date(2026, 1, 1)
WALL = datetime(2040, 1, 1, tzinfo=UTC)
RULES = cache(programme.load)
RUNS, STEPS = 500, 50
HOLDS = st.sampled_from(["H-1", "H-2", "H-3", "H-4"])
POINTS = st.integers(1, 120)
PART = st.none() | st.integers(1, 60)


class Life:
    """One member, in the rules and in the model. Every step is told to both, and both must say the same."""

    def __init__(self) -> None:
        self.world, self.model = World(RULES(PROGRAMME_DIR)), Model(FIRST)
        self.steps: list[tuple[Data, date]] = []
        self.policies: list[str] = []
        self.count = 0
        self.activity("article")  # nobody adjusts the account of somebody unknown

    def tell(self, data: Data) -> bool:
        """One event; what is refused changes nothing. Returns whether it was accepted."""
        self.steps.append((data, self.model.today))
        before, rows = self.world.accounts.get(M), len(self.world.rows)
        try:
            self.world.hear(data, self.model.today)
        except RefusedError:
            assert self.world.accounts.get(M) is before
            assert len(self.world.rows) == rows
            return False
        return True

    def day(self, days: int) -> None:
        self.model.day(self.model.today + timedelta(days))
        self.tell(DayReached(key=M, day=self.model.today))

    def activity(self, kind: str) -> None:
        self.count += 1
        if kind == "class":
            self.tell(did(kind, self.model.today, session_id=f"S-{self.count}", activity_id=f"a-{self.count}"))
            self.model.attend()
        else:
            self.tell(did(kind, self.model.today, activity_id=f"a-{self.count}"))
            self.model.earn(kind)

    def insure(self, points: int, cooling_off_days: int) -> None:
        policy, today = f"P-{len(self.policies)}", self.model.today
        self.policies.append(policy)
        self.tell(paid(self._term(policy, today + timedelta(cooling_off_days)), points * 100, today.isoformat()))
        self.model.insure(policy, points, today + timedelta(cooling_off_days))

    def cancel(self, which: int) -> None:
        policy = self.policies[which % len(self.policies)]
        self.tell(cancelled(self._term(policy, self.model.today), self.model.today.isoformat(), "flat"))
        self.model.cancel(policy)

    def _term(self, policy: str, cooling_off_end: date) -> Any:
        return term(policy_no=policy, cooling_off_end=cooling_off_end)

    def adjust(self, points: int) -> None:
        self.count += 1
        name = f"J-{self.count}"
        self.tell(
            ProposeAdjustment(
                adjustment_id=name,
                member_id=M,
                wallet="points",
                points=points,
                reason="test",
                ticket="T",
                proposed_by="op-1",
            )
        )
        assert self.tell(ApproveAdjustment(adjustment_id=name, approved_by="op-2")) == self.model.adjust(points)

    def hold(self, hold_id: str, points: int) -> None:
        place = PlaceHold(hold_id=hold_id, member_id=M, wallet="points", points=points, reference="", expires_at=WALL)
        assert self.tell(place) == self.model.hold(hold_id, points)

    def capture(self, hold_id: str, points: int | None) -> None:
        assert self.tell(CaptureHold(hold_id=hold_id, points=points)) == self.model.capture(hold_id, points)

    def release(self, hold_id: str) -> None:
        assert self.tell(ReleaseHold(hold_id=hold_id)) == self.model.release(hold_id)

    def refund(self, hold_id: str, points: int | None) -> None:
        assert self.tell(RefundHold(hold_id=hold_id, points=points)) == self.model.refund(hold_id, points)

    def agree(self) -> None:
        account = self.world.accounts.get(M)
        if account is None:
            return
        stored = tuple(account.balances[f"points_{b}"] for b in ("pending", "available", "held", "debt"))
        assert stored == self.model.balances()
        states = {name: hold.state for name, hold in self.model.holds.items()}
        assert {name: hold.state for name, hold in account.holds.items()} == states
        lots = account.lots.values()
        assert sum(lot.expired for lot in lots) == len(self.model.at("expired"))


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

    @precondition(lambda self: self.life.policies)
    @rule(which=st.integers(0, 9))
    def cancel(self, which: int) -> None:
        self.life.cancel(which)
        self.life.agree()

    @rule(points=st.integers(-60, 60).filter(bool))
    def adjust(self, points: int) -> None:
        self.life.adjust(points)
        self.life.agree()

    @rule(hold_id=HOLDS, points=POINTS)
    def hold(self, hold_id: str, points: int) -> None:
        self.life.hold(hold_id, points)
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

    def teardown(self) -> None:
        assert_books(self.life.world)


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=RUNS, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck)
)


# --- the same on PostgreSQL ---


CHOICES = (
    "day",
    "earn",
    "earn",
    "insure",
    "insure",
    "cancel",
    "adjust",
    *["hold"] * 3,
    *["capture"] * 2,
    "release",
    "refund",
)


def lived(seed: int) -> Life:
    """A life of fifty random steps."""
    r, life = random.Random(seed), Life()
    for n in range(STEPS):
        placed, part = [f"H-{m}" for m in range(max(0, n - 9), n)] or ["H-0"], r.choice([None, r.randrange(1, 61)])
        match r.choice(CHOICES):
            case "day":
                life.day(r.choice([0, 1, 7, 16, 31, 180, 370]))
            case "earn":
                life.activity(r.choice(["quiz", "article", "class"]))
            case "insure":
                life.insure(r.randrange(1, 121), r.choice([0, 15]))
            case "cancel" if life.policies:
                life.cancel(r.randrange(9))
            case "adjust":
                life.adjust(r.choice([-40, 25]))
            case "hold":
                life.hold(f"H-{n}", r.randrange(1, 121))
            case "release":
                life.release(r.choice(placed))
            case "capture":
                life.capture(r.choice(placed), part)
            case "refund":
                life.refund(r.choice(placed), part)
        life.agree()
    return life


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
