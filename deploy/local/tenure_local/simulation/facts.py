"""What the insurer's core and the app say, day by day, drawn from the seed: policies and their lives, claims, and many activities.

The invariant: what is said depends on the seed and the sizes alone, never on what the world does with it, so a run with faults and
a calm one hear the same facts. Each record carries a number that grows in the order of its topic.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Final, NamedTuple

from tenure.calendar import start_of
from tenure.contracts import activity, core
from tenure.contracts.event import Data
from tenure.contracts.keys import key_of
from tenure.contracts.topics import TOPIC_OF, TYPE_OF
from tenure.spine.codec import record_of
from tenure.spine.log import Outgoing

FIRST_DAY: Final = date(2024, 1, 1)
YEAR: Final = timedelta(365)
LATE_DAYS_MAX: Final = 3
STEPS: Final = (9_000, 11_000, 15_000)
UNREADABLE: Final = "unreadable"
UNKNOWN: Final = "unknown"
REFUSED: Final = "refused"
BROKEN: Final = "broken"
UNSTORABLE: Final = "unstorable"
DAYS_MAX: Final = 250
POISON: Final = (UNREADABLE, UNKNOWN, REFUSED, BROKEN, UNSTORABLE)


@dataclass(frozen=True)
class Sizes:
    """How large the simulated portfolio is. `poison_one_in`: of so many activities one is wrong; 0 = none is."""

    members: int
    insured: int
    days: int
    activities_a_day: int
    poison_one_in: int = 3_000
    late_one_in: int = 50


def sizes_for(events: int, *, days: int | None = None) -> Sizes:
    """About so many decided events: most are activities and the points they earn, the rest comes from policies."""
    days = days or min(DAYS_MAX, max(40, events // 400))
    return Sizes(
        members=max(50, events // 20),
        insured=max(10, events // 400),
        days=days,
        activities_a_day=events * 26 // (100 * days),
    )


class Said(NamedTuple):
    """One record, and what is wrong with it, if anything."""

    record: Outgoing
    type: str
    id: str
    poison: str = ""


@dataclass
class Facts:
    """Everything that is said, one list a day."""

    seed: int
    sizes: Sizes
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.random = Random(f"facts {self.seed}")
        self.handing = Random(f"holders {self.seed}")
        self.planned: dict[date, list[Data]] = defaultdict(list)
        for n in range(self.sizes.insured):
            self._insure(f"M-{n}", f"P-{n}")

    def days(self) -> Iterator[tuple[date, list[Said]]]:
        for n in range(self.sizes.days):
            day = FIRST_DAY + timedelta(n)
            said = [self._said(data, day) for data in self.planned.pop(day, ())]
            said += [self._activity(day) for _ in range(self.sizes.activities_a_day)]
            yield day, said

    def _on(self, day: date, data: Data) -> None:
        self.planned[day].append(data)

    def _insure(self, member: str, no: str) -> None:
        """A policy's life: sold, paid, perhaps changed, claimed on, cancelled, renewed."""
        r = self.random
        start = FIRST_DAY + timedelta(r.randrange(max(1, self.sizes.days // 2)))
        premium = r.choice((29_900, 45_000, 90_000, 160_000))
        line = r.choice(("home", "motor", "health"))
        self._on(
            start,
            core.PolicyIssued(
                policy_no=no,
                member_id=member,
                product_line=line,
                start=start,
                end=start + YEAR,
                premium_fen=premium,
                cooling_off_days=r.choice((0, 15)),
            ),
        )
        self._on(start, core.PremiumPaid(policy_no=no, amount_fen=premium, paid_on=start))
        if r.random() < 0.2:  # noqa: PLR2004
            on = start + timedelta(r.randrange(20, 200))
            self._on(
                on,
                core.PolicyEndorsed(
                    policy_no=no, endorsement_no=f"E-{no}", effective=on, premium_delta_fen=r.choice((10_000, -5_000))
                ),
            )
        if r.random() < 0.1:  # noqa: PLR2004
            self._claim(no, start + timedelta(r.randrange(10, 300)))
        self._end(no, start, premium)
        if self.handing.random() < 0.1:  # noqa: PLR2004
            self._hand_over(no, start, premium)

    def _claim(self, no: str, on: date) -> None:
        self._on(on, core.ClaimReported(policy_no=no, claim_no=f"C-{no}", loss_date=on, reported_on=on))
        paid_on = on + timedelta(9)
        self._on(paid_on, core.ClaimPaid(policy_no=no, claim_no=f"C-{no}", on=paid_on, amount_fen=80_000))

    def _end(self, no: str, start: date, premium: int) -> None:
        fate = self.random.random()
        if fate < 0.05:  # noqa: PLR2004
            on = start + timedelta(self.random.randrange(1, 12))
            self._on(on, core.PolicyCancelled(policy_no=no, effective=on, kind="flat"))
        elif fate < 0.15:  # noqa: PLR2004
            on = start + timedelta(self.random.randrange(30, 300))
            self._on(on, core.PolicyCancelled(policy_no=no, effective=on))
            self._on(on, core.PremiumRefunded(policy_no=no, amount_fen=premium // 4, refunded_on=on))
        elif fate < 0.9:  # noqa: PLR2004
            again = start + YEAR
            on = again - timedelta(self.random.randrange(20))
            self._on(
                on,
                core.PolicyRenewed(
                    policy_no=no, term_no=2, start=again, end=again + YEAR, premium_fen=premium, renewed_on=on
                ),
            )
            self._on(on, core.PremiumPaid(policy_no=no, term_no=2, amount_fen=premium, paid_on=on))

    def _hand_over(self, no: str, start: date, premium: int) -> None:
        """A change of holder, announced or heard of afterwards, in a term that is sold ahead."""
        begins, on = start + 2 * YEAR, start + timedelta(self.handing.randrange(20, 60))
        renewed = core.PolicyRenewed(policy_no=no, term_no=3, start=begins, end=begins + YEAR, premium_fen=premium)
        changed = core.PolicyHolderChanged(policy_no=no, effective=begins + timedelta(90), member_id=f"M-{no}")
        for days, data in zip((0, self.handing.choice((-5, 5))), (renewed, changed), strict=True):
            self._on(on + timedelta(days), data)

    def _activity(self, day: date) -> Said:
        r, sizes = self.random, self.sizes
        member = f"M-{r.randrange(sizes.members)}"
        kind = r.choice(("steps", "steps", "article", "quiz", "health_course"))
        on = day
        if r.random() * sizes.late_one_in < 1:
            on = max(FIRST_DAY, day - timedelta(r.randrange(1, LATE_DAYS_MAX + 1)))
        poison = ""
        if sizes.poison_one_in and r.random() * sizes.poison_one_in < 1:
            poison = r.choice(POISON)
        data = activity.ActivityCompleted(
            member_id=member,
            activity_id=f"a-{r.getrandbits(40):x}",
            kind=kind,  # type: ignore[arg-type]
            on=on + timedelta(2) if poison == REFUSED else on,
            value=r.choice(STEPS) if kind == "steps" else 0,
        )
        return self._said(data, on, poison)

    def _said(self, data: Data, day: date, poison: str = "") -> Said:
        name = TYPE_OF[type(data)]
        topic = TOPIC_OF[name].name
        said_id = f"{topic}-{next(self._numbers)}"
        record = record_of(data, key=key_of(data), id=said_id, source=f"/sim/{topic}", time=start_of(day))
        if poison == UNREADABLE:
            record = Outgoing(record.topic, record.key, record.value[:-3], record.headers)
        elif poison == UNKNOWN:
            headers = [(n, b"activity.imagined" if n == "ce_type" else v) for n, v in record.headers]
            record = Outgoing(record.topic, record.key, record.value, headers)
        return Said(record, name, said_id, poison)
