"""What may happen to two customers and an agent, drawn from a seed: what comes from policies, activities, orders, hands and mergers.

Every kind of event that an account's lots and balances depend on is in these lives, but for budgets that members share and referrals,
which reach an account as due work, and time-outs of reservations, which are releases.
"""

import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from msgspec.structs import replace
from points_ledger.commands import (
    ApproveAdjustment,
    CaptureHold,
    LeaveAgent,
    PlaceHold,
    ProposeAdjustment,
    Purpose,
    RefundHold,
    ReleaseHold,
    ReturnAgent,
)
from tenure.contracts import policy
from tenure.contracts.decision import DayReached
from tenure.contracts.event import Data
from tenure.contracts.points import Wallet
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged
from tenure.contracts.programme import Programme
from tenure.contracts.programme.earning import Campaign, Cap, Window

from .long_forms import sized
from .world import (
    WALL,
    D,
    M,
    World,
    cancelled,
    did,
    endorsed,
    issued,
    paid,
    refunded,
    renewed,
    served,
    term,
    tiers,
    uncancelled,
    under_rules,
)

OTHER: Final = "M-2"
AGENT: Final = "A-7"
LIVES, STEPS = sized(12, 100), 60
YEAR: Final = timedelta(365)
CHOICES: Final[dict[str, int]] = {
    "days": 5, "quiz": 3, "walk": 2, "walked_less": 2, "learn": 1, "insure": 2, "renew": 2, "tier": 2, "merge": 2, "part": 2,
    "spend": 3, "reserve": 2, "resolve": 2, "refund": 2, "by_hand": 2, "more_cover": 2, "less_cover": 2, "pay_back": 1,
    "cancel": 2, "cancel_late": 2, "end_early": 1, "stand_again": 3, "serve": 2, "leave": 1, "return_": 1, "cash_in": 1,
}  # fmt: skip
HEALTH: Final = frozenset({"steps", "quiz", "article"})
CAPS: Final = (
    Cap(code="health_month", rules=HEALTH, per="month", points_max=60),
    Cap(code="learning", rules=frozenset({"class", "check_up"}), per="year", points_max=520),
)
DOUBLE: Final = Campaign(
    code="double",
    window=Window(start=D("2026-01-01"), end=D("2030-01-01")),
    percent=200,
    rules=HEALTH | {"premium"},
    member_points_max=300,
)


def with_limits(rules: Programme) -> Programme:
    """The programme with caps and a campaign that these lives meet."""
    return under_rules(rules, caps=CAPS, campaigns=(DOUBLE,))


