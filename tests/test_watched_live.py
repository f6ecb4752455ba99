"""Every query of dashboards, alerts and runbooks is answered by a real Prometheus that scrapes a running platform."""

import asyncio
import re
import subprocess
from datetime import date
from pathlib import Path
from typing import Any, Final

from tenure.calendar import start_of
from tenure.contracts import core
from tenure.contracts.activity import ActivityCompleted
from tenure.embedded.server import free_port
from tenure.settings import Settings
from tenure.spine.log import Outgoing

from .prometheus import Prometheus, program, rules, serving
from .promql import Selector, selectors
from .running import Running, eventually, running
from .test_alert_rules import blocks
from .test_watching import queries

START: Final = date(2019, 1, 1)
RARE: Final = {  # label values that a platform which is well does not show
    ("status", "5.."),
    ("status", "429|503"),
    ("type", "message.failed"),
    ("state", "firing"),
}


async def a_life(here: Running) -> None:
    """A policy, its payment, a walk, something wrong, a day: enough that every metric has something to say."""
    await here.publish(
        core.PolicyIssued(
            policy_no="P-1", member_id="M-1", product_line="home", start=START, end=date(2020, 1, 1), premium_fen=40_000
        ),
        core.PremiumPaid(policy_no="P-1", term_no=1, amount_fen=40_000, paid_on=START),
        at=start_of(START),
    )
    await here.publish(ActivityCompleted(member_id="M-1", activity_id="A-1", kind="quiz", on=START), at=start_of(START))
    await here.send(Outgoing("core.policy.v1", b"P-9", b"{", [("ce_type", b"PolicyIssued")]))
    await here.day(START)
    notifier = here.services["notifier"]
    await eventually(lambda: notifier.pool.fetchval("SELECT count(*) > 0 FROM message"), "a message is told")
    for path in ("/v1/facts/verify", "/v1/tiers/verify", "/v1/ledger/verify", "/v1/messages/verify"):
        assert (await here.ask("GET", path, "sre")).status_code == 200
    hold = {"hold_id": "H-1", "member_id": "M-1", "wallet": "points", "points": 5, "reference": "O-1"}
    assert (await here.ask("POST", "/v1/holds", "service", json=hold)).status_code == 201
    assert (await here.ask("POST", "/v1/holds/H-1/release", "service", json={})).status_code == 200
    for runtime in here.runtimes.values():
        await runtime.vitals.look()
        await runtime.vitals.sweep()


def every_query() -> list[str]:
    asked = {expr for _, expr, _ in queries()} | {rule["expr"] for rule in rules().values()}
    return sorted(asked | {line for _, block in blocks("promql") for line in block.splitlines()})


async def test_every_query_is_answered_by_what_a_running_platform_exposes(settings: Settings, tmp_path: Path) -> None:
    """The series is there, with the labels it is matched by, and Prometheus takes the expression."""
    names = ["policy-sync", "tier-engine", "points-ledger", "benefits", "notifier"]
    async with running(names, settings.model_copy(update={"clock": "events"})) as here:
        await a_life(here)
        with serving(tmp_path, config(here.port), port=free_port()) as prometheus:
            await eventually(lambda: asyncio.to_thread(is_scraped, prometheus), "Prometheus has seen the platform")
            wrong = await asyncio.to_thread(unanswered, prometheus)
    assert wrong == []


def disapproved(text: bytes) -> set[str]:
    """What promtool has to say about names, units and sentences."""
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, timeout=60, check=False
    )
    found = set(re.findall(r"^tenure_\w+", (done.stdout + done.stderr).decode(), re.MULTILINE))
    assert b"error while linting" not in done.stderr
    return found


def config(port: int) -> dict[str, Any]:
    """The same job as in deploy/prometheus/prometheus.yml, on another address and more often."""
    target = {"job_name": "tenure", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
    return {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "scrape_configs": [target]}


def is_scraped(prometheus: Prometheus) -> bool:
    return any(float(found["value"][1]) >= 2 for found in prometheus.ask('count_over_time(up{job="tenure"}[5m])'))


def unanswered(prometheus: Prometheus) -> list[str]:
    wrong = []
    for expr in every_query():
        prometheus.ask(expr)  # raises if it is not PromQL
        wrong += [
            f"{selector.name} {selector.matchers} of {expr}"
            for selector in selectors(expr)
            if not is_there(prometheus, selector)
        ]
    return wrong


def is_there(prometheus: Prometheus, selector: Selector) -> bool:
    if selector.name == "ALERTS":
        return True  # Prometheus' own, and none may fire
    matchers = [f'{label}!=""' for label, _, value in selector.matchers if (label, value) in RARE]
    matchers += [f'{label}{op}"{value}"' for label, op, value in selector.matchers if (label, value) not in RARE]
    # Within minutes, not at this instant: one scrape that took the platform too long makes every series stale until the next.
    return bool(prometheus.ask(f"present_over_time({selector.name}{{{','.join(matchers)}}}[5m])"))
