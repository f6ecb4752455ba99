"""policy-sync's rules and points-ledger's, one after the other, in memory: what one tells, the other hears, in the order told.

No spine, no database: any order of arrival and any ticks, thousands of lives a minute.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, Final

from msgspec.structs import replace
from points_ledger.rules.account import Account, ReferralNews, new_account
from points_ledger.service import SERVICE as LEDGER
from policy_sync.rules.customers import MemberState, member_of
from policy_sync.rules.policies import PolicyState
from policy_sync.service import SERVICE as POLICY_SYNC
from tenure.calendar import local_date, start_of
from tenure.contracts.decision import DayReached, RefusedError
from tenure.contracts.event import Data, Event
from tenure.contracts.keys import key_of
from tenure.contracts.points import PointsGranted, PointsReversed
from tenure.contracts.programme import Programme
from tenure.contracts.topics import TYPE_OF
from tenure.service import Service


class Both:
    """One world of both services' states. `became`: customer numbers given up, and whose they are now: policy-sync tells these."""

    def __init__(self, programme: Programme) -> None:
        self.programme: Final = programme
        self.policies: dict[str, Any] = {}
        self.accounts: dict[str, Account] = {}
        self.told: list[Data] = []
        self.became: dict[str, str] = {}
        self._ids = 0

    def hear_core(self, data: Data, at: datetime, *, id_: str | None = None) -> None:
        """policy-sync hears a fact that the core recorded at this instant; the ledger hears what follows."""
        event = self._event(data, at, id_)
        for told in self._decide(POLICY_SYNC, self.policies, _policy_state, event):
            if TYPE_OF[type(told)] not in LEDGER.ignores:
                self.hear_member(self._to_survivor(told), at)

    def _to_survivor(self, told: Any) -> Data:
        """policy-sync reads mergers from its database (`services/policy-sync/tests/test_ties.py`), which is not here."""
        now = self.became.get(told.member_id)
        if now is None:
            return told  # type: ignore[no-any-return]
        term = getattr(told, "term", None)
        return (
            replace(told, member_id=now)
            if term is None
            else replace(told, member_id=now, term=replace(term, member_id=now))
        )

    def hear_member(self, data: Data, at: datetime) -> Any:
        """The ledger hears something of its members: from policy-sync, tier-engine or a caller."""
        return self._decide(LEDGER, self.accounts, new_account, self._event(data, at, None))

    def ask(self, data: Data, at: datetime, *, member: str) -> bool:
        """A caller asks something of the ledger for a member. Returns whether it was done; what is refused changes nothing."""
        before, said = self.accounts.get(member), len(self.told)
        try:
            self._decide(LEDGER, self.accounts, new_account, self._event(data, at, None, member))
        except RefusedError:
            assert (self.accounts.get(member), len(self.told)) == (before, said)
            return False
        return True

    def begin(self, day: date) -> None:
        """A day starts: first for the policies that have something due, then for the accounts."""
        for key, state in list(self.policies.items()):
            if getattr(state, "due_on", None) and state.due_on <= day:
                self.hear_core(DayReached(key=key, day=day), start_of(day))
        for key in list(self.accounts):
            self.hear_member(DayReached(key=key, day=day), start_of(day))

    def balance(self, member: str, name: str) -> int:
        account = self.accounts.get(member)
        return account.balances[name] if account else 0

    def net(self, wallet: str) -> dict[str, int]:
        """What was granted less what was taken back, by rule, as the world was told: zeros left out."""
        net: Counter[str] = Counter()
        for told in self.told:
            if isinstance(told, PointsGranted | PointsReversed) and told.wallet == wallet:
                net[told.rule] += told.amount if isinstance(told, PointsGranted) else -told.amount
        return {rule: points for rule, points in net.items() if points}

    def _event(self, data: Data, at: datetime, id_: str | None, key: str = "") -> Event:
        self._ids += 1
        name = TYPE_OF.get(type(data), "due")
        key = key or getattr(data, "key", None) or (key_of(data) if type(data) in TYPE_OF else data.member_id)  # type: ignore[attr-defined]
        return Event(id=id_ or f"e-{self._ids}", source="/core/test", type=name, key=key, time=at, data=data)

    def _decide(self, service: Service[Any], states: dict[str, Any], new: Any, event: Event) -> Iterable[Data]:
        names = service.keys(event)
        before = tuple(states.get(n) or new(n) for n in names)
        decided = service.decide(before if len(before) > 1 else before[0], event, self.programme)
        after = decided.state if len(before) > 1 else (decided.state,)
        states.update(zip(names, after, strict=True))
        self.told += decided.emit
        for news in (row for row in decided.rows if isinstance(row, ReferralNews)):
            self._bring(news, event.time)
        return decided.emit

    def _bring(self, news: ReferralNews, at: datetime) -> None:
        """What a referee's policy came to is read by the referrer's account on a turn of its own."""
        account = self.accounts.get(news.member_id) or new_account(news.member_id)
        self.accounts[news.member_id] = replace(account, news=(*account.news, news))
        self.hear_member(DayReached(key=news.member_id, day=local_date(at)), at)


def _policy_state(key: str) -> Any:
    member = member_of(key)
    return MemberState(member_id=member) if member else PolicyState(policy_no=key)
