"""The motor portfolio as facts: row by row as its README says, and the whole file against an independent reading."""

import csv
import gzip
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path

import pytest
from policy_sync.rules.facts import fact_of
from policy_sync.rules.fold import Policy, fold
from policy_sync.sources.motor_portfolio import facts, in_order, mapped, split
from policy_sync.sources.motor_rows import RowError, read
from policy_sync.sources.rows import FileError
from tenure.contracts import core
from tenure.contracts.event import Event
from tenure.testing import ROOT

HEADER = (
    "ID;Date_start_contract;Date_last_renewal;Date_next_renewal;Distribution_channel;Date_lapse;Premium;"
    "Cost_claims_year;N_claims_year;Type_risk;Area"
)
FILE = ROOT.parent / "shared" / "data" / "motor-portfolio" / "policies.csv.gz"
needs_file = pytest.mark.skipif(not FILE.exists(), reason="the portfolio is not beside the repository")


def line(
    start: str, end: str, *, began: str = "", lapse: str = "", premium: str = "365", claims: str = "0", cost: str = "0"
) -> str:
    return f"7;{began or start};{start};{end};0;{lapse};{premium};{cost};{claims};3;1"


def events_of(tmp_path: Path, *lines: str, backfill: bool = False) -> list[Event]:
    path = tmp_path / "policies.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return list(facts(read(path), backfill=backfill))


def policy_of(events: list[Event]) -> Policy:
    whole = fold("P-7", [fact_of(e) for e in events])
    assert whole is not None
    return whole


def shape(events: list[Event]) -> list[tuple[str, int, str]]:
    return [(e.type, e.data.term_no, str(e.day)) for e in events]


YEAR_1 = ("01/01/2016", "01/01/2017")
YEAR_2 = ("01/01/2017", "01/01/2018")


def of_8(lines: list[str]) -> list[str]:
    """The same rows of another policy."""
    return ["8" + text[1:] for text in lines]


def test_a_contract_that_begins_in_the_file_is_issued_then_renewed(tmp_path: Path) -> None:
    assert shape(events_of(tmp_path, line(*YEAR_1), line(*YEAR_2, began="01/01/2016"))) == [
        ("PolicyIssued", 1, "2016-01-01"),
        ("PremiumPaid", 1, "2016-01-01"),
        ("PolicyRenewed", 2, "2017-01-01"),
        ("PremiumPaid", 2, "2017-01-01"),
    ]


def test_cover_before_the_first_row_is_history_without_premium(tmp_path: Path) -> None:
    events = events_of(tmp_path, line(*YEAR_1, began="15/05/2009"))
    assert [(e.type, e.data.term_no, e.backfill) for e in events] == [
        ("PolicyIssued", 0, True),
        ("PolicyRenewed", 1, False),
        ("PremiumPaid", 1, False),
    ]
    whole = policy_of(events)
    assert (str(whole.inception), whole.term(0).premium_fen, str(whole.term(0).end)) == ("2009-05-15", 0, "2016-01-01")


LAPSES = [
    # lapsed on, began,           terms (status, last day of cover excluded),          refunds in fen
    ("inside a term", "01/07/2017", "01/01/2016", [("in_force", "2017-01-01"), ("cancelled", "2017-07-01")], [184_00]),
    ("inside an earlier term", "01/07/2016", "01/01/2016", [("cancelled", "2016-07-01"), ("void", "")], [183_50]),
    ("on a term's start", "01/01/2017", "01/01/2016", [("in_force", "2017-01-01"), ("void", "")], []),
    ("on the first start", "01/01/2016", "01/01/2016", [("void", ""), ("void", "")], []),
    ("on the last end", "01/01/2018", "01/01/2016", [("in_force", "2017-01-01"), ("in_force", "2018-01-01")], []),
    ("after the last end", "01/06/2018", "01/01/2016", [("in_force", "2017-01-01"), ("in_force", "2018-01-01")], []),
    ("on the first start, history stays", "01/01/2016", "01/01/2010", [("in_force", "2016-01-01"), ("void", ""), ("void", "")], []),
    ("inside history", "01/06/2015", "01/01/2010", [("cancelled", "2015-06-01"), ("void", ""), ("void", "")], []),
    ("before history began", "01/01/2010", "01/01/2010", [("void", ""), ("void", ""), ("void", "")], []),
]  # fmt: skip


