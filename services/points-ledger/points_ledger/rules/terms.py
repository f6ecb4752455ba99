"""What the ledger learns of policy terms: payments, refunds, and whether a term still stands.

The invariant: the memory of a term is the same whatever the order of its events: the highest version says how it stands, payments
and refunds add up by their own numbers. After every change, what the policy earned is settled anew.
"""

from datetime import date, datetime, timedelta

from msgspec.structs import replace
from tenure.contracts.policy import (
    CancellationReversed,
    NoClaimYearRevoked,
    PolicyAnniversaryRevoked,
    PolicyCancelled,
    PolicyEndorsed,
    PolicyRescinded,
    PremiumPaid,
    PremiumRefunded,
    Term,
    TermEvent,
)
from tenure.contracts.programme.triggers import Trigger
from tenure.contracts.tier import NO_TIER, TierChanged

from points_ledger.rules import added_cover
from points_ledger.rules.book import Book
from points_ledger.rules.caps import rated_anew
from points_ledger.rules.chains import behind, voids_first_term
from points_ledger.rules.earning import is_of
from points_ledger.rules.memory import Memory
from points_ledger.rules.reversal import revoke, settle_where
from points_ledger.rules.standing import freeze, rescission
from points_ledger.rules.term_memory import NUMBERED, TermMemory

FEN_PER_CNY = 100
TERM_KEPT_DAYS = 2 * 366
"""How long after its end a term that stands whole is remembered; its lots are for ever."""


def learn(book: Book, data: TermEvent) -> None:
    """Take in what an event says of its term, and settle what the policy earned if the term is not whole, or was not."""
    term, before = data.term, book.memory
    key = term.id
    known = before.terms.get(key)
    if known is None and book.lots:
        known = _recalled(book, term)
    now = _with(_standing(known, term), data, book.event.time)
    if isinstance(data, PolicyEndorsed) and data.premium_delta_fen:
        now = _endorsed(book, now, data)
    rescinded = before.rescinded | {term.policy_no} if isinstance(data, PolicyRescinded) else before.rescinded
    if now == known and rescinded == before.rescinded:
        return
    terms = _kept(before.terms, book.lived_to) if before.terms else {}
    terms[key] = now
    book.remember(replace(before, terms=terms, rescinded=rescinded))
    if rescinded != before.rescinded:
        freeze(book, rescission(term.policy_no), actor="insurer core")
    is_whole = now.is_whole and (known is None or known.is_whole) and rescinded == before.rescinded
    if not is_whole or now.continues is not None:
        _settle_behind(book, before, term.policy_no, min(data.effective, book.day))


def _settle_behind(book: Book, before: Memory, policy_no: str, on: date) -> None:
    """Settle what a policy earned, and those that it continues: what they gave back may be taken up in it."""
    for no in behind(book.memory.terms, policy_no):
        settle_where(book, on, policy_no=no)
        _tell_referrer(book, before, no)


def _standing(known: TermMemory | None, term: Term) -> TermMemory:
    """The term as its highest version says."""
    if known is not None and known.version > term.version:
        return known
    now = TermMemory(
        version=term.version,
        start=term.start,
        written_end=term.written_end,
        person=term.natural_person,
        premium_fen=term.premium_fen,
        void=term.status == "void",
        ended=term.end if term.status == "cancelled" else None,
        refunded_known_fen=term.refunded_fen,
        continues=term.previous_policy_no if term.previous_policy_no != term.policy_no else None,
    )
    return now if known is None else replace(now, **{name: getattr(known, name) for name in NUMBERED})


def _with(term: TermMemory, data: TermEvent, at: datetime) -> TermMemory:
    """What the event itself adds: payments by instalment; refunds, cancellations and their reversals by version."""
    version = data.term.version
    match data:
        case PremiumPaid():
            return replace(term, paid={**term.paid, data.instalment_no: data.amount_fen})
        case PremiumRefunded():
            return replace(
                term,
                refunds={**term.refunds, version: data.amount_fen},
                refunded_at={**term.refunded_at, version: at},
            )
        case PolicyCancelled():
            return replace(term, cancelled_at={**term.cancelled_at, version: at})
        case CancellationReversed():
            return replace(term, stood_again_at={**term.stood_again_at, version: at})
    return term


