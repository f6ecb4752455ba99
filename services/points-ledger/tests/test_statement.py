"""A statement reads as a bank's: opening balance + changes = closing balance, in pages, filtered, and as files."""

import asyncio
import csv
import io
import json
import zipfile
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace
from points_ledger import statement
from points_ledger.service import SERVICE
from points_ledger.sheets import as_xlsx, safe
from points_ledger.statement import Filter
from tenure.contracts.programme import Programme, Versions
from tenure.edge.paging import SIGNATURE_BYTES
from tenure.settings import Settings
from tenure.spine.transact import Door
from tenure.testing import Under, under_test

from .world import D, M, cancelled, did, paid, renewed, term

HOLD = "H-1"


@pytest.fixture
async def t(settings: Settings):
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        cooling = term(cooling_off_end=D("2026-07-01"))
        await under.feed(paid(cooling, 30_000), at=D("2026-06-01"))
        await under.feed(did("check_up", "2026-06-01"), did("class", "2026-06-02", session_id="S-1"))
        await under.day(D("2026-07-02"))
        for path, body in (
            ("/holds", {"member_id": M, "points": 400, "hold_id": HOLD, "reference": "O-1"}),
            (f"/holds/{HOLD}/capture", {"points": 300}),
        ):
            await under.http.post(f"/v1{path}", json=body, headers=under.auth("service"))
        await under.feed(cancelled(cooling, "2026-07-03"), at=D("2026-07-03"))
        yield under


