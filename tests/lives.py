"""Random lives of a policyholder: what came true, and the facts by which a core would tell it.

Awkward days are likely: 29 February, month and year ends, terms of one day, nothing to pay, refunds of more than was paid, cancellations taken back.
"""

from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st
from tenure.calendar import start_of
from tenure.contracts import core
from tenure.contracts.event import Data

from .second_reading import Claim, Life, Steps, TermTold, years_on

MEMBER: Final = "M-1"
FIRST: Final = date(2019, 12, 20)
AWKWARD: Final = [
    date(2020, 2, 29),
    date(2020, 2, 28),
    date(2020, 3, 1),
    date(2020, 12, 31),
    date(2021, 1, 1),
    date(2021, 8, 31),
]
days = st.sampled_from(AWKWARD) | st.dates(FIRST, date(2022, 12, 31))
yuan = st.sampled_from([0, 1, 99, 100, 101, 30_000, 30_001, 99_999, 123_456]) | st.integers(0, 300_000)


class Saying(NamedTuple):
    """One fact and when the core recorded it."""

    at: datetime
    data: Data


class Story(NamedTuple):
    lives: list[Life]
    facts: list[Saying]
    tiers: Steps
    last_day: date


@st.composite
def terms(draw: st.DrawFn, cancelling: bool) -> list[TermTold]:
    start, told = draw(days), []
    for no in range(1, draw(st.integers(1, 4)) + 1):
        end = draw(
            st.sampled_from(
                [years_on(start, 1)] * 5 + [start + timedelta(1), start + timedelta(90), years_on(start, 2)]
            )
        )
        renewed = None if no == 1 else start - timedelta(draw(st.sampled_from([40, 8, 7, 6, 1, 0, -3])))
        told.append(draw(term(no, start, end, renewed)))
        start = end + timedelta(draw(st.sampled_from([0, 0, 0, 1, 30, 31, 60])))
    if cancelling:
        draw(ending(told))
    return told


@st.composite
def term(draw: st.DrawFn, no: int, start: date, end: date, renewed: date | None) -> TermTold:
    told = TermTold(no, start, end, draw(yuan), renewed, draw(st.sampled_from([0, 0, 15, 60])))
    span = (end - start).days
    whole = told.premium_fen
    if draw(st.booleans()) and span > 30:
        told.increases = [(start + timedelta(draw(st.integers(1, span - 1))), draw(yuan))]
    first = draw(st.integers(0, whole))
    parts = [whole] if draw(st.booleans()) else [first, whole - first]
    due = max(start - timedelta(3), renewed or FIRST) if renewed is None or renewed < start else renewed
    told.payments = [(due + timedelta(min(n * 20, span)), fen) for n, fen in enumerate(parts)]
    told.payments += [(day, fen) for day, fen in told.increases]
    told.sold_on = renewed or start - timedelta(30)
    if span > 30 and draw(st.integers(0, 4)) == 0:
        draw(less_cover(told))
    if span > 30 and draw(st.integers(0, 4)) == 0:
        since = start + timedelta(draw(st.integers(1, span - 1)))
        told.lapsed = (since, draw(st.none() | st.just(since + timedelta(20))))
    return told


