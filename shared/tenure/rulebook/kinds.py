"""The kinds of rules there are, and how a document becomes one version of them.

The invariant: what is published has passed the same schema as the reviewed files, and stands beside them without a clash of number
or date; a document that does not fit is refused with the place that is wrong.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from types import MappingProxyType
from typing import Any, Final

import msgspec

from tenure.contracts.event import WrongEventError
from tenure.contracts.programme import BenefitRules, Catalogue, EarningRules, Messages, Programme, TierRules, Versions
from tenure.programme import ProgrammeError

KINDS: Final[Mapping[str, type[Any]]] = MappingProxyType(
    {
        "tiers": TierRules,
        "earning": EarningRules,
        "benefits": BenefitRules,
        "catalogue": Catalogue,
        "messages": Messages,
    }
)
_GIVEN: Final = ("version", "effective")


class Published(msgspec.Struct, frozen=True):
    """One approved version as it is stored: the document without its number and date."""

    kind: str
    version: int
    effective: date
    document: Mapping[str, Any]
    draft_id: str


def version_of(kind: str, document: Mapping[str, Any], *, version: int, effective: date) -> Any:
    """The document as a version of its kind. Raises WrongEventError rules_invalid, with the place."""
    for name in _GIVEN:
        if name in document:
            raise WrongEventError("rules_invalid", f"`$.{name}` stands outside the rules: {_WHERE[name]}")
    try:
        return msgspec.convert({**document, "version": version, "effective": effective}, KINDS[kind])
    except (msgspec.ValidationError, AssertionError, RecursionError) as error:
        raise WrongEventError("rules_invalid", str(error)) from None


def must_fit(kind: str, version: Any, files: Versions[Any]) -> None:
    """What other services read from their files must stay true of what is published. Raises WrongEventError rules_invalid.

    They rank tiers by name, so a tier none of them knows would be below all others there: it comes with a release of the files.
    """
    if kind != "tiers":
        return
    known = [tier.name for tier in files.newest.tiers]
    names = [tier.name for tier in version.tiers]
    if names != [name for name in known if name in names]:
        raise WrongEventError(
            "rules_invalid",
            f"tiers must be some of {', '.join(known)}, in that order - at `$.tiers`; a new tier comes with the files",
        )


_WHERE: Final[Mapping[str, str]] = MappingProxyType(
    {"version": "it is given when they are approved", "effective": "it is part of the proposal"}
)


def merged(base: Programme, published: Iterable[Published]) -> Programme:
    """The programme of the files with what was published. A version that the files have by now, alike, is the files'.

    Raises ProgrammeError when the files and what was published contradict one another.
    """
    parts: dict[str, Any] = dict(vars(base))
    by_kind: dict[str, list[Any]] = {}
    for one in published:
        by_kind.setdefault(one.kind, []).append(_read(one))
    for kind, versions in by_kind.items():
        parts[kind] = _beside(kind, parts[kind].all, versions)
    return Programme(**parts)


def _read(one: Published) -> Any:
    try:
        return version_of(one.kind, one.document, version=one.version, effective=one.effective)
    except WrongEventError as wrong:
        raise ProgrammeError(f"published {one.kind} version {one.version} ({one.draft_id}): {wrong.detail}") from None


def _beside(kind: str, files: Iterable[Any], published: Iterable[Any]) -> Versions[Any]:
    whole = list(files)
    numbers = {one.version: one for one in whole}
    for one in published:
        here = numbers.get(one.version)
        if here is None:
            whole.append(one)
        elif here != one:
            raise ProgrammeError(f"{kind}.yaml has another version {one.version} than the published one")
    try:
        return Versions(whole)
    except AssertionError as error:
        raise ProgrammeError(f"{kind}.yaml and what was published: {error}") from None
