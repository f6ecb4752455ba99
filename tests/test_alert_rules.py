"""Every alert fires on the series that are meant to fire it, keeps quiet on those that nearly do, and has a page for who is woken.

promtool evaluates the rules as they are, but for their annotations, which it would want word for word.
"""

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from tenure.settings import Settings
from tenure.testing import under_test
from tenure_local.cli import app
from tenure_local.services import SERVICES
from typer.main import get_command

from .prometheus import ROOT, RULES, program, rules
from .test_watching import asks_for_what_there_is

# Every word as it is written: to YAML `0x40` would be a number, to promtool it is forty times zero.
CASES: Final[dict[str, dict[str, Any]]] = yaml.load(
    (Path(__file__).parent / "alert_cases.yaml").read_text(encoding="utf-8"),
    Loader=yaml.BaseLoader,  # noqa: S506 - it makes nothing but text
)
PAGES: Final = ROOT / "docs/runbooks"
EVERY: Final = "15s"
HEADINGS: Final = ["What it means for members", "How to look", "How to mend", "When it is over"]


def promtool(*words: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [program("promtool"), *words], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_rules() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", RULES, cwd=ROOT)


def test_the_readme_counts_the_alerts_there_are() -> None:
    said = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"of the (\d+)\s+alerts", said) == [str(len(rules()))]


def test_every_alert_fires_on_its_series_and_keeps_quiet_on_those_that_nearly_do(tmp_path: Path) -> None:
    for name, cases in CASES.items():
        alone = {key: value for key, value in rules()[name].items() if key != "annotations"}
        every = cases.get("every", EVERY)
        write(tmp_path / f"{name}.rules.yml", {"groups": [{"name": "alone", "rules": [alone]}]})
        tests = [as_promtool(name, case, told, every) for case, told in cases.items() if case != "every"]
        test = {"rule_files": [f"{name}.rules.yml"], "evaluation_interval": every, "tests": tests}
        write(tmp_path / f"{name}.yml", test)
    told = promtool("test", "rules", *(f"{name}.yml" for name in CASES), cwd=tmp_path)
    assert told.count("SUCCESS") == len(CASES)


def write(path: Path, content: Any) -> None:
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def as_promtool(alert: str, case: str, told: dict[str, Any], every: str) -> dict[str, Any]:
    labels = {"severity": rules()[alert]["labels"]["severity"], **told.get("labels", {})}
    fires = case.startswith("fires")
    return {
        "name": f"{alert} {case}",
        "interval": every,
        "input_series": [{"series": series, "values": values} for series, values in told["series"].items()],
        "alert_rule_test": [
            {"eval_time": told["at"], "alertname": alert, "exp_alerts": [{"exp_labels": labels}] if fires else []}
        ],
    }


def test_every_alert_has_a_case_that_fires_it_and_one_that_does_not() -> None:
    assert list(CASES) == list(rules())
    for name, cases in CASES.items():
        assert {"fires", "quiet"} <= set(cases), name


@pytest.mark.parametrize("alert", rules())
def test_an_alert_asks_for_metrics_and_labels_that_exist(alert: str) -> None:
    rule = rules()[alert]
    asks_for_what_there_is(rule["expr"])
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    assert named <= set(CASES[alert]["fires"]["labels"]), "what the text names, the alert has"


@pytest.mark.parametrize("alert", rules())
def test_an_alert_has_a_page_for_who_is_woken(alert: str) -> None:
    page = ROOT / rules()[alert]["annotations"]["runbook_url"]
    assert page == PAGES / f"{alert}.md"
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {alert}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    sections = dict(zip(HEADINGS, re.split(r"^## .+$", text, flags=re.MULTILINE)[1:], strict=True))
    assert all(len(section.split()) >= 4 for section in sections.values()), "every section says something"
    assert "```" in sections["How to look"], "there is something to type"


def test_every_page_is_an_alerts() -> None:
    assert {p.stem for p in PAGES.glob("*.md")} - {"README"} == set(rules())


def blocks(kind: str) -> list[tuple[str, str]]:
    return [
        (f"{page.stem}-{n}", block)
        for page in sorted(PAGES.glob("*.md"))
        for n, block in enumerate(re.findall(rf"```{kind}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
    ]


@pytest.mark.parametrize("line", sorted({line for _, block in blocks("sh") for line in block.splitlines() if line}))
def test_a_command_on_a_page_is_one_that_there_is(line: str) -> None:
    """`tenure` commands with their options; curl to paths that are served; what PostgreSQL, Kafka and Debian bring."""
    words = line.split()
    if words[0] != "tenure":
        assert words[0] in {
            "curl",
            "psql",
            "journalctl",
            "docker",
            "kafka-topics.sh",
            "kafka-consumer-groups.sh",
            "ss",
        }, line
        return
    command: Any = get_command(app)
    options: set[str] = set()
    for word in words[1:]:
        if word.startswith("--"):
            assert word.split("=")[0] in options, f"{line}: {command.name} has no {word}"
        elif word in getattr(command, "commands", {}):
            command = command.commands[word]
            options = {name for parameter in command.params for name in parameter.opts}
        else:
            assert not getattr(command, "commands", {}), f"{line}: there is no {word}"


@pytest.mark.parametrize(("name", "block"), blocks("promql"))
def test_a_query_on_a_page_asks_for_what_there_is(name: str, block: str) -> None:
    for line in block.splitlines():
        asks_for_what_there_is(line)


def _asked_of(block: str) -> str:
    named = re.match(r"-- ([a-z-]+)\n", block)
    return named[1] if named else "points-ledger"


@pytest.mark.parametrize("name", ["points-ledger", "notifier", "policy-sync"])
async def test_a_statement_on_a_page_is_one_that_postgresql_takes(name: str, settings: Settings) -> None:
    """Those that only one service can answer begin with its name; all others are asked of any service's database."""
    service = next(s for s in SERVICES if s.name == name)
    statements = [block for _, block in blocks("sql") if _asked_of(block) == name]
    assert statements
    async with under_test(service, settings) as t:
        for statement in statements:
            await t.pool.execute(f"EXPLAIN {statement.removeprefix(f'-- {name}')}")
