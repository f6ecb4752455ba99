"""What draft earning rules would have made of the history that the log keeps: the live rules' own code, run twice, in memory.

The invariants: nothing is written anywhere; both sides hear the same events in the same order, what was reported elsewhere among
them where its date stands, and live to the same day; what is compared is what was earned, before anybody redeemed: points spent,
held or adjusted by hand are no part of it.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from tenure.calendar import FIRST_DAY
from tenure.contracts.event import Event, WrongEventError
from tenure.contracts.keys import key_of
from tenure.contracts.programme import EarningRules, Programme, Versions

from points_ledger.budgets import allot
from points_ledger.rules.account import Account, BudgetClaim, BudgetNews
from points_ledger.rules.decide import keys
from points_ledger.rules.waiting import SEPARATOR, HandOver
from points_ledger.service import SERVICE
from points_ledger.whatif_known import Known, earnings, known

OWN: Final = "/tenure/points-ledger"
"""What the ledger itself told again under another number: each side tells it to itself, with what it was told of."""
ALWAYS: Final = FIRST_DAY
Group = tuple[str, str, date]


class RuleMonth(msgspec.Struct, frozen=True):
    """What one rule comes to in one month of the facts' dates, under the rules as they are and under the draft: points earned, and
    what of them is owed on the day, not expired and not gone into a debt.
    """

    rule: str
    wallet: str
    month: date
    live: int
    draft: int
    live_owed: int
    draft_owed: int


class Owed(msgspec.Struct, frozen=True):
    """Points of a wallet not expired on the day, active or pending, if nobody had redeemed any; and at the reference value."""

    wallet: str
    live: int
    draft: int
    live_fen: int
    draft_fen: int


class Affected(msgspec.Struct, frozen=True):
    """A member who comes off differently: points earned and not expired, in all wallets but growth."""

    member_id: str
    live: int
    draft: int


class Comparison(msgspec.Struct, frozen=True):
    """Both sides on a day; `known` says how much of the ledger's history it stands on."""

    as_of: date
    known: Known
    events: int
    refused_live: int
    refused_draft: int
    members: int
    better: int
    worse: int
    by_rule: list[RuleMonth]
    liability: list[Owed]
    affected: list[Affected]


def with_draft(live: Programme, draft: EarningRules) -> Programme:
    """The programme in which the draft follows what is in force before its day, and nothing follows it."""
    before = [version for version in live.earning.all if version.effective < draft.effective]
    return Programme(**{**vars(live), "earning": Versions([*before, draft])})


class Side:
    """All accounts under one programme."""

    def __init__(self, programme: Programme) -> None:
        self.programme = programme
        self.accounts: dict[str, Account] = {}
        self.allotted = Counter[str]()
        self.refused = 0

    def hear(self, event: Event) -> None:
        """Decide an event as the ledger would. What it would park or refuse is counted, and changes nothing."""
        names = keys(event)
        states = tuple(self.accounts.get(name) for name in names)
        try:
            decided = SERVICE.decide(states[0] if len(names) == 1 else states, event, self.programme)
        except WrongEventError:
            self.refused += 1
            return
        after = (decided.state,) if len(names) == 1 else decided.state
        self.accounts.update((name, state) for name, state in zip(names, after, strict=True) if state is not None)
        for row in decided.rows:
            if isinstance(row, BudgetClaim):
                self._serve(row, event.day)
            elif isinstance(row, HandOver):
                self.hear(SERVICE.day_reached(f"{row.member_id}{SEPARATOR}{row.others}", event.day))
        for told in decided.emit:
            if type(told) in SERVICE.rules:
                self.hear(replace(event, key=key_of(told), data=told))

    def close(self, day: date) -> None:
        """Let the day come for everybody."""
        for name in self.accounts:
            self.hear(SERVICE.day_reached(name, day))

    def _serve(self, claim: BudgetClaim, day: date) -> None:
        """A budget is served within a second: before its lot may go to another number, or come back from one."""
        (points,) = allot([(claim.points, claim.budget_points_max)], self.allotted[claim.campaign])
        self.allotted[claim.campaign] += points
        account = self.accounts[claim.member_id]
        news = BudgetNews(claim.member_id, claim.lot_id, points, claim.points)
        self.accounts[claim.member_id] = replace(account, allotted=(*account.allotted, news))
        self.hear(SERVICE.day_reached(claim.member_id, day))

    def earned(self) -> tuple[Counter[Group], Counter[Group]]:
        """By rule, wallet and month: what was earned, and what is owed of it."""
        found, owed = Counter[Group](), Counter[Group]()
        for account in self.accounts.values():
            for lot in account.lots.values():
                group = lot.rule, lot.wallet, lot.earned_on.replace(day=1)
                found[group] += lot.standing
                owed[group] += lot.remaining
        return found, owed

    def facts(self) -> Counter[date]:
        """How many facts earned, by their day."""
        found = Counter[date]()
        for account in self.accounts.values():
            found.update(earnings(account.lots.values()))
        return found

    def owed(self) -> Counter[str]:
        return Counter(
            {
                wallet: sum(
                    a.balances[f"{wallet}_available"] + a.balances[f"{wallet}_pending"] for a in self.accounts.values()
                )
                for wallet in ("points", "agent")
            }
        )

    def of(self, member_id: str) -> int:
        account = self.accounts.get(member_id)
        names = ("points_available", "points_pending", "agent_available", "agent_pending")
        return sum(account.balances[name] for name in names) if account else 0


