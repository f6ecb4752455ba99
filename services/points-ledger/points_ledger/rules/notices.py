"""On which day a member is told that points will expire: so many days before, by the rules in force then.

The invariant: each lot is told of once, however the rules change meanwhile: on the first day on which what is left of its time is
within the notice. So a longer notice tells at once of what it finds inside, and a shorter one nothing again.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

from tenure.contracts.programme import EarningRules, Versions


class Notice(NamedTuple):
    """From `since` to before `until`, members are told so long `before`."""

    since: date
    until: date
    before: timedelta


@lru_cache(maxsize=16)
def notices_of(versions: Versions[EarningRules]) -> tuple[Notice, ...]:
    """The notices in their order; mostly one, for ever. What was in force first was so before."""
    found = [Notice(date.min, date.max, timedelta(versions.all[0].expiring_notice_days))]
    for one in versions.all[1:]:
        before = timedelta(one.expiring_notice_days)
        if before != found[-1].before:
            found[-1] = found[-1]._replace(until=one.effective)
            found.append(Notice(one.effective, date.max, before))
    return tuple(found)


def told_on(notices: Sequence[Notice], ends_on: date) -> date:
    """The day on which a lot that ends on a day is told of."""
    if len(notices) == 1:
        return ends_on - notices[0].before
    found = ((since, ends_on - before) for since, until, before in notices if ends_on - before < until)
    return max(next(found))


def changed(notices: Sequence[Notice], after: date, to: date) -> bool:
    """Whether another notice came into force meanwhile."""
    return any(after < notice.since <= to for notice in notices[1:])
