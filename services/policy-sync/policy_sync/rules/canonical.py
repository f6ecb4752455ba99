"""Raw facts made canonical: what one fact tells about each term and claim it touched, to each member concerned.

The invariant: an event carries the whole term after the change, as far as it is that member's. What changed nothing tells nothing.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from msgspec.structs import replace
from tenure.contracts import core, policy
from tenure.contracts.event import Data

from policy_sync.rules.claims import Claim
from policy_sync.rules.facts import Fact
from policy_sync.rules.fold import Policy
from policy_sync.rules.terms import TermState

Copies = dict[tuple[int, str], policy.Term]
NOBODY: Final[Mapping[int, Collection[str]]] = MappingProxyType({})


def copy_of(whole: Policy, term: TermState, member_id: str) -> policy.Term:
    """A term as one member sees it; whoever never held the policy sees no cover in it."""
    holder = next((h for h in whole.holders if h.member_id == member_id), whole.holders[0])
    return policy.Term(
        policy_no=whole.policy_no,
        term_no=term.term_no,
        member_id=member_id,
        product_line=whole.product_line,
        start=term.start,
        end=term.end,
        written_end=term.written_end,
        premium_fen=term.earned_fen,
        status=term.status,
        version=whole.version,
        covers=whole.held_by(member_id, term.covers),
        cooling_off_end=term.cooling_off_end,
        natural_person=holder.natural_person,
        inception=whole.inception,
        previous_policy_no=whole.previous_policy_no,
        agent_id=whole.agent_id,
        region=whole.region,
        refunded_fen=term.refunded_fen,
    )


def told(fact: Fact, before: Policy | None, after: Policy) -> tuple[Data, ...]:
    """The canonical events of one fact that began to count."""
    if isinstance(fact.data, core.ClaimFact):
        return tuple(_claims_changed(before, after))
    return (*_terms_told(fact, before, after), *_claims_changed(before, after))


def _terms_told(fact: Fact, before: Policy | None, after: Policy) -> tuple[Data, ...]:
    data = fact.data
    match data:
        case core.PolicyIssued():
            issued = policy.PolicyIssued(effective=data.start, **_of_holder(after, data.term_no, data.start))
            return (issued, *_held_by_others(issued, before, after), *_renewed_anew(before, after))
        case core.PolicyRenewed():
            renewed = _renewed(after, data.term_no)
            return (renewed, *_held_by_others(renewed, before, after), *_renewed_anew(before, after))
        case core.PremiumPaid():
            paid = policy.PremiumPaid(
                effective=data.paid_on,
                amount_fen=data.amount_fen,
                instalment_no=data.instalment_no,
                payer_id=data.payer_id,
                **_of_holder(after, data.term_no, data.paid_on),
            )
            return (paid,)
        case core.PolicyHolderChanged():
            return tuple(_holder_changed(fact, before, after))
        case _:
            changed = _changed(fact, before, after)
            return (*changed, *_renewed_anew(before, after))


def _of_holder(whole: Policy, term_no: int, day: date) -> dict[str, Any]:
    """The member and copy for whoever held the term on a day, or on its nearest day."""
    member = _holder_of(whole, term_no, day)
    return {"member_id": member, "term": copy_of(whole, whole.term(term_no), member)}


def _holder_of(whole: Policy, term_no: int, day: date) -> str:
    term = whole.term(term_no)
    last = max(term.end, term.written_end) - date.resolution
    return whole.holder_on(min(max(day, term.start), last)).member_id


def _renewed(whole: Policy, term_no: int) -> policy.PolicyRenewed:
    term = whole.term(term_no)
    previous_end = _end_before(whole, term)
    return policy.PolicyRenewed(
        effective=term.start,
        renewed_on=term.renewed_on,
        gap_days=(term.start - previous_end).days,
        days_early=(previous_end - term.renewed_on).days,
        written_premium_fen=term.written_premium_fen,
        **_of_holder(whole, term.term_no, term.start),
    )


def _end_before(whole: Policy, term: TermState) -> date:
    """Where the cover before a renewal ended; a void term's ended as it began. A renewal of what is not known here has no gap."""
    earlier = [t for t in whole.terms if t.start < term.start]
    return max((t.end for t in earlier if t.covers), default=max((t.start for t in earlier), default=term.start))


def _renewed_anew(before: Policy | None, after: Policy) -> Iterator[Data]:
    """What comes late may move the end before a renewal: a term, its cancellation, a new end. The renewal is told as it is now.

    One that was void heard nothing of that: when it stands again it is told anew.
    """
    for term in before.terms if before else ():
        if term.is_renewal and before:
            now = after.term(term.term_no)
            if now.covers and (not term.covers or _end_before(after, now) != _end_before(before, term)):
                yield _renewed(after, term.term_no)


def _changed(fact: Fact, before: Policy | None, after: Policy) -> Iterator[Data]:
    """One event for each copy that is other than before: the fact's own term first.

    Money and endorsements always count; so does a rescission, also of terms that were void: accounts are frozen by it.
    """
    own = getattr(fact.data, "term_no", None)
    always = isinstance(fact.data, (core.PremiumRefunded, core.PolicyEndorsed, core.PolicyRescinded))
    for part in sorted(parts(before, after), key=lambda part: part.copy.term_no != own):
        is_own = own in (None, part.copy.term_no)
        if part.is_held and (part.is_other or (always and is_own)):
            yield _event(fact.data, part.copy, is_own=is_own, after=after)
        elif part.is_other:
            yield _handed_over(before, after, part)


