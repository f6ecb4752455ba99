"""Files as a core really sends them: what is harmless is read, what is not is said with its row, and the rows beside it count."""

import gzip
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from policy_sync.sources import catalogue
from policy_sync.sources.rows import FileError

PAID = """
source: /core/x
dates: "%d/%m/%Y"
csv: {separator: ";"}
facts:
  - type: PremiumPaid
    when: [{column: Void, present: false}]
    id: "{No}-paid"
    recorded: Day
    fields:
      policy_no: {text: "P-{No}"}
      amount_fen: {column: Amount, as: yuan}
      paid_on: Day
      payer_id: {column: Payer, empty: omit}
"""
ROWS = "No;Day;Amount;Payer;Void\n1;01/03/2026;300.01;C-1;\n2;02/03/2026;1,200;;\n"
Table = dict[str, list[Any]]
TABLE: Table = {
    "No": [1, 2],
    "Day": [date(2026, 3, 1), date(2026, 3, 2)],
    "Amount": [300.01, 1200.0],
    "Payer": ["C-1", None],
    "Void": [None, None],
}


def outcome(path: Path, text: str = PAID) -> tuple[list[int], list[tuple[int, str, str]], str]:
    """Amounts that were read, findings with their row, and why the file could not be read on."""
    amounts, findings, why = list[int](), list[tuple[int, str, str]](), ""
    try:
        for row in catalogue.read(path, source="x", declaration=text):
            amounts += [event.data.amount_fen for event in row.events]
            findings += [(f.row, f.code, f.detail) for f in row.wrong]
    except FileError as error:
        why = str(error)
    return amounts, findings, why