@st.composite
def less_cover(draw: st.DrawFn, told: TermTold) -> None:
    """The premium goes down inside the term; mostly, something is refunded."""
    day = told.start + timedelta(draw(st.integers(1, (told.end - told.start).days - 1)))
    fen = draw(yuan)
    told.decreases = [(day, fen)]
    refund(told, day, draw(st.sampled_from([0, fen // 2, fen])))


def refund(t: TermTold, day: date, fen: int) -> None:
    """What was paid for a refunded term is whole yuan: two years after its end the ledger knows no more than that."""
    if fen and t.payments:
        t.payments = [(on, paid // 100 * 100) for on, paid in t.payments]
        t.refunds = [*t.refunds, (day, fen)] if any(paid for _, paid in t.payments) else []


@st.composite
def ending(draw: st.DrawFn, told: list[TermTold]) -> None:
    """One term is cancelled: from within it (what was sold after it falls, too), or as if it never was."""
    last = draw(st.sampled_from(told))
    if last.no == len(told) and draw(st.booleans()):
        last.void = True
        return
    last.cancelled_on = last.start + timedelta(draw(st.integers(0, (last.end - last.start).days)))
    if last.cancelled_on == last.start:
        last.void = True
    else:
        last.payments = [p for p in last.payments if p[0] < last.cancelled_on]
        last.increases = [p for p in last.increases if p[0] < last.cancelled_on]
        last.decreases = [p for p in last.decreases if p[0] < last.cancelled_on]
        paid = sum(fen for _, fen in last.payments)
        most = (
            2 if last.no == len(told) else 1
        )  # a term is forgotten two years after its end, and with it what was paid
        fen = draw(st.sampled_from([0, paid // 3, paid, most * paid]))
        last.refunds = [p for p in last.refunds if p[0] < last.cancelled_on and paid]
        refund(last, last.cancelled_on, fen)
    if last.no < len(told) and draw(st.booleans()):
        last.at_once = True
    for later in told[last.no :]:
        later.void = not last.at_once or later.sold_on <= last.cancelled_on


@st.composite
def life(draw: st.DrawFn, no: int) -> tuple[Life, list[Data], list[Data]]:
    whole = Life(f"P-{no}", draw(terms(draw(st.booleans()))))
    facts = [fact for t in whole.terms for fact in of_term(whole.policy_no, t)]
    for n in range(draw(st.integers(0, 2))):
        covered = draw(st.sampled_from(whole.terms))
        day = covered.start + timedelta(draw(st.integers(0, max(0, (covered.last - covered.start).days - 1))))
        counts, said = draw(claims(whole.policy_no, f"C-{no}-{n}", day))
        whole.claims.append(Claim(f"C-{no}-{n}", day, counts))
        facts += said
    ending = draw(endings(whole))
    if draw(st.integers(0, 3)) == 0 and not any(t.at_once for t in whole.terms):
        ending = [*draw(undone_ending(whole)), *ending]
    if any(t.at_once for t in whole.terms):
        facts, ending = [*facts, *ending], []
    if draw(st.integers(0, 9)) == 0:
        ending.append(core.PolicyRescinded(policy_no=whole.policy_no, effective=whole.terms[0].start, reason="x"))
        for t in whole.terms:
            t.void = True
    return whole, facts, ending


def of_term(policy_no: str, t: TermTold) -> list[Data]:
    about: dict[str, Any] = {"policy_no": policy_no, "term_no": t.no}
    sold: dict[str, Any] = about | {
        "start": t.start,
        "end": t.end,
        "premium_fen": t.premium_fen,
        "cooling_off_days": t.cooling_off_days,
    }
    first: Data = (
        core.PolicyIssued(member_id=MEMBER, product_line="home", **sold)
        if t.no == 1
        else core.PolicyRenewed(renewed_on=t.renewed_on, **sold)
    )
    paid = [
        core.PremiumPaid(**about, amount_fen=fen, paid_on=day, instalment_no=n)
        for n, (day, fen) in enumerate(t.payments, 1)
    ]
    more = [
        core.PolicyEndorsed(**about, endorsement_no=f"E-{t.no}-{n}", effective=day, premium_delta_fen=fen)
        for n, (day, fen) in enumerate(t.increases)
    ]
    less = [
        core.PolicyEndorsed(**about, endorsement_no=f"L-{t.no}-{n}", effective=day, premium_delta_fen=-fen)
        for n, (day, fen) in enumerate(t.decreases)
    ]
    return [first, *paid, *more, *less, *refunds(about, t, at_end=False), *lapses(about, t)]


def refunds(about: dict[str, Any], t: TermTold, *, at_end: bool) -> list[Data]:
    on_its_way = ((day, fen) for day, fen in t.refunds if (day == t.cancelled_on) == at_end)
    return [core.PremiumRefunded(**about, amount_fen=fen, refunded_on=day) for day, fen in on_its_way]


def lapses(about: dict[str, Any], t: TermTold) -> list[Data]:
    if t.lapsed is None:
        return []
    since, again = t.lapsed
    back = [core.PolicyReinstated(**about, effective=again)] if again else []
    return [core.PolicyLapsed(**about, effective=since), *back]


@st.composite
def endings(draw: st.DrawFn, whole: Life) -> list[Data]:
    for t in whole.terms:
        about: dict[str, Any] = {"policy_no": whole.policy_no, "term_no": t.no}
        if t.cancelled_on is not None:
            cut = core.PolicyCancelled(**about, effective=t.cancelled_on, kind="mid_term")
            return [cut, *refunds(about, t, at_end=True)]
        if t.void:
            kind = draw(st.sampled_from(["cooling_off", "flat", "not_taken_up"]))
            return [core.PolicyCancelled(**about, effective=t.start, kind=kind)]
    return []


@st.composite
def undone_ending(draw: st.DrawFn, whole: Life) -> list[Data]:
    """A cancellation and its refund that the core takes back (DOMAIN 14): neither ever was."""
    t = draw(st.sampled_from(whole.terms))
    about: dict[str, Any] = {"policy_no": whole.policy_no, "term_no": t.no}
    day = t.start + timedelta(draw(st.integers(0, (t.end - t.start).days)))
    fen = draw(st.sampled_from([0, t.premium_fen // 3, t.premium_fen]))
    back = (
        [core.PremiumRefunded(**about, amount_fen=fen, refunded_on=day)] if fen and (day, fen) not in t.refunds else []
    )
    cut = core.PolicyCancelled(**about, effective=day, kind=draw(st.sampled_from(["mid_term", "flat", "cooling_off"])))
    return [cut, *back, core.CancellationReversed(**about, effective=day)]


@st.composite
def claims(draw: st.DrawFn, policy_no: str, no: str, loss: date) -> tuple[bool, list[Data]]:
    """A claim and what it comes to: whether it counts in the end."""
    about: dict[str, Any] = {"policy_no": policy_no, "claim_no": no}
    late = loss + timedelta(draw(st.sampled_from([0, 5, 400])))
    told: list[Data] = [core.ClaimReported(**about, loss_date=loss, reported_on=late, estimate_fen=500_00)]
    counts, ever_paid = True, False
    for n in range(1, draw(st.integers(0, 3)) + 1):
        step = draw(st.sampled_from(["declined", "withdrawn", "paid", "unpaid"]))
        day = late + timedelta(20 * n)
        if step == "declined":
            told.append(core.ClaimDeclined(**about, on=day))
        elif step == "withdrawn":
            told.append(core.ClaimWithdrawn(**about, on=day))
        else:
            ever_paid = ever_paid or step == "paid"
            told.append(core.ClaimPaid(**about, on=day, amount_fen=300_00 if step == "paid" else 0))
            told.append(core.ClaimClosed(**about, on=day + timedelta(1)))
        counts = ever_paid and step != "withdrawn"
        if draw(st.booleans()):
            told.append(core.ClaimReopened(**about, on=day + timedelta(10)))
            counts = True
        else:
            break
    return counts, told


@st.composite
def stories(draw: st.DrawFn) -> Story:
    both = [draw(life(no)) for no in range(1, draw(st.integers(1, 2)) + 1)]
    lives, facts = [one for one, _, _ in both], [in_core_order(said, ending) for _, said, ending in both]
    climb = sorted(draw(st.lists(days, max_size=4, unique=True)))
    last_said = max(s.at.date() for said in facts for s in said) + timedelta(1)
    last_day = last_said + timedelta(draw(st.sampled_from([0, 1, 31, 400, 1_500])))
    levels = st.sampled_from(["basic", "silver", "gold", "diamond"])
    steps = tuple((day, draw(levels)) for day in climb if day <= last_said)
    return Story(lives, [s for said in facts for s in said], steps, last_day)


def in_core_order(said: list[Data], ending: list[Data]) -> list[Saying]:
    """Each recorded on its own day, and never before what it builds on; how a policy ended, after all else."""
    at, told = start_of(FIRST - timedelta(90)), []
    for data in [*sorted(said, key=day_of), *ending]:
        if ending and data is ending[0]:
            at += timedelta(1)  # a refund of the day of a cancellation would be undone with it
        at = max(at + timedelta(seconds=1), start_of(day_of(data)) + timedelta(hours=10))
        told.append(Saying(at, data))
    return told


def day_of(data: Any) -> date:
    if isinstance(data, core.PolicyIssued):
        return data.start - timedelta(30)
    for name in ("renewed_on", "paid_on", "refunded_on", "reported_on", "effective", "on"):
        if (day := getattr(data, name, None)) is not None:
            return day  # type: ignore[no-any-return]
    raise AssertionError(data)
