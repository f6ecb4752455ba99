"""What must hold over all members, looked at from the saved states; the demo and operators ask for it.

Grants are checked twice: against a plan made anew from the facts alone, and, independently of how plans are made, against the
plain sentence "a member has the benefits of its tier and of all below".
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from tenure.contracts.programme import Programme
from tenure.contracts.tier import tier_on

from benefits import store
from benefits.rules.endorsements import answer_of
from benefits.rules.plan import is_entitled, quota_at
from benefits.rules.settle import settle
from benefits.state import Grant, State

CHUNK_ROWS: Final = 500


async def verify(pool: Any, programme: Programme) -> dict[str, bool]:
    """Each sentence and whether it holds for everyone."""
    holds = dict.fromkeys((*CHECKS, "uses_are_of_the_person"), True)
    async for state in _states(pool):
        for name, check in CHECKS.items():
            holds[name] = holds[name] and check(state, programme)
        for number in _others_used_by(state):
            holds["uses_are_of_the_person"] &= await _is_one_person(pool, number, state.member_id)
    return holds


def grants_equal_tiers(state: State, programme: Programme) -> bool:
    """What stands open is what the tier of the day brings, but for the benefits of a season, which come and go with it."""
    day = state.lived_to
    tier = tier_on(state.tiers, day)
    rules = programme.benefits.at(day)
    due = {b.code for b in rules.benefits if b.period != "season" and is_entitled(b, tier, programme, day)}
    standing = {g.benefit for g in state.grants.values() if _stands(g, state)}
    return due == {code for code in standing if (b := rules.benefit(code)) and b.period != "season"}


def grants_recompute_alike(state: State, programme: Programme) -> bool:
    """Settling anew, from nothing but the facts and what was used, comes to the same grants."""
    kept = {i: g for i, g in state.grants.items() if g.is_kept or g.request_id}
    anew, _ = settle(_without_grants(state, kept), programme, state.lived_to)
    return _essence(anew) == _essence(state)


def no_quota_exceeded(state: State, programme: Programme) -> bool:
    """No period has more uses than the highest tier held in it allows, uses brought along by a merger aside. A tier that turns out
    never to have been takes no use back: then no grant had more than was allowed when they were made.
    """
    grants = (grant for grant in state.grants.values() if not grant.is_kept)
    return all(_within(grant, state, programme) or _was_within(grant, state) for grant in grants)


def extensions_endorsed(state: State, programme: Programme) -> bool:  # noqa: ARG001 - the checks have one shape
    """A coverage extension is active only with an endorsement number."""
    extensions = [g for g in state.grants.values() if g.request_id and g.status == "active"]
    return all((a := answer_of(g, state)) is not None and a.is_confirmed for g in extensions)


CHECKS: Final[Mapping[str, Callable[[State, Programme], bool]]] = {
    "grants_equal_tiers": grants_equal_tiers,
    "grants_recompute_alike": grants_recompute_alike,
    "no_quota_exceeded": no_quota_exceeded,
    "extensions_endorsed": extensions_endorsed,
}


def _others_used_by(state: State) -> set[str]:
    return {use.made_by for use in state.uses} - {state.member_id}


async def _is_one_person(pool: Any, number: str, member_id: str) -> bool:
    """Whether uses under that number may count for the member: it was merged into them, and not parted again.

    Asked of each state as it is now. Who was parted since the member was read is read again.
    """
    person = await store.person_of(pool, number)
    if person is not None and person.member_id == member_id:
        return True
    now = await store.state_of(pool, member_id)
    return now is None or number not in _others_used_by(now)


async def _states(pool: Any) -> AsyncIterator[State]:
    after = ""
    while rows := await pool.fetch(
        "SELECT member_id, state FROM members WHERE member_id > $1 AND state <> '' ORDER BY member_id LIMIT $2",
        after,
        CHUNK_ROWS,
    ):
        for row in rows:
            yield store.decode(row["state"])
            await asyncio.sleep(0)  # settling anew is work: let the requests of others in between
        after = rows[-1]["member_id"]


def _stands(grant: Grant, state: State) -> bool:
    day = state.lived_to
    in_period = grant.granted_on <= day and (grant.period_end is None or day < grant.period_end)
    return in_period and grant.revoked_on is None and not grant.is_kept


def _within(grant: Grant, state: State, programme: Programme) -> bool:
    moved = sum(use.made_by != state.member_id for use in state.uses if use.benefit == grant.benefit)
    end = grant.period_end or state.lived_to
    changes = (*(s.effective for s in state.tiers), *(v.effective for v in programme.benefits.all))
    days = [grant.granted_on, *(day for day in changes if grant.granted_on <= day < end)]
    found = [(programme.benefits.at(day).benefit(grant.benefit), day) for day in days]
    quotas = [quota_at(b, tier_on(state.tiers, day), programme, day) for b, day in found if b is not None]
    return None in quotas or grant.used - moved <= max((q for q in quotas if q is not None), default=0)


def _was_within(grant: Grant, state: State) -> bool:
    """Each use there is was allowed on its day, as was known then."""
    quotas: defaultdict[str, list[int]] = defaultdict(list)
    uses = [use for use in state.uses if use.benefit == grant.benefit]
    for use in uses:
        quotas[use.grant_id].append(use.quota or 0)
    return grant.used <= len(uses) and all(0 not in made and len(made) <= max(made) for made in quotas.values())


def _without_grants(state: State, kept: Mapping[str, Grant]) -> State:
    return State(
        member_id=state.member_id,
        lived_to=state.lived_to,
        timeline=state.tiers,
        terms=state.terms,
        region=state.region,
        region_since=state.region_since,
        lived=state.lived,
        grants=kept,
        uses=state.uses,
        answers=state.answers,
    )


def _essence(state: State) -> tuple[Any, ...]:
    return state.over, {
        i: (g.benefit, g.period_start, g.granted_on, g.revoked_on, g.quota, g.used, g.status)
        for i, g in state.grants.items()
    }