@pytest.mark.parametrize(("what", "lapse", "began", "terms", "refunds"), LAPSES, ids=[row[0] for row in LAPSES])
def test_a_lapse_ends_cover(tmp_path: Path, what: str, lapse: str, began: str, terms: list, refunds: list[int]) -> None:
    events = events_of(tmp_path, line(*YEAR_1, began=began, lapse=lapse), line(*YEAR_2, began=began))
    found = policy_of(events).terms
    assert [(t.status, str(t.covers[-1][1]) if t.covers else "") for t in found] == terms
    assert [e.data.amount_fen for e in events if isinstance(e.data, core.PremiumRefunded)] == refunds
    void = {t.term_no for t in found if t.status == "void"}
    assert not void & {e.data.term_no for e in events if isinstance(e.data, core.PremiumPaid)}


def test_a_refund_is_rounded_half_up(tmp_path: Path) -> None:
    """36.51 over 365 days, 73 left = 7.302; 0.05 over 366 days, 183 left = 2.5 fen."""
    for premium, lapse, refund in (("36.51", "20/10/2017", 7_30), ("0.05", "02/07/2016", 3)):
        term = YEAR_2 if lapse.endswith("2017") else YEAR_1
        events = events_of(tmp_path, line(*term, lapse=lapse, premium=premium))
        assert [e.data.amount_fen for e in events if isinstance(e.data, core.PremiumRefunded)] == [refund]


def test_claims_share_the_cost_equally_with_the_remainder_on_the_last(tmp_path: Path) -> None:
    events = events_of(tmp_path, line(*YEAR_2, claims="3", cost="100"))
    whole = policy_of(events)
    assert [(c.amount_fen, c.status, str(c.loss_date)) for c in whole.claims] == [
        (33_33, "closed", "2017-07-02"),
        (33_33, "closed", "2017-07-02"),
        (33_34, "closed", "2017-07-02"),
    ]


def test_the_loss_of_a_term_cut_short_lies_inside_its_cover(tmp_path: Path) -> None:
    whole = policy_of(events_of(tmp_path, line(*YEAR_2, claims="1", cost="100", lapse="11/01/2017")))
    assert str(whole.claims[0].loss_date) == "2017-01-06"


def test_a_term_never_taken_up_has_no_claims(tmp_path: Path) -> None:
    assert policy_of(events_of(tmp_path, line(*YEAR_2, claims="1", cost="100", lapse="01/01/2017"))).claims == ()


