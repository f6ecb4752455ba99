"""From an event to a decision: open the account, live through the days up to the event, decide, close.

Living through first is what makes ticks harmless: whether `day.started` came before or after a fact of that day, the account has
lived to the same day when the fact is decided.
"""

from collections.abc import Callable
from datetime import date
from typing import Any

from tenure.contracts.activity import ReferralConverted
from tenure.contracts.decision import DayReached, Decision, RefusedError
from tenure.contracts.event import Event
from tenure.contracts.policy import (
    CustomerMerged,
    CustomerUnmerged,
    PolicyEndorsed,
    PolicyRenewed,
    PremiumPaid,
    TermEvent,
)
from tenure.contracts.programme import Programme

from points_ledger.commands import LinkMembership
from points_ledger.rules import caps, earning, referrals, standing, terms
from points_ledger.rules.account import Account, new_account
from points_ledger.rules.book import Book
from points_ledger.rules.lots import live_through, next_due
from points_ledger.rules.merger import on_merged
from points_ledger.rules.standing import Standing
from points_ledger.rules.waiting import SEPARATOR

Decide = Callable[[Book, Any], Any]
Rule = Callable[[Any, Event, Programme], Decision[Any]]


def rule(decide: Decide) -> Rule:
    """A rule of one account; what `decide` returns answers the caller."""

    def decided(state: Account | None, event: Event, programme: Programme) -> Decision[Account]:
        book = _opened(state or new_account(event.key), event, programme)
        reply = decide(book, event.data)
        return book.close(next_due(book), reply)

    return decided


def rule_of_two(decide: Callable[[Book, Book, Any], None]) -> Rule:
    """A rule of two accounts."""

    def decided(
        found: tuple[Account | None, Account | None], event: Event, programme: Programme
    ) -> Decision[tuple[Account, Account]]:
        one, other = (state or new_account(key) for state, key in zip(found, keys(event), strict=True))
        return of_two(lambda first, second: decide(first, second, event.data), (one, other), event, programme)

    return decided


def of_two(
    decide: Callable[[Book, Book], None], states: tuple[Account, Account], event: Event, programme: Programme
) -> Decision[tuple[Account, Account]]:
    """What is decided of two accounts, which live to the same day first."""
    day = max(event.day, *(state.lived_to or event.day for state in states))
    one, other = (_opened(state, event, programme, day) for state in states)
    decide(one, other)
    return Decision(
        state=(one.account(next_due(one)), other.account(next_due(other))),
        emit=(*one.told, *other.told),
        rows=(*one.rows, *other.rows),
    )


def _opened(state: Account, event: Event, programme: Programme, day: date | None = None) -> Book:
    book = Book(state, event, programme)
    live_through(book, day or book.day)
    return book


def on_term(book: Book, data: TermEvent) -> None:
    """Any event of a term: learn what it says, settle what changed, then earn what it earns."""
    terms.learn(book, data)
    match data:
        case PremiumPaid():
            earning.on_premium_paid(book, data)
        case PolicyRenewed():
            earning.on_renewed(book, data)
        case PolicyEndorsed():
            earning.on_endorsed(book, data)


def on_day(book: Book, reached: DayReached) -> None:
    """The days are lived through already; what is left is the news."""
    del reached
    referrals.read_news(book)
    caps.read_allotted(book)


def keys(event: Event) -> tuple[str, ...]:
    """The accounts an event touches."""
    match event.data:
        case ReferralConverted(member_id=referrer, referee_id=referee) if referrer != referee:
            return (referrer, referee)
        case LinkMembership(agent_id=agent, member_id=member) if agent != member:
            return (agent, member)
        case CustomerUnmerged(survivor_id=survivor, merged_id=merged):
            return (survivor, merged)
        case CustomerMerged(member_id=survivor, merged_id=merged) if survivor != merged:
            return (survivor, merged)
        case DayReached(key=key):
            return tuple(key.split(SEPARATOR))
    return (event.key,)


def on_referral(state: Any, event: Event, programme: Programme) -> Decision[Any]:
    """Raises RefusedError self_referral, and those of `referrals.on_referral`."""
    if not isinstance(state, tuple):
        raise RefusedError("self_referral", "nobody refers themselves")
    return rule_of_two(referrals.on_referral)(state, event, programme)


def on_link(state: Any, event: Event, programme: Programme) -> Decision[Any]:
    """Raises RefusedError same_account."""
    if not isinstance(state, tuple):
        raise RefusedError("same_account", "an agent's and a member's number differ")
    decided = rule_of_two(standing.on_linked)(state, event, programme)
    agent: Account = decided.state[0]
    reply = Standing(agent.member_id, agent.memory.frozen, sorted(agent.memory.persons))
    return Decision(decided.state, decided.emit, decided.rows, reply)


def on_merger(state: Any, event: Event, programme: Programme) -> Decision[Any]:
    """A customer merged with itself is no change."""
    if not isinstance(state, tuple):
        return Decision(state=state)
    return rule_of_two(on_merged)(state, event, programme)
