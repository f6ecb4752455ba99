"""One trace from a request or a core event through outbox, topic and consumer to the message, with every parent in its place."""

import json
import uuid
from collections.abc import Iterator
from datetime import date
from typing import Final

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tenure.calendar import start_of
from tenure.contracts import core
from tenure.settings import Settings
from tenure.spine.codec import encode, event_of
from tenure.telemetry.traces import collected_by

from .running import Running, eventually, running

CALLER: Final = "00-" + "c" * 32 + "-" + "d" * 16 + "-01"
START: Final = date(2019, 1, 1)
END: Final = date(2020, 1, 1)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with collected_by(provider):
        yield exporter
    provider.shutdown()


def in_trace(spans: InMemorySpanExporter, trace: str) -> list[ReadableSpan]:
    return [s for s in spans.get_finished_spans() if f"{s.context.trace_id:032x}" == trace]


def way(spans: list[ReadableSpan], last: ReadableSpan) -> list[str]:
    """The names from the first span to this one, parent by parent."""
    by_id = {s.context.span_id: s for s in spans}
    names = [last.name]
    while last.parent is not None and last.parent.span_id in by_id:
        last = by_id[last.parent.span_id]
        names.append(last.name)
    return names[::-1]


def fact(kind: str, data: dict[str, object]) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/core/test",
        "type": kind,
        "time": f"{START}T09:00:00+08:00",
        "data": data,
    }


ISSUED: Final = {
    "policy_no": "P-1",
    "member_id": "M-1",
    "product_line": "home",
    "start": str(START),
    "end": str(END),
    "premium_fen": 40_000,
}
PAID: Final = {"policy_no": "P-1", "term_no": 1, "amount_fen": 40_000, "paid_on": str(START)}


async def messages(here: Running) -> bool:
    return bool(await here.services["notifier"].pool.fetchval("SELECT count(*) > 0 FROM outbox"))


async def test_a_request_is_joined_to_the_message_it_led_to(settings: Settings, spans: InMemorySpanExporter) -> None:
    names = ["policy-sync", "points-ledger", "notifier"]
    async with running(names, settings.model_copy(update={"clock": "events"})) as here:
        facts = [fact("PolicyIssued", ISSUED), fact("PremiumPaid", PAID)]
        answer = await here.ask("POST", "/v1/facts", "core", json=facts, traceparent=CALLER)
        assert answer.status_code == 200, answer.text
        await eventually(lambda: messages(here), "a message is told")
        await eventually(
            lambda: here.services["points-ledger"].pool.fetchval("SELECT count(*) > 0 FROM outbox"), "points are told"
        )
    joined = in_trace(spans, "c" * 32)
    (request,) = [s for s in joined if s.name == "POST /v1/facts"]
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == "d" * 16, "the caller's own span is above it"
    told = [s for s in joined if s.name == "create message.v1"]
    assert told, "the message is in the trace of the request"
    assert {tuple(way(joined, s)) for s in told} <= {
        ("POST /v1/facts", "decide PolicyIssued", "process policy.v1", "create message.v1"),
        ("POST /v1/facts", "decide PremiumPaid", "process policy.v1", "create message.v1"),
        ("POST /v1/facts", "decide PremiumPaid", "process policy.v1", "process points.v1", "create message.v1"),
    }
    assert ("POST /v1/facts", "decide PremiumPaid", "process policy.v1", "process points.v1") in {
        tuple(way(joined, s)) for s in joined
    }
    (ledger, *_) = [
        s
        for s in joined
        if s.name == "process policy.v1" and s.attributes and s.attributes["tenure.service"] == "points-ledger"
    ]
    assert ledger.attributes is not None
    assert ledger.attributes["messaging.destination.name"] == "policy.v1"
    assert ledger.attributes["messaging.consumer.group.name"] == "tenure.points-ledger"
    sent = [link.context for s in spans.get_finished_spans() if s.name == "send" for link in s.links]
    assert {f"{c.trace_id:032x}" for c in sent} >= {"c" * 32}, "the relay's span is linked to it"
    assert "M-1" not in json.dumps([dict(s.attributes or {}) for s in spans.get_finished_spans()], default=str)


async def test_a_core_event_keeps_its_trace_and_one_without_begins_its_own(
    settings: Settings, spans: InMemorySpanExporter
) -> None:
    async with running(["policy-sync", "notifier"], settings.model_copy(update={"clock": "events"})) as here:
        issued = core.PolicyIssued(
            policy_no="P-1", member_id="M-1", product_line="home", start=START, end=END, premium_fen=40_000
        )
        await here.send(
            encode(event_of(issued, id="e-1", source="/core/test", time=start_of(START), traceparent=CALLER))
        )
        await here.publish(
            core.PremiumPaid(policy_no="P-1", term_no=1, amount_fen=40_000, paid_on=START), at=start_of(START)
        )
        await eventually(lambda: messages(here), "a message is told")
    joined = in_trace(spans, "c" * 32)
    assert ["process core.policy.v1", "process policy.v1", "create message.v1"] in [way(joined, s) for s in joined]
    alone = [s for s in spans.get_finished_spans() if s.name == "process core.policy.v1" and s.parent is None]
    assert len(alone) == 1
    assert f"{alone[0].context.trace_id:032x}" != "c" * 32
