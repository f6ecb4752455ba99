"""A member's insurance life in a few words, for the tests of the rules: pure, no database."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

from msgspec.structs import replace
from points_ledger.rules.account import Account, new_account
from points_ledger.rules.decide import keys
from points_ledger.rules.waiting import HandOver
from points_ledger.service import SERVICE
from tenure.calendar import start_of
from tenure.contracts import activity, policy, tier
from tenure.contracts.decision import DayReached, RefusedError
from tenure.contracts.event import Data, Event
from tenure.contracts.programme import Programme, Versions
from tenure.contracts.topics import TYPE_OF

D = date.fromisoformat
WALL = datetime(2026, 1, 1, tzinfo=UTC)
M = "M-1"


def term(no: int = 1, **changes: Any) -> policy.Term:
    """Term `no` of policy P-1: a calendar year of home cover for CNY 500.00, from 2026 on."""
    start = date(2025 + no, 1, 1)
    values: dict[str, Any] = {
        "policy_no": "P-1",
        "term_no": no,
        "member_id": M,
        "product_line": "home",
        "start": start,
        "end": date(2026 + no, 1, 1),
        "written_end": date(2026 + no, 1, 1),
        "premium_fen": 50_000,
        "status": "in_force",
        "version": 1,
        "covers": ((start, date(2026 + no, 1, 1)),),
        "inception": date(2026, 1, 1),
    }
    return policy.Term(**{**values, **changes})


def void(t: policy.Term, version: int = 9) -> policy.Term:
    return replace(t, status="void", covers=(), version=version)


def issued(t: policy.Term, on: str = "2026-01-01") -> policy.PolicyIssued:
    return policy.PolicyIssued(member_id=t.member_id, term=t, effective=D(on))


def paid(t: policy.Term, fen: int = 50_000, on: str = "2026-01-01", n: int = 1) -> policy.PremiumPaid:
    return policy.PremiumPaid(member_id=t.member_id, term=t, effective=D(on), amount_fen=fen, instalment_no=n)


def renewed(t: policy.Term, on: str = "2026-12-31", *, gap: int = 0, early: int = 1) -> policy.PolicyRenewed:
    return policy.PolicyRenewed(
        member_id=t.member_id, term=t, effective=t.start, renewed_on=D(on), gap_days=gap, days_early=early
    )


def endorsed(t: policy.Term, delta_fen: int, on: str = "2026-03-01", no: str = "E-1") -> policy.PolicyEndorsed:
    return policy.PolicyEndorsed(
        member_id=t.member_id, term=t, effective=D(on), endorsement_no=no, premium_delta_fen=delta_fen
    )


def cancelled(t: policy.Term, on: str, kind: str = "cooling_off") -> policy.PolicyCancelled:
    after = (
        replace(t, status="cancelled", end=D(on), version=t.version + 8)
        if kind == "mid_term"
        else void(t, t.version + 8)
    )
    return policy.PolicyCancelled(member_id=t.member_id, term=after, effective=D(on), kind=kind)  # type: ignore[arg-type]


def uncancelled(t: policy.Term, on: str) -> policy.CancellationReversed:
    return policy.CancellationReversed(member_id=t.member_id, term=replace(t, version=t.version + 20), effective=D(on))


def refunded(t: policy.Term, fen: int, on: str, version: int = 5) -> policy.PremiumRefunded:
    after = replace(t, premium_fen=t.premium_fen - fen, version=version)
    return policy.PremiumRefunded(member_id=t.member_id, term=after, effective=D(on), amount_fen=fen)


def anniversary(years: int, on: str, term_no: int = 1) -> policy.PolicyAnniversary:
    return policy.PolicyAnniversary(
        member_id=M, policy_no="P-1", term_no=term_no, product_line="home", years=years, effective=D(on)
    )


def no_claim_year(year: int = 1, on: str = "2027-01-01") -> policy.NoClaimYearCompleted:
    return policy.NoClaimYearCompleted(
        member_id=M,
        policy_no="P-1",
        product_line="home",
        policy_year=year,
        start=D(on) - timedelta(365),
        effective=D(on),
    )


def no_claim_year_revoked(year: int = 1, on: str = "2027-02-01") -> policy.NoClaimYearRevoked:
    return policy.NoClaimYearRevoked(
        member_id=M, policy_no="P-1", product_line="home", policy_year=year, effective=D(on), claim_no="C-1"
    )


def tiers(*steps: tuple[str, str], member_id: str = M) -> tier.TierChanged:
    timeline = tuple(tier.Step(effective=D(on), tier=name, cause="upgrade") for on, name in steps)
    return tier.TierChanged(
        member_id=member_id,
        from_tier="none",
        to_tier=steps[-1][1] if steps else "none",
        effective=D(steps[-1][0]) if steps else date(2026, 1, 1),
        retroactive=False,
        reasons=(),
        nearest=None,
        policies=(),
        insured_days=0,
        annual_premium_fen=0,
        rules_version=1,
        timeline=timeline,
    )


_activity_ids = count(1)


def did(kind: str, on: str | date, value: int = 0, **more: Any) -> activity.ActivityCompleted:
    more.setdefault("activity_id", f"a-{next(_activity_ids)}")
    day = D(on) if isinstance(on, str) else on
    return activity.ActivityCompleted(member_id=M, kind=kind, on=day, value=value, **more)  # type: ignore[arg-type]


def served(kind: str, on: str, rank: str = "agent", **more: Any) -> activity.AgentServiceRecorded:
    more.setdefault("activity_id", f"s-{next(_activity_ids)}")
    return activity.AgentServiceRecorded(agent_id="A-7", kind=kind, on=D(on), rank=rank, **more)  # type: ignore[arg-type]


def under_rules(rules: Programme, /, **changes: Any) -> Programme:
    """The programme with one version of the earning rules, changed so."""
    earning = Versions([replace(rules.earning.newest, **changes)])
    return Programme(
        tiers=rules.tiers, earning=earning, benefits=rules.benefits, catalogue=rules.catalogue, messages=rules.messages
    )


class World:
    """Accounts by id, and events applied to them one by one."""

    def __init__(self, programme: Programme) -> None:
        self.programme = programme
        self.accounts: dict[str, Account] = {}
        self.told: list[Data] = []
        self.rows: list[Any] = []
        self.seen = 0
        self.asked: dict[str, str] = {}
        self._ids = count(1)

    def hear(self, data: Data, at: str | date | None = None, *, key: str = M, backfill: bool = False) -> Any:
        """Apply one event; `at` is when it happened (default: its own date). Returns the reply."""
        return self.apply(self.event(data, at, key=key, backfill=backfill))

    def event(self, data: Data, at: str | date | None = None, *, key: str = M, backfill: bool = False) -> Event:
        """The next event, as the log or a caller would bring it."""
        when = D(at) if isinstance(at, str) else at or _date_of(data)
        owner = getattr(data, "agent_id", None) or getattr(data, "key", None) or getattr(data, "member_id", key)
        return Event(
            id=f"e-{next(self._ids)}",
            source="/test",
            type=TYPE_OF.get(type(data), type(data).__name__),
            key=owner,
            time=start_of(when),
            data=data,
            backfill=backfill,
        )

    def apply(self, event: Event) -> Any:
        """Decide it. Returns the reply."""
        names = keys(event)
        states = tuple(self.accounts.get(name) or new_account(name) for name in names)
        decided = SERVICE.decide(states[0] if len(states) == 1 else states, event, self.programme)
        after = (decided.state,) if len(states) == 1 else decided.state
        self.accounts.update(zip(names, after, strict=True))
        self.told += decided.emit
        self.rows += decided.rows
        return decided.reply

    def day(self, day: str | date, member: str = M) -> None:
        self.hear(DayReached(key=member, day=D(day) if isinstance(day, str) else day), day)

    def turns(self) -> None:
        """Let every number given up that asked for its turn have it, until none does: due work."""
        while self._turns():
            pass

    def _turns(self) -> bool:
        """One turn for each. Returns whether any was had; whose turn is refused asks again."""
        new, self.seen = self.rows[self.seen :], len(self.rows)
        asked = {**self.asked, **{row.member_id: row.others for row in new if isinstance(row, HandOver)}}
        self.asked = {}
        for member_id, others in asked.items():
            try:
                today = max(account.lived_to or D("2026-01-01") for account in self.accounts.values())
                self.day(today, f"{member_id} {others}")
            except RefusedError:
                self.asked[member_id] = others
        return len(asked) > len(self.asked)

    def balance(self, name: str, member: str = M) -> int:
        account = self.accounts.get(member)
        return account.balances[name] if account else 0

    def points(self, member: str = M) -> tuple[int, int, int]:
        """(pending, available, debt) of the points wallet."""
        return tuple(self.balance(f"points_{b}", member) for b in ("pending", "available", "debt"))  # type: ignore[return-value]

    def of(self, kind: Callable[..., Data]) -> list[Any]:
        return [data for data in self.told if isinstance(data, kind)]  # type: ignore[arg-type]


def _date_of(data: Data) -> date:
    for name in ("renewed_on", "effective", "on", "day"):
        day = getattr(data, name, None)
        if isinstance(day, date):
            return day
    raise AssertionError(f"say when {type(data).__name__} happened")
