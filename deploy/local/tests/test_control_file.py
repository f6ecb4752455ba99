"""A control file of counts or of terms: read whole, or refused with the rows and columns that are wrong."""

import gzip
from pathlib import Path

import pytest
from policy_sync.sources.rows import FileError
from tenure_local import control_file

TERMS = "policy_no,term_no,member_id,product_line,start,end,premium_yuan\nP-1,1,M-1,home,2024-03-01,2025-03-01,300.01\n"
TERM = {
    "policy_no": "P-1",
    "term_no": 1,
    "member_id": "M-1",
    "product_line": "home",
    "start": "2024-03-01",
    "end": "2025-03-01",
    "premium_fen": 300_01,
}


@pytest.mark.parametrize(
    "body",
    [
        TERMS.encode(),
        TERMS.encode("utf-8-sig"),
        TERMS.replace("\n", "\r\n").encode(),
        TERMS.replace(",", ";").encode(),
        TERMS.replace(",", "\t").encode(),
        TERMS.replace("premium_yuan", "premium_fen").replace("300.01", "30001").encode(),
        gzip.compress(TERMS.encode()),
    ],
)
def test_a_snapshot_however_it_is_written(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "terms.csv").write_bytes(body)
    read = control_file.read(tmp_path / "terms.csv")
    assert (read.lines, read.terms) == ([], [TERM])


def test_a_row_may_stand_twice(tmp_path: Path) -> None:
    (tmp_path / "terms.csv").write_text(TERMS + TERMS.splitlines()[1] + "\n")
    assert control_file.read(tmp_path / "terms.csv").terms == [TERM, TERM]


def test_counts_of_each_product_line(tmp_path: Path) -> None:
    (tmp_path / "counts.csv").write_text("product_line;policies;terms;premium_fen\nhome;2;3;90000\n")
    read = control_file.read(tmp_path / "counts.csv")
    assert read.terms == []
    assert read.lines == [{"product_line": "home", "policies": 2, "terms": 3, "premium_fen": 900_00}]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "row 1: the file is empty"),
        (TERMS.partition("\n")[0] + "\n", "it has no rows"),
        (TERMS.replace("member_id", "customer"), "row 1: there is no column member_id"),
        (TERMS.replace("premium_yuan", "premium"), "row 1: there is no column one of premium_fen and premium_yuan"),
        (TERMS.replace("2024-03-01", "01/03/2024"), "row 2, start: '01/03/2024' is not a date as %Y-%m-%d"),
        (TERMS.replace("300.01", ""), "row 2, premium_yuan: the cell is empty"),
        (TERMS + "P-2,1,M-1,ho", "row 3: the row has 4 cells, the header 7"),
        (TERMS + "P-1,1,M-1,home,2024-03-01,2025-03-01,300.00\n", "row 3: P-1 term 1 stands otherwise in row 2"),
        ("product_line,policies,terms,premium_fen\nhome,1,1,1\nhome,1,1,2\n", "row 3: home stands otherwise in row 2"),
        (TERMS.replace("term_no", "policy_no"), "row 1: two columns are called 'policy_no'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, body: str, says: str) -> None:
    (tmp_path / "terms.csv").write_text(body)
    with pytest.raises(FileError) as wrong:
        control_file.read(tmp_path / "terms.csv")
    assert says in str(wrong.value)
