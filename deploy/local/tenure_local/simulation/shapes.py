"""What is particular about each service's store, for its states behind the model (`tenure.simulation.states`).

The conformance suite holds each against the service's own SQL: what was saved is read back alike.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from types import MappingProxyType
from typing import Any, Final

from mall.keys import MEMBER as CUSTOMER
from mall.keys import SHELF
from mall.states import Member as Customer
from mall.states import Shelf
from member_view.rules.view import View
from msgspec.structs import replace
from points_ledger.rules.account import Account, Hold, ReferralNews, new_account
from policy_sync.rules import blank as blank_policy
from policy_sync.rules.policies import PolicyState
from tenure.service import Saved
from tenure.simulation.states import Shape
from tenure.simulation.tables import Transaction
from tier_engine.rules import Member

from tenure_local.simulation import messages


def _blank_in_the_mall(key: str) -> Customer | Shelf | None:
    kind, name = key[: len(CUSTOMER)], key[len(CUSTOMER) :]
    if kind == CUSTOMER:
        return Customer(member_id=name)
    return Shelf(sku=name) if kind == SHELF else None


def _read_policy(tx: Transaction, _: str, state: Any) -> Any:
    """A policy comes with where the calendar stands, as policy-sync's `load` has it."""
    day: date | None = tx.get("calendar", True)
    return replace(state, calendar=day) if isinstance(state, PolicyState) and state.calendar != day else state


def _kept_of_policy(state: Any) -> Any:
    return replace(state, calendar=None) if isinstance(state, PolicyState) and state.calendar is not None else state


def read_account(tx: Transaction, key: str, account: Account) -> Account:
    """Lots and holds that are over are left out, and news left for the account comes in, as the ledger's `load` has it."""
    since = account.lived_to or date.min
    holds, proposals, news = account.holds, account.proposals, _news_of(tx, key)
    if holds:
        holds = {no: hold for no, hold in holds.items() if _is_open(hold, since)}
    if proposals:
        proposals = {no: one for no, one in proposals.items() if one.state == "proposed"}
    parts = {no for hold in holds.values() for no, _ in hold.parts}
    over = {no for no, lot in account.lots.items() if not (lot.is_known(since) or no in parts)}
    if not over and (holds, proposals, news) == (account.holds, account.proposals, account.news):
        return account
    lots = {no: lot for no, lot in account.lots.items() if no not in over}
    return replace(account, lots=lots, holds=holds, proposals=proposals, news=news)


def _news_of(tx: Transaction, key: str) -> tuple[ReferralNews, ...]:
    if not tx.store.tables["news"] and not tx.writes.get("news"):
        return ()
    return tuple(ReferralNews(of[0], of[1], void) for of, void in sorted(tx.all("news")) if of[0] == key)


def _is_open(hold: Hold, since: date) -> bool:
    return hold.state == "held" or (hold.state == "captured" and hold.refundable_until >= since)


def _keep_news(tx: Transaction, saved: Saved[Any]) -> None:
    for key, after in saved.after.items():
        before = saved.before.get(key)
        for news in before.news if before is not None and not after.news else ():
            if tx.get("news", (news.member_id, news.policy_no)) is news.void:
                tx.delete("news", (news.member_id, news.policy_no))
    for row in saved.rows:
        if isinstance(row, ReferralNews):
            tx.put("news", (row.member_id, row.policy_no), row.void)


def _have_news(tx: Transaction) -> Iterable[str]:
    return sorted({member for (member, _), _void in tx.all("news")})


def _with_whom_it_becomes(_key: str, member: Member) -> str:
    return member.turn


SHAPES: Final[Mapping[str, Shape]] = MappingProxyType(
    {
        "policy-sync": Shape(blank=blank_policy, read=_read_policy, kept=_kept_of_policy),
        "tier-engine": Shape(due_name=_with_whom_it_becomes),
        "points-ledger": Shape(blank=new_account, read=read_account, also_saved=_keep_news, also_due=_have_news),
        "benefits": Shape(),
        "mall": Shape(blank=_blank_in_the_mall),
        "notifier": messages.shape(),
        "member-view": Shape(blank=lambda key: View(member_id=key)),
    }
)
