"""Alerts fire on a real Prometheus when what they warn of is really brought about.

The rules are those of deploy/prometheus, made quicker: nothing is waited for (`for`), ranges are seconds, and a few thresholds
are lower (`QUICKER`). Ages of hours are brought about by dating rows back. What is not provoked here is fired by promtool on series
(tests/test_alert_rules.py); `NOT_PROVOKED` says why. `make test` provokes what takes seconds, `make test-faults` all of it.
"""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import yaml
from points_ledger.service import SERVICE as LEDGER
from tenure.calendar import start_of
from tenure.contracts.activity import ActivityCompleted
from tenure.contracts.decision import DayReached
from tenure.embedded.server import free_port
from tenure.settings import Settings
from tenure.spine import vitals
from tenure.spine.consumer import Consumer
from tenure.spine.log import Outgoing
from tenure.spine.relay import LOCK
from tenure.telemetry import metrics

from .prometheus import RULES, Prometheus, rules, serving
from .running import UNTIL_S, Gate, Running, eventually, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
DAY: Final = date(2019, 1, 1)
LONG: Final = int(os.environ.get("TENURE_FAULT_KILLS", "0")) > 100  # as in tests/faults: `make test-faults`
QUICKER: Final = {
    "ConsumerStalled": ("> 120", "> 4"),
    "OutboxStuck": ("> 60", "> 2"),
    "BrokerUnreachable": ("> 5", "> 0"),
    "DatabaseRefuses": ("> 5", "> 0"),
    "RetentionStopped": ("> 3600", "> 10"),
    "DueWorkBehind": ("> 3600", "> 10"),
}
NOT_PROVOKED: Final = {
    "Deadlocks": "the door locks in one order; a ring needs a mistake",
    "LogHasGaps": "the in-memory log has no retention",
    "ServiceGone": "the test is the one process, and asks as long as it watches",
    "ProcessRestarting": "the test is one process",
    "HttpErrorsLasting": "the same query as HttpErrorsBurning over hours",
    "MessagesFailing": "the channel of the embedded default is a file",
    "ConsumerLagGrowing": "more than a small test can publish must be left unread",
    "GapOpen": "the service under test is the ledger; the gauge is shown in services/policy-sync/tests/test_gaps.py",
    "JournalNotSealed": "the worker under test seals; the gauge is shown in services/points-ledger/tests/test_proof.py",
    "DayNotStarted": "the platform under test follows events, not the wall",
}


