"""The loyalty programme as data: reviewed files in `programme/`, versioned, with effective dates (DESIGN section 5).

A rule that was in force when something happened is the rule that decides about it for ever: `at(day)` finds it.
"""

import zlib
from bisect import bisect_right
from datetime import date
from functools import cached_property
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from tenure.contracts.programme.benefits import BenefitRules
from tenure.contracts.programme.catalogue import Catalogue
from tenure.contracts.programme.earning import EarningRules
from tenure.contracts.programme.messages import Messages
from tenure.contracts.programme.tiers import TierRules

_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class HasEffective(Protocol):
    @property
    def version(self) -> int: ...
    @property
    def effective(self) -> date: ...


V = TypeVar("V", bound=HasEffective)


class Versions(Generic[V]):
    """Versions of one rule file, each in force from its effective date until the next one's.

    Before the first effective date the first version applies: history is judged by the oldest rules there are.
    """

    def __init__(self, versions: list[V]) -> None:
        assert versions, "a rule file has at least one version"
        self.all = sorted(versions, key=lambda v: v.effective)
        days = [v.effective for v in self.all]
        assert len(set(days)) == len(days), "two versions with one effective date"
        assert len({v.version for v in self.all}) == len(days), "two versions with one number"

    @cached_property
    def _days(self) -> list[date]:
        return [v.effective for v in self.all]

    def at(self, day: date) -> V:
        """The version in force on `day`."""
        if len(self.all) == 1:
            return self.all[0]
        return self.all[max(0, bisect_right(self._days, day) - 1)]

    @cached_property
    def digest(self) -> int:
        """A number that names these versions whole, the same in every process: whoever was judged by another is judged again."""
        return zlib.crc32(_encode(self.all)) & 0x7FFF_FFFF

    @property
    def newest(self) -> V:
        return self.all[-1]


class Programme:
    """All rule files, loaded: what every `decide` is given."""

    def __init__(
        self,
        *,
        tiers: Versions[TierRules],
        earning: Versions[EarningRules],
        benefits: Versions[BenefitRules],
        catalogue: Versions[Catalogue],
        messages: Versions[Messages],
    ) -> None:
        self.tiers = tiers
        self.earning = earning
        self.benefits = benefits
        self.catalogue = catalogue
        self.messages = messages


__all__ = ["BenefitRules", "Catalogue", "EarningRules", "Messages", "Programme", "TierRules", "Versions"]
