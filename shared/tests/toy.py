"""A service small enough to see through: it adds up a member's granted points, and refuses a grant of 13."""

from datetime import date
from pathlib import Path
from typing import Any

from asyncpg.connection import Connection
from msgspec.structs import replace
from tenure.contracts import message, points
from tenure.contracts.decision import DayReached, Decision, RefusedError
from tenure.contracts.event import Data, Event
from tenure.contracts.topics import read_by
from tenure.service import Saved, Service

MIGRATIONS = Path(__file__).parent / "toy_migrations"


class Total(Data, frozen=True, kw_only=True):
    amount: int = 0
    due_on: date | None = None
    days: int = 0


def on_granted(state: Total, event: Event, programme: Any) -> Decision[Total]:
    if event.data.amount == 13:
        raise RefusedError("unlucky", "thirteen is not granted here", rows=(f"{event.key} asked for 13",))
    if event.data.amount == 666:
        raise KeyError("a mistake in a rule")
    total = replace(state, amount=state.amount + event.data.amount, due_on=event.data.activates_on)
    return Decision(total, emit=(_told(event.key, total.amount),), reply={"amount": total.amount})


def on_day(state: Total, event: Event, programme: Any) -> Decision[Total]:
    return Decision(replace(state, due_on=None, days=state.days + 1), emit=(_told(event.key, -1),))


def _told(member_id: str, amount: int) -> message.MessageRequested:
    return message.MessageRequested(member_id=member_id, template="toy", dedupe=str(amount), params={"amount": amount})


async def load(conn: Connection, keys: Any) -> dict[str, Total]:
    await conn.execute("INSERT INTO totals (key) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", keys)
    rows = await conn.fetch("SELECT * FROM totals WHERE key = ANY ($1::text[]) ORDER BY key FOR UPDATE", keys)
    return {r["key"]: Total(amount=r["amount"], due_on=r["due_on"], days=r["days"]) for r in rows}


async def save(conn: Connection, saved: Saved[Total]) -> None:
    await conn.execute(
        """UPDATE totals SET amount = t.amount, due_on = t.due_on, days = t.days
           FROM unnest($1::text[], $2::bigint[], $3::date[], $4::int[]) AS t (key, amount, due_on, days)
           WHERE totals.key = t.key""",
        list(saved.after),
        [s.amount for s in saved.after.values()],
        [s.due_on for s in saved.after.values()],
        [s.days for s in saved.after.values()],
    )


async def due(conn: Connection, day: date, keys_max: int) -> list[str]:
    rows = await conn.fetch(
        "SELECT key FROM totals WHERE due_on <= $1 ORDER BY due_on, key LIMIT $2 FOR UPDATE SKIP LOCKED", day, keys_max
    )
    return [r["key"] for r in rows]


# The toy borrows the mall's place in the table of topics: it reads points.v1 and tier.v1.
TOY = Service(
    name="mall",
    package="toy",
    rules={points.PointsGranted: on_granted, DayReached: on_day},
    ignores=frozenset(n for t in read_by("mall") for n in t.types) - {"points.granted"},
    load=load,
    save=save,
    due=due,
    migrations=MIGRATIONS,
)


def grant(member_id: str, amount: int, *, activates_on: date = date(2026, 1, 2)) -> points.PointsGranted:
    return points.PointsGranted(
        member_id=member_id,
        wallet="points",
        amount=amount,
        effective=date(2026, 1, 1),
        lot_id="L",
        entry_id="E",
        rule="premium",
        rules_version=1,
        activates_on=activates_on,
        expires_on=None,
        source_type="premium.paid",
    )
