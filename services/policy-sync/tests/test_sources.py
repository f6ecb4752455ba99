"""Declarations: what is wrong with one is said with its place, and cells are read in the units declared."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from policy_sync.sources import catalogue, values
from policy_sync.sources.mapped import Mapped
from policy_sync.sources.mapping import SourceError, declared, parse
from tenure.testing import PROGRAMME_DIR

PAID = """
source: /core/x
codes: {line: {H: home}}
facts:
  - type: PremiumPaid
    id: "{No}-paid"
    recorded: Day
    fields:
      policy_no: {text: "P-{No}"}
      amount_fen: {column: Amount, as: fen}
      paid_on: Day
"""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("PremiumPaid", "PremiumPayed", "facts[0] (PremiumPayed): the core has no fact of this type"),
        ("PremiumPaid", "policy.issued", "facts[0] (policy.issued): the core has no fact of this type"),
        ("amount_fen: {column: Amount, as: fen}", "", "the field amount_fen is not declared"),
        ("amount_fen: {column: Amount, as: fen}", "amount_fen: Amount", "amount_fen: say `as: yuan` or `as: fen`"),
        ("paid_on: Day", "paid_on: Day\n      colour: Day", "PremiumPaid has no field colour"),
        ("paid_on: Day", "paid_on: {column: Day, constant: x}", "paid_on: say one of column, constant and text"),
        ("paid_on: Day", "paid_on: {column: Day, as: integer}", "paid_on: is a date, not integer"),
        ("paid_on: Day", "paid_on: {column: Day, codes: colours}", "there is no table of codes colours"),
        ("paid_on: Day", "paid_on: {colum: Day}", "unknown field `colum`"),
        ('"{No}-paid"', '"paid"', "its id names no column"),
        ("source: /core/x", "source: core", "`$.source`"),
        ("facts:", "facts: []\nother:", "`$.facts`"),
        ("facts:", "facts: [", "x.yaml: "),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_place(old: str, new: str, says: str) -> None:
    assert old in PAID
    with pytest.raises(SourceError) as refused:
        parse(PAID.replace(old, new), "x")
    assert says in str(refused.value)
    assert str(refused.value).startswith("x.yaml: ")


def test_a_source_that_is_not_declared_is_named_with_those_that_are() -> None:
    with pytest.raises(
        SourceError, match="no source 'nothing' is declared in programme/sources; there are: home-terms"
    ):
        declared(PROGRAMME_DIR, "nothing")


@pytest.mark.parametrize(
    ("cell", "fen"),
    [("300.01", 300_01), ("300", 300_00), ("0.005", 1), ("1,500.5", 1_500_50), (300.01, 300_01), (7, 700)],
)
def test_yuan_become_fen_half_up(cell: Any, fen: int) -> None:
    assert values.fen_of_yuan(cell) == fen


@pytest.mark.parametrize(
    "cell", ["", "x", "1e400", "NaN", "Infinity", "1.2.3", "１２a", "300,01", "1,50", "1.500,00", "1,2345"]
)
def test_what_is_no_amount_is_refused(cell: str) -> None:
    with pytest.raises(values.CellError):
        values.fen_of_yuan(cell)


def read(tmp_path: Path, text: str, lines: str, **more: Any) -> list[Mapped]:
    path = tmp_path / "file.csv"
    path.write_text(lines, encoding="utf-8")
    return list(catalogue.read(path, source="x", declaration=text, **more))


def test_a_row_gives_all_its_facts_or_none_and_every_reason(tmp_path: Path) -> None:
    good, short, wrong = read(tmp_path, PAID, "No,Day,Amount\n1,2026-03-01,500\n2,2026-03-01\n3,01.03.2026,5.5\n")
    (event,) = good.events
    assert (event.id, event.source, event.key, event.time.isoformat()) == (
        "1-paid", "/core/x", "P-1", "2026-03-01T09:00:00+08:00",
    )  # fmt: skip
    assert (event.data.amount_fen, event.data.paid_on, event.backfill) == (500, date(2026, 3, 1), True)
    assert [(f.row, f.code) for f in short.wrong] == [(3, "malformed_row")]
    assert {(f.row, f.place, f.code) for f in wrong.wrong} == {
        (4, "amount_fen", "not_an_integer"),
        (4, "paid_on", "not_a_date"),
        (4, "recorded", "not_a_date"),
    }
    assert wrong.events == ()


def test_a_line_without_a_column_is_a_finding_of_its_own(tmp_path: Path) -> None:
    """NDJSON has no header: each line stands alone."""
    row, good = read(
        tmp_path, PAID + "format: ndjson\n", '{"No": 1, "Amount": 5}\n{"No": 2, "Amount": 5, "Day": "2026-03-01"}\n'
    )
    assert {(f.row, f.place, f.code, f.detail) for f in row.wrong} >= {
        (1, "paid_on", "missing_column", "the row has no column Day")
    }
    assert len(good.events) == 1


def test_a_value_the_contract_forbids_is_a_finding(tmp_path: Path) -> None:
    (row,) = read(tmp_path, PAID, "No,Day,Amount\n1,2026-03-01,-500\n")
    assert [(f.place, f.code) for f in row.wrong] == [("PremiumPaid", "malformed")]
    assert "$.amount_fen" in row.wrong[0].detail


def test_every_source_of_the_programme_can_be_used() -> None:
    for path in (PROGRAMME_DIR / "sources").glob("*.yaml"):
        assert parse(path.read_text(encoding="utf-8"), path.stem).facts
