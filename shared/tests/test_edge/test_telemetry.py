"""What is told: one line per thing in one format, nobody's phone number, every metric with a sentence, and a trace that goes on."""

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
from tenure.settings import Settings
from tenure.telemetry import configure_logging, exposition, metrics, new_traceparent, trace_id, traced

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


def test_a_span_joins_the_trace_of_what_caused_it(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("tenure.telemetry.traces.trace.get_tracer", provider.get_tracer)
    with traced("transact", traceparent=PARENT, items=3):
        pass
    (span,) = exporter.get_finished_spans()
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}-{span.parent.span_id:016x}" == PARENT[3:52]
    assert dict(span.attributes or {}) == {"items": 3}
    provider.shutdown()
