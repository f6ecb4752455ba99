"""What a settling tells, in few records: the grants of one day, of which a tier brings a dozen, are told together.

The invariant: told together or one by one, it is the same grants in the same order, and none changes places with what is told
between them.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from itertools import groupby
from typing import Final

from tenure.contracts.benefit import BenefitEvent, BenefitGranted, BenefitsGranted, Granted

GRANTS_MAX: Final = 500
"""In one record, which is then far below what the log takes."""
Told = BenefitEvent | BenefitsGranted


def together(events: Iterable[BenefitEvent]) -> Iterator[Told]:
    """The events, each run of grants of one day as one. A grant that is alone stays as it is."""
    for day, run in groupby(events, key=_day_of_grant):
        if day is None:
            yield from run
            continue
        grants = [event for event in run if isinstance(event, BenefitGranted)]
        yield from (_as_one(grants[n : n + GRANTS_MAX]) for n in range(0, len(grants), GRANTS_MAX))


def _day_of_grant(event: BenefitEvent) -> date | None:
    return event.effective if isinstance(event, BenefitGranted) else None


def _as_one(grants: list[BenefitGranted]) -> Told:
    first, *others = grants
    if not others:
        return first
    return BenefitsGranted(member_id=first.member_id, effective=first.effective, grants=tuple(map(_granted, grants)))


def _granted(grant: BenefitGranted) -> Granted:
    return Granted(
        grant_id=grant.grant_id,
        benefit=grant.benefit,
        tier=grant.tier,
        quota=grant.quota,
        period_start=grant.period_start,
        period_end=grant.period_end,
        change=grant.change,
        used=grant.used,
    )
