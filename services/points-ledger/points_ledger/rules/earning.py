"""What a fact is worth, and how it earns.

The invariant: `worth` is a pure function of a lot's own facts, the tier on its date, its term as it stands, and the rules of its
date. Whatever changes one of these only calls `settle` (`reversal`), which posts the difference; so it never matters whether the
tier, the payment or the cancellation was heard first.
"""

from collections.abc import Callable, Sequence
from datetime import date
from functools import partial

import msgspec
from msgspec.structs import replace
from tenure.contracts.points import Wallet
from tenure.contracts.policy import (
    NoClaimYearCompleted,
    PolicyAnniversary,
    PolicyEndorsed,
    PolicyRenewed,
    PremiumPaid,
    Term,
)
from tenure.contracts.programme import EarningRules
from tenure.contracts.programme.earning import Rule
from tenure.contracts.programme.triggers import Trigger

from points_ledger.rules import added_cover
from points_ledger.rules.account import FOREVER, Lot
from points_ledger.rules.book import Book
from points_ledger.rules.caps import claim, earned_again, under_caps
from points_ledger.rules.lots import expiry_of, grant
from points_ledger.rules.reversal import restate, revoke
from points_ledger.rules.standing import cut_on
from points_ledger.rules.term_memory import TermMemory
from points_ledger.rules.worth import worth

