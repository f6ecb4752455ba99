"""How much of what the ledger ever heard a simulation judged: logs forget (retention, a broker that keeps nothing), lots do not.

The invariant: from `since` on every fact that earned, by the ledger's lots, earned in the simulation too, and the log was whole. Of
what earned nothing there is no lot; where the log begins is all that is known of that.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import Final

import msgspec
from tenure.calendar import DAY, FIRST_DAY

from points_ledger.rules.account import ADJUSTMENT, GRACE, Lot

NO_FACTS: Final = frozenset({ADJUSTMENT, GRACE})
"""Corrections by hand, and refunds of what had expired: no fact earned them."""


class Known(msgspec.Struct, frozen=True):
    """What a simulation stands on: `facts` that earned by the ledger's lots, and what of them is `judged`.

    `since`: the first day from which all is judged, null where nothing was heard; `log_since`: where a log that was cut begins.
    """

    since: date | None
    log_since: date | None
    facts: int
    judged: int
    warnings: list[str]


def earnings(lots: Iterable[Lot]) -> Counter[date]:
    """How many facts earned, by their day. A fact earns by several rules, and may be topped up: that is one a rule."""
    days: dict[tuple[str, str], date] = {}
    for lot in lots:
        if lot.granted and not lot.revoked and lot.wallet != "growth" and lot.rule not in NO_FACTS:
            days[lot.rule, lot.fact] = min(lot.earned_on, days.get((lot.rule, lot.fact), lot.earned_on))
    return Counter(days.values())


def known(
    of_ledger: Counter[date], of_trial: Counter[date], *, heard_since: date | None, log_since: date | None, asked: date
) -> Known:
    """What is known from which day on, and what to be warned of. `asked`: the day that the draft is to hold from."""
    missing = of_ledger - of_trial
    whole_since = max(missing) + DAY if missing else heard_since
    return Known(
        since=max((day for day in (whole_since, log_since) if day is not None), default=None),
        log_since=log_since,
        facts=of_ledger.total(),
        judged=of_ledger.total() - missing.total(),
        warnings=[*_of_the_log(log_since, asked), *_of_the_ledger(of_ledger, missing)],
    )


def _of_the_log(log_since: date | None, asked: date) -> list[str]:
    if log_since is None or log_since <= asked:
        return []
    what = "as if it had always held" if asked == FIRST_DAY else f"from {asked} on"
    before = "of what came before, only what was reported over REST and earned is known"
    return [f"the log begins on {log_since}, and the draft is judged {what}: {before}"]


def _of_the_ledger(of_ledger: Counter[date], missing: Counter[date]) -> list[str]:
    if not missing:
        return []
    facts = f"{missing.total():,} of {of_ledger.total():,} facts that earned"
    dates = f"dated {min(missing)} to {max(missing)}"
    return [f"the ledger has seen more than the log retains: {facts} are not judged, {dates}"]