@pytest.mark.parametrize(
    ("bad", "column"),
    [
        (line("2016-01-01", "01/01/2017"), "row 2: Date_start_contract"),
        (line("01/01/2016", "31/02/2017"), "row 2: Date_next_renewal"),
        (line("01/01/2017", "01/01/2016"), "row 2: Date_next_renewal"),
        (line(*YEAR_1, premium="-1"), "row 2: Premium"),
        (line(*YEAR_1, premium="NaN"), "row 2: Premium"),
        (line(*YEAR_1, claims="one"), "row 2: N_claims_year"),
        (line(*YEAR_1)[:-1] + "5", "row 2: Area"),
        ("7;01/01/2016", "row 2: the row has 2 cells, the header 11"),
        (";" + line(*YEAR_1)[2:], "row 2: ID"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, bad: str, column: str) -> None:
    with pytest.raises(RowError) as error:
        events_of(tmp_path, bad)
    assert str(error.value).startswith(column)


def test_a_file_without_the_columns_says_which(tmp_path: Path) -> None:
    path = tmp_path / "policies.csv"
    path.write_text("ID,Premium\n1,2\n")
    with pytest.raises(FileError, match="is ',' the separator"):
        list(read(path))


TWO_YEARS = [line(*YEAR_1), line(*YEAR_2, began="01/01/2016")]


@pytest.mark.parametrize(
    ("what", "lines", "wrong", "facts_of_rows"),
    [
        ("a wrong cell", [line(*YEAR_1, premium="dear"), *of_8(TWO_YEARS)], [(2, "malformed_row")], [3, 3, 4, 4]),
        ("a line cut short", ["7;01/01/2016", *of_8(TWO_YEARS)], [(2, "malformed_row")], [3, 3, 4, 4]),
        ("no policy named", [";" + TWO_YEARS[0][2:], *TWO_YEARS], [(2, "malformed_row")], [3, 3, 4, 4]),
        ("of a policy of three", [line(*YEAR_1, claims="x"), *TWO_YEARS, *of_8(TWO_YEARS)], [(2, "malformed_row"), (3, "policy_kept_out"), (4, "policy_kept_out")], [5, 5, 6, 6]),
        ("the last of its policy, cut short", [*TWO_YEARS, *of_8(TWO_YEARS), "7;1"], [(6, "malformed_row"), (2, "policy_kept_out"), (3, "policy_kept_out")], [4, 4, 5, 5]),
        ("all of them", ["7;a;b", "8;a;b"], [(2, "malformed_row"), (3, "malformed_row")], []),
        ("none", TWO_YEARS, [], [2, 2, 3, 3]),
    ],
)  # fmt: skip
def test_a_wrong_row_keeps_its_policy_out_and_no_other(
    tmp_path: Path, what: str, lines: list[str], wrong: list[tuple[int, str]], facts_of_rows: list[int]
) -> None:
    """A policy's terms are numbered from all its rows, so the others wait until the wrong one is mended; each is told by its line."""
    path = tmp_path / "policies.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    told = list(mapped(path, live_from=None))
    assert [(finding.row, finding.code) for one in told for finding in one.wrong] == wrong
    assert [one.row for one in told for _ in one.events] == facts_of_rows
    positions = [one.position for one in told]
    assert positions == sorted(set(positions)), "the importer goes on from a position: each is one row"
    assert positions[:1] > [0]


def test_split_makes_history_of_what_came_before(tmp_path: Path) -> None:
    events = list(split(events_of(tmp_path, line(*YEAR_1), line(*YEAR_2, began="01/01/2016")), date(2017, 1, 1)))
    assert [e.backfill for e in events] == [True, True, False, False]


def a_date(text: str) -> date:
    return date(*map(int, reversed(text.split("/"))))


@needs_file
def test_the_whole_file_agrees_with_an_independent_reading() -> None:
    """The same portfolio read again, in the README's words only."""
    by_id = defaultdict(list)
    with gzip.open(FILE, "rt", newline="") as text:
        for row in csv.DictReader(text, delimiter=";"):
            by_id[row["ID"]].append(row)
    expected: Counter[str] = Counter()
    for rows in by_id.values():
        rows.sort(key=lambda r: a_date(r["Date_last_renewal"]))
        lapse = next((a_date(r["Date_lapse"]) for r in rows if r["Date_lapse"]), date.max)
        expected["history"] += a_date(rows[0]["Date_start_contract"]) < a_date(rows[0]["Date_last_renewal"])
        for row in rows:
            start, end = a_date(row["Date_last_renewal"]), a_date(row["Date_next_renewal"])
            taken_up = start < lapse
            fen = round(float(row["Premium"]) * 100)
            expected["terms"] += 1
            expected["void"] += not taken_up
            expected["cancelled"] += start < lapse < end
            expected["paid_fen"] += fen * taken_up
            expected["claims"] += int(row["N_claims_year"]) * taken_up
            expected["claims_fen"] += round(float(row["Cost_claims_year"]) * 100) * (
                taken_up and row["N_claims_year"] != "0"
            )
            if start < lapse < end:
                expected["refunded_fen"] += int(fen * (end - lapse).days / (end - start).days + 0.5)
    found: Counter[str] = Counter()
    events = list(facts(read(FILE)))
    for data in (e.data for e in events):
        found["history"] += isinstance(data, core.PolicyIssued) and data.term_no == 0
        found["terms"] += isinstance(data, (core.PolicyIssued, core.PolicyRenewed)) and data.term_no > 0
        found["void"] += isinstance(data, core.PolicyCancelled) and data.kind == "not_taken_up"
        found["cancelled"] += isinstance(data, core.PolicyCancelled) and data.kind == "mid_term" and data.term_no > 0
        found["paid_fen"] += data.amount_fen if isinstance(data, core.PremiumPaid) else 0
        found["claims"] += isinstance(data, core.ClaimReported)
        found["claims_fen"] += data.amount_fen if isinstance(data, core.ClaimPaid) else 0
        found["refunded_fen"] += data.amount_fen if isinstance(data, core.PremiumRefunded) else 0
    assert found == expected
    assert found["terms"] == 84_571
    assert len({e.id for e in events}) == len(events)
    assert len({e.key for e in events}) == 42_918


@needs_file
def test_in_order_of_time_every_fact_finds_its_ground() -> None:
    """A replay by time never has to wait: a policy's facts stand in the order in which each can be applied."""
    opened: set[tuple[str, int]] = set()
    reported: set[str] = set()
    previous = None
    for event in in_order(facts(read(FILE))):
        assert previous is None or previous <= event.time
        previous = event.time
        match event.data:
            case core.PolicyIssued(policy_no=no, term_no=term) | core.PolicyRenewed(policy_no=no, term_no=term):
                opened.add((no, term))
            case core.TermFact(policy_no=no, term_no=term):
                assert (no, term) in opened
            case core.ClaimReported(claim_no=no):
                reported.add(no)
            case core.ClaimFact(claim_no=no):
                assert no in reported
