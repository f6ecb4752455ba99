"""Random lives of two customers in which things are corrected: what was told when, and what either asked for or did in between."""

from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Final, NamedTuple

from hypothesis import assume
from hypothesis import strategies as st
from msgspec.structs import replace
from tenure.contracts import core
from tenure.contracts.event import Data

from .deeds import Deed, deeds
from .lives import MEMBER, Saying, days, in_core_order, of_term, refund, terms
from .second_reading import Life, Steps, TermTold
from .test_second_reading_of_spending import Wish, wishes

OTHER: Final = "M-2"
TWELFTHS: Final = st.sampled_from([1, 5, 12, 12])
orders = st.tuples(
    st.builds(Wish, st.just("place"), st.just(0), TWELFTHS),
    st.builds(Wish, st.sampled_from(["capture", "capture", "release"]), st.just(0), TWELFTHS),
    st.builds(Wish, st.just("refund"), st.just(0), TWELFTHS),
    wishes | deeds,
)


class Corrected(NamedTuple):
    """What was told when; who bought what; and on which day the second customer turned out to be the first, if ever."""

    facts: list[Saying]
    tiers: Steps
    asked: list[tuple[date, str, Wish | Deed]]
    merged_on: date | None
    last_day: date


@st.composite
def corrected(draw: st.DrawFn) -> Corrected:
    facts = [saying for no in range(1, draw(st.integers(1, 3)) + 1) for saying in draw(policy_told(no))]
    facts.sort(key=lambda s: s.at)
    first = facts[0].at.date()
    last_day = facts[-1].at.date() + timedelta(draw(st.sampled_from([1, 400, 1_100])))
    climb = sorted(draw(st.lists(days, max_size=3, unique=True)))
    steps = tuple((day, draw(st.sampled_from(["basic", "silver", "gold", "diamond"]))) for day in climb)
    merged_on = draw(st.none() | st.dates(first, last_day))
    asked = draw(st.lists(visits(first, last_day), min_size=1, max_size=8))
    by_day = sorted((one for visit in asked for one in visit), key=lambda one: one[0])
    return Corrected(facts, steps, by_day, merged_on, last_day)


@st.composite
def visits(draw: st.DrawFn, first: date, last_day: date) -> list[tuple[date, str, Wish | Deed]]:
    """What one customer asks for or does within some days."""
    day, name = draw(st.dates(first, last_day)), draw(st.sampled_from([MEMBER, MEMBER, OTHER]))
    gap = timedelta(draw(st.sampled_from([0, 1, 6, 40])))
    done = draw(orders | st.lists(wishes | deeds, min_size=1, max_size=5))
    return [(min(day + n * gap, last_day), name, one) for n, one in enumerate(done)]


@st.composite
def policy_told(draw: st.DrawFn, no: int) -> list[Saying]:
    """A policy with what befell it, every second one of the other customer's."""
    life = Life(f"P-{no}", draw(terms(False)))
    assume(all(one.sold_on <= then.sold_on for one, then in pairwise(life.terms)))
    for t in life.terms:
        draw(refunded(t))
    undone, ending = draw(undone_endings(life)), draw(endings(life))
    assume(
        not any(isinstance(fact, core.PremiumRefunded) and fact in ending for fact in undone)
    )  # one refund, told again
    facts = [fact for t in life.terms for fact in of_term(life.policy_no, t)]
    if draw(st.booleans()):
        facts += draw(losses(life))
    if no % 2 == 0:
        facts = [replace(fact, member_id=OTHER) if isinstance(fact, core.PolicyIssued) else fact for fact in facts]
    return in_core_order(facts, [*undone, *ending])


@st.composite
def refunded(draw: st.DrawFn, t: TermTold) -> None:
    """Up to two refunds once everything was paid."""
    t.refunds = []
    paid = sum(fen for _, fen in t.payments)
    day = max((day for day, _ in t.payments), default=t.start)
    for _ in range(draw(st.integers(0, 2))):
        day += timedelta(draw(st.integers(1, 200)))
        refund(t, day, draw(st.sampled_from([paid // 3, paid // 7 + 1, paid, 2 * paid])))


@st.composite
def endings(draw: st.DrawFn, life: Life) -> list[Data]:
    """How the last term ended, told after all else: in its midst, with a refund, or as if it never was."""
    last = life.terms[-1]
    about: dict[str, Any] = {"policy_no": life.policy_no, "term_no": last.no}
    how, span = (
        draw(st.sampled_from(["expired", "mid_term", "mid_term", "flat", "cooling_off", "rescinded"])),
        last.end - last.start,
    )
    if how == "expired":
        return []
    if how == "rescinded":
        return [core.PolicyRescinded(policy_no=life.policy_no, effective=life.terms[0].start, reason="x")]
    if how != "mid_term" or span.days < 2:
        return [core.PolicyCancelled(**about, effective=last.start, kind="flat" if how == "mid_term" else how)]
    day = last.start + timedelta(draw(st.integers(1, span.days - 1)))
    for name in ("payments", "increases", "decreases", "refunds"):
        setattr(last, name, [one for one in getattr(last, name) if one[0] < day])
    told: list[Data] = [core.PolicyCancelled(**about, effective=day, kind="mid_term")]
    fen = sum(fen for _, fen in last.payments) // draw(st.sampled_from([1, 2, 3]))
    if fen:
        told.append(core.PremiumRefunded(**about, amount_fen=fen, refunded_on=day))
    return told


@st.composite
def undone_endings(draw: st.DrawFn, life: Life) -> list[Data]:
    """The last term was cancelled, and perhaps refunded, by mistake; that is taken back some time later."""
    last = life.terms[-1]
    about: dict[str, Any] = {"policy_no": life.policy_no, "term_no": last.no}
    dated = [day for what in (last.payments, last.increases, last.decreases) for day, _ in what]
    first, kind = max([last.start, *dated]) + timedelta(1), draw(st.sampled_from(["mid_term", "flat", "cooling_off"]))
    if first >= last.end or draw(st.booleans()):
        return []
    day = draw(st.dates(first, last.end - timedelta(1)))
    told: list[Data] = [core.PolicyCancelled(**about, effective=day, kind=kind)]
    fen = sum(fen for _, fen in last.payments) // draw(st.sampled_from([1, 2, 3]))
    if fen and draw(st.booleans()):
        told.append(core.PremiumRefunded(**about, amount_fen=fen, refunded_on=day))
    again = day + timedelta(draw(st.sampled_from([0, 5, 100, 900])))
    return [*told, core.CancellationReversed(**about, effective=again)]


@st.composite
def losses(draw: st.DrawFn, life: Life) -> list[Data]:
    """A loss that is reported at once, or when its year was rewarded long ago, and paid."""
    t = draw(st.sampled_from(life.terms))
    loss = t.start + timedelta(draw(st.integers(0, max(0, (t.last - t.start).days - 1))))
    about: dict[str, Any] = {"policy_no": life.policy_no, "claim_no": f"C-{life.policy_no}"}
    day = loss + timedelta(draw(st.sampled_from([0, 5, 400, 800])))
    return [
        core.ClaimReported(**about, loss_date=loss, reported_on=day, estimate_fen=500_00),
        core.ClaimPaid(**about, on=day + timedelta(20), amount_fen=300_00),
    ]
