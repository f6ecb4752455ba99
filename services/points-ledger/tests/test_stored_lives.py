"""Two customers' lives, step by step on PostgreSQL and in the pure rules: the same rows after every step, and the proof accuses nobody.

The rules remember every lot; the store loads only what may still matter. So this finds what was not loaded and did matter: what was
taken from activities long over and given back, what was cancelled as of a day before something expired, what one of two customers
brought and was rated anew when they became one, what goes back when they turn out to be two after all. One thing is known to differ,
and none of these lives meets it: a late cancellation counts from a day on which an activity's points, now expired and forgotten, lived.
"""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from points_ledger import audit
from points_ledger.columns import LOT, listed
from points_ledger.commands import CaptureHold, PlaceHold, RefundHold
from points_ledger.proof import replay
from points_ledger.rules.account import Account, lot_id
from points_ledger.service import SERVICE
from points_ledger.store import _lot, load
from tenure.contracts import policy
from tenure.contracts.decision import DayReached, RefusedError
from tenure.contracts.event import Data
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged
from tenure.contracts.programme import Programme
from tenure.settings import Settings
from tenure.spine.transact import Item
from tenure.testing import Under, under_test

from .long_forms import sized
from .world import WALL, D, M, World, cancelled, did, issued, paid, renewed, term, tiers, uncancelled

OTHER = "M-2"
LIVES, STEPS = sized(12, 100), 40
YEAR = timedelta(365)
CHOICES = (
    *(
        "days",
        "days",
        "days",
        "quiz",
        "quiz",
        "quiz",
        "insure",
        "renew",
        "renew",
        "tier",
        "tier",
        "merge",
        "merge",
        "part",
        "part",
    ),
    *("spend", "spend", "refund", "cancel", "cancel", "cancel_late", "stand_again", "stand_again"),
)


