"""The working copy of an account that one event writes on: every movement of points is posted here, twice, and told.

The invariants: a posting changes its two sides and one row of the journal and nothing else; no balance of a member goes below
zero; the account the event started from is never touched.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from tenure.contracts.decision import Decision
from tenure.contracts.event import Data, Event
from tenure.contracts.points import Wallet
from tenure.contracts.programme import EarningRules, Programme

from points_ledger.rules.account import (
    BUCKETS,
    Account,
    AccountChange,
    Hold,
    Kind,
    Ledger,
    Lot,
    Proposal,
    ReferralNews,
    Transfer,
    balance,
    lot_id,
)
from points_ledger.rules.memory import Memory

assert len(Account.__struct_fields__) == 12, "`Book.account` names every field of an account, in order"  # noqa: PLR2004


class Book:
    """One account while an event is decided."""

    __slots__ = (
        *("before", "event", "programme", "member_id", "day", "lived_to", "balances", "lots", "holds", "proposals"),
        *("memory", "news", "allotted", "lots_no", "transfers_no", "rows", "told", "changed"),
    )

    def __init__(self, account: Account, event: Event, programme: Programme) -> None:
        self.before, self.event, self.programme = account, event, programme
        self.member_id = account.member_id
        self.day = event.day
        self.lived_to = account.lived_to or self.day
        self.balances = dict(account.balances)
        self.lots = dict(account.lots)
        self.holds = account.holds
        self.proposals = account.proposals
        self.memory = account.memory
        self.news = account.news
        self.allotted = account.allotted
        self.lots_no, self.transfers_no = account.lots_no, account.transfers_no
        self.rows: list[Any] = []
        self.told: list[Data] = []
        self.changed = False

    @property
    def rules(self) -> EarningRules:
        """The rules in force on the event's day. What a fact is worth is asked of the rules of its own date."""
        return self.programme.earning.at(self.day)

    def post(
        self,
        wallet: Wallet,
        debit: Ledger,
        credit: Ledger,
        amount: int,
        *,
        lot_no: int,
        kind: Kind,
        on: date,
        hold_id: str = "",
    ) -> None:
        """Move `amount` > 0 from `debit` to `credit`. A debt is what the member owes, so it grows by debits."""
        assert amount > 0, "a transfer moves something"
        self.transfers_no += 1
        if debit in BUCKETS:
            self._add(balance(wallet, debit), amount if debit == "debt" else -amount)
        if credit in BUCKETS:
            self._add(balance(wallet, credit), -amount if credit == "debt" else amount)
        self.rows.append(
            Transfer(
                self.member_id,
                self.transfers_no,
                wallet,
                debit,
                credit,
                amount,
                lot_no,
                kind,
                on,
                self.event.id,
                hold_id,
            )
        )
        self.changed = True

    def _add(self, name: str, amount: int) -> None:
        after = self.balances[name] = self.balances[name] + amount
        assert after >= 0, f"{name} of {self.member_id} would be {after}"

    def of(self, wallet: Wallet, ledger: Ledger) -> int:
        return self.balances[balance(wallet, ledger)]

    def next_lot_no(self) -> int:
        self.lots_no += 1
        return self.lots_no

    def put(self, lot: Lot) -> Lot:
        """Write a lot, new or changed."""
        self.lots[lot.no] = lot
        self.changed = True
        return lot

    def group(self, rule: str, wallet: Wallet, fact: str) -> list[Lot]:
        """The lots one fact earned by one rule: the first, and top-ups after it. Of several people's, one's."""
        return next(iter(self.groups(rule, wallet, fact)), [])

    def groups(self, rule: str, wallet: Wallet, fact: str) -> list[list[Lot]]:
        """The same for each of the numbers under which it was done before they were merged: a day's steps, a session attended."""
        lots = [lot for lot in self.lots.values() if lot.fact == fact and lot.rule == rule and lot.wallet == wallet]
        return self._by_number(lots)

    def grouped(self, lots: Iterable[Lot]) -> Iterator[list[Lot]]:
        """These lots, by what earned them."""
        facts: dict[tuple[str, str, str], list[Lot]] = {}
        for lot in lots:
            facts.setdefault((lot.rule, lot.wallet, lot.fact), []).append(lot)
        for of_fact in facts.values():
            yield from self._by_number(of_fact)

    def way_of(self, lot: Lot) -> tuple[str, ...]:
        """The numbers by which it came from another; none for a policy's, whose facts are the same whoever brought them."""
        return () if lot.policy_no is not None else self.memory.came_by(lot.no)

    def _by_number(self, lots: list[Lot]) -> list[list[Lot]]:
        """Own, or unknown, is what came by no number; where nothing else is own, it is more of what came first."""
        if not self.memory.absorbed or len(lots) < 2:  # noqa: PLR2004
            return [lots] if lots else []
        found: dict[tuple[str, ...], list[Lot]] = {}
        for lot in lots:
            way = self.way_of(lot)
            if not way and way not in found:
                way = next(iter(found), way)
            found.setdefault(way, []).append(lot)
        return list(found.values())

    def drop(self, no: int) -> None:
        """A lot that is another account's now."""
        self.lots = {known: lot for known, lot in self.lots.items() if known != no}
        self.changed = True

    def drop_hold(self, hold_id: str) -> None:
        self.holds = {known: hold for known, hold in self.holds.items() if known != hold_id}
        self.changed = True

    def put_hold(self, hold: Hold) -> Hold:
        self.holds = {**self.holds, hold.hold_id: hold}
        self.changed = True
        return hold

    def put_proposal(self, proposal: Proposal) -> Proposal:
        self.proposals = {**self.proposals, proposal.adjustment_id: proposal}
        self.changed = True
        return proposal

    def drop_proposal(self, adjustment_id: str) -> None:
        self.proposals = {known: one for known, one in self.proposals.items() if known != adjustment_id}
        self.changed = True

    def remember(self, memory: Memory) -> None:
        if memory is not self.memory:
            self.memory, self.changed = memory, True

    def empty(self, *, merged_into: str) -> None:
        """Everything this account held and knew is another's now."""
        if self.lots or self.holds or self.proposals:
            self.lots, self.holds, self.proposals, self.changed = {}, {}, {}, True
        if self.memory != (left := self.memory.given_up(merged_into)):
            self.remember(left)

    def note(self, what: Any, reason: str, actor: str) -> None:
        """Write what happened to the account itself into its audit."""
        self.rows.append(AccountChange(self.member_id, what, reason, actor, self.event.id, self.day))
        self.changed = True

    def leave_news(self, referrer: str, policy_no: str, *, void: bool) -> None:
        self.rows.append(ReferralNews(referrer, policy_no, void))

    def lot_id(self, lot: Lot) -> str:
        return lot_id(self.member_id, lot.no)

    def tell(self, *data: Data) -> None:
        self.told += data

    def account(self, due_on: date | None) -> Account:
        """The account after the event; the very same object when nothing happened."""
        if not self.changed:
            return self.before
        return Account(
            self.member_id,
            self.lived_to,
            due_on,
            self.lots_no,
            self.transfers_no,
            self.balances,
            self.lots,
            self.holds,
            self.proposals,
            self.memory,
            self.news,
            self.allotted,
        )

    def close(self, due_on: date | None, reply: Any = None) -> Decision[Account]:
        return Decision(self.account(due_on), emit=tuple(self.told), rows=tuple(self.rows), reply=reply)
