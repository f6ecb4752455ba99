"""Imports: any file format through one declaration, resumed wherever it was killed, and a dry run that says what would be refused."""

import asyncio
import csv
import gzip
import json
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from policy_sync import importing, recording, rehearsal
from policy_sync.service import SERVICE
from policy_sync.sources import catalogue
from tenure.settings import Settings
from tenure.spine.transact import Door
from tenure.testing import PROGRAMME_DIR, Under, under_test

COLUMNS = [
    "Policy",
    "Term",
    "Customer",
    "Sold",
    "Start",
    "End",
    "Premium",
    "Channel",
    "Region",
    "Paid",
    "Cancelled",
    "How",
]
GOOD = [
    ["H-1", "1", "C-1", "20/02/2024", "01/03/2024", "01/03/2025", "300.01", "A", "440300", "20/02/2024", "", ""],
    ["H-1", "2", "C-1", "10/02/2025", "01/03/2025", "01/03/2026", "320", "A", "", "11/02/2025", "", ""],
    ["H-2", "1", "C-2", "05/06/2024", "06/06/2024", "06/06/2025", "1,500.005", "", "", "05/06/2024", "01/10/2024", "M"],
    ["H-3", "1", "C-3", "05/06/2024", "06/06/2024", "06/06/2025", "80", "B", "", "", "10/06/2024", "C"],
]
EXCERPT = PROGRAMME_DIR.parent / "examples" / "motor-portfolio" / "policies.csv.gz"
TABLES = ("policies", "terms", "claims", "members", "milestones")


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings) as under:
        yield under


def as_csv(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=";").writerows([COLUMNS, *rows])
    return path


async def upload(t: Under, path: Path, *, source: str = "home-terms", part_bytes: int = 100, **more: Any) -> str:
    opened = await t.http.post(
        "/v1/imports", headers=t.auth("operator"), json={"source": source, "file_name": path.name, **more}
    )
    assert opened.status_code == 201, opened.text
    id_: str = opened.json()["import_id"]
    body = await asyncio.to_thread(path.read_bytes)
    parts = [body[at : at + part_bytes] for at in range(0, len(body), part_bytes)]
    for n, part in enumerate(parts, 1):
        kept = await t.http.put(f"/v1/imports/{id_}/parts/{n}", headers=t.auth("operator"), content=part)
        assert kept.status_code == 200, kept.text
    started = await t.http.post(f"/v1/imports/{id_}/start", headers=t.auth("operator"), json={"parts": len(parts)})
    assert started.status_code == 200, started.text
    return id_


async def read_all(t: Under) -> None:
    while await importing.read_once(t.door, asyncio.Event()):
        pass


async def view(t: Under, id_: str) -> dict[str, Any]:
    found: dict[str, Any] = (await t.http.get(f"/v1/imports/{id_}", headers=t.auth("sre"))).json()
    return found


async def findings(t: Under, id_: str) -> list[tuple[int, str, str]]:
    answer = (await t.http.get(f"/v1/imports/{id_}/findings", headers=t.auth("operator"))).json()
    return [(f["row"], f["place"], f["code"]) for f in answer["items"]]


async def contents(t: Under) -> dict[str, list[str]]:
    rows = {name: await t.pool.fetch(f"SELECT * FROM {name}") for name in TABLES}
    facts = await t.pool.fetch("SELECT key, type, source, id, time, backfill, data::text FROM facts")
    plain = {
        name: sorted(str({k: v for k, v in r.items() if k != "told_at"}) for r in found) for name, found in rows.items()
    }
    return plain | {"facts": sorted(map(str, facts))}


async def test_a_file_becomes_policies_and_its_counts_add_up(t: Under, tmp_path: Path) -> None:
    id_ = await upload(t, as_csv(tmp_path / "terms.csv", GOOD))
    await read_all(t)
    found = await view(t, id_)
    assert (found["stage"], found["position"]) == ("done", 5)
    assert found["counts"] == {
        "rows": 4, "rows_wrong": 0, "facts": 9, "accepted": 9, "waiting": 0, "known": 0, "refused": 0,
    }  # fmt: skip
    rows = await t.pool.fetch('SELECT policy_no, term_no, start, "end", premium_fen, status FROM terms ORDER BY 1, 2')
    assert [tuple(r) for r in rows] == [
        ("H-1", 1, date(2024, 3, 1), date(2025, 3, 1), 300_01, "in_force"),
        ("H-1", 2, date(2025, 3, 1), date(2026, 3, 1), 320_00, "in_force"),
        ("H-2", 1, date(2024, 6, 6), date(2024, 10, 1), 1_500_01, "cancelled"),
        ("H-3", 1, date(2024, 6, 6), date(2025, 6, 6), 0, "void"),
    ]
    assert all(event.backfill for event in await t.emitted_events())
    assert await t.pool.fetchval("SELECT count(*) FROM import_parts") == 0


