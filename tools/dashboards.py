"""Writes the Grafana dashboards from deploy/grafana/dashboards.yaml, where a query is read as a query.

`--check` fails when the files differ from it. tests/test_watching.py asks every query of a real Prometheus.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

GRAFANA: Final = Path(__file__).resolve().parents[1] / "deploy/grafana"
FOLDER: Final = GRAFANA / "provisioning/dashboards"
SOURCE: Final = {"type": "prometheus", "uid": "tenure-prometheus"}
COLUMNS: Final = 24
STAT: Final = (4, 4)
GRAPH: Final = (8, 8)


class Panel(NamedTuple):
    """`bad_from`: a stat turns red there (or below it, if `bad_below`); None = it has no opinion."""

    title: str
    says: str
    expr: str
    legend: str = ""
    unit: str = "short"
    stat: bool = False
    bad_from: float | None = None
    bad_below: bool = False


def board(name: str, told: dict[str, Any]) -> dict[str, Any]:
    """One dashboard as Grafana reads it."""
    return {
        "uid": f"tenure-{name}",
        "title": told["title"],
        "tags": ["tenure"],
        "timezone": "Asia/Shanghai",
        "schemaVersion": 41,
        "version": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "editable": False,
        "annotations": {"list": []},
        "templating": {"list": []},
        "links": [{"type": "dashboards", "tags": ["tenure"], "title": "Tenure", "asDropdown": True}],
        "panels": _placed([Panel(**panel) for panel in told["panels"]]),
    }


def _placed(panels: list[Panel]) -> list[dict[str, Any]]:
    """Left to right, row after row; stats are small, graphs are not."""
    placed, x, y, row_h = [], 0, 0, 0
    for n, panel in enumerate(panels, start=1):
        w, h = STAT if panel.stat else GRAPH
        if x + w > COLUMNS or (row_h and h != row_h):
            x, y, row_h = 0, y + row_h, 0
        placed.append(_panel(n, panel) | {"gridPos": {"x": x, "y": y, "w": w, "h": h}})
        x, row_h = x + w, h
    return placed


def _panel(n: int, panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit}
    if panel.stat:
        good, bad = ("red", "green") if panel.bad_below else ("green", "red")
        steps: list[dict[str, Any]] = [{"color": good, "value": None}]
        if panel.bad_from is not None:
            steps.append({"color": bad, "value": panel.bad_from})
        defaults |= {"color": {"mode": "thresholds"}, "thresholds": {"mode": "absolute", "steps": steps}}
    return {
        "id": n,
        "type": "stat" if panel.stat else "timeseries",
        "title": panel.title,
        "description": panel.says,
        "datasource": SOURCE,
        "targets": [{"refId": "A", "datasource": SOURCE, "expr": panel.expr, "legendFormat": panel.legend}],
        "fieldConfig": {"defaults": defaults, "overrides": []},
    }


def main() -> None:
    stale = []
    for name, told in yaml.safe_load((GRAFANA / "dashboards.yaml").read_text(encoding="utf-8")).items():
        path = FOLDER / f"{name}.json"
        text = json.dumps(board(name, told), indent=2, ensure_ascii=False) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.exit(f"not as dashboards.yaml has them: {', '.join(stale)}; run `make contracts`")


if __name__ == "__main__":
    main()
