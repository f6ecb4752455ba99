"""A policy as far as it is one caller's: who held it for a time sees their own part, and nothing of those before or after.

Staff and services see all of a policy, and so does an agent who serves one of its holders. The tables do not say who held
what, so a policy that others held, too, is folded from its facts, with the ties by which it was last told.
"""

from collections.abc import Mapping, Sequence
from datetime import date

from asyncpg.connection import Connection
from msgspec.structs import replace
from tenure.calendar import union
from tenure.edge.access import Caller

from policy_sync.holding import changed_hands
from policy_sync.projection import member_ids
from policy_sync.reads import PolicyView, TermView
from policy_sync.rules.fold import Policy
from policy_sync.rules.terms import TermState


def part(whole: Policy, survivors: Mapping[str, str], who: Caller) -> Policy | None:
    """What of a policy is this caller's; None if they see nobody who held it for a day."""
    numbers = member_ids(whole)
    if _sees_whole(who, numbers):
        return whole
    persons = {survivors.get(number, number) for number in numbers if who.sees(number)}
    held = (h for h in whole.holders if whole.holder_on(h.since) == h)
    holders = tuple(h for h in held if h.member_id in persons)
    if not holders:
        return None
    return replace(
        whole,
        holders=holders,
        terms=tuple(_term(whole, t, persons) for t in whole.terms if not persons.isdisjoint(whole.members_of(t))),
        claims=tuple(c for c in whole.claims if whole.holder_on(c.loss_date).member_id in persons),
        named=tuple(number for number in whole.named if survivors.get(number, number) in persons),
    )


async def parts(conn: Connection, found: Sequence[PolicyView], who: Caller, *, on: date) -> list[PolicyView]:
    """What of these policies is this caller's, as it is held on a day, without those of which nothing is."""
    views = {view.policy_no: view for view in found}
    shared = await changed_hands(conn, [view.policy_no for view in found if len(view.member_ids) > 1])
    own = {no: view for no, view in views.items() if no not in shared and _sees_whole(who, view.member_ids)}
    for no, (whole, tied) in shared.items():
        mine = part(whole, tied.survivors, who)
        if mine is not None:
            own[no] = _view(views[no], mine, on)
    return [own[view.policy_no] for view in found if view.policy_no in own]


def _sees_whole(who: Caller, numbers: Sequence[str]) -> bool:
    seen = [who.sees(number) for number in numbers]
    return all(seen) or ("agent" in who.roles and any(seen))


def _term(whole: Policy, term: TermState, persons: set[str]) -> TermState:
    return replace(term, covers=tuple(union(p for person in persons for p in whole.held_by(person, term.covers))))


def _view(view: PolicyView, own: Policy, on: date) -> PolicyView:
    return replace(
        view,
        member_id=own.holder_on(on).member_id,
        member_ids=member_ids(own),
        terms=[
            TermView(
                term_no=t.term_no,
                start=t.start,
                end=t.end,
                written_end=t.written_end,
                premium_fen=t.premium_fen,
                status=t.status,
                covers=t.covers,
                cooling_off_end=t.cooling_off_end,
            )
            for t in own.terms
        ],
    )