async def test_the_same_file_again_is_known_already(t: Under, tmp_path: Path) -> None:
    path = as_csv(tmp_path / "terms.csv", GOOD)
    await upload(t, path)
    await read_all(t)
    once = await contents(t)
    await t.emitted_events()
    again = await upload(t, path)
    await read_all(t)
    assert (await view(t, again))["counts"]["known"] == 9
    assert await contents(t) == once
    assert await t.emitted_events() == []


async def test_from_a_day_on_it_is_no_history(t: Under, tmp_path: Path) -> None:
    await upload(t, as_csv(tmp_path / "terms.csv", GOOD), live_from="2025-01-01")
    await read_all(t)
    live = await t.pool.fetch("SELECT id FROM facts WHERE NOT backfill ORDER BY id")
    assert [r["id"] for r in live] == ["H-1-2-paid", "H-1-2-renewed"]


def many(policies: int) -> list[list[str]]:
    rows = []
    for n in range(policies):
        rows.append(
            [
                f"H-{n}",
                "1",
                f"C-{n % 40}",
                "20/02/2024",
                "01/03/2024",
                "01/03/2025",
                "300",
                "A",
                "",
                "20/02/2024",
                "",
                "",
            ]
        )
        rows.append(
            [
                f"H-{n}",
                "2",
                f"C-{n % 40}",
                "10/02/2025",
                "01/03/2025",
                "01/03/2026",
                "310",
                "A",
                "",
                "11/02/2025",
                "",
                "",
            ]
        )
    return rows


class KilledError(Exception):
    """The process ended here."""


class Dying(Door):
    """A door whose process dies at its n-th transaction: just before it commits, or just after."""

    lives = 0

    async def transact(self, items: Any, **more: Any) -> Any:
        self.lives -= 1
        if self.lives == 0:
            raise KilledError
        done = await super().transact(items, **more)
        if self.lives == 1:
            self.lives = 0
            raise KilledError
        return done


