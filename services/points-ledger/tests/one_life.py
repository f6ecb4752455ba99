"""One member's life, told step by step to the rules of the ledger and to the plain model: both must say the same at every step.

Another number may turn out to be the same person's, and later not to be after all.
"""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from msgspec.structs import replace
from points_ledger.commands import (
    ApproveAdjustment,
    CaptureHold,
    PlaceHold,
    ProposeAdjustment,
    Purpose,
    RefundHold,
    ReleaseHold,
)
from points_ledger.rules.account import Account
from tenure import programme
from tenure.contracts import policy
from tenure.contracts.decision import DayReached, RefusedError
from tenure.contracts.event import Data
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged
from tenure.testing import PROGRAMME_DIR

from .plain_model import Model
from .world import M, World, did, term

FIRST = date(2026, 1, 1)
WALL = datetime(2040, 1, 1, tzinfo=UTC)
OTHER = "M-2"
RULES = cache(programme.load)


class Life:
    """One member, in the rules and in the model. Every step is told to both, and both must say the same."""

    def __init__(self) -> None:
        self.world, self.model = World(RULES(PROGRAMME_DIR)), Model(FIRST)
        self.steps: list[tuple[Data, date]] = []
        self.terms: list[policy.Term] = []
        self.paid = Counter[str]()
        self.whole: dict[int, policy.Term] = {}
        self.count, self.joined, self.ever_joined = 0, False, False
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
        """A policy of a year from today, and its first instalment."""
        no, today = f"P-{len(self.terms)}", self.model.today
        sold = term(
            policy_no=no,
            start=today,
            end=today + timedelta(365),
            written_end=today + timedelta(365),
            inception=today,
            premium_fen=0,
            refunded_fen=0,
            cooling_off_end=today + timedelta(cooling_off_days),
        )
        self.terms.append(sold)
        self.model.insure(no, sold.cooling_off_end or today)
        self.pay(-1, points)

    def pay(self, which: int, points: int) -> None:
        """One more instalment of so many yuan, be it after a refund or after an early end; nobody pays for what is void."""
        n = which % len(self.terms)
        known = self.terms[n]
        if known.status == "void":
            return
        self.paid[known.policy_no] += 1
        now = self._now(n, premium_fen=known.premium_fen + points * 100)
        said = {"amount_fen": points * 100, "instalment_no": self.paid[known.policy_no]}
        self.tell(policy.PremiumPaid(member_id=M, term=now, effective=self.model.today, **said))
        self.model.pay(known.policy_no, points)

    def pay_back(self, which: int, fen: int) -> None:
        """Part of the premium is refunded, as it may be more than once; the policy goes on."""
        n = which % len(self.terms)
        known = self.terms[n]
        now = self._now(n, premium_fen=known.premium_fen - fen, refunded_fen=(known.refunded_fen or 0) + fen)
        self.tell(policy.PremiumRefunded(member_id=M, term=now, effective=self.model.today, amount_fen=fen))
        self.model.pay_back(known.policy_no, fen)

    def cut_short(self, which: int, fen: int) -> None:
        """The policy ends today, in the midst of its term, and the rest of the premium is refunded."""
        n, today = which % len(self.terms), self.model.today
        if self.terms[n].status != "in_force" or not self.terms[n].start < today < self.terms[n].end:
            return
        self.whole[n] = self.terms[n]
        now = self._now(n, status="cancelled", end=today, covers=((self.terms[n].start, today),))
        self.tell(policy.PolicyCancelled(member_id=M, term=now, effective=today, kind="mid_term"))
        self.agree()
        self.pay_back(n, fen)

    def cancel(self, which: int) -> None:
        """The policy never was."""
        n = which % len(self.terms)
        if self.terms[n].status == "in_force":
            self.whole[n] = self.terms[n]
        now = self._now(n, status="void", covers=())
        self.tell(policy.PolicyCancelled(member_id=M, term=now, effective=self.model.today, kind="flat"))
        self.model.cancel(now.policy_no)

    def stand_again(self, which: int) -> None:
        """The cancellation is taken back, and with it what was refunded since. What was paid since stays."""
        n = which % len(self.terms)
        if self.terms[n].status == "in_force":
            return
        whole, now = self.whole[n], self.terms[n]
        paid_since = now.premium_fen + (now.refunded_fen or 0) - whole.premium_fen - (whole.refunded_fen or 0)
        now = self._now(
            n,
            status="in_force",
            end=whole.end,
            covers=whole.covers,
            premium_fen=whole.premium_fen + paid_since,
            refunded_fen=whole.refunded_fen,
        )
        self.tell(policy.CancellationReversed(member_id=M, term=now, effective=self.model.today))
        self.model.stand_again(now.policy_no, now.refunded_fen or 0)

    def _now(self, n: int, **changes: Any) -> policy.Term:
        """The policy's term after one more change."""
        self.terms[n] = replace(self.terms[n], version=self.terms[n].version + 1, **changes)
        return self.terms[n]

    def adjust(self, points: int) -> None:
        assert self._by_two(points, "correct") == self.model.adjust(points)

    def freeze(self) -> None:
        """Or unfreeze, if it is frozen."""
        assert self._by_two(0, "unfreeze" if self.model.frozen else "freeze")
        self.model.frozen = not self.model.frozen

    def _by_two(self, points: int, purpose: Purpose) -> bool:
        """One person proposes, another approves. Whether that was accepted."""
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
                purpose=purpose,
            )
        )
        return self.tell(ApproveAdjustment(adjustment_id=name, approved_by="op-2"))

    def join(self) -> None:
        """The other number, which has been to a class, turns out to be the same person's."""
        if not self.ever_joined:
            self.tell(replace(did("class", self.model.today, session_id="S-0"), member_id=OTHER))
        self.tell(CustomerMerged(member_id=M, merged_id=OTHER, effective=self.model.today))
        self.model.join()
        self.joined = self.ever_joined = True

    def part(self) -> None:
        """They were two after all."""
        parted = CustomerUnmerged(member_id=M, survivor_id=M, merged_id=OTHER, effective=self.model.today)
        done = self.tell(parted)
        assert done == self.model.part()
        self.joined = not done

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
        assert found_in(account) == self.model.by_lot()


def found_in(account: Account) -> dict[tuple[int, str], int]:
    """How many points of which lot are where: what is gone for good is left out."""
    return {
        (lot.no, place): points
        for lot in account.lots.values()
        if lot.wallet == "points"
        for place, points in (("left", lot.remaining), ("held", lot.held), ("expired", lot.expired))
        if points
    }