FEN_PER_CNY = 100
PERCENT = 100


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened and earns `base` points (and the rule's growth) before multipliers, once per `key`."""

    rule: Rule
    key: str
    on: date
    activates_on: date
    base: int
    policy_no: str | None = None
    term_no: int | None = None
    product_line: str = ""
    rank: str = ""
    remembered_until: date = FOREVER


def earn(book: Book, fact: Fact) -> None:
    """Grant what a fact is worth; one that earned before is settled again, so a duplicate changes nothing."""
    if fact.base > 0:
        _earn_into(book, fact, fact.rule.wallet, fact.base)
    if fact.rule.growth > 0:
        _earn_into(book, fact, "growth", fact.rule.growth)


def _earn_into(book: Book, fact: Fact, wallet: Wallet, base: int) -> None:
    groups = book.groups(fact.rule.code, wallet, fact.key) if book.lots else None
    if not groups:
        _grant_new(book, fact, wallet, base)
        return
    for group in [group for group in groups if not group[0].revoked] or groups[:1]:
        group[0] = earned_again(book, group[0])
        restate(book, group, fact.on)


def _grant_new(book: Book, fact: Fact, wallet: Wallet, base: int) -> None:
    lot = _lot(book, fact, wallet, base)
    amount = worth(book, lot)
    if book.memory.left_on is not None:
        lot = replace(lot, cut_on=cut_on(book, lot))
    grant(book, replace(lot, granted=amount, remaining=amount) if amount else lot)
    if lot.campaign and lot.extra_max == 0:
        claim(book, lot, book.programme.earning.at(fact.on).campaign_for(fact.rule, fact.on))


def _lot(book: Book, fact: Fact, wallet: Wallet, base: int) -> Lot:
    """The lot of a fact, with nothing in it yet, and every number that will explain it."""
    rules = book.programme.earning.at(fact.on)
    status, status_percent, line_percent = _PLAIN if wallet == "growth" else _multipliers(book, fact, rules)
    lot = Lot(
        no=book.next_lot_no(),
        wallet=wallet,
        rule=fact.rule.code,
        fact=fact.key,
        granted=0,
        remaining=0,
        earned_on=fact.on,
        activates_on=fact.activates_on,
        expires_on=expiry_of(wallet, fact.activates_on, rules.expiry_months),
        rules_version=rules.version,
        source_type=book.event.type,
        source_id=book.event.id,
        remembered_until=fact.remembered_until,
        base=base,
        policy_no=fact.policy_no,
        term_no=fact.term_no,
        status=status,
        status_percent=status_percent,
        line_percent=line_percent,
    )
    return lot if wallet == "growth" else under_caps(book, lot, rules, rules.campaign_for(fact.rule, fact.on))


_PLAIN = ("", PERCENT, PERCENT)


def _multipliers(book: Book, fact: Fact, rules: EarningRules) -> tuple[str, int, int]:
    """Points are multiplied by tier (or agent rank), product line and campaign, each in percent; growth never is."""
    line_percent = rules.product_line_percent.get(fact.product_line, PERCENT)
    if fact.rule.tier_multiplier:
        status = book.memory.tier_on(fact.on)
        return status, rules.tier_percent.get(status, PERCENT), line_percent
    return fact.rank, rules.rank_percent.get(fact.rank, PERCENT), line_percent


def rules_for(
    book: Book, trigger: Trigger, day: date, *, person: bool, product_line: str | None = None
) -> Sequence[Rule]:
    """The rules that may earn, by their windows and product lines: none in backfill, none for an organisation's term where the
    programme is for persons.
    """
    rules = book.programme.earning.at(day)
    if book.event.backfill or (rules.natural_persons_only and not person):
        return ()
    return [rule for rule in rules.on(trigger) if rule.applies_to(product_line, day)]


def _of_term(book: Book, trigger: Trigger, day: date, term: Term) -> Sequence[Rule]:
    return rules_for(book, trigger, day, person=term.natural_person, product_line=term.product_line)


def _earn_by_term(book: Book, rule: Rule, term: Term, *, key: str, on: date, base: int) -> None:
    waits_until = term.cooling_off_end if rule.pending == "cooling_off" else None
    earn(
        book,
        Fact(
            rule=rule,
            key=key,
            on=on,
            activates_on=max(on, waits_until) if waits_until is not None else on,
            base=base,
            policy_no=term.policy_no,
            term_no=term.term_no,
            product_line=term.product_line,
        ),
    )


def on_premium_paid(book: Book, paid: PremiumPaid) -> None:
    """1 point per full CNY of each payment. A payer who is not the member earns for the member."""
    for rule in _of_term(book, "premium.paid", paid.effective, paid.term):
        base = rule.fixed + paid.amount_fen // FEN_PER_CNY * rule.per_cny
        _earn_by_term(book, rule, paid.term, key=f"{paid.term.id}#{paid.instalment_no}", on=paid.effective, base=base)


def on_renewed(book: Book, renewed: PolicyRenewed) -> None:
    """Once a term, by its newest telling: a late fact may have opened the gap before it, or closed it."""
    on, term = renewed.renewed_on, renewed.term
    for rule in _of_term(book, "policy.renewed", on, term):
        base = _of_renewal(book, rule, renewed)
        key = _as_reckoned(book, rule, term.id, str(base), partial(_has_base, base), on)
        if base:
            _earn_by_term(book, rule, term, key=key, on=on, base=base)


def _of_renewal(book: Book, rule: Rule, renewed: PolicyRenewed) -> int:
    """A fixed amount, a share of what the new term's premium earns, and a bonus for renewing early; nothing after a long gap."""
    if rule.gap_days_max is not None and renewed.gap_days > rule.gap_days_max:
        return 0
    sold_fen = renewed.term.premium_fen if renewed.written_premium_fen is None else renewed.written_premium_fen
    base = rule.fixed + _share_of_premium(book, rule, sold_fen, renewed)
    early = rule.bonus is not None and renewed.days_early >= rule.bonus.days_early_min
    return base + rule.bonus.points if early and rule.bonus is not None else base


def _as_reckoned(book: Book, rule: Rule, key: str, now: str, holds: Callable[[Lot], bool], on: date) -> str:
    """The key under which a fact earns as it is reckoned now. What it earned by another reckoning goes: a lot is never edited."""
    earned = {lot.fact: holds(lot) for lot in book.lots.values() if lot.rule == rule.code and is_of(lot.fact, key)}
    for fact in (fact for fact, right in earned.items() if not right):
        for wallet in (rule.wallet, "growth"):
            revoke(book, book.group(rule.code, wallet, fact), on)
    same = next((fact for fact, right in earned.items() if right), None)
    return same or (f"{key}~{now}" if earned else key)


def _has_base(base: int, lot: Lot) -> bool:
    return lot.base == base


def is_of(fact: str, key: str) -> bool:
    """Whether a lot's fact is this one, by whichever reckoning."""
    return fact == key or fact.startswith(f"{key}~")


def _share_of_premium(book: Book, rule: Rule, sold_fen: int, renewed: PolicyRenewed) -> int:
    per_cny = sum(premium.per_cny for premium in _of_term(book, "premium.paid", renewed.renewed_on, renewed.term))
    return sold_fen // FEN_PER_CNY * per_cny * rule.premium_percent // PERCENT


def _year(book: Book, rule: Rule, year: str, on: date, term_no: int | None = None) -> str:
    """The key of a policy year. It ends on another day when the policy's first term turns out void: years count from the next."""
    now = f"{on}/{term_no or 0}"
    return _as_reckoned(book, rule, year, now, lambda lot: (lot.earned_on, lot.term_no) == (on, term_no), on)


def on_endorsed(book: Book, endorsed: PolicyEndorsed) -> None:
    """Points for what cover was added, as long as it is there: what was taken away is rewarded again when it is added again."""
    if endorsed.premium_delta_fen <= 0:
        return
    for rule in _of_term(book, "policy.endorsed", endorsed.effective, endorsed.term):
        base = rule.fixed + endorsed.premium_delta_fen // FEN_PER_CNY * rule.per_cny
        key = added_cover.key_of(endorsed.term.id, endorsed.endorsement_no)
        _earn_by_term(book, rule, endorsed.term, key=key, on=endorsed.effective, base=base)


def on_anniversary(book: Book, reached: PolicyAnniversary) -> None:
    """So many points a full year, up to a maximum; once a policy year."""
    term = book.memory.terms.get(f"{reached.policy_no}/{reached.term_no}")
    line = reached.product_line
    for rule in rules_for(book, "policy.anniversary", reached.effective, person=_is_person(term), product_line=line):
        base = rule.fixed + rule.per_year * reached.years
        earn(
            book,
            Fact(
                rule=rule,
                key=_year(book, rule, f"{reached.policy_no}@{reached.years}", reached.effective, reached.term_no),
                on=reached.effective,
                activates_on=reached.effective,
                base=base if rule.points_max is None else min(base, rule.points_max),
                policy_no=reached.policy_no,
                term_no=reached.term_no,
                product_line=reached.product_line,
            ),
        )


def on_no_claim_year(book: Book, completed: NoClaimYearCompleted) -> None:
    """Once a policy year; which claims break it is policy-sync's to say."""
    term = book.memory.term_of(completed.policy_no, None, completed.effective)
    on, line = completed.effective, completed.product_line
    for rule in rules_for(book, "no_claim_year.completed", on, person=_is_person(term), product_line=line):
        earn(
            book,
            Fact(
                rule=rule,
                key=_year(book, rule, f"{completed.policy_no}@{completed.policy_year}", completed.effective),
                on=completed.effective,
                activates_on=completed.effective,
                base=rule.fixed,
                policy_no=completed.policy_no,
                product_line=completed.product_line,
            ),
        )


def _is_person(term: TermMemory | None) -> bool:
    """A milestone of a term never seen here is taken for a person's: organisations' terms are announced first."""
    return term is None or term.person