def quicker() -> dict[str, Any]:
    """The rules as they are, but for how long things must last."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    for rule in (rule for group in groups["groups"] for rule in group["rules"]):
        rule.pop("for", None)
        long, short = QUICKER.get(rule["alert"], ("", ""))
        assert long in rule["expr"]
        rule["expr"] = re.sub(r"\b\d+[mh]\b", "5s", rule["expr"].replace(long, short) if long else rule["expr"])
    return dict(groups)


class Watch:
    """What has fired, and what still does."""

    def __init__(self, prometheus: Prometheus, here: Running) -> None:
        self.prometheus, self.here, self.fired = prometheus, here, set[str]()
        self.now: set[str] = set()
        self.since: set[str] = set()

    async def look(self) -> None:
        while True:
            found = await asyncio.to_thread(self.prometheus.firing)
            for alert in found.values():
                assert "<no value>" not in str(alert["annotations"]), alert
            self.now = set(found)
            self.fired |= self.now
            self.since |= self.now
            await asyncio.sleep(0.2)

    async def fires(self, *alerts: str) -> None:
        """Each of them fires at some time from now on."""
        self.since = set()

        async def all_have() -> bool:
            return set(alerts) <= self.since

        await eventually(all_have, f"{alerts} fire")

    async def is_over(self, *alerts: str) -> None:
        async def none_does() -> bool:
            return not set(alerts) & self.now

        await eventually(none_does, f"{alerts} end when their cause does")


@asynccontextmanager
async def watched(here: Running, folder: Path) -> AsyncIterator[Watch]:
    (folder / "rules.yml").write_text(yaml.safe_dump(quicker()), encoding="utf-8")
    targets = [f"127.0.0.1:{here.port}", f"127.0.0.1:{free_port()}"]  # nobody listens at the second
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.yml")],
        "scrape_configs": [{"job_name": "tenure", "static_configs": [{"targets": targets}]}],
    }
    with serving(folder, config, port=free_port()) as prometheus:
        watch = Watch(prometheus, here)
        looking = asyncio.create_task(watch.look())
        try:
            yield watch
        finally:
            looking.cancel()
            await asyncio.wait([looking])


async def a_wrong_event_is_parked(watch: Watch) -> None:
    ledger = watch.here.services["points-ledger"]
    await watch.here.send(broken("1"))
    await eventually(lambda: ledger.pool.fetchval("SELECT count(*) = 1 FROM parked"), "it is parked")
    await ledger.pool.execute("UPDATE parked SET parked_at = parked_at - interval '5 hours'")
    await watch.fires("EventsParked", "ParkedOld")


async def a_run_of_wrong_events_halts_the_consumer(watch: Watch) -> None:
    ledger = watch.here.services["points-ledger"]
    await watch.here.send(*(broken(str(n)) for n in range(2, 6)))
    await watch.fires("ConsumerHalted")
    rows = await ledger.pool.fetch("SELECT seq FROM parked")
    await ledger.door.leave_park([row["seq"] for row in rows], action="discarded", actor="test", reason="test")
    await watch.is_over("ConsumerHalted", "EventsParked", "ParkedOld")


def broken(key: str) -> Outgoing:
    return Outgoing("activity.v1", key.encode(), b"{", [("ce_type", b"activity.completed")])


def walked(member: str) -> ActivityCompleted:
    return ActivityCompleted(member_id=member, activity_id=f"A-{member}", kind="quiz", on=DAY)


async def the_broker_is_away(watch: Watch) -> None:
    watch.here.log.fail_next(10**9)
    await watch.here.services["points-ledger"].feed(walked("M-4"), at=start_of(DAY))
    await watch.fires("BrokerUnreachable", "OutboxStuck", "NoPartitions")
    watch.here.log.fail_next(0)
    await watch.fires("RelaySlow")
    await watch.is_over("BrokerUnreachable", "OutboxStuck")


async def the_log_forgets(watch: Watch) -> None:
    watch.here.log.forget()
    await watch.fires("LogWentBackwards")


async def nobody_publishes(watch: Watch) -> None:
    """Another session takes the lock, as a hung process would that still has its connection."""
    pool = watch.here.services["points-ledger"].pool
    async with pool.acquire() as conn:
        waiting = asyncio.create_task(conn.execute("SELECT pg_advisory_lock($1)", LOCK))
        held = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND granted"
        await asyncio.sleep(0.2)
        await pool.execute(held, LOCK)
        await waiting
        await watch.fires("RelayNotLed")
        await conn.execute("SELECT pg_advisory_unlock_all()")
    await watch.is_over("RelayNotLed")


async def the_database_is_away(watch: Watch, gate: Gate) -> None:
    await gate.shut()
    await watch.here.publish(walked("M-2"), at=start_of(DAY))
    await watch.fires("DatabaseDown", "ConsumerStalled", "DueWorkBehind", "RetentionStopped")
    gate.is_open = True
    await watch.is_over("DatabaseDown", "ConsumerStalled")


async def no_connection_is_free(watch: Watch) -> None:
    held: list[Any] = []
    pool = watch.here.services["points-ledger"].pool
    busy = [asyncio.create_task(hoard(pool, held)), *(asyncio.create_task(keep_asking(watch.here)) for _ in range(8))]
    try:
        await watch.fires("PoolExhausted", "RequestsTurnedAway", "HttpErrorsBurning", "AnswersSlow")
    finally:
        for task in busy:
            task.cancel()
        await asyncio.wait(busy)
        for conn in held:
            await pool.release(conn)


async def hoard(pool: Any, held: list[Any]) -> None:
    """Take every connection that is free, and each that somebody gives back."""
    while True:
        held.append(await pool.acquire(timeout=UNTIL_S))


async def keep_asking(here: Running) -> None:
    """Again and again, as callers do: of the first errors of a route Prometheus sees no rise, as there was no series before."""
    while True:
        await here.ask("GET", "/v1/wallets/M-1", "operator")


async def somebody_locks_a_table(watch: Watch) -> None:
    pool = watch.here.services["points-ledger"].pool
    async with pool.acquire() as conn:
        await conn.execute("BEGIN")
        await conn.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")
        await watch.here.publish(walked("M-3"), at=start_of(DAY))
        await watch.fires("ConsumerStuck", "DatabaseRefuses")
        await conn.execute("ROLLBACK")
    await watch.is_over("ConsumerStuck", "DatabaseRefuses")


async def the_loop_is_held(watch: Watch) -> None:
    time.sleep(2.2)  # noqa: ASYNC251 - that is what is tested
    await watch.fires("LoopFrozen", "LoopBlocked")


async def the_books_are_wrong(watch: Watch) -> None:
    ledger = watch.here.services["points-ledger"]
    await watch.fires("InvariantsUnchecked")
    await ledger.feed(walked("M-1"), at=start_of(DAY))
    await ledger.pool.execute("UPDATE accounts SET points_available = points_available + 1 WHERE member_id = 'M-1'")
    await watch.here.ask("GET", "/v1/ledger/verify", "sre")
    await watch.fires("InvariantBroken")
    await ledger.pool.execute("UPDATE accounts SET points_available = points_available - 1 WHERE member_id = 'M-1'")
    await watch.here.ask("GET", "/v1/ledger/verify", "sre")
    await watch.is_over("InvariantBroken")


async def a_text_message_waits(watch: Watch) -> None:
    await watch.here.services["notifier"].pool.execute(
        """INSERT INTO message (message_id, member_id, template, dedupe, purpose, capped, asked_at, scheduled_for, sent_at, language,
                                title_zh, title_en, text_zh, text_en, sms, sms_at, recorded_at)
           VALUES ('m', 'M-1', 't', 'd', 'service', false, now(), now(), now(), 'en', '', '', '', '', 'sending', now(),
                   now() - interval '13 hours')"""
    )
    await watch.fires("MessagesWaiting")


async def a_member_cannot_live_through_a_day(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise KeyError("a mistake in a rule")

    monkeypatch.setitem(LEDGER.rules, DayReached, fails)  # type: ignore[arg-type]
    await watch.here.day(date(2022, 1, 1))
    await watch.fires("DueWorkRefused")


async def a_task_ends_on_a_mistake(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    once = [KeyError("a mistake in a task")]
    before = Consumer._turn

    async def turn(self: Consumer, client: Any) -> None:
        if once:
            raise once.pop()
        await before(self, client)

    monkeypatch.setattr(Consumer, "_turn", turn)
    await watch.fires("TaskFailing")


async def timed(step: Awaitable[None]) -> None:
    began = time.perf_counter()
    await step
    print(f"{time.perf_counter() - began:5.1f} s {getattr(step, '__name__', step)}")


def forget_other_tests() -> None:
    """The services that other tests ran in this process do not work any more, which would be alarming."""
    for metric in vars(metrics).values():
        if getattr(metric, "_labelnames", ()):
            metric.clear()


async def test_alerts_fire_when_what_they_warn_of_is_brought_about(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vitals, "LOOK_EVERY_S", 0.5)
    forget_other_tests()
    server = urlsplit(settings.database_url)
    gate = Gate(server.hostname or "", server.port or 5432)
    async with gate.standing() as port, AsyncExitStack() as stack:
        url = f"postgresql://{server.username or 'postgres'}@127.0.0.1:{port}"
        quick = {"database_url": url, "clock": "events", "parked_run_max": 3, "pool_acquire_timeout_s": 1.5}
        names = ["points-ledger", "notifier"]
        here = await stack.enter_async_context(running(names, settings.model_copy(update=quick)))
        watch = await stack.enter_async_context(watched(here, tmp_path))
        await timed(a_wrong_event_is_parked(watch))
        await timed(a_run_of_wrong_events_halts_the_consumer(watch))
        await timed(the_books_are_wrong(watch))
        await timed(nobody_publishes(watch))
        if LONG:
            await timed(the_broker_is_away(watch))
            await timed(somebody_locks_a_table(watch))
            await timed(the_database_is_away(watch, gate))
            await timed(no_connection_is_free(watch))
        await timed(a_text_message_waits(watch))
        await timed(a_task_ends_on_a_mistake(watch, monkeypatch))
        await timed(a_member_cannot_live_through_a_day(watch, monkeypatch))
        await timed(the_log_forgets(watch))
        await timed(the_loop_is_held(watch))
        await watch.fires("TargetDown")
    if LONG:
        assert set(rules()) - watch.fired <= set(NOT_PROVOKED), "an alert fired here, or the reason is told why not"