class Lives:
    """What may happen to two customers, drawn from a seed. `M-2` only insures and spends, until it turns out to be `M-1`; and they may
    turn out to be two after all, each with the policies they brought.
    """

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.r, self.today = world, random.Random(seed), D("2026-01-01")
        self.terms: dict[str, policy.Term] = {}
        self.brought_by: dict[str, str] = {}
        self.out: set[str] = set()
        self.merged = False
        self.spent: list[str] = []

    def steps(self) -> Iterator[tuple[str, list[Data]]]:
        for n in range(STEPS):
            self.today += timedelta(self.r.choice([0, 1, 5]))
            what = self.r.choice(CHOICES)
            yield f"{n}: {what} on {self.today}", getattr(self, f"_{what}")(n)

    def _who(self) -> str:
        return M if self.merged else self.r.choice([M, M, OTHER])

    def _one(self, *, out: bool) -> policy.Term | None:
        """One of the policies that stand, or of those that do not, in its next version and whose it is by now."""
        found = sorted(no for no in self.terms if (no in self.out) == out)
        if not found:
            return None
        known = self.terms[self.r.choice(found)]
        owner = M if self.merged else self.brought_by[known.policy_no]
        now = replace(known, version=known.version + 30, member_id=owner)
        self.terms[known.policy_no] = now
        return now

    def _days(self, _: int) -> list[Data]:
        self.today += timedelta(self.r.choice([1, 16, 45, 200, 400]))
        return [DayReached(key=key, day=self.today) for key in (M, OTHER)]

    def _quiz(self, n: int) -> list[Data]:
        return [did("quiz", self.today, activity_id=f"a-{n}"), did("article", self.today, activity_id=f"b-{n}")]

    def _insure(self, n: int) -> list[Data]:
        start = self.today
        new = term(policy_no=f"P-{n}", member_id=self._who(), start=start, end=start + YEAR, written_end=start + YEAR)
        self.terms[new.policy_no], self.brought_by[new.policy_no] = new, new.member_id
        return [issued(new, str(start)), paid(new, self.r.choice([3_000, 9_000, 40_000]), str(start))]

    def _renew(self, _: int) -> list[Data]:
        known = self._one(out=False)
        if known is None:
            return []
        new = replace(
            known, term_no=known.term_no + 1, start=known.end, end=known.end + YEAR, written_end=known.end + YEAR
        )
        self.terms[known.policy_no] = new
        return [renewed(new, str(self.today))]

    def _tier(self, _: int) -> list[Data]:
        since, tier = self.today - timedelta(self.r.choice([0, 100, 500])), self.r.choice(["silver", "gold", "diamond"])
        return [tiers((str(since), tier), member_id=self._who())]

    def _merge(self, n: int) -> list[Data]:
        if self.merged or n < STEPS // 3:
            return []
        self.merged = True
        return [CustomerMerged(member_id=M, merged_id=OTHER, effective=self.today)]

    def _part(self, _: int) -> list[Data]:
        """Told to both, as policy-sync does."""
        if not self.merged:
            return []
        self.merged = False
        parted = CustomerUnmerged(member_id=M, survivor_id=M, merged_id=OTHER, effective=self.today)
        return [parted, replace(parted, member_id=OTHER)]

    def _spend(self, n: int) -> list[Data]:
        """All there is, or some of it."""
        who = self._who()
        there = self.world.balance("points_available", who)
        points = self.r.choice([there, there, there // 2])
        self.spent.append(f"H-{n}")
        place = PlaceHold(
            hold_id=f"H-{n}", member_id=who, wallet="points", points=points, reference="", expires_at=WALL
        )
        return [place, CaptureHold(hold_id=f"H-{n}")] if points else []

    def _refund(self, _: int) -> list[Data]:
        return [RefundHold(hold_id=self.r.choice(self.spent), points=self.r.choice([5, None]))] if self.spent else []

    def _cancel(self, _: int, days_ago: int = 0) -> list[Data]:
        known = self._one(out=False)
        if known is None:
            return []
        self.out.add(known.policy_no)
        return [cancelled(known, str(self.today - timedelta(days_ago)), "flat")]

    def _cancel_late(self, n: int) -> list[Data]:
        return self._cancel(n, self.r.choice([10, 40, 200]))

    def _stand_again(self, _: int) -> list[Data]:
        known = self._one(out=True)
        if known is None:
            return []
        self.out.discard(known.policy_no)
        return [uncancelled(known, str(self.today))]


@pytest.mark.parametrize("seed", range(LIVES))
async def test_what_is_stored_is_what_the_rules_say_after_every_step(
    settings: Settings, rules: Programme, seed: int
) -> None:
    world = World(rules)
    lives = Lives(world, seed)
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as t:
        for step, events in lives.steps():
            for data in events:
                await both(t, world, data, lives)
            there, meant = await stored(t), remembered(world)
            differ = {key for key in there | meant if there.get(key) != meant.get(key)}
            assert {key: (there.get(key), meant.get(key)) for key in differ} == {}, step
        assert await replay.differences(t.pool) == []
        assert {name for name, holds in (await audit.verify(t.pool)).items() if not holds} == set()


async def both(t: Under, world: World, data: Data, lives: Lives) -> None:
    """One event, to the rules and through the write door; both take it, or neither."""
    hold_id = getattr(data, "hold_id", "")
    owners = [name for name, account in world.accounts.items() if hold_id in account.holds]
    event = world.event(data, lives.today, key=owners[0] if owners else M)
    (outcome,) = await t.door.transact([Item(event)])
    refused = None
    try:
        world.apply(event)
    except RefusedError as error:
        refused = error.code
    assert refused == (outcome.wrong and outcome.wrong.code)


def _said(account: Account) -> tuple[Any, ...]:
    """All but which orders came with the other number: one that can be refunded no more is not read, and did not come."""
    absorbed = {name: replace(one, holds=frozenset()) for name, one in account.memory.absorbed.items()}
    memory = replace(account.memory, absorbed=absorbed)
    return account.balances, account.lots_no, account.transfers_no, account.lived_to, account.due_on, memory


async def stored(t: Under) -> dict[str, Any]:
    """Every account that ever had a lot, and every lot there is, loaded or not."""
    async with t.pool.acquire() as conn:
        accounts = await load(conn, [M, OTHER])  # type: ignore[arg-type]
    rows = await t.pool.fetch(f"SELECT member_id, {listed(LOT)}, false FROM lots")
    lots = {f"{row['member_id']}:{row['lot_no']}": _lot(row) for row in rows}
    return lots | {name: _said(account) for name, account in accounts.items() if account.lots_no}


def remembered(world: World) -> dict[str, Any]:
    known = [account for account in world.accounts.values() if account.lots_no]
    lots = {lot_id(account.member_id, no): lot for account in known for no, lot in account.lots.items()}
    return lots | {account.member_id: _said(account) for account in known}
