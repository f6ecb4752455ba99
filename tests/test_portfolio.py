"""A real motor portfolio through the platform, compared row by row with `brute_force`, which read the rules a second time.

The whole file is compared by hand, where the folder `shared` lies beside the checkout:
`TENURE_WHOLE_PORTFOLIO=1 .venv/bin/pytest tests/test_portfolio.py -k whole -s`
"""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from tenure.embedded.server import free_port
from tenure_local.demo import UNTIL
from tenure_local.home import Home
from tenure_local.invariants import verified
from tenure_local.platform import Platform

from .brute_force import Cover, Standing, days_between, member_on_days, standings
from .conftest import Ran

EXCERPT = Path(__file__).parents[1] / "examples/motor-portfolio/policies.csv.gz"
WHOLE = Path(__file__).parents[2] / "shared/data/motor-portfolio/policies.csv.gz"
# A leap day in the middle, when much cover is history still; a summer day; and the last day of the demo.
DAYS = (date(2016, 2, 29), date(2017, 6, 30), date(2018, 12, 31))
WHOLE_FILE_TIMEOUT_S = 3_600

Tiers = dict[date, dict[str, Standing]]


def test_the_second_reading_counts_days_and_drops_levels_as_the_design_says() -> None:
    """The words of DESIGN 5.1 and 5.2, once by hand, so that the yardstick itself is measured."""
    leap = Cover(frozenset(days_between(date(2014, 3, 1), date(2016, 3, 1))), 100_00)
    (on_29_february,) = member_on_days("M", [leap], [date(2016, 2, 29)])
    assert on_29_february[1].insured_days == 2 * 365, (
        "730 distinct days lie before it: the leap day itself never counts"
    )
    dear = Cover(frozenset(days_between(date(2016, 1, 1), date(2017, 1, 1))), 900_00)
    asked = [date(2016, 1, 1), date(2017, 12, 30), date(2017, 12, 31), date(2018, 12, 31)]
    lived = [(s.tier, s.tier_since.isoformat()) for _, s in member_on_days("M", [dear], asked)]
    assert lived == [
        ("gold", "2016-01-01"),
        ("gold", "2016-01-01"),  # last confirmed on 2016-12-31, the last day with cover
        ("silver", "2017-12-31"),
        ("basic", "2018-12-31"),
    ]


@pytest.fixture(scope="module")
def agreed() -> Tiers:
    """The excerpt read by brute force, everything in the file being known."""
    return standings(EXCERPT, DAYS)


@pytest.mark.timeout(300)
def test_an_import_agrees_with_brute_force(agreed: Tiers, own_platform: Home, tmp_path: Path) -> None:
    assert "imported" in _tenure(own_platform, "import", "motor-portfolio", str(EXCERPT.parent))
    _tenure(own_platform, "wait")
    for day in DAYS:
        _assert_agree(_exported(own_platform, day, tmp_path), agreed[day])
    assert [name for name, holds in verified(own_platform).items() if not holds] == []


@pytest.mark.kafka
@pytest.mark.timeout(400)
@pytest.mark.parametrize("day", DAYS, ids=str)
def test_a_replay_agrees_with_brute_force(ran: Ran, day: date, tmp_path: Path) -> None:
    """The demo's replay ends on a day; what the file says of later days has not happened."""
    exported = _exported(ran.home, day, tmp_path)
    motor = {member: row for member, row in exported.items() if member.startswith("M-")}
    _assert_agree(motor, standings(EXCERPT, [day], told_until=UNTIL)[day])


@pytest.mark.slow
@pytest.mark.timeout(WHOLE_FILE_TIMEOUT_S)
@pytest.mark.skipif("TENURE_WHOLE_PORTFOLIO" not in os.environ, reason="run by hand: it takes minutes")
@pytest.mark.skipif(not WHOLE.exists(), reason="the whole portfolio does not lie beside the checkout")
def test_the_whole_portfolio_agrees_with_brute_force(own_platform: Home, tmp_path: Path) -> None:
    began = time.monotonic()
    said = _tenure(own_platform, "import", "motor-portfolio", str(WHOLE))
    imported = time.monotonic()
    _tenure(own_platform, "wait")
    drained = time.monotonic()
    exported = {day: _exported(own_platform, day, tmp_path) for day in DAYS}
    export_s = (time.monotonic() - drained) / len(DAYS)
    sys.stdout.write(
        f"\n{said.splitlines()[0]}\npublished in {imported - began:.1f} s, drained {drained - imported:.1f} s later, "
        f"one export in {export_s:.1f} s\n"
    )
    agreed = standings(WHOLE, DAYS)
    for day in DAYS:
        _assert_agree(exported[day], agreed[day])
    assert [name for name, holds in verified(own_platform).items() if not holds] == []


@pytest.fixture
def own_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A platform for one test, on servers of its own whatever others are in use."""
    for name in ("TENURE_KAFKA", "TENURE_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    platform = Platform(Home(tmp_path / "data"), port=free_port())
    platform.start(lambda _: None)
    yield platform.home
    platform.stop()


def _assert_agree(exported: dict[str, Standing], agreed: dict[str, Standing]) -> None:
    """Every member with a tier, and no other, stands where brute force says; differences are shown, the first few."""
    assert sorted(exported) == sorted(agreed)
    differ = [(exported[member], agreed[member]) for member in agreed if exported[member] != agreed[member]]
    assert not differ, f"{len(differ)} of {len(agreed)} differ: {differ[:5]}"


def _exported(home: Home, day: date, folder: Path) -> dict[str, Standing]:
    """`tenure tiers --csv`, by member; those who have no tier yet have nothing else either, and are left out."""
    path = folder / f"tiers-{day}.csv"
    _tenure(home, "tiers", "--as-of", day.isoformat(), "--csv", str(path))
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    none_yet = [row for row in rows if row["tier"] == "none"]
    assert all(
        (row["insured_days"], row["annual_premium_fen"], row["tier_since"]) == ("0", "0", "") for row in none_yet
    )
    return {row["member_id"]: _standing(row) for row in rows if row["tier"] != "none"}


def _standing(row: dict[str, str]) -> Standing:
    return Standing(
        member_id=row["member_id"],
        insured_days=int(row["insured_days"]),
        annual_premium_fen=int(row["annual_premium_fen"]),
        qualified_tier=row["qualified_tier"],
        tier=row["tier"],
        tier_since=date.fromisoformat(row["tier_since"]),
    )


def _tenure(home: Home, *words: str) -> str:
    command = Path(sys.executable).with_name("tenure")
    done = subprocess.run(
        [command, *words],
        env={**os.environ, "TENURE_DATA_DIR": str(home.folder)},
        capture_output=True,
        text=True,
        timeout=WHOLE_FILE_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout
