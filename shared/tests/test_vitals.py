"""The gauges that dashboards and alerts read say what the tables say, and take back what is over."""

from datetime import date, timedelta

import asyncpg
import pytest
from tenure.calendar import local_date
from tenure.settings import Settings
from tenure.spine.clock import business_date
from tenure.spine.codec import utc_now
from tenure.spine.log import Log
from tenure.spine.runtime import Runtime
from tenure.spine.vitals import Vitals
from tenure.telemetry import REGISTRY
from tenure.testing import Under

from .toy import grant


def gauge(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"tenure_{name}", {"service": "mall", **labels})


def vitals_of(t: Under, log: Log, **settings: object) -> Vitals:
    return Runtime(t.door, log, t.settings.model_copy(update=settings)).vitals


async def test_what_waits_and_what_is_parked_is_told_and_taken_back_once_it_is_over(toy: Under, log: Log) -> None:
    vitals = vitals_of(toy, log)
    for n in range(3):
        await toy.feed(grant(f"M-{n}", 1))
    await toy.feed(grant("M-9", 13), grant("M-9", 1))
    await toy.pool.execute("UPDATE outbox SET published = true, emitted_at = '2020-01-01' WHERE seq = 1")
    await toy.pool.execute("UPDATE outbox SET emitted_at = now() - interval '90 s' WHERE seq = 2")
    await toy.pool.execute("UPDATE parked SET parked_at = now() - interval '600 s' WHERE code = 'unlucky'")
    await vitals.look()
    assert gauge("outbox_waiting_rows") == 2
    assert 90 <= (gauge("outbox_oldest_waiting_age_seconds") or 0) < 150
    assert [gauge("parked_events", code=code) for code in ("unlucky", "behind")] == [1, 1]
    assert 600 <= (gauge("parked_oldest_age_seconds") or 0) < 660
    await toy.pool.execute("UPDATE outbox SET published = true")
    await toy.pool.execute("DELETE FROM parked WHERE code = 'unlucky'")
    await vitals.look()
    assert (gauge("outbox_waiting_rows"), gauge("outbox_oldest_waiting_age_seconds")) == (0, 0)
    assert [gauge("parked_events", code=code) for code in ("unlucky", "behind")] == [0, 1]


async def test_a_database_that_does_not_answer_is_told_and_that_it_does_again(
    toy: Under, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    vitals = vitals_of(toy, log)

    async def down(*_: object) -> None:
        raise asyncpg.CannotConnectNowError

    with monkeypatch.context() as m:
        m.setattr(Vitals, "_ask_the_database", down)
        with pytest.raises(asyncpg.CannotConnectNowError):
            await vitals.look()
        assert gauge("database_up") == 0
    await vitals.look()
    assert gauge("database_up") == 1


@pytest.mark.parametrize(("clock", "behind"), [("wall", 3), ("events", 0)])
async def test_a_calendar_is_behind_only_where_it_follows_the_wall(
    toy: Under, log: Log, clock: str, behind: int
) -> None:
    await toy.door.transact([], day=local_date(utc_now()) - timedelta(3))
    await vitals_of(toy, log, clock=clock).look()
    assert gauge("calendar_behind_days") == behind


@pytest.mark.parametrize(
    ("clock", "calendar", "today"),
    [
        ("wall", None, 0),
        ("wall", -3, 0),
        ("wall", 2, 2),
        ("events", None, 0),
        ("events", -3, -3),
        ("events", 2, 2),
    ],
)
def test_today_is_the_walls_but_never_before_a_day_that_started(
    settings: Settings, clock: str, calendar: int | None, today: int
) -> None:
    """In days from the wall's date."""
    wall = local_date(utc_now())
    day: date | None = None if calendar is None else wall + timedelta(calendar)
    assert business_date(day, settings.model_copy(update={"clock": clock})) == wall + timedelta(today)
