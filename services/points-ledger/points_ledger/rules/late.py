"""What a number's policies earned under a survivor, where they are heard of only after the two were parted again.

While two numbers are one, what befalls their policies is told under the survivor. At the parting the lots of a policy go with the
number that brought it; a partition that is far behind tells only later that it did. The invariant: a policy that was told under a
number before its merger is that number's after the parting, with all that it earned meanwhile, whatever is read first.
"""

from msgspec.structs import replace
from tenure.contracts.decision import Decision
from tenure.contracts.event import Event
from tenure.contracts.policy import TermEvent

from points_ledger.rules.account import Account
from points_ledger.rules.book import Book
from points_ledger.rules.memory import Memory
from points_ledger.rules.merger import turn_of
from points_ledger.rules.term_memory import together
from points_ledger.rules.unmerger import give, part_freezes
from points_ledger.rules.waiting import HandOver


def policies_of(event: Event) -> tuple[str, ...]:
    return (event.data.term.policy_no,) if isinstance(event.data, TermEvent) else ()


def noted(before: Memory, decided: Decision[Account], event: Event) -> Decision[Account]:
    """A policy heard of late is asked for where this number was parted from; one that may be another's, by that one's turn."""
    memory, rows = remembered(decided.state.member_id, before, decided.state.memory, event)
    if not rows:
        return decided
    return replace(decided, state=replace(decided.state, memory=memory), rows=(*decided.rows, *rows))


def remembered(number: str, before: Memory, now: Memory, event: Event) -> tuple[Memory, tuple[HandOver, ...]]:
    """What a number knows by now, with what this tells of late, as it knew `before`; and the turns that are asked for."""
    policies = policies_of(event)
    late, theirs = before.hears_late(policies, event.time), before.may_be_theirs(policies, event.time)
    memory = replace(now.with_late(late), passed={**now.passed, **theirs}) if late or theirs else now
    own = (turn_of(number, memory),) if late else ()
    return memory, (*own, *(HandOver.to(who, {number}) for who in theirs))


def follow(survivor: Book, merged: Book) -> None:
    """The lots and terms of these policies go to the number they came with. Raises RefusedError hold_open."""
    policies, mine = merged.memory.late, survivor.memory
    lots = [lot for lot in survivor.lots.values() if lot.policy_no in policies]
    if lots or not policies.isdisjoint(mine.policies):
        give(survivor, merged, lots, lambda _: _divide(survivor, merged, mine))


def _divide(survivor: Book, merged: Book, mine: Memory) -> None:
    theirs, going = merged.memory, mine.only(merged.memory.late)
    survivor.remember(mine.without(theirs.late))
    merged.remember(
        replace(
            theirs,
            terms=together(going.terms, theirs.terms),
            rescinded=theirs.rescinded | going.rescinded,
            referred_by=going.referred_by | theirs.referred_by,
        )
    )
    survivor.note("unmerged", f"policies that {merged.member_id} had brought follow it", "insurer core")
    merged.note("unmerged", f"its policies follow it from {survivor.member_id}", "insurer core")
    part_freezes(survivor, merged, mine, Memory(), going.rescinded)
