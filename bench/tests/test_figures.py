"""What the bench makes of its legs: pairs, medians, intervals, void legs, and the format others read. It measures nothing itself."""

import json
from pathlib import Path

import msgspec
import pytest
from tenure_bench import results
from tenure_bench.bench import cheaper, compared, faster
from tenure_bench.measure import Cost, Measured, Meter
from tenure_bench.results import Bounds, Case
from tenure_bench.statistics import interval_of, percentile, there_and_back


def leg(wall_s: float, *, cpu_s: float = 1.0, wrong: tuple[str, ...] = ()) -> Measured:
    return Measured(1_000, Cost(wall_s, {"services": cpu_s / 2, "postgres": cpu_s / 2}), list(wrong))


def test_legs_go_there_and_back() -> None:
    assert list(there_and_back(["a", "b"], 4)) == [["a", "b"], ["b", "a"], ["a", "b"], ["b", "a"]]


def test_the_interval_holds_the_median_and_narrows_with_agreement() -> None:
    wide, narrow = interval_of([0.2, 0.9, 0.5, 0.4, 0.7, 0.3, 0.8]), interval_of([0.5] * 7)
    assert wide.middle == 0.5
    assert 0.2 <= wide.low < 0.5 < wide.high <= 0.9
    assert narrow == (0.5, 0.5, 0.5)
    assert interval_of([0.2, 0.9, 0.5]) == interval_of([0.2, 0.9, 0.5]), "the same figures, the same interval"


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_a_percentile_is_a_value_that_was_seen(share: float, expected: int) -> None:
    assert percentile(range(1, 101), share) == expected


def test_one_outlier_does_not_move_the_median_of_pairs() -> None:
    rounds = [{"ours": leg(2.0), "floor": leg(1.0)} for _ in range(6)] + [{"ours": leg(200.0), "floor": leg(1.0)}]
    found = compared("x", "y", rounds, ("ours", "floor"), faster, Bounds(0.5, 0.75))
    assert (found.ratio, found.pairs, found.voided) == (0.5, 7, 0)
    assert found.reaches(found.gate)
    assert not found.reaches(found.ambition)


def test_a_leg_that_was_wrong_voids_its_pair_and_no_other() -> None:
    rounds = [{"ours": leg(2.0), "floor": leg(1.0)}, {"ours": leg(0.1, wrong=("sums differ",)), "floor": leg(1.0)}]
    found = compared("x", "y", rounds, ("ours", "floor"), faster, Bounds(0.9))
    assert (found.ratio, found.pairs, found.voided, found.wrong) == (0.5, 1, 1, ["sums differ"])
    assert not found.is_claim, "one pair is not a claim"


def test_without_a_sound_pair_nothing_is_reached() -> None:
    found = compared(
        "x", "y", [{"ours": leg(1, wrong=("no",)), "floor": leg(1)}], ("ours", "floor"), faster, Bounds(0.0)
    )
    assert found.pairs == 0
    assert found.reaches(found.gate) is None
    assert "void" in results.table([found])


def test_cheaper_counts_everyones_cpu() -> None:
    assert cheaper(leg(1.0, cpu_s=0.5), leg(9.0, cpu_s=5.0)) == pytest.approx(10)


def test_lower_may_be_better() -> None:
    found = results.case("latency", "floor", [1.9] * 7, Bounds(2.0, 1.3, "lower"))
    assert (found.reaches(found.gate), found.reaches(found.ambition)) == (True, False)


def test_the_meter_counts_what_this_process_used() -> None:
    meter = Meter({})
    sum(n * n for n in range(400_000))
    cost = meter.stop()
    assert 0 < cost.cpu_s["services"] <= cost.wall_s * 2


def test_results_have_the_fields_that_others_read(tmp_path: Path) -> None:
    case = results.case("ledger", "COPY", [0.5] * 7, Bounds(0.5, 0.75), figures={"events/s": 1.0})
    found = results.document([case], smoke=False, settings={"plan": {}}, load=0.1, seconds=2.0)
    written = json.loads(results.write(found, tmp_path).read_text())
    assert {"date", "commit", "versions", "settings", "cases"} <= written.keys()
    wanted = {"case", "against", "ratio", "low", "high", "pairs", "voided", "gate", "ambition"}
    assert wanted <= written["cases"][0].keys()
    assert written["cases"][0]["claim"] is True
    assert msgspec.convert(written["cases"][0], Case) == case


def test_a_smoke_run_claims_nothing_and_is_named_so(tmp_path: Path) -> None:
    case = results.case("ledger", "COPY", [0.5] * 7, Bounds())
    found = results.document([case], smoke=True, settings={}, load=0.1, seconds=2.0)
    assert found["cases"][0]["claim"] is False
    assert results.write(found, tmp_path).name.startswith("smoke-")


def test_the_table_is_put_between_its_marks_and_nothing_else_is_touched(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{results.BEGIN}\nold\n{results.END}\nafter\n")
    case = results.case("ledger", "COPY", [0.5] * 7, Bounds(0.5, 0.75))
    found = results.document([case], smoke=False, settings={}, load=0.1, seconds=2.0)
    results.put_into_readme(found, [case], readme)
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| ledger | COPY | **0.50** (0.50 to 0.50) | 7 (0) | >= 0.5: reached | >= 0.75: missed |" in text


def test_the_pages_marks_are_there_once() -> None:
    text = results.README.read_text(encoding="utf-8")
    assert (text.count(results.BEGIN), text.count(results.END)) == (1, 1)