_PLAIN: Final[Mapping[type, type[policy.TermEvent]]] = MappingProxyType(
    {
        core.CancellationReversed: policy.CancellationReversed,
        core.PolicyLapsed: policy.PolicyLapsed,
        core.PolicyReinstated: policy.PolicyReinstated,
        core.PolicyRescinded: policy.PolicyRescinded,
    }
)


def _event(data: Any, copy: policy.Term, *, is_own: bool, after: Policy) -> Data:
    about: dict[str, Any] = {"member_id": copy.member_id, "term": copy}
    match data:
        case core.PremiumRefunded(amount_fen=amount, refunded_on=day):
            return policy.PremiumRefunded(**about, effective=day, amount_fen=amount)
        case core.PolicyEndorsed(effective=day, endorsement_no=no, premium_delta_fen=delta):
            # All who hold the term hear how it stands now; the difference is that of who held it then.
            theirs = _holder_of(after, copy.term_no, day) == copy.member_id
            return policy.PolicyEndorsed(
                **about, effective=day, endorsement_no=no, premium_delta_fen=delta if theirs else 0
            )
        case core.PolicyCancelled(effective=day, kind=kind):
            # A later term that fell with this one had not begun: its whole premium is due back.
            fell = not is_own and copy.status == "void"
            return policy.PolicyCancelled(**about, effective=day, kind="flat" if fell else kind)
        case _:
            return _PLAIN[type(data)](**about, effective=data.effective)


class Part(NamedTuple):
    """What one member has of one term, and what it was; `is_held`: they hold the policy at some time of it."""

    copy: policy.Term
    was: policy.Term | None
    is_held: bool

    @property
    def is_other(self) -> bool:
        """Whoever no longer holds any of it hears only that its cover is not theirs."""
        return replace(self.copy, version=0) != self.was if self.is_held else self.is_other_cover

    @property
    def is_other_cover(self) -> bool:
        return self.copy.covers != (self.was.covers if self.was else ())


def parts(before: Policy | None, after: Policy, others: Mapping[int, Collection[str]] = NOBODY) -> Iterator[Part]:
    """Of each term, in order, the parts of all who hold it or did before, and of `others`."""
    earlier = _copies(before) if before else {}
    for term in after.terms:
        holding = after.members_of(term)
        before_it = (m for no, m in earlier if no == term.term_no)
        for member in dict.fromkeys([*before_it, *holding, *sorted(others.get(term.term_no, ()))]):
            yield Part(copy_of(after, term, member), earlier.get((term.term_no, member)), member in holding)


def _held_by_others(opened: policy.TermEvent, before: Policy | None, after: Policy) -> Iterator[Data]:
    """A term becomes known: also to who takes it over later, and to whom it makes another's holder."""
    for part in parts(before, after):
        is_told = (part.copy.id, part.copy.member_id) == (opened.term.id, opened.member_id)
        if part.is_other_cover and not is_told:
            yield _handed_over(before, after, part)


def _handed_over(before: Policy | None, after: Policy, part: Part) -> policy.PolicyHolderChanged:
    """From the first day that is, or was, this member's: by whom it was held so far, else on the day before."""
    covers = part.copy.covers or (part.was.covers if part.was else ())
    day = covers[0][0]
    new, held = after.holder_on(day).member_id, (before or after).holder_on(day).member_id
    former = held if held != new else after.holder_on(day - date.resolution).member_id
    return policy.PolicyHolderChanged(
        member_id=part.copy.member_id, term=part.copy, effective=day, former_member_id=former, new_member_id=new
    )


def _holder_changed(fact: Fact, before: Policy | None, after: Policy) -> Iterator[Data]:
    """To the former and the new holder, each with their own part of every term that changed hands."""
    day = fact.data.effective
    for part in parts(before, after):
        if part.is_other:
            yield policy.PolicyHolderChanged(
                member_id=part.copy.member_id,
                term=part.copy,
                effective=day,
                former_member_id=after.holder_on(day - date.resolution).member_id,
                new_member_id=after.holder_on(day).member_id,
            )


def _copies(whole: Policy) -> Copies:
    return {
        (term.term_no, member): replace(copy_of(whole, term, member), version=0)
        for term in whole.terms
        for member in whole.members_of(term)
    }


def _claims_changed(before: Policy | None, after: Policy) -> Iterator[Data]:
    """What happened to each claim, to its member; one that is another's now, to both."""
    earlier = {c.claim_no: claim_changed(before, c) for c in before.claims} if before else {}
    for claim in after.claims:
        now, was = claim_changed(after, claim), earlier.get(claim.claim_no)
        if was is not None and was.member_id != now.member_id:
            yield replace(was, handed_over="from")
            is_news = replace(now, member_id=was.member_id) != was
            yield now if is_news else replace(now, handed_over="to")
        elif now != was:
            yield now


def claim_changed(whole: Policy, claim: Claim) -> policy.ClaimChanged:
    """A claim as its member hears of it: whoever held the policy on the day of the loss."""
    return policy.ClaimChanged(
        member_id=whole.holder_on(claim.loss_date).member_id,
        claim_no=claim.claim_no,
        policy_no=whole.policy_no,
        product_line=whole.product_line,
        loss_date=claim.loss_date,
        status=claim.status,
        amount_fen=claim.amount_fen,
        effective=claim.effective,
        reported_on=claim.reported_on,
    )
