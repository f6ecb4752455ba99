"""Loads the programme's files. A file that does not fit is refused whole, with the place that is wrong."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from tenure.contracts.programme import BenefitRules, Catalogue, EarningRules, Messages, Programme, TierRules, Versions

V = TypeVar("V", TierRules, EarningRules, BenefitRules, Catalogue, Messages)
FILE_BYTES_MAX = 1_048_576


class ProgrammeError(Exception):
    """A programme file cannot be used; the message names the file and the place."""


def load(directory: Path) -> Programme:
    """The programme in `directory` (tiers.yaml, earning.yaml, benefits.yaml, catalogue.yaml, messages.yaml).

    Raises ProgrammeError.
    """
    return Programme(
        tiers=load_file(directory / "tiers.yaml", TierRules),
        earning=load_file(directory / "earning.yaml", EarningRules),
        benefits=load_file(directory / "benefits.yaml", BenefitRules),
        catalogue=load_file(directory / "catalogue.yaml", Catalogue),
        messages=load_file(directory / "messages.yaml", Messages),
    )


def load_file(path: Path, rules: type[V]) -> Versions[V]:
    """All versions in one file. Raises ProgrammeError."""
    try:
        raw: Any = yaml.safe_load(_text(path))
        versions: list[V] = msgspec.convert(raw["versions"], list[rules])  # type: ignore[valid-type]
        return Versions(versions)
    except (yaml.YAMLError, msgspec.ValidationError, KeyError, TypeError, AssertionError) as error:
        raise ProgrammeError(f"{path.name}: {error}") from None


def _text(path: Path) -> str:
    if not path.is_file():
        raise ProgrammeError(f"{path.name} is missing in {path.parent}")
    if path.stat().st_size > FILE_BYTES_MAX:
        raise ProgrammeError(f"{path.name} is larger than {FILE_BYTES_MAX} bytes")
    return path.read_text(encoding="utf-8")