async def lines(t: Under, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = await t.http.get(f"/v1/wallets/{M}/statement?{query}{cursor}", headers=t.auth("member", subject=M))
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        if answer.json()["next_cursor"] is None:
            return found
        cursor = f"&cursor={answer.json()['next_cursor']}"


async def test_every_line_has_the_balance_after_it_however_it_is_paged(t: Under) -> None:
    story = (await lines(t, "limit=200"))[::-1]
    for limit in (1, 2, 3):
        assert (await lines(t, f"limit={limit}"))[::-1] == story
    for wallet, ends in (("points", 550 - 300), ("growth", 20)):
        balance = 0
        for line in (line for line in story if line["wallet"] == wallet):
            balance += line["change"]
            assert line["balance"] == balance, line
        assert balance == ends
    assert [(x["kind"], x["change"], x["balance"]) for x in story if x["wallet"] == "points"] == [
        ("grant", 300, 300), ("grant", 500, 800), ("grant", 50, 850), ("activate", 0, 850),
        ("hold", 0, 850), ("capture", -300, 550), ("release", 0, 550), ("reverse", -300, 250),
    ]  # fmt: skip


async def test_a_page_is_of_one_instant_whoever_writes_meanwhile(t: Under) -> None:
    """The newest line's balance is the sum of all changes, however the reading falls between two facts."""
    writing = asyncio.create_task(_hear_one_by_one(t, [did("article", f"2026-06-{day:02}") for day in range(3, 31)]))
    seen: set[int] = set()
    while not writing.done():
        rows = await statement.page(t.pool, M, None, Filter(wallet="points"), 200)
        assert rows[0][0].balance == sum(line.change for line, _ in rows)
        seen.add(len(rows))
    await writing
    assert len(seen) > 1, "nothing was written meanwhile"


async def _hear_one_by_one(t: Under, facts: list[Any]) -> None:
    for fact in facts:
        await t.feed(fact, at=D("2026-07-03"))


async def test_a_file_without_lines_has_its_opening(t: Under) -> None:
    found = await statement.whole(t.pool, M, Filter(start=D("2027-01-01")))
    assert found is not None
    assert (found.opening, found.lines) == (found.closing, [])
    assert found.opening["points"] == 250
    nobody = await statement.whole(t.pool, "nobody", Filter())
    assert nobody is not None
    assert set(nobody.closing.values()) == {0}


async def test_what_is_heard_late_stands_in_a_file_where_its_date_stands(t: Under) -> None:
    await t.feed(did("quiz", "2026-06-10"), at=D("2026-07-03"))
    found = await statement.whole(t.pool, M, Filter(wallet="points"))
    assert found is not None
    june = [
        (str(line.effective), line.change, line.balance) for line in found.lines if line.effective < D("2026-07-01")
    ]
    assert june[-2:] == [("2026-06-02", 50, 850), ("2026-06-10", 10, 860)]
    assert found.closing["points"] == found.lines[-1].balance == 260


async def test_what_is_owed_counts_against_what_is_there(t: Under) -> None:
    """100 points more are spent with the 250 that are there; then the policy that earned them never was."""
    other = term(policy_no="P-2")
    await t.feed(paid(other, 10_000, "2026-07-03"))
    spent = {"member_id": M, "points": 350, "hold_id": "H-2"}
    assert (await t.http.post("/v1/holds", json=spent, headers=t.auth("service"))).status_code == 201
    await t.http.post("/v1/holds/H-2/capture", headers=t.auth("service"))
    await t.feed(cancelled(other, "2026-07-04", "flat"))
    story = [(line["kind"], line["change"], line["balance"]) for line in await lines(t, "wallet=points")]
    assert (story[0], story[1][2]) == (("reverse", -100, -100), 0)
    found = await statement.whole(t.pool, M, Filter(wallet="points", start=D("2026-07-04")))
    assert found is not None
    assert (found.opening, found.closing) == ({"points": 0}, {"points": -100})


async def test_filters_leave_lines_out_and_change_no_figure(t: Under) -> None:
    whole = {line["no"]: line for line in await lines(t)}
    for query, kept in (
        ("kind=grant&limit=1", lambda x: x["kind"] == "grant"),
        ("kind=hold&kind=capture&limit=1", lambda x: x["kind"] in ("hold", "capture")),
        ("wallet=growth", lambda x: x["wallet"] == "growth"),
        ("from=2026-06-02&to=2026-07-01&limit=2", lambda x: "2026-06-02" <= x["effective"] < "2026-07-01"),
    ):
        assert await lines(t, query) == [line for line in whole.values() if kept(line)], query


async def file(t: Under, query: str, **more: Any) -> Any:
    return await t.http.get(
        f"/v1/wallets/{M}/statement/file?{query}", headers=t.auth("member", subject=more.get("subject", M))
    )


async def test_a_file_goes_from_the_opening_to_the_closing_balance(t: Under) -> None:
    answer = await file(t, "wallet=points&from=2026-06-02&to=2026-07-03&language=en")
    assert answer.headers["content-type"].startswith("text/csv")
    head, opening, *rows, closing = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert head[:7] == ["Date", "Kind", "What for", "Reference", "In", "Out", "Balance"]
    assert (opening[1], opening[6], closing[1], closing[6]) == ("Opening balance", "800", "Closing balance", "550")
    assert int(opening[6]) + sum(int(row[4]) - int(row[5]) for row in rows) == int(closing[6])
    assert rows[0][:7] == ["2026-06-02", "Earned", "Class", "S-1", "50", "0", "850"]
    assert [row[1:7] for row in rows if row[1] in ("Reserved", "Spent", "Set free")] == [
        ["Reserved", "Order", "O-1", "0", "0", "850"],
        ["Spent", "Order", "O-1", "0", "300", "550"],
        ["Set free", "Order", "O-1", "0", "0", "550"],
    ], "what they were spent on, not what they had been earned for"
    assert [x["order_reference"] for x in await lines(t, "kind=capture")] == ["O-1"]
    chinese = (await file(t, "")).content.decode("utf-8-sig").splitlines()
    assert chinese[0].startswith("日期,类型,说明")
    assert {row.split(",")[7] for row in chinese[1:]} == {"积分", "成长值", "代理人积分"}


def cells(body: bytes) -> tuple[list[str], int]:
    """All texts of a workbook, and how many formulas stand in it."""
    with zipfile.ZipFile(io.BytesIO(body)) as book:
        sheet = ET.fromstring(book.read("xl/worksheets/sheet1.xml"))  # noqa: S314 - our own
        strings = ET.fromstring(book.read("xl/sharedStrings.xml"))  # noqa: S314
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    return [t.text or "" for t in strings.iter(f"{space}t")], len(list(sheet.iter(f"{space}f")))


EVIL = '=HYPERLINK("http://evil","click")'


async def test_excel_opens_it_and_no_reference_is_a_formula(t: Under) -> None:
    await t.feed(did("article", "2026-07-03", activity_id=EVIL.replace(" ", "")))
    answer = await file(t, "format=xlsx")
    texts, formulas = cells(answer.content)
    assert EVIL in texts
    assert formulas == 0
    assert answer.headers["content-disposition"] == 'attachment; filename="statement.xlsx"'
    plain = (await file(t, "")).content.decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(plain)))
    assert any(row[3] == "'" + EVIL for row in rows)
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1"])
def test_what_begins_like_a_formula_is_led_by_an_apostrophe(text: str) -> None:
    assert safe(text) == "'" + text
    assert cells(as_xlsx(["a"], [[text]], title="x"))[1] == 0


def test_numbers_stay_numbers_and_an_instant_is_shanghais() -> None:
    assert safe(datetime(2026, 1, 31, 16, 30, tzinfo=UTC)) == "2026-02-01 00:30:00"
    with zipfile.ZipFile(io.BytesIO(as_xlsx(["a"], [[7]], title="x"))) as book:
        assert b"<v>7</v>" in book.read("xl/worksheets/sheet1.xml")
    assert [safe(-5), safe(7), safe(None), safe("P-1"), safe(D("2026-01-31"))] == [-5, 7, "", "P-1", "2026-01-31"]


