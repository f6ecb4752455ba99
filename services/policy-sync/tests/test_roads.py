"""Every fact the core has, over every road it can take: the log, REST and files come to the same books and tell the same."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from msgspec.structs import replace
from policy_sync import importing
from policy_sync.service import SERVICE
from policy_sync.sources.mapping import kind_of
from tenure.calendar import start_of
from tenure.contracts import core
from tenure.contracts.event import Data, Event
from tenure.contracts.topics import TOPIC_OF, TYPE_OF, TYPES
from tenure.settings import Settings
from tenure.spine.codec import encode
from tenure.testing import PROGRAMME_DIR, Under, under_test

from .test_imports import contents, upload, view
from .world import (
    Said,
    cancelled,
    claim,
    day,
    endorsed,
    holder_changed,
    issued,
    lapsed,
    paid,
    refunded,
    reinstated,
    renewed,
    rescinded,
    reversed_,
)

CORE = [name for name, cls in TYPES.items() if issubclass(cls, (core.PolicyFact, core.CustomerFact))]
M = {"member_id": "M-1"}
FACTS: list[Data] = [
    issued(agent_id="A-1", region="440300", holder_kind="person", cooling_off_days=15),
    paid("2024-03-01"),
    endorsed("2024-04-01", yuan=35),
    lapsed("2024-05-01"),
    reinstated("2024-05-11", bridged=False),
    renewed("2025-03-01", "2026-03-01"),
    cancelled("2025-06-01", term_no=2),
    refunded("2025-06-02", 100, term_no=2),
    reversed_("2025-06-03", term_no=2),
    holder_changed("2025-09-01", "M-2"),
    issued("2024-01-01", "2025-01-01", policy_no="P-2", member_id="M-3", previous_policy_no="P-1"),
    replace(rescinded("2024-06-01"), policy_no="P-2"),
    *(
        claim(step, f"2024-07-{n:02}", no=no, **more)
        for no, steps in {
            "C-1": [
                (core.ClaimReported, {"estimate_fen": 500_00, "kind": "leak"}),
                (core.ClaimRegistered, {}),
                (core.ClaimSurveyed, {}),
                (core.ClaimAssessed, {"amount_fen": 400_00}),
                (core.ClaimApproved, {"amount_fen": 400_00}),
                (core.ClaimPaid, {"amount_fen": 400_00}),
                (core.ClaimClosed, {}),
                (core.ClaimReopened, {}),
            ],
            "C-2": [(core.ClaimReported, {}), (core.ClaimDeclined, {"reason": "wear"})],
            "C-3": [(core.ClaimReported, {}), (core.ClaimWithdrawn, {})],
        }.items()
        for n, (step, more) in enumerate(steps, 1)
    ),
    core.CustomerRegistered(**M, registered_on=day("2024-02-01"), region="440300", household_id="HH-1", language="en"),
    core.HouseholdLinked(**M, household_id="HH-2", on=day("2024-02-03")),
    core.ConsentChanged(**M, on=day("2024-02-02"), marketing=True),
    core.CustomerMerged(member_id="M-8", merged_id="M-9", on=day("2024-02-05")),
    core.CustomerUnmerged(member_id="M-8", merged_id="M-9", on=day("2024-02-06")),
    core.CustomerErased(member_id="M-7", on=day("2024-02-07")),
    core.CoverageExtensionConfirmed(
        **M, request_id="R-1", endorsement_no="E-9", start=day("2024-03-01"), end=day("2025-03-01")
    ),
    core.CoverageExtensionRejected(**M, request_id="R-2", reason="no filed clause"),
]


def events() -> list[Event]:
    """The core's own ids and times, the same on every road."""
    found = []
    for n, data in enumerate(FACTS):
        on = "2024-02-08" if isinstance(data, core.CoverageExtensionRejected) else None
        said = Said(data, on, id_=f"{TYPE_OF[type(data)]}-{n}").event()
        found.append(replace(said, time=start_of(said.day) + timedelta(hours=9)))
    return sorted(found, key=lambda e: e.time)