@pytest.mark.parametrize(
    "body",
    [
        ROWS.encode(),
        ROWS.encode("utf-8-sig"),
        ROWS.replace("\n", "\r\n").encode(),
        ROWS.rstrip("\n").encode(),
        ROWS.replace("\n", "\n\n").encode(),
        ROWS.replace("300.01", '" 300.01 "').encode(),
        gzip.compress(ROWS.encode("utf-8-sig")),
    ],
    ids=["plain", "byte-order mark", "CRLF", "no last newline", "blank lines", "quotes and blanks", "gzip"],
)
def test_what_is_harmless_is_read(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(body)
    assert outcome(tmp_path / "x.csv") == ([300_01, 1_200_00], [], "")


def _first(old: str, new: str) -> Callable[[str], str]:
    return lambda rows: rows.replace(old, new, 1)


@pytest.mark.parametrize(
    ("change", "read", "row", "code", "detail"),
    [
        (lambda rows: rows + "3;03/03/2026;80", [300_01, 1_200_00], 4, "malformed_row", "3 cells, the header 5"),
        (lambda rows: rows + "3;03/03/2026;80;;;\n", [300_01, 1_200_00], 4, "malformed_row", "6 cells, the header 5"),
        (_first("300.01", "300,01"), [1_200_00], 2, "not_an_amount", "'300,01' is not an amount in yuan"),
        (_first("300.01", "1.300,01"), [1_200_00], 2, "not_an_amount", "the decimal mark is a point"),
        (_first("300.01", "¥300.01"), [1_200_00], 2, "not_an_amount", "Amount: '¥300.01'"),
        (_first("300.01", "-300.01"), [1_200_00], 2, "malformed", "$.amount_fen"),
        (_first("01/03/2026", "2026-03-01"), [1_200_00], 2, "not_a_date", "'2026-03-01' is not a date as %d/%m/%Y"),
        (_first("01/03/2026", "31/02/2026"), [1_200_00], 2, "not_a_date", "'31/02/2026'"),
        (_first("02/03/2026", '"02/03\n/2026"'), [300_01], 3, "not_a_date", "is not a date"),
        (_first("01/03/2026", "31/12/9999"), [1_200_00], 2, "date_out_of_range", "Day: the year 9999"),
        (_first("1;01", ";01"), [1_200_00], 2, "empty", "No: the cell is empty"),
    ],
)
def test_a_wrong_row_is_said_and_its_neighbours_count(
    tmp_path: Path, change: Callable[[str], str], read: list[int], row: int, code: str, detail: str
) -> None:
    (tmp_path / "x.csv").write_text(change(ROWS), encoding="utf-8")
    amounts, findings, why = outcome(tmp_path / "x.csv")
    assert (amounts, why) == (read, "")
    assert {(r, c) for r, c, _ in findings} == {(row, code)}
    assert any(detail in said for _, _, said in findings)


@pytest.mark.parametrize(
    ("body", "read", "says"),
    [
        (b"", [], "row 1: the file is empty"),
        (b"\n" + ROWS.encode(), [], "row 1: the file is empty, or its first row is"),
        (ROWS.replace(";", ",").encode(), [], "row 1 is one cell, 'No,Day,Amount,Payer,Void': is ',' the separator, and not ';'?"),
        (ROWS.replace("Payer", "Day").encode(), [], "row 1: two columns are called 'Day'"),
        (ROWS.replace("Void", "Gone").encode(), [], "row 1: there is no column 'Void'; there are 'No', 'Day'"),
        (ROWS.replace("Payer", "Zahler").encode("utf-16"), [], "after row 0: this is not utf-8-sig"),
        (ROWS.encode() + "3;03/03/2026;80;客户;\n".encode("gb18030"), [], "this is not utf-8-sig"),
        (ROWS.encode() + b'3;03/03/2026;80;"C-3;\n4;04/03/2026;90;;\n', [300_01, 1_200_00], "after row 3: Error: unexpected end of data"),
        (b"PK\x03\x04....", [], "this is an Excel or ZIP file: save it as CSV"),
        (b"PAR1....", [], "this is a Parquet file; the source is declared as text"),
    ],
    ids=["empty", "no header", "comma", "two columns of a name", "no such column", "UTF-16", "GB18030", "open quote", "Excel", "Parquet"],
)  # fmt: skip
def test_a_file_that_cannot_be_read_on_says_where_and_why(
    tmp_path: Path, body: bytes, read: list[int], says: str
) -> None:
    (tmp_path / "x.csv").write_bytes(body)
    amounts, findings, why = outcome(tmp_path / "x.csv")
    assert (amounts, findings) == (read, [])
    assert says in why


def test_a_gzip_that_breaks_off_says_after_which_row(tmp_path: Path) -> None:
    lines = [f"{n};01/03/2026;{n * 7919 % 90_000}.{n % 100:02};C-{n * 104_729 % 99_991};" for n in range(5_000)]
    whole = gzip.compress(("No;Day;Amount;Payer;Void\n" + "\n".join(lines)).encode())
    (tmp_path / "x.csv").write_bytes(whole[: len(whole) // 2])
    amounts, _, why = outcome(tmp_path / "x.csv")
    assert 0 < len(amounts) < 5_000
    assert why.startswith(f"after row {len(amounts) + 1}: EOFError")


def test_a_file_without_rows_gives_nothing_and_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(ROWS.partition("\n")[0] + "\n", encoding="utf-8")
    assert outcome(tmp_path / "x.csv") == ([], [], "")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (TABLE, ([300_01, 1_200_00], [], "")),
        (TABLE | {"Day": ["01/03/2026", "02/03/2026"]}, ([300_01, 1_200_00], [], "")),
        (TABLE | {"Amount": ["300,01", "12"]}, ([12_00], [(2 - 1, "not_an_amount")], "")),
        (TABLE | {"Amount": [None, None]}, ([], [(1, "empty"), (2, "empty")], "")),
        (TABLE | {"Day": [20260301, 20260302]}, ([], [(1, "not_a_date"), (2, "not_a_date")], "")),
        ({"No": [1], "Datum": [date(2026, 3, 1)]}, ([], [], "row 1: there is no column 'Amount', 'Day', 'Payer', 'Void'")),
        ({k: v[:0] for k, v in TABLE.items()}, ([], [], "")),
    ],
    ids=["as declared", "dates as text", "decimal comma", "a column of nulls", "dates as numbers", "another schema", "no rows"],
)  # fmt: skip
def test_parquet_files(tmp_path: Path, table: Table, expected: tuple[list[int], list[tuple[int, str]], str]) -> None:
    pq.write_table(pa.table(table), tmp_path / "x.parquet")
    amounts, findings, why = outcome(tmp_path / "x.parquet", PAID + "format: parquet\n")
    assert (amounts, sorted({(row, code) for row, code, _ in findings})) == expected[:2]
    assert why.startswith(expected[2])


def test_half_a_parquet_file_is_no_file(tmp_path: Path) -> None:
    pq.write_table(pa.table(TABLE), tmp_path / "x.parquet")
    whole = (tmp_path / "x.parquet").read_bytes()
    (tmp_path / "x.parquet").write_bytes(whole[: len(whole) // 2])
    assert (
        "after row 0: this is not a whole Parquet file"
        in outcome(tmp_path / "x.parquet", PAID + "format: parquet\n")[2]
    )
