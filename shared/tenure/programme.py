"""Loads the programme's files. A file that does not fit is refused whole, with the place that is wrong."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import yaml

from tenure.contracts.programme import BenefitRules, Catalogue, EarningRules, Messages, Programme, TierRules, Versions
from tenure.contracts.programme.catalogue import must_keep_kinds
from tenure.contracts.tier import NO_TIER

V = TypeVar("V", TierRules, EarningRules, BenefitRules, Catalogue, Messages)
FILE_BYTES_MAX = 1_048_576
_STEP: Final = re.compile(r"\[(\d+)\]|\.(\w+)")


class ProgrammeError(Exception):
    """A programme file cannot be used; the message names the file and the place."""


def load(directory: Path) -> Programme:
    """The programme in `directory` (tiers.yaml, earning.yaml, benefits.yaml, catalogue.yaml, messages.yaml).

    Raises ProgrammeError.
    """
    programme = Programme(
        tiers=load_file(directory / "tiers.yaml", TierRules),
        earning=load_file(directory / "earning.yaml", EarningRules),
        benefits=load_file(directory / "benefits.yaml", BenefitRules),
        catalogue=load_file(directory / "catalogue.yaml", Catalogue),
        messages=load_file(directory / "messages.yaml", Messages),
    )
    _must_know_tiers(programme)
    return programme


def _must_know_tiers(programme: Programme) -> None:
    """What begins with a tier nobody can reach would be nobody's, without a word. A new tier comes with tiers.yaml."""
    known = {tier.name for version in programme.tiers.all for tier in version.tiers}
    for place, tier in _named_tiers(programme):
        if tier not in known:
            raise ProgrammeError(
                f"{place}: no version of tiers.yaml has a tier {tier!r}, only {', '.join(sorted(known))}"
            )


def _named_tiers(programme: Programme) -> Iterator[tuple[str, str]]:
    """Where a tier is named outside tiers.yaml, and which; that none is needed names no tier."""
    for rules in programme.benefits.all:
        for benefit in rules.benefits:
            place = f"benefits.yaml version {rules.version}, {benefit.code}"
            yield f"{place}, from_tier", benefit.from_tier
            yield from ((f"{place}, quota_by_tier", tier) for tier in benefit.quota_by_tier)
    for catalogue in programme.catalogue.all:
        for item in catalogue.items:
            if item.tier_min != NO_TIER:
                yield f"catalogue.yaml version {catalogue.version}, {item.sku}, tier_min", item.tier_min
    for earning in programme.earning.all:
        place = f"earning.yaml version {earning.version}, tier_percent"
        yield from ((place, tier) for tier in earning.tier_percent if tier != NO_TIER)


def load_file(path: Path, rules: type[V]) -> Versions[V]:
    """All versions in one file. Raises ProgrammeError."""
    return parse(_text(path), rules, name=path.name)


def parse(text: str, rules: type[V], *, name: str) -> Versions[V]:
    """All versions in the text of a file called `name`. Raises ProgrammeError."""
    raw: Any = None
    try:
        raw = yaml.load(text, _Exact)  # noqa: S506 - a SafeLoader
        if not isinstance(raw, dict) or set(raw) != {"versions"}:
            raise ProgrammeError(f"{name}: a rule file is a list of `versions`, and nothing beside it")
        versions: list[V] = msgspec.convert(raw["versions"], list[rules])  # type: ignore[valid-type]
        must_keep_kinds(version for version in versions if isinstance(version, Catalogue))
        return Versions(versions)
    except msgspec.ValidationError as error:
        raise ProgrammeError(f"{name}: {error}{_named(raw['versions'], str(error))}") from None
    except (yaml.YAMLError, TypeError, ValueError, AssertionError) as error:
        raise ProgrammeError(f"{name}: {error}") from None


class _Exact(yaml.SafeLoader):
    """YAML in which a key said twice is a mistake, not the last one's victory."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"said twice: {', '.join(twice)}", node.start_mark)
        return super().construct_mapping(node, deep)


def _named(raw: Any, message: str) -> str:
    """Which rule, campaign or cap a path such as `$[0].rules[3]` means, by its code: people do not count list items."""
    _, _, path = message.rpartition("`$")
    found = ""
    for number, name in _STEP.findall(path):
        try:
            raw = raw[int(number)] if number else raw[name]
        except (KeyError, IndexError, TypeError):
            break
        if isinstance(raw, dict) and "code" in raw:
            found = f" (that is {raw['code']})"
    return found


def _text(path: Path) -> str:
    if not path.is_file():
        raise ProgrammeError(f"{path.name} is missing in {path.parent}")
    if path.stat().st_size > FILE_BYTES_MAX:
        raise ProgrammeError(f"{path.name} is larger than {FILE_BYTES_MAX} bytes")
    return path.read_text(encoding="utf-8")