async def test_killed_anywhere_it_goes_on_where_it_was(
    t: Under, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two lanes of facts a chunk, then the position: every kill before or after any of the three ends in the same books."""
    monkeypatch.setattr(importing, "ROWS_AT_ONCE", 4)
    monkeypatch.setattr(recording, "LANE_FACTS_MIN", 2)
    path = as_csv(tmp_path / "terms.csv", many(50))
    id_ = await upload(t, path, part_bytes=1_000)
    kills = 0
    for lives in [2, 3, 4, 5, 2, 3, 6, 2, 3, 4, 7, 2, 3]:
        dying = Dying(t.door.service, t.pool, t.door.programme)
        dying.lives = lives
        try:
            await importing.read_once(dying, asyncio.Event())
        except KilledError:
            kills += 1
    assert kills >= 10
    await read_all(t)
    found = await view(t, id_)
    assert (found["stage"], found["counts"]["rows"], found["counts"]["refused"]) == ("done", 100, 0)
    assert found["counts"]["known"] > 0, "some chunk was read twice"
    async with under_test(SERVICE, settings) as other:
        await upload(other, path, part_bytes=100_000)
        await read_all(other)
        assert await contents(other) == await contents(t)
        told = sorted(str(e.data) for e in await t.emitted_events())
        assert sorted(str(e.data) for e in await other.emitted_events()) == told


BAD = [
    *GOOD,
    ["H-4", "1", "C-4", "2024-06-05", "06/06/2024", "06/06/2025", "80", "B", "", "", "", ""],
    ["H-5", "1", "C-5", "05/06/2024", "06/06/2024", "06/06/2024", "80", "B", "", "", "", ""],
    ["H-1", "3", "C-1", "10/02/2026", "01/02/2026", "01/02/2027", "330", "A", "", "", "", ""],
    ["H-6", "1", "C-6", "05/06/2024", "06/06/2024", "06/06/2025", "eighty", "X", "", "", "", ""],
    ["H-7", "1", "", "05/06/2024", "06/06/2024", "06/06/2025", "80", "B", "", "", "", ""],
    [
        "H-1",
        "1",
        "C-1",
        "20/02/2024",
        "01/03/2024",
        "01/03/2025",
        "999",
        "A",
        "",
        "",
        "",
        "",
    ],  # an id that was heard, for another premium
]


@pytest.mark.parametrize("states_max", [rehearsal.STATES_MAX, 1])
async def test_a_dry_run_tells_every_row_that_would_be_refused_and_writes_nothing(
    t: Under, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, states_max: int
) -> None:
    """Also where next to nothing of what it knows may stay in memory."""
    monkeypatch.setattr(rehearsal, "STATES_MAX", states_max)
    monkeypatch.setattr(importing, "ROWS_AT_ONCE", 3)
    id_ = await upload(t, as_csv(tmp_path / "terms.csv", BAD), dry_run=True)
    await read_all(t)
    would = await findings(t, id_)
    assert would == [
        (6, "recorded", "not_a_date"),
        (7, "PolicyIssued", "end_before_start"),
        (8, "PolicyRenewed", "term_overlaps"),
        (9, "premium_fen", "not_an_amount"),
        (9, "channel", "unknown_code"),
        (10, "member_id", "empty"),
        (11, "PolicyIssued", "same_id"),
    ]
    for name in ("facts", "policies", "members", "inbox"):
        assert await t.pool.fetchval(f"SELECT count(*) FROM {name}") == 0, name
    assert await t.emitted_events() == []
    real = await upload(t, as_csv(tmp_path / "terms.csv", BAD))
    await read_all(t)
    assert await findings(t, real) == would
    dry, done = (await view(t, id_))["counts"], (await view(t, real))["counts"]
    assert dry == done


@pytest.mark.parametrize("form", ["ndjson", "parquet"])
async def test_other_formats_say_the_same(t: Under, settings: Settings, tmp_path: Path, form: str) -> None:
    programme = tmp_path / "programme"
    (programme / "sources").mkdir(parents=True)
    for file in PROGRAMME_DIR.glob("*.yaml"):
        (programme / file.name).write_bytes(file.read_bytes())
    text = (PROGRAMME_DIR / "sources" / "home-terms.yaml").read_text(encoding="utf-8")
    (programme / "sources" / "home-terms.yaml").write_text(
        text.replace("format: csv", f"format: {form}"), encoding="utf-8"
    )
    path, rows = tmp_path / "terms", [dict(zip(COLUMNS, row, strict=True)) for row in GOOD]
    if form == "ndjson":
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    async with under_test(SERVICE, settings.model_copy(update={"programme_dir": programme})) as other:
        await upload(other, path)
        await read_all(other)
        found = await contents(other)
    await upload(t, as_csv(tmp_path / "terms.csv", GOOD))
    await read_all(t)
    assert found == await contents(t)


async def test_a_file_that_breaks_off_ends_as_failed_with_its_row(t: Under, tmp_path: Path) -> None:
    path = as_csv(tmp_path / "terms.csv", GOOD)
    path.write_bytes(path.read_bytes() + b"H-9;\xff\xfe\n")
    id_ = await upload(t, path)
    await read_all(t)
    found = await view(t, id_)
    assert found["stage"] == "failed"
    assert "this is not utf-8-sig" in found["why"]


async def test_what_cannot_be_is_said_at_once(t: Under, tmp_path: Path) -> None:
    async def ask(method: str, path: str, **more: Any) -> tuple[int, str]:
        answer = await t.http.request(method, path, headers=t.auth("operator"), **more)
        return answer.status_code, answer.json().get("code", "")

    nobody = {"source": "no-such", "file_name": "a.csv"}
    assert await ask("POST", "/v1/imports", json=nobody) == (422, "source_unusable")
    assert await ask("POST", "/v1/imports", json={"source": "../x", "file_name": "a"}) == (422, "validation_failed")
    assert await ask("PUT", "/v1/imports/nothing/parts/1", content=b"x") == (404, "no_such_import")
    assert await ask("PUT", "/v1/imports/nothing/parts/1", content=b"") == (422, "part_empty")
    assert await ask("GET", "/v1/imports/nothing") == (404, "no_such_import")
    opened = await t.http.post(
        "/v1/imports", headers=t.auth("operator"), json={"source": "home-terms", "file_name": "a.csv"}
    )
    id_ = opened.json()["import_id"]
    assert await ask("POST", f"/v1/imports/{id_}/start", json={"parts": 1}) == (409, "parts_missing")
    assert await ask("PUT", f"/v1/imports/{id_}/parts/1", content=b"x") == (200, "")
    assert await ask("POST", f"/v1/imports/{id_}/start", json={"parts": 1}) == (200, "")
    assert await ask("PUT", f"/v1/imports/{id_}/parts/2", content=b"x") == (409, "import_started")


async def test_the_motor_portfolio_takes_the_same_road(t: Under, settings: Settings, tmp_path: Path) -> None:
    facts = sum(len(row.events) for row in catalogue.read(EXCERPT, source="motor-portfolio", declaration=""))
    id_ = await upload(t, EXCERPT, source="motor-portfolio", part_bytes=1_000_000)
    await read_all(t)
    found = await view(t, id_)
    assert (found["stage"], found["counts"]["accepted"], found["counts"]["refused"]) == ("done", facts, 0)


async def test_one_wrong_row_of_a_portfolio_is_refused_by_its_number_and_the_rest_come_in(
    t: Under, settings: Settings, tmp_path: Path
) -> None:
    lines = gzip.decompress(EXCERPT.read_bytes()).decode().splitlines()
    column = lines[0].split(";").index("Premium")
    row = 1_500
    cells = lines[row - 1].split(";")
    lines[row - 1] = ";".join([*cells[:column], "dear", *cells[column + 1 :]])
    (tmp_path / "one-bad.csv").write_text("\n".join(lines) + "\n")
    kept_out = sum(line.split(";")[0] == cells[0] for line in lines)
    id_ = await upload(t, tmp_path / "one-bad.csv", source="motor-portfolio", part_bytes=1_000_000)
    await read_all(t)
    found = await view(t, id_)
    counts = found["counts"]
    assert (found["stage"], counts["rows"], counts["rows_wrong"]) == ("done", len(lines) - 1, kept_out)
    assert (counts["accepted"], counts["refused"]) == (counts["facts"], 0)
    assert counts["facts"] > len(lines)
    page = await t.http.get(f"/v1/imports/{id_}/findings", headers=t.auth("operator"))
    first = next(one for one in page.json()["items"] if one["code"] == "malformed_row")
    assert (first["row"], first["detail"]) == (row, "Premium: 'dear' cannot be used (InvalidOperation)")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"root:x:0:0:root:/root:/bin/bash\n", "row 1: there is no column"),
        (b"ID,Date_start_contract\n1,01/01/2016\n", "row 1 is one cell"),
        (b"\x1f\x8b\x08\x00" + bytes(range(64)), "after row 0"),
        (gzip.compress(b"\x00\xff" * 50), "this is not utf-8"),
        (b"PK\x03\x04....", "this is an Excel or ZIP file"),
    ],
    ids=["another text", "cut by commas", "no whole gzip", "something gzipped", "Excel"],
)
async def test_a_file_that_is_no_portfolio_fails_and_says_why(
    t: Under, settings: Settings, tmp_path: Path, body: bytes, why: str
) -> None:
    (tmp_path / "policies.csv").write_bytes(body)
    id_ = await upload(t, tmp_path / "policies.csv", source="motor-portfolio", part_bytes=1_000_000)
    await read_all(t)
    found = await view(t, id_)
    assert found["stage"] == "failed"
    assert why in found["why"]


async def test_a_row_of_a_day_that_is_not_there_yet_is_refused_on_the_walls_clock(
    t: Under, settings: Settings, tmp_path: Path
) -> None:
    """Such a fact would let the member live up to it: the tier would be lost and the points expire, for good."""
    ahead = ["H-9", "1", "C-9", "01/03/2062", "01/03/2062", "01/03/2063", "80", "B", "", "01/03/2062", "", ""]
    id_ = await upload(t, as_csv(tmp_path / "terms.csv", [*GOOD, ahead]))
    while await importing.read_once(t.door, asyncio.Event(), clock="wall"):
        pass
    found = await view(t, id_)
    assert (found["stage"], found["counts"]["rows_wrong"], found["counts"]["refused"]) == ("done", 1, 0)
    page = await t.http.get(f"/v1/imports/{id_}/findings", headers=t.auth("operator"))
    [one] = page.json()["items"]
    assert (one["row"], one["code"]) == (6, "time_in_future")
    assert one["detail"].startswith("2062-03-01T")
    assert one["detail"].endswith("import it again then")
