"""The programme's files are read together: what one of them names, another has."""

import shutil
from pathlib import Path

import pytest
from tenure.programme import ProgrammeError, load
from tenure.testing import PROGRAMME_DIR


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROGRAMME_DIR, tmp_path / "programme"))


def says(file: Path, instead: str, written: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert instead in text
    file.write_text(text.replace(instead, written, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "instead", "written", "place"),
    [
        ("benefits", "from_tier: gold", "from_tier: glod", "version 1, no_on_site_survey, from_tier"),
        ("benefits", "{ silver: 2 }", "{ Silver: 2 }", "version 1, home_safety, quota_by_tier"),
        ("catalogue", "tier_min: diamond", "tier_min: diamant", "version 1, robot-vacuum, tier_min"),
        ("earning", "diamond: 150", "diamnd: 150", "version 1, tier_percent"),
        ("benefits", "from_tier: basic", "from_tier: none", "version 1, claims_fast_track, from_tier"),
    ],
)
def test_a_tier_nobody_can_reach_is_refused_with_its_place(
    files: Path, file: str, instead: str, written: str, place: str
) -> None:
    says(files / f"{file}.yaml", instead, written)
    with pytest.raises(ProgrammeError, match=f"{file}.yaml {place}: no version of tiers.yaml has a tier '.*', only"):
        load(files)


def test_an_item_may_be_for_whoever_has_no_tier_yet(files: Path) -> None:
    says(files / "catalogue.yaml", "tier_min: silver", "tier_min: none")
    assert load(files).catalogue.newest.by_sku["fuel-voucher-100"].tier_min == "none"