class Trial:
    """The rules as they are and a draft, side by side."""

    def __init__(self, live: Programme, draft: EarningRules) -> None:
        self.sides = (Side(live), Side(with_draft(live, draft)))
        self.points_per_cny = draft.points_per_cny
        self.events = 0
        self.asked = draft.effective
        self.oldest: date | None = None
        self.newest = ALWAYS
        self.reported: dict[str, deque[Event]] = {}

    def expect(self, events: Iterable[Event]) -> None:
        """What was reported elsewhere, by date: each is heard before the first event of its key that is later, or at the end."""
        for event in events:
            self.reported.setdefault(event.key, deque()).append(event)

    def hear(self, events: Iterable[Event]) -> None:
        for event in events:
            if type(event.data) not in SERVICE.rules or event.source == OWN:
                continue
            for key in keys(event):
                self._hear_reported(key, event.time)
            self._hear(event)

    def _hear_reported(self, key: str, until: datetime | None) -> None:
        waiting = self.reported.get(key)
        while waiting and (until is None or waiting[0].time <= until):
            self._hear(waiting.popleft())

    def _hear(self, event: Event) -> None:
        self.events += 1
        self.newest = max(self.newest, event.day)
        self.oldest = min(self.oldest or event.day, event.day)
        for side in self.sides:
            side.hear(event)

    def compare(
        self, as_of: date | None = None, *, of_ledger: Counter[date] | None = None, log_since: date | None = None
    ) -> Comparison:
        """Both sides on a day: the newest heard of, unless a later one is named.

        `of_ledger`: how many facts earned, by the ledger's lots; `log_since`: where the log begins, if it was cut.
        """
        for key in self.reported:
            self._hear_reported(key, None)
        day = max(as_of or self.newest, self.newest)
        for side in self.sides:
            side.close(day)
        live, draft = self.sides
        affected = list(self._affected())
        return Comparison(
            as_of=day,
            known=known(
                of_ledger or Counter(),
                live.facts(),
                heard_since=self.oldest,
                log_since=log_since,
                asked=self.asked,
            ),
            events=self.events,
            refused_live=live.refused,
            refused_draft=draft.refused,
            members=len(live.accounts),
            better=sum(1 for one in affected if one.draft > one.live),
            worse=sum(1 for one in affected if one.draft < one.live),
            by_rule=self._by_rule(),
            liability=[self._owed(w, live.owed()[w], draft.owed()[w]) for w in ("points", "agent")],
            affected=affected,
        )

    def _by_rule(self) -> list[RuleMonth]:
        (live, live_owed), (draft, draft_owed) = (side.earned() for side in self.sides)
        every = sorted(live.keys() | draft.keys(), key=lambda key: (key[0], key[1], key[2]))
        return [
            RuleMonth(*key, live[key], draft[key], live_owed[key], draft_owed[key])
            for key in every
            if live[key] or draft[key]
        ]

    def _owed(self, wallet: str, live: int, draft: int) -> Owed:
        def cost(points: int) -> int:
            return points * 100 // self.points_per_cny

        return Owed(wallet, live, draft, cost(live), cost(draft))

    def _affected(self) -> Iterator[Affected]:
        live, draft = self.sides
        for member_id in sorted(live.accounts.keys() | draft.accounts.keys()):
            pair: tuple[Any, Any] = live.of(member_id), draft.of(member_id)
            if pair[0] != pair[1]:
                yield Affected(member_id, *pair)