async def over_the_log(t: Under, _: Path) -> None:
    outcomes = await t.deliver([t.as_record(encode(e)) for e in events()])
    assert [o.wrong for o in outcomes if o.wrong] == []


async def over_rest(t: Under, _: Path) -> None:
    body = [
        {
            "id": e.id,
            "source": e.source,
            "type": e.type,
            "time": e.time.isoformat(),
            "data": msgspec.to_builtins(e.data),
        }
        for e in events()
    ]
    answer = await t.http.post("/v1/facts", headers=t.auth("core"), json=body)
    assert {r["status"] for r in answer.json()["results"]} <= {"accepted", "waiting"}


async def over_files(t: Under, folder: Path) -> None:
    """A file for each topic, the customers' first: what its policies stand on is not there yet."""
    for topic in ("core.customer.v1", "core.claim.v1", "core.policy.v1"):
        rows = [e for e in events() if TOPIC_OF[e.type].name == topic]
        path = folder / f"{topic}.ndjson"
        path.write_text("\n".join(json.dumps(as_row(e)) for e in rows), encoding="utf-8")
        id_ = await upload(t, path, source=source_of(topic), part_bytes=100_000, live_from="2000-01-01")
        while await importing.read_once(t.door, asyncio.Event()):
            pass
        found = await view(t, id_)
        assert (found["stage"], found["why"], found["counts"]["refused"]) == ("done", "", 0)
        assert found["counts"]["facts"] == len(rows)


def source_of(topic: str) -> str:
    return topic.replace(".", "-")


def as_row(event: Event) -> dict[str, Any]:
    cells = {f.name: None for f in msgspec.structs.fields(type(event.data))}
    about = {"event_id": event.id, "event_type": event.type, "recorded": event.time.isoformat()}
    return cells | msgspec.to_builtins(event.data) | about


def declaration(topic: str) -> str:
    """Every type of a topic, every field of its contract."""
    facts = [
        {
            "type": name,
            "when": [{"column": "event_type", "in": [name]}],
            "id": "{event_id}",
            "recorded": {"column": "recorded", "as": "time"},
            "fields": {f.name: field_of(f) for f in msgspec.structs.fields(TYPES[name])},
        }
        for name in CORE
        if TOPIC_OF[name].name == topic
    ]
    return yaml.safe_dump({"source": "/core/test", "format": "ndjson", "facts": facts})


def field_of(field: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {"column": field.name, "empty": "refuse" if field.required else "omit"}
    return plain | ({"as": "fen"} if kind_of(field.name, field.type) == "fen" else {})


@pytest.fixture
async def roads(settings: Settings, tmp_path: Path) -> AsyncIterator[dict[str, Under]]:
    (tmp_path / "sources").mkdir()
    for file in PROGRAMME_DIR.glob("*.yaml"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    for topic in ("core.customer.v1", "core.claim.v1", "core.policy.v1"):
        (tmp_path / "sources" / f"{source_of(topic)}.yaml").write_text(declaration(topic), encoding="utf-8")
    own = settings.model_copy(update={"programme_dir": tmp_path})
    async with under_test(SERVICE, own) as log, under_test(SERVICE, own) as rest, under_test(SERVICE, own) as files:
        yield {"log": log, "rest": rest, "files": files}


async def test_every_fact_over_every_road_comes_to_the_same(roads: dict[str, Under], tmp_path: Path) -> None:
    assert {TYPE_OF[type(data)] for data in FACTS} == set(CORE), "every type the core has"
    ways: dict[str, Callable[[Under, Path], Awaitable[None]]] = {
        "log": over_the_log, "rest": over_rest, "files": over_files,
    }  # fmt: skip
    books, told = {}, {}
    for name, t in roads.items():
        await ways[name](t, tmp_path)
        await t.day(day("2026-06-01"))
        books[name] = await contents(t)
        told[name] = {(type(d).__name__, d.member_id) for d in await t.emitted()}
    for table, rows in books["log"].items():
        assert len(rows) > 1, table
        assert books["rest"][table] == rows, table
        assert books["files"][table] == rows, table
    assert told["log"] == told["rest"]
    assert {m for _, m in told["files"]} == {m for _, m in told["log"]}