def _endorsed(book: Book, term: TermMemory, data: PolicyEndorsed) -> TermMemory:
    """With one more endorsement; what was added before such were remembered is read from the lots it earned, in whole yuan."""
    no = data.endorsement_no
    earned = {**_added_as_earned(book, data.term.id), **term.endorsed}
    return replace(term, endorsed={**earned, no: (data.effective, data.premium_delta_fen)})


def _added_as_earned(book: Book, term_id: str) -> dict[str, tuple[date, int]]:
    found: dict[str, tuple[date, int]] = {}
    for lot in book.lots.values():
        rule = book.programme.earning.at(lot.earned_on).find(lot.rule)
        if lot.fact.startswith(key := added_cover.key_of(term_id, "")) and rule is not None and rule.per_cny:
            fen = (lot.base - rule.fixed) // rule.per_cny * FEN_PER_CNY
            found[lot.fact.removeprefix(key)] = (lot.earned_on, fen)
    return found


def _recalled(book: Book, term: Term) -> TermMemory | None:
    """A term forgotten long after its end: what was paid for it is read from the lots that the payments earned, in whole yuan."""
    paid: dict[int, int] = {}
    for lot in book.lots.values():
        term_id, _, number = lot.fact.partition("#")
        if term_id == term.id and number.isdecimal() and lot.wallet == "points":
            rule = book.programme.earning.at(lot.earned_on).find(lot.rule)
            if rule is not None and rule.per_cny:
                paid[int(number)] = (lot.base - rule.fixed) // rule.per_cny * FEN_PER_CNY
    return replace(_standing(None, term), version=0, paid=paid) if paid else None


def _kept(terms: dict[str, TermMemory], day: date) -> dict[str, TermMemory]:
    oldest = day - timedelta(TERM_KEPT_DAYS)
    return {
        key: term
        for key, term in terms.items()
        if term.written_end >= oldest or not term.is_whole or term.continues is not None
    }


def _tell_referrer(book: Book, before: Memory, policy_no: str) -> None:
    """A referee's policy that turns out void (or not void after all) is news for the referrer's account."""
    referrer = book.memory.referred_by.get(policy_no)
    if referrer is None:
        return
    gap_days_max = book.rules.renewal_gap_days_max
    void = voids_first_term(book.memory, policy_no, gap_days_max)
    if void != voids_first_term(before, policy_no, gap_days_max):
        book.leave_news(referrer, policy_no, void=void)


def on_anniversary_revoked(book: Book, revoked: PolicyAnniversaryRevoked) -> None:
    """The year was not insured to its end after all."""
    _revoke_year(book, "policy.anniversary", revoked.policy_no, revoked.years, revoked.effective)


def on_no_claim_year_revoked(book: Book, revoked: NoClaimYearRevoked) -> None:
    """A loss of that year came to light."""
    _revoke_year(book, "no_claim_year.completed", revoked.policy_no, revoked.policy_year, revoked.effective)


def _revoke_year(book: Book, trigger: Trigger, policy_no: str, year: int, on: date) -> None:
    """The reward of a policy year goes, points and growth, by whichever rule gave it then, whichever day the year ended on."""
    key = f"{policy_no}@{year}"
    earned = {(t.rule, t.wallet, t.fact): t.earned_on for t in book.lots.values() if is_of(t.fact, key)}
    for (code, wallet, fact), day in earned.items():
        rule = book.programme.earning.at(day).find(code)
        if rule is not None and rule.trigger == trigger:
            revoke(book, book.group(code, wallet, fact), on)


def on_tier_changed(book: Book, changed: TierChanged) -> None:
    """The member's tiers over time, whole; what was granted under another tier is rated again."""
    tiers = tuple((step.effective, "" if step.tier == NO_TIER else step.tier) for step in changed.timeline)
    if tiers != book.memory.tiers:
        book.remember(replace(book.memory, tiers=tiers))
        rated_anew(book)
        settle_where(book, book.day)