async def test_what_earned_is_called_as_it_was_then(settings: Settings, rules: Programme) -> None:
    """From 2027 on check-ups earn nothing, and quizzes have another name; in 2028 what both had earned expires."""
    first = rules.earning.newest
    later = tuple(replace(r, label_en="Puzzle") if r.code == "quiz" else r for r in first.rules if r.code != "check_up")
    versions = Versions([first, replace(first, version=2, effective=D("2027-01-01"), rules=later)])
    async with under_test(
        SERVICE, settings.model_copy(update={"clock": "events"}), Programme(**{**vars(rules), "earning": versions})
    ) as t:
        await t.feed(did("check_up", "2026-06-01"), did("quiz", "2026-06-01"))
        await t.day(D("2028-07-02"))
        answer = await file(t, "wallet=points&language=en&kind=expire")
        _, _, *rows, _ = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
        assert [(row[1], row[2]) for row in rows] == [("Expired", "Check-up"), ("Expired", "Quiz")]
        assert [line["earned_on"] for line in await lines(t, "kind=expire")] == ["2026-06-01"] * 2


async def test_foreign_statements_do_not_exist_and_long_ones_want_dates(t: Under, monkeypatch) -> None:
    assert (await file(t, "", subject="M-2")).status_code == 404
    monkeypatch.setattr(statement, "EXPORT_ROWS_MAX", 3)
    assert (await file(t, "")).json()["code"] == "statement_too_long"
    assert (await file(t, "from=2026-06-02&to=2026-06-03")).status_code == 200
    monkeypatch.setattr(statement, "EXPORT_ROWS_MAX", len(await lines(t)))
    assert (await file(t, "")).status_code == 200
    bad = await t.http.get(f"/v1/wallets/{M}/statement?cursor=WzFd", headers=t.auth("member", subject=M))
    assert bad.json()["code"] == "cursor_invalid"


def rewritten(cursor: str, balance: int, skipped: int) -> str:
    """A cursor whose balance of points is another, the rest and its first bytes as they were."""
    whole = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    no, balances = json.loads(whole[skipped:])
    forged = whole[:skipped] + json.dumps([no, {**balances, "points": balance}]).encode()
    return urlsafe_b64encode(forged).rstrip(b"=").decode()


async def test_nobody_writes_the_balance_that_their_next_page_shows(t: Under) -> None:
    """A cursor carries the balance that the next page goes on from: only the ledger's own is taken, and for its member only."""
    own = t.auth("operator")

    async def page(cursor: str, member: str = M) -> Any:
        return await t.http.get(f"/v1/wallets/{member}/statement?limit=2&cursor={cursor}", headers=own)

    first = (await t.http.get(f"/v1/wallets/{M}/statement?limit=2", headers=own)).json()
    cursor = first["next_cursor"]
    assert (await page(cursor)).status_code == 200
    unsigned = urlsafe_b64encode(b'[5,{"points":1000000,"growth":0,"agent":0}]').decode()
    for forged in (
        unsigned,
        rewritten(cursor, 1_000_000, SIGNATURE_BYTES),
        cursor[:-2],
    ):
        answer = await page(forged)
        assert (answer.status_code, answer.json()["code"]) == (400, "cursor_invalid"), forged
    await t.feed(replace(did("quiz", "2026-07-03"), member_id="M-2"), at=D("2026-07-03"))
    assert (await page(cursor, "M-2")).json()["code"] == "cursor_invalid", "another member's"


async def test_any_process_goes_on_from_another_s_page(t: Under) -> None:
    whole, other = await lines(t), Under(Door(SERVICE, t.pool, t.door.programme), t.settings)
    cursor, found = "", list[dict[str, Any]]()
    for n in range(len(whole)):
        http = (t, other)[n % 2].http
        answer = await http.get(f"/v1/wallets/{M}/statement?limit=1{cursor}", headers=t.auth("operator"))
        found += answer.json()["items"]
        cursor = f"&cursor={answer.json()['next_cursor']}"
    assert found == whole
    await other.close()


async def test_a_page_of_a_long_story_reads_no_more_than_its_lines(t: Under) -> None:
    """Flat by plan, not by stop-watch: the scan of the journal ends after the page's rows."""
    await t.feed(*(did("steps", D("2026-07-03") + timedelta(n), 10_000) for n in range(400)), renewed(term(2)))
    async with t.pool.acquire() as conn:
        sql = statement.PAGE
        for place, value in ((7, "50"), (6, "NULL"), (5, "NULL"), (4, "NULL"), (3, "NULL"), (2, "NULL"), (1, f"'{M}'")):
            sql = sql.replace(f"${place}", value)
        await conn.execute("ANALYZE transfers")
        plan = "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) {sql}"))
    scans = [line for line in plan.splitlines() if " on transfers" in line]
    assert scans, plan
    rows = max(float(line.split("actual rows=")[1].split()[0]) for line in scans)
    assert rows <= 60, plan
