"""Somebody's name, telephone and identity number, put wherever they do not belong, appear in no log line, listing, span or metric."""

import asyncio
import json
import logging
from collections.abc import Iterator
from datetime import date
from typing import Any, Final

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from points_ledger.service import SERVICE as LEDGER
from tenure.calendar import start_of
from tenure.contracts.activity import ActivityCompleted
from tenure.settings import Settings
from tenure.spine.log import Outgoing
from tenure.spine.relay import Relay
from tenure.telemetry import configure_logging, exposition
from tenure.telemetry.traces import collected_by

from .running import Running, eventually, running

NAME: Final = "王小明"
PHONE: Final = "13800138000"
IDENTITY: Final = "110101199003074514"
MAIL: Final = "xiaoming@example.com"
PLANTED: Final = (NAME, PHONE, IDENTITY, MAIL)
PERSON: Final = {"name": NAME, "phone": PHONE, "id_number": IDENTITY, "note": f"{NAME} {MAIL}"}
DAY: Final = date(2019, 1, 1)
ISSUED: Final = {
    "policy_no": "P-1",
    "member_id": "M-1",
    "product_line": "home",
    "premium_fen": 40_000,
    "start": "2019-01-01",
    "end": "2020-01-01",
}
HEADERS: Final = {
    "ce_specversion": "1.0",
    "ce_id": "e-1",
    "ce_source": "/core/test",
    "ce_type": "PolicyIssued",
    "ce_time": "2019-01-01T09:00:00+08:00",
}


@pytest.fixture
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    before, configured = (root.handlers[:], root.level), structlog.get_config()
    yield
    structlog.configure(**configured)
    root.handlers[:], root.level = before


def record(n: int, data: Any, **headers: str) -> Outgoing:
    told = HEADERS | {"ce_id": f"e-{n}"} | headers
    value = data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False).encode()
    return Outgoing("core.policy.v1", f"P-{n}".encode(), value, [(k, v.encode()) for k, v in told.items()])


RECORDS: Final = (
    record(1, ISSUED | {"policyholder": PERSON} | PERSON),  # fields no contract knows
    record(2, ISSUED | {"product_line": NAME}),
    record(3, ISSUED | {"start": f"{NAME} {PHONE}"}),
    record(4, f'{{"name": "{NAME}", '.encode()),
    record(5, PERSON, ce_type=NAME),
    record(6, ISSUED | {"policy_no": "P-6"}, ce_time=PHONE),
    record(7, ISSUED | {"policy_no": "P-7"}, ce_dataschema=f"/{NAME}/{IDENTITY}"),
    record(8, ISSUED | {"policy_no": "P-8"}, traceparent=NAME),
)


async def asked_wrongly(here: Running) -> None:
    """Bodies with a person in them where none belongs, and what cannot be read at all."""
    for path, roles, body in (
        ("/v1/facts", ["core"], [{"id": "f", "source": "/x", "type": NAME, "data": PERSON}, PERSON, NAME]),
        (
            "/v1/facts",
            ["core"],
            [HEADERS | {"id": "f", "source": "/x", "type": "PolicyIssued", "data": ISSUED | {"product_line": NAME}}],
        ),
        ("/v1/activities", ["core"], PERSON | {"kind": NAME, "on": PHONE}),
        ("/v1/holds", ["service"], {"hold_id": NAME, "member_id": PHONE, "points": NAME} | PERSON),
    ):
        answer = await here.ask("POST", path, *roles, json=body)
        assert answer.status_code < 500, answer.text


def fails(*_: Any) -> Any:
    raise ValueError(f"{NAME} ({IDENTITY}) cannot be right")


async def test_what_is_personal_leaves_in_no_way_that_watches(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], logging_restored: None
) -> None:
    configure_logging(settings.model_copy(update={"log_level": "debug"}))
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setitem(LEDGER.rules, ActivityCompleted, fails)  # type: ignore[arg-type]
    names = ["policy-sync", "points-ledger"]
    with collected_by(provider):
        async with running(names, settings.model_copy(update={"clock": "events"})) as here:
            monkeypatch.setattr(Relay, "_measure", fails)  # a task that ends on somebody's data
            await here.send(*RECORDS)
            await here.publish(
                ActivityCompleted(member_id="M-1", activity_id="A-1", kind="quiz", on=DAY), at=start_of(DAY)
            )
            await asked_wrongly(here)
            seen = await everything_parked(here)
            asyncio.get_running_loop().call_exception_handler({"message": "forgotten", "exception": ValueError(NAME)})
    told = capsys.readouterr().err
    for event in ("rule_failed", "task_failed"):
        assert f'"event": "{event}"' in told, "it was logged"
    assert "ValueError" in told, "and what kind of error it was"
    assert len(exporter.get_finished_spans()) > 5
    spans = json.dumps(
        [(s.name, dict(s.attributes or {}), str(s.status.description)) for s in exporter.get_finished_spans()],
        ensure_ascii=False,
    )
    provider.shutdown()
    for where, text in (("log", told), ("park", seen), ("spans", spans), ("metrics", exposition().decode())):
        found = [text[max(0, at - 200) : at + 40] for planted in PLANTED if (at := text.find(planted)) >= 0]
        assert found == [], where


async def everything_parked(here: Running) -> str:
    """What operators see: the listing, and every event whole."""
    sync, ledger = here.services["policy-sync"], here.services["points-ledger"]
    await eventually(lambda: sync.pool.fetchval("SELECT count(*) >= 5 FROM parked"), "the wrong ones are parked")
    await eventually(
        lambda: ledger.pool.fetchval("SELECT count(*) >= 1 FROM parked"), "the one with the failing rule, too"
    )
    texts = []
    for name, service in here.services.items():
        listed = await here.ask("GET", f"/v1/parked/{name}", "operator")
        assert listed.status_code == 200, listed.text
        texts.append(listed.text)
        for row in await service.pool.fetch("SELECT seq, code, detail FROM parked"):
            shown = await here.ask("GET", f"/v1/parked/{name}/{row['seq']}", "operator")
            assert shown.status_code == 200, shown.text
            texts += [shown.text, row["code"], row["detail"]]
    return "\n".join(texts)
