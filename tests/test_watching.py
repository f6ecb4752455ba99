"""What watches the platform asks for what there is: Prometheus for every service, Grafana for metrics and labels that are declared."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from tenure import telemetry
from tenure.settings import ENV_PREFIX
from tenure_local.services import SERVICES

from .promql import grouped_by, selectors

ROOT: Final = Path(__file__).resolve().parents[1]
CONTAINERS: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))[
    "services"
]
PROMETHEUS: Final[dict[str, Any]] = yaml.safe_load(
    (ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8")
)
PROVISIONING: Final = ROOT / "deploy/grafana/provisioning"
TARGET: Final = {"instance", "job"}
DASHBOARDS: Final = sorted((PROVISIONING / "dashboards").glob("*.json"))


def test_prometheus_asks_every_service() -> None:
    (job,) = [job for job in PROMETHEUS["scrape_configs"] if job["job_name"] == "tenure"]
    (names,) = job["dns_sd_configs"]
    assert names["names"] == [s.name for s in SERVICES]
    assert {names["port"]} == {int(CONTAINERS[s.name]["environment"][ENV_PREFIX + "PORT"]) for s in SERVICES}
    assert job["metrics_path"] == "/metrics"


def test_prometheus_is_given_the_rules() -> None:
    assert PROMETHEUS["rule_files"] == ["rules/*.yml"]
    assert "./deploy/prometheus/rules:/etc/prometheus/rules:ro" in CONTAINERS["prometheus"]["volumes"]


def collectors() -> dict[str, Any]:
    """Every metric of Tenure by the name of its attribute."""
    return {name: metric for name, metric in vars(telemetry.metrics).items() if not name.startswith("_")}


def declared() -> dict[str, set[str]]:
    """Every series Tenure exposes, with its labels."""
    series: dict[str, set[str]] = {"up": set(), "ALERTS": {"alertname", "alertstate", "severity"}}
    for collector in collectors().values():
        labels = set(collector._labelnames)
        for family in collector.describe():
            suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}[family.type]
            series |= {family.name + s: labels | ({"le"} if s == "_bucket" else set()) for s in suffixes}
    process = {
        s.name: set(s.labels) for f in telemetry.REGISTRY.collect() for s in f.samples if f.name.startswith("process_")
    }
    return series | process


def queries() -> list[tuple[str, str, str]]:
    boards = [json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARDS]
    return [
        (f"{b['uid']}: {p['title']}", t["expr"], t["legendFormat"])
        for b in boards
        for p in b["panels"]
        for t in p["targets"]
    ]


@pytest.mark.parametrize(("title", "expr", "legend"), queries(), ids=[title for title, _, _ in queries()])
def test_a_panel_asks_for_metrics_and_labels_that_exist(title: str, expr: str, legend: str) -> None:
    asks_for_what_there_is(expr)
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= grouped_by(expr) | {"instance"}, title


def asks_for_what_there_is(expr: str) -> None:
    """Every series is declared, is matched by labels it has, and one of them has each label the result is grouped by."""
    series, asked = declared(), selectors(expr)
    assert asked, f"{expr} asks for something"
    for selector in asked:
        assert selector.name in series, expr
        assert selector.labels <= series[selector.name] | TARGET, expr
    assert grouped_by(expr) <= TARGET.union(*(series[selector.name] for selector in asked)), expr


def test_every_metric_is_on_a_dashboard() -> None:
    shown = " ".join(expr for _, expr, _ in queries())
    ours = {
        name.removesuffix("_bucket")
        for name in declared()
        if name.startswith("tenure_") and name.endswith(("_bucket",))
    }
    ours |= {n for n in declared() if n.startswith("tenure_") and not n.endswith(("_bucket", "_sum", "_count"))}
    assert {name for name in ours if name not in shown} == set()


def test_dashboards_use_the_datasource_that_is_provisioned() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources/prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    for path in DASHBOARDS:
        board = json.loads(path.read_text(encoding="utf-8"))
        assert {t["datasource"]["uid"] for p in board["panels"] for t in p["targets"]} == {source["uid"]}
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/tenure.yaml").read_text())["providers"]
    assert "./deploy/grafana/provisioning:/etc/grafana/provisioning:ro" in CONTAINERS["grafana"]["volumes"]
    assert provider["options"]["path"] == "/etc/grafana/provisioning/dashboards"
