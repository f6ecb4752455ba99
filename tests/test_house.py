"""The house keeps its own rules: one write door, compatible contracts, commands that exist, nothing of one machine in it."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tenure.service import Service
from tenure.settings import Settings
from tenure_local.services import SERVICES

from .scripts import script

ROOT: Final = Path(__file__).resolve().parents[1]
MAKEFILE: Final = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS: Final = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
README_LINES_MAX: Final = 90
TEXT_BYTES_MAX: Final = 2_000_000


def files() -> Iterator[Path]:
    """Every file of the project that is not ignored or generated."""
    ignored = {line.strip().strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()} | {".git"}
    for folder, inner, names in os.walk(ROOT):
        here = Path(folder)
        inner[:] = [n for n in inner if n not in ignored and (here / n).relative_to(ROOT).as_posix() not in ignored]
        yield from (here / n for n in names if n not in ignored and not n.endswith(".pyc"))


# The write door (tools/write_door.py).


@pytest.mark.parametrize(
    ("line", "is_offence"),
    [
        ("await conn.commit()", True),
        ("await self.pool.rollback()", True),
        ("async with conn.transaction(): pass", True),
        ("async with engine.begin() as conn: pass", True),
        ("tx = conn.start_transaction()", True),
        ("async with session.begin_nested(): pass", True),
        ("begin(conn)", False),
        ("await conn.execute('INSERT INTO t VALUES (1)')", False),
        ("commit = 1", False),
        ("'conn.commit() in a text'", False),
    ],
)
def test_a_transaction_outside_the_write_door_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, *, is_offence: bool
) -> None:
    door = script("write_door")
    monkeypatch.setattr(door, "ROOT", tmp_path)
    planted = tmp_path / "services" / "mall" / "mall" / "store.py"
    planted.parent.mkdir(parents=True)
    planted.write_text(f"async def planted(conn, engine, session, self):\n    {line}\n")
    found = door.offences(planted)
    assert bool(found) == is_offence
    assert not found or found[0].startswith("services/mall/mall/store.py:2: ")


def test_no_file_begins_or_ends_a_transaction_but_the_door() -> None:
    door = script("write_door")
    looked_at = [p for folder in ("shared", "services", "deploy") for p in (ROOT / folder).rglob("*.py")]
    assert len(looked_at) > 100
    assert [line for path in looked_at for line in door.offences(path)] == []


def test_the_files_the_lint_passes_over_exist() -> None:
    door = script("write_door")
    assert [name for name in (door.THE_DOOR, *door.SPEAKS_TO_THE_LOG) if not (ROOT / name).is_file()] == []


# Contracts only grow (tools/contracts.py).


def schema(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"member_id": {"type": "string"}, "tier": {"$ref": "#/$defs/Tier"}, **properties},
        "required": ["member_id"],
        "$defs": {"Tier": {"type": "string", "enum": ["basic", "silver"]}},
    }


def without(name: str) -> dict[str, Any]:
    changed = schema(points={"type": "integer"})
    del changed["properties"][name]
    return changed


def with_tiers(*names: str) -> dict[str, Any]:
    return schema(points={"type": "integer"}) | {"$defs": {"Tier": {"type": "string", "enum": list(names)}}}


@pytest.mark.parametrize(
    ("change", "new", "broken"),
    [
        ("nothing", schema(points={"type": "integer"}), ""),
        ("an optional property more", schema(points={"type": "integer"}, note={"type": "string"}), ""),
        ("a word for another tier", with_tiers("basic", "silver", "gold"), ""),
        ("a property removed", without("points"), "points is gone"),
        (
            "a property became required",
            schema(points={"type": "integer"}) | {"required": ["member_id", "points"]},
            "points became required",
        ),
        (
            "a new required property",
            schema(points={"type": "integer"}, sum={}) | {"required": ["member_id", "sum"]},
            "sum",
        ),
        ("a type changed", schema(points={"type": "string"}), "integer became string"),
        ("a word taken away", with_tiers("basic"), "silver"),
    ],
)
def test_what_breaks_a_reader_of_the_old_schema(change: str, new: dict[str, Any], broken: str) -> None:
    found = script("contracts").breaking(schema(points={"type": "integer"}), new, "x")
    assert len(found) == bool(broken), change
    assert broken in "".join(found)


# Commands.


def test_make_help_lists_every_target() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=20).stdout
    assert set(re.findall(r"^  make ([a-z-]+) +\S", shown, re.MULTILINE)) == TARGETS


def test_every_command_of_make_that_a_page_names_exists() -> None:
    pages = [p for p in files() if p.suffix == ".md" or p.name == "run"]
    named = {
        (m, p.name) for p in pages for m in re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", p.read_text(), re.MULTILINE)
    }
    wanted = {(a or b, page) for (a, b), page in named}
    assert {(target, page) for target, page in wanted if target not in TARGETS} == set()


def test_a_pull_is_checked_by_the_commands_everybody_has() -> None:
    run = (ROOT / ".ci/run").read_text()
    assert {"make check", "make test"} <= set(run.splitlines())
    assert os.access(ROOT / ".ci/run", os.X_OK)


# Nothing of one machine, nothing of one network.

# One letter of each stands in brackets, so that this file does not hold what it looks for.
MACHINE: Final = re.compile(r"/[w]ork/|/[r]oot/|/[h]ome/[a-z]|/[U]sers/|/[t]mp/[a-z]+[._-]")
REGISTRY: Final = re.compile(
    r"[p]ypi\.org|[p]ythonhosted\.org|[n]pmjs\.org|[m]aven\.org/maven2|[p]roxy\.golang|[i]ndex-url|[t]rusted-host|[f]ind-links"
)
OF_CONTAINERS: Final = ("deploy/docker/", "docker-compose.yml")


def texts() -> Iterator[tuple[str, str]]:
    for path in files():
        if path.stat().st_size <= TEXT_BYTES_MAX:
            yield path.relative_to(ROOT).as_posix(), path.read_bytes().decode("utf-8", "ignore")


def test_no_file_holds_a_path_of_one_machine() -> None:
    found = [
        (name, m[0]) for name, text in texts() if not name.startswith(OF_CONTAINERS) for m in MACHINE.finditer(text)
    ]
    assert found == []


def test_no_file_records_where_packages_are_downloaded() -> None:
    assert [(name, m[0]) for name, text in texts() for m in REGISTRY.finditer(text)] == []


# Every service is built alike.


@pytest.mark.parametrize("service", SERVICES, ids=lambda s: s.name)
def test_a_service_has_what_every_service_has(service: Service[Any]) -> None:
    home = ROOT / "services" / service.name
    package = home / service.package
    assert service.migrations == home / "migrations"
    assert (home / "migrations" / "0001_first.py").is_file()
    for migration in (home / "migrations").glob("*.py"):
        assert f'\nrevision = "{migration.name[:4]}"\n' in migration.read_text(encoding="utf-8"), migration.name
    assert {"__init__.py", "__main__.py", "service.py", "store.py"} <= {p.name for p in package.iterdir()}
    for name in ("rules", "api"):
        assert (package / f"{name}.py").is_file() or (package / name / "__init__.py").is_file(), name
    assert list((home / "tests").glob("test_*.py"))


def test_every_setting_is_read() -> None:
    """One that nothing reads is a promise to whoever sets it. `service_url` is read through `own_url`."""
    read = [
        p for p in files() if p.suffix == ".py" and not {"tests", "bench"} & set(p.parts) and p.name != "settings.py"
    ]
    code = "".join(p.read_text(encoding="utf-8") for p in read)
    assert [n for n in Settings.model_fields if not re.search(rf"\.{n}\b", code)] == ["service_url"]


@pytest.mark.parametrize("service", SERVICES, ids=lambda s: s.name)
def test_a_services_readme_is_one_screen_with_topics_tables_and_a_picture(service: Service[Any]) -> None:
    text = (ROOT / "services" / service.name / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= README_LINES_MAX
    assert "```mermaid" in text
    assert [t.name for t in service.reads if t.name not in text] == [], "topics it reads"
    sql = "".join(p.read_text(encoding="utf-8") for p in service.migrations.glob("*.py"))
    tables = re.findall(r"CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?(\w+)", sql)
    assert tables, "a service keeps something"
    tables += ["rule_drafts", "rule_log"] if service.rulebooks else []
    assert [t for t in tables if t not in text] == [], "tables it owns"
