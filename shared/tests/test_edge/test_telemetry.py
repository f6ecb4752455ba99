"""What is told: one line per thing in one format, nobody's phone number, every metric with a sentence, and a trace that goes on."""

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from tenure.settings import Settings
from tenure.telemetry import configure_logging, configure_tracing, exposition, metrics, new_traceparent, trace_id
from tenure.telemetry.traces import begin, collected_by, traceparent_of

PARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


@pytest.fixture
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    configured = structlog.get_config()
    yield
    structlog.configure(**configured)
    root.handlers[:], root.level = before[0], before[1]


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_log_line_is_json_with_the_trace_and_no_personal_data(
    logging_restored: None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(Settings(log_json=True))
    with structlog.contextvars.bound_contextvars(trace_id="a" * 32):
        structlog.get_logger("tenure.x").warning("sent", member_id="M1", phone="13800138000", name="王小明")
    logging.getLogger("somebody.else").warning("hello %s", "you")
    structlog.get_logger("tenure.x").debug("too quiet to be told")
    ours, theirs = lines(capsys)
    assert (ours["event"], ours["member_id"], ours["trace_id"], ours["level"]) == ("sent", "M1", "a" * 32, "warning")
    assert (ours["phone"], ours["name"]) == ("***", "***")
    assert (theirs["event"], theirs["logger"]) == ("hello you", "somebody.else")


@pytest.mark.parametrize("log_json", [True, False])
def test_a_traceback_is_told_without_the_variables_in_it(
    logging_restored: None, capsys: pytest.CaptureFixture[str], log_json: bool
) -> None:
    configure_logging(Settings(log_json=log_json))
    phone = "13800138000"
    try:
        _ = 1 / (len(phone) - 11)
    except ZeroDivisionError:
        structlog.get_logger("tenure.x").exception("failed")
    told = capsys.readouterr().err
    assert "ZeroDivisionError" in told
    assert phone not in told


def test_every_metric_is_exposed_with_a_sentence() -> None:
    metrics.events_consumed.labels("points-ledger", "policy.v1").inc()
    metrics.events_consumed.labels("tier-engine", "policy.v1").inc()
    text = exposition().decode()
    assert 'tenure_events_consumed_total{service="points-ledger",topic="policy.v1"}' in text
    assert 'tenure_events_consumed_total{service="tier-engine",topic="policy.v1"}' in text
    ours = re.findall(r"^# HELP (tenure_\w+) (.*)$", text, re.MULTILINE)
    assert len(ours) >= len(vars(metrics))
    assert all(sentence.endswith(".") for _, sentence in ours)


LABELS = {
    *("service", "topic", "partition", "code", "type", "task", "world", "state", "reason", "table", "invariant"),
    *("route", "status", "wallet", "movement", "from_tier", "to_tier", "outcome"),
}
UNITS = (
    "_seconds",
    "_rows",
    "_records",
    "_keys",
    "_days",
    "_items",
    "_events",
    "_connections",
    "_connections_max",
    "_callers",
)
WITHOUT_UNIT = {  # a truth (0 or 1), an offset, or a number of the things it is named after
    *("consumer_position", "consumer_partitions", "consumer_halted", "leading", "database_up", "invariant_holds"),
    *("http_requests_in_flight", "holds_open", "messages_waiting"),
}


@pytest.mark.parametrize(("name", "metric"), [(n, m) for n, m in vars(metrics).items() if not n.startswith("_")])
def test_a_metric_has_one_name_a_unit_and_labels_from_closed_sets(name: str, metric: Any) -> None:
    (family,) = metric.describe()
    assert family.name == f"tenure_{name}", "the attribute is the name"
    assert metric._documentation.endswith(".")
    assert metric._documentation.count(". ") == 0, "one sentence"
    assert set(metric._labelnames) <= LABELS
    assert not name.endswith("_total"), "the client appends it"
    if family.type != "counter":
        assert name.endswith(UNITS) or name in WITHOUT_UNIT


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "nonsense",
        "00-" + "0" * 32 + "-" + "b" * 16 + "-01",
        "00-" + "a" * 32 + "-" + "0" * 16 + "-01",
        PARENT + "\n",
        PARENT.upper(),
        "ff" + PARENT[2:],
    ],
)
def test_a_trace_is_a_child_of_a_good_parent_and_else_a_new_one(broken: str) -> None:
    child = new_traceparent(PARENT)
    assert (trace_id(child), child[-2:]) == ("a" * 32, "01")
    assert child[36:52] != "b" * 16
    fresh = new_traceparent(broken)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", fresh)
    assert trace_id(fresh) != trace_id(new_traceparent(broken))


def test_a_span_joins_the_trace_of_what_caused_it_and_hands_it_on() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with collected_by(provider):
        span = begin("decide x", kind=SpanKind.INTERNAL, parent=PARENT, links=[PARENT, "nonsense"], tenure__service="s")
        assert span is not None
        span.end()
        alone = begin("decide y", kind=SpanKind.INTERNAL, parent="nonsense")
        assert alone is not None
        assert alone.get_span_context().trace_id != span.get_span_context().trace_id
    (told,) = exporter.get_finished_spans()
    assert told.parent is not None
    assert f"{told.parent.trace_id:032x}-{told.parent.span_id:016x}" == PARENT[3:52]
    assert traceparent_of(span) == f"00-{'a' * 32}-{told.context.span_id:016x}-01"
    assert (dict(told.attributes or {}), len(told.links)) == ({"tenure.service": "s"}, 1)
    provider.shutdown()


def test_nothing_is_made_while_nobody_collects(settings: Settings) -> None:
    configure_tracing(settings, "s")()
    assert begin("decide x", kind=SpanKind.INTERNAL, parent=PARENT) is None


async def test_spans_reach_a_collector_by_otlp(settings: Settings) -> None:
    """One that speaks HTTP and counts what it gets."""
    got: list[tuple[str, int]] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(re.search(r"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
        got.append((head.splitlines()[0], len(await reader.readexactly(length))))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        end = configure_tracing(settings.model_copy(update={"otlp_endpoint": f"http://127.0.0.1:{port}"}), "s")
        span = begin("decide x", kind=SpanKind.INTERNAL, parent=PARENT)
        assert span is not None
        span.end()
        await asyncio.to_thread(end)
    ((request, size),) = got
    assert request == "POST /v1/traces HTTP/1.1"
    assert size > 100