class Lives:
    """`M-2` only insures and spends, until it turns out to be `M-1`; and they may turn out to be two after all, each with the policies
    they brought. The agent serves, cashes in, leaves and returns.
    """

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.r, self.today = world, random.Random(seed), D("2026-01-01")
        self.terms: dict[str, policy.Term] = {}
        self.brought_by: dict[str, str] = {}
        self.out: set[str] = set()
        self.orders: list[str] = []
        self.walked: list[date] = []

    def steps(self) -> Iterator[tuple[str, list[Data]]]:
        kinds, weights = list(CHOICES), list(CHOICES.values())
        for n in range(STEPS):
            self.today += timedelta(self.r.choice([0, 1, 5]))
            (what,) = self.r.choices(kinds, weights)
            yield f"{n}: {what} on {self.today}", getattr(self, f"_{what}")(n)

    @property
    def merged(self) -> bool:
        """Parting is refused while what goes back is reserved."""
        other = self.world.accounts.get(OTHER)
        return other is not None and other.memory.merged_into == M

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
        return [DayReached(key=key, day=self.today) for key in (M, OTHER, AGENT)]

    # --- activities ---

    def _quiz(self, n: int) -> list[Data]:
        return [did("quiz", self.today, activity_id=f"a-{n}"), did("article", self.today, activity_id=f"b-{n}")]

    def _walk(self, _: int) -> list[Data]:
        """Some days in a row, perhaps enough for a streak."""
        days = [self.today + timedelta(n) for n in range(self.r.choice([1, 5, 31]))]
        self.walked += days
        self.today = days[-1]
        return [did("steps", day, 12_000) for day in days]

    def _walked_less(self, _: int) -> list[Data]:
        """A day is reported again: too few steps, or enough after all; mostly in time to count."""
        if not self.walked:
            return []
        day = self.r.choice(self.walked[-9:])
        return [did("steps", day, self.r.choice([4_000, 4_000, 11_000]))]

    def _learn(self, n: int) -> list[Data]:
        late = self.today - timedelta(self.r.choice([0, 10, 40]))
        return [did("class", late, session_id=f"S-{n // 2}", activity_id=f"c-{n}"), did("check_up", late)]

    # --- policies ---

    def _insure(self, n: int) -> list[Data]:
        start = self.today
        waits = start + timedelta(15) if self.r.random() < 0.3 else None
        end = start + YEAR
        new = term(
            policy_no=f"P-{n}", member_id=self._who(), start=start, end=end, written_end=end, inception=start, cooling_off_end=waits
        )  # fmt: skip
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

    def _more_cover(self, n: int, sign: int = 1) -> list[Data]:
        known = self._one(out=False)
        if known is None:
            return []
        fen = sign * self.r.choice([3_050, 9_000, 20_000])
        return [endorsed(known, fen, str(self.today), f"E-{n}")]

    def _less_cover(self, n: int) -> list[Data]:
        return self._more_cover(n, -1)

    def _pay_back(self, _: int) -> list[Data]:
        known = self._one(out=False)
        return [refunded(known, self.r.choice([500, 4_550, 9_000]), str(self.today), known.version)] if known else []

    def _cancel(self, _: int, days_ago: int = 0) -> list[Data]:
        known = self._one(out=False)
        if known is None:
            return []
        self.out.add(known.policy_no)
        return [cancelled(known, str(self.today - timedelta(days_ago)), "flat")]

    def _cancel_late(self, n: int) -> list[Data]:
        return self._cancel(n, self.r.choice([10, 40, 200, 450]))

    def _end_early(self, _: int) -> list[Data]:
        """In the midst of the term, with a refund; heard late, perhaps."""
        known = self._one(out=False)
        day = self.today - timedelta(self.r.choice([0, 0, 30, 150]))
        if known is None or not known.start < day < known.end:
            return []
        self.out.add(known.policy_no)
        ended = cancelled(known, str(day), "mid_term")
        back = refunded(ended.term, self.r.choice([1_000, 9_000]), str(day), ended.term.version + 1)
        return [ended, back]

    def _stand_again(self, _: int) -> list[Data]:
        known = self._one(out=True)
        if known is None:
            return []
        self.out.discard(known.policy_no)
        return [uncancelled(known, str(self.today))]

    def _tier(self, _: int) -> list[Data]:
        since, tier = self.today - timedelta(self.r.choice([0, 100, 500])), self.r.choice(["silver", "gold", "diamond"])
        return [tiers((str(since), tier), member_id=self._who())]

    # --- one person or two ---

    def _merge(self, n: int) -> list[Data]:
        if self.merged or n < STEPS // 3:
            return []
        return [CustomerMerged(member_id=M, merged_id=OTHER, effective=self.today)]

    def _part(self, _: int) -> list[Data]:
        """Told to both, as policy-sync does."""
        if not self.merged:
            return []
        parted = CustomerUnmerged(member_id=M, survivor_id=M, merged_id=OTHER, effective=self.today)
        return [parted, replace(parted, member_id=OTHER)]

    # --- orders, and corrections by hand ---

    def _spend(self, n: int) -> list[Data]:
        """All there is, or some of it; perhaps not all that was reserved."""
        placed = self._reserve(n)
        return [*placed, CaptureHold(hold_id=f"H-{n}", points=self.r.choice([None, None, 3]))] if placed else []

    def _reserve(self, n: int) -> list[Data]:
        return self._place(n, self._who(), "points")

    def _place(self, n: int, who: str, wallet: Wallet) -> list[Data]:
        there = self.world.balance(f"{wallet}_available", who)
        points = self.r.choice([there, there, there // 2])
        self.orders.append(f"H-{n}")
        place = PlaceHold(hold_id=f"H-{n}", member_id=who, wallet=wallet, points=points, reference="", expires_at=WALL)
        return [place] if points else []

    def _resolve(self, _: int) -> list[Data]:
        """One of the last reservations is spent in part, or set free; most of these were resolved before, and that is refused."""
        if not self.orders:
            return []
        name = self.r.choice(self.orders[-3:])
        return [
            self.r.choice([CaptureHold(hold_id=name, points=5), CaptureHold(hold_id=name), ReleaseHold(hold_id=name)])
        ]

    def _refund(self, _: int) -> list[Data]:
        return [RefundHold(hold_id=self.r.choice(self.orders), points=self.r.choice([5, None]))] if self.orders else []

    def _by_hand(self, n: int) -> list[Data]:
        """Points more or less, a debt written off, a freeze or its end. None are given to `M-2`: used up, they would be forgotten by the
        store, not move with a merger, and leave other numbers to those that do.
        """
        who, purposes = self._who(), ("correct", "correct", "write_off", "freeze", "unfreeze", "unfreeze")
        purpose: Purpose = self.r.choice(purposes)
        owed = self.world.balance("points_debt", who)
        points = {"correct": self.r.choice([-30, 40]) if who == M else -30, "write_off": owed}.get(purpose, 0)
        proposed = ProposeAdjustment(
            adjustment_id=f"J-{n}", member_id=who, wallet="points", points=points, reason="x", ticket="T", proposed_by="op-1", purpose=purpose
        )  # fmt: skip
        return [proposed, ApproveAdjustment(adjustment_id=f"J-{n}", approved_by="op-2")]

    # --- the agent ---

    def _serve(self, _: int) -> list[Data]:
        kind, rank = self.r.choice(["revisit", "policy_report", "mentoring"]), self.r.choice(["agent", "manager"])
        return [served(kind, str(self.today - timedelta(self.r.choice([0, 3, 40]))), rank)]

    def _cash_in(self, n: int) -> list[Data]:
        return self._place(n, AGENT, "agent")

    def _leave(self, _: int) -> list[Data]:
        return [LeaveAgent(agent_id=AGENT, on=self.today - timedelta(self.r.choice([0, 20])), actor="op-1")]

    def _return_(self, _: int) -> list[Data]:
        return [ReturnAgent(agent_id=AGENT, on=self.today, actor="op-1")]
