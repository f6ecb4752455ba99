"""What comes again under an id that was heard: is it what was heard? If not, it has no effect, and its sender is told so.

The invariant: what says the same is never called otherwise. A term's opening may leave out what it need not say, and name its
holder by the number that is theirs now; and who sent it without a time of its own says the same at another hour.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import asyncpg
import msgspec
from tenure.contracts.event import Event, WrongEventError
from tenure.spine.item import Outcome

from policy_sync.rules import keys
from policy_sync.rules.facts import Fact, Opening, business_key, fact_of, says_the_same
from policy_sync.rules.fold import NO_SURVIVORS
from policy_sync.store import facts_of

SAME_ID: Final = "same_id"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Persons = Mapping[str, str]
"""Customer numbers given up, and whose they are now."""


def otherwise(event: Event, known: Iterable[Fact], persons: Persons, *, is_timed: bool) -> WrongEventError | None:
    """Why this is not what was heard under its id; `known` are the facts of its policy or customer. `is_timed`: its time counts."""
    now, known = fact_of(event), list(known)
    heard = next((f for f in known if (f.source, f.id) == (event.source, event.id)), None)
    if heard is None:
        is_known = any(
            business_key(f) == business_key(now) for f in known
        )  # it had said again what was known by another id
        return None if is_known else _wrong(event, "was another event's, or one's that was discarded")
    if type(heard.data) is not type(now.data):
        return _wrong(event, "was another event's")
    if not says_the_same(now, heard, persons):
        return _wrong(event, f"said otherwise before: {', '.join(_differing(heard, now))}")
    return _wrong(event, "said so of another time before") if is_timed and heard.time != now.time else None


def _wrong(event: Event, why: str) -> WrongEventError:
    return WrongEventError(SAME_ID, f"the id {event.id} {why}; under it nothing more has an effect")


def _differing(heard: Fact, now: Fact) -> list[str]:
    names = heard.data.__struct_fields__
    said = [name for name in names if getattr(heard.data, name) != getattr(now.data, name)]
    if not isinstance(now.data, Opening):
        return said
    return [name for name in said if None not in (getattr(heard.data, name), getattr(now.data, name))]


async def judged(pool: Pool, events: Sequence[Event], done: Sequence[Outcome], *, is_timed: bool) -> list[Outcome]:
    """What became of each; what was seen under its id, and says otherwise now, is wrong."""
    again = [event for event, outcome in zip(events, done, strict=True) if outcome.seen]
    wrong = iter(await _otherwise(pool, again, is_timed=is_timed) if again else ())
    return [Outcome(wrong=why) if outcome.seen and (why := next(wrong)) is not None else outcome for outcome in done]


async def _otherwise(pool: Pool, events: Sequence[Event], *, is_timed: bool) -> list[WrongEventError | None]:
    kept_by = [keys(event)[0] for event in events]
    async with pool.acquire() as conn:
        known = await facts_of(conn, list(dict.fromkeys(kept_by)))  # type: ignore[arg-type]
    about = [(event, known.get(key, ())) for event, key in zip(events, kept_by, strict=True)]
    found = [otherwise(event, facts, NO_SURVIVORS, is_timed=is_timed) for event, facts in about]
    if any(found):
        by = await _persons(pool, [event.key for event, why in zip(events, found, strict=True) if why])
        found = [
            why and otherwise(event, facts, by.get(event.key, NO_SURVIVORS), is_timed=is_timed)
            for why, (event, facts) in zip(found, about, strict=True)
        ]
    return found


async def _persons(pool: Pool, policy_nos: Sequence[str]) -> dict[str, Persons]:
    """Whose the numbers of these policies' holders are."""
    rows = await pool.fetch(
        "SELECT policy_no, survivors::text FROM policies WHERE policy_no = ANY ($1::text[])", list(policy_nos)
    )
    return {policy_no: msgspec.json.decode(survivors) for policy_no, survivors in rows}
