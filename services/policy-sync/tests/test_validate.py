"""`validate` says of each line what an empty platform would: nothing, or what is wrong and how to mend it."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tenure.contracts
from policy_sync.validate import MEND, mend, validate
from tenure.testing import PROGRAMME_DIR

EXAMPLES = Path(tenure.contracts.__file__).parent / "examples"
ROOT = PROGRAMME_DIR.parent


def issued(id_: str = "1", type_: str = "PolicyIssued", **data: Any) -> dict[str, Any]:
    about = {"policy_no": "P-1", "member_id": "M-1", "product_line": "home", "premium_fen": 30_001}
    about |= {"start": "2026-03-01", "end": "2027-03-01"}
    return {"id": id_, "source": "/core/x", "type": type_, "time": "2026-02-20T09:00:00+08:00", "data": about | data}


def paid(id_: str = "2", **data: Any) -> dict[str, Any]:
    about = {"policy_no": "P-1", "amount_fen": 30_001, "paid_on": "2026-02-20"}
    return issued(id_, "PremiumPaid") | {"data": about | data}


def endorsed(**data: Any) -> dict[str, Any]:
    about = {"policy_no": "P-1", "endorsement_no": "E-1", "effective": "2026-04-01", "premium_delta_fen": 0}
    return issued("4", "PolicyEndorsed") | {"data": about | data}


def found(tmp_path: Path, *lines: Any) -> list[tuple[int, str]]:
    path = tmp_path / "facts.ndjson"
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines) + "\n", encoding="utf-8")
    return [(f.row, f.code) for f in validate(path)]


def without(event: dict[str, Any], name: str) -> dict[str, Any]:
    return {k: v for k, v in event.items() if k != name}


@pytest.mark.parametrize(
    ("lines", "findings"),
    [
        ([issued(), paid()], []),
        ([paid(), issued()], []),
        ([issued(), paid(), paid()], []),
        (["{"], [(1, "malformed")]),
        ([without(issued(), "id")], [(1, "missing_attribute")]),
        ([without(issued(), "time")], [(1, "no_time")]),
        ([issued(type_="PolicyIsued")], [(1, "unknown_type")]),
        ([issued(type_="policy.issued")], [(1, "unknown_type")]),
        ([issued() | {"dataschema": "/schemas/PolicyIssued/2.json"}], [(1, "unknown_version")]),
        ([issued(premium_fen="300.01")], [(1, "malformed")]),
        ([issued(premium_fen=300.01)], [(1, "malformed")]),
        ([json.dumps(issued()).replace('"premium_fen"', '"premium_fen": 1, "premium_fen"')], [(1, "malformed")]),
        ([issued(regoin="440300")], [(1, "unknown_field")]),
        ([issued(end="2026-03-01")], [(1, "end_before_start")]),
        ([issued(start="1066-10-14")], [(1, "date_out_of_range")]),
        ([issued() | {"time": "0001-01-01T00:00:00+14:00"}], [(1, "date_out_of_range")]),
        ([issued() | {"time": "9999-12-31T20:00:00+00:00"}], [(1, "date_out_of_range")]),
        ([issued() | {"time": "2199-12-31T20:00:00+00:00"}], [(1, "date_out_of_range")]),
        ([issued() | {"time": "2199-12-31T20:00:00+08:00"}], []),
        ([issued(), issued("3", term_no=2)], [(2, "term_overlaps")]),
        ([issued(), issued("3", premium_fen=1)], [(2, "contradicts_known_fact")]),
        ([issued(), issued(premium_fen=1)], [(2, "same_id")]),
        ([issued(), paid(term_no=3)], [(2, "waits")]),
        ([paid()], [(1, "waits")]),
        ([endorsed(end="2026-03-01"), issued()], [(1, "no_room")]),
        ([endorsed(end="2026-03-01")], [(1, "waits")]),
        ([issued(), "", "null", paid()], [(3, "malformed")]),
    ],
)
def test_each_line_is_told_what_is_wrong_with_it(
    tmp_path: Path, lines: list[Any], findings: list[tuple[int, str]]
) -> None:
    assert found(tmp_path, *lines) == findings


def test_a_slip_of_the_pen_is_told_what_was_meant(tmp_path: Path) -> None:
    path = tmp_path / "facts.ndjson"
    path.write_text(json.dumps(issued(type_="PolicyIsued")) + "\n" + json.dumps(issued(regoin="1")), encoding="utf-8")
    assert [f.detail.split("; ")[1] for f in validate(path)] == ["did you mean PolicyIssued?", "did you mean region?"]


def test_every_example_of_the_contracts_is_valid_but_for_what_it_stands_on(tmp_path: Path) -> None:
    names = [p for p in sorted(EXAMPLES.glob("*.json")) if p.name[0].isupper()]
    path = tmp_path / "examples.ndjson"
    path.write_bytes(b"\n".join(msgspec.json.encode(json.loads(p.read_bytes())) for p in names))
    assert {f.code for f in validate(path)} <= {"waits"}


def test_a_mapped_file_is_judged_by_the_same_rules(tmp_path: Path) -> None:
    good = ROOT / "examples" / "imports" / "home-terms.csv"
    assert list(validate(good, source="home-terms", folder=PROGRAMME_DIR)) == []
    path = tmp_path / "terms.csv"
    path.write_text(
        good.read_text(encoding="utf-8").replace(
            "05/06/2018;06/06/2018;06/06/2019;80.00", "05/06/2018;06/06/2018;06/06/2018;eighty"
        )
    )
    assert [(f.row, f.place, f.code) for f in validate(path, source="home-terms", folder=PROGRAMME_DIR)] == [
        (5, "premium_fen", "not_an_amount"),
    ]


def test_every_finding_says_how_to_mend_it() -> None:
    assert all(len(words.split()) > 2 for words in MEND.values())
    assert mend("not_a_date").startswith("correct the cell")
