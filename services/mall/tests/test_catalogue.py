"""The catalogue file: what is on offer is sound, and what the law forbids cannot be written."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from tenure.contracts.programme import Catalogue, Programme
from tenure.programme import ProgrammeError, load_file

GOOD: dict[str, Any] = {
    "sku": "x",
    "title_zh": "某物",
    "title_en": "Thing",
    "kind": "goods",
    "category": "home",
    "points": 10,
}


def written(path: Path, *items: dict[str, Any], later: list[dict[str, Any]] | None = None) -> Path:
    """A file with these items, and, from 2020 on, with those of `later` instead."""
    versions: list[dict[str, Any]] = [{"version": 1, "effective": date(2015, 1, 1), "items": list(items)}]
    if later is not None:
        versions.append({"version": 2, "effective": date(2020, 1, 1), "items": later})
    file = path / "catalogue.yaml"
    file.write_text(yaml.safe_dump({"versions": versions}))
    return file


def test_every_tier_named_in_the_catalogue_is_a_tier_of_the_programme(rules: Programme) -> None:
    tiers = {t.name for t in rules.tiers.newest.tiers}
    assert {item.tier_min for item in rules.catalogue.newest.items} <= tiers
    assert {"code", "goods", "service"} == {item.kind for item in rules.catalogue.newest.items}
    assert all(item.initial_stock or item.initial_codes for item in rules.catalogue.newest.items)


BAD = [
    ({"category": "premium"}, "category"),  # points never pay premium: there is no such category
    ({"kind": "insurance"}, "kind"),
    ({"points": 0}, "price in points"),
    ({"cash_fen": -1}, "cash part"),
    ({"colour": "red"}, "colour"),
    ({"kind": "code", "initial_stock": 5}, "its codes"),
    ({"initial_codes": 5}, "kind code"),
    ({"limit_per_member": 0}, "limit"),
    ({"initial_stock": 3_000_000_000}, "stock at most"),
    ({"campaigns": [{"start": date(2026, 2, 1), "end": date(2026, 2, 1), "points": 5}]}, "before it ends"),
]


@pytest.mark.parametrize(("change", "named"), BAD)
def test_an_item_that_does_not_fit_is_refused_with_its_fault(tmp_path: Path, change: Any, named: str) -> None:
    with pytest.raises(ProgrammeError, match=named):
        load_file(written(tmp_path, GOOD | change), Catalogue)


def test_one_sku_is_one_item(tmp_path: Path) -> None:
    with pytest.raises(ProgrammeError, match="one sku"):
        load_file(written(tmp_path, GOOD, GOOD), Catalogue)


def test_what_is_not_written_has_its_default(tmp_path: Path) -> None:
    item = load_file(written(tmp_path, GOOD), Catalogue).newest.by_sku["x"]
    assert (item.tier_min, item.cash_fen, item.limit_per_member) == ("basic", 0, None)


@pytest.mark.parametrize(("first", "then"), [("goods", "code"), ("code", "service")])
def test_what_is_counted_never_becomes_codes(tmp_path: Path, first: str, then: str) -> None:
    with pytest.raises(ProgrammeError, match="'x' has codes in one version and none in another"):
        load_file(written(tmp_path, GOOD | {"kind": first}, later=[GOOD | {"kind": then}]), Catalogue)


def test_an_item_may_change_its_price_leave_and_be_a_service_instead_of_goods(tmp_path: Path) -> None:
    for later in ([GOOD | {"points": 20}], [], [GOOD | {"kind": "service"}]):
        assert len(load_file(written(tmp_path, GOOD, later=later), Catalogue).all) == 2
