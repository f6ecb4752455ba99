"""What a fact is worth today: its base by the multipliers, less what its term has lost.

Rounding is fixed here: the amount is floored once, after all multipliers; of a refund the points taken back are floored, so the
member keeps the fraction.
"""

from typing import Final

from tenure.contracts.programme.earning import EarningRules, Rule
from tenure.contracts.programme.triggers import Trigger

from points_ledger.rules.account import Lot
from points_ledger.rules.added_cover import added_by
from points_ledger.rules.book import Book
from points_ledger.rules.chains import given_back, not_taken_up
from points_ledger.rules.term_memory import TermMemory

PERCENT = 100
PERCENT_CUBED = PERCENT**3


def worth(book: Book, lot: Lot) -> int:
    """Points (or growth) this lot's fact is worth by everything known so far."""
    if lot.revoked or lot.policy_no in book.memory.rescinded:
        return 0
    rules = book.programme.earning.at(lot.earned_on)
    rule = rules.find(lot.rule)
    amount = lot.base * _tier_percent(book, lot, rules, rule) * lot.line_percent * lot.campaign_percent // PERCENT_CUBED
    if lot.extra_max is not None or lot.amount_max is not None:
        amount = _capped(book, lot, amount)
    term = book.memory.term_of(lot.policy_no, lot.term_no, lot.earned_on) if lot.policy_no else None
    return amount if term is None or term.is_whole else _left_of(book, amount, lot, term)


def _capped(book: Book, lot: Lot, amount: int) -> int:
    """What the caps left is fixed on the lot: a tier heard of later finds what they have left by then (`caps.rated_anew`)."""
    if lot.extra_max is not None:
        amount = min(amount, without_campaign(book, lot) + lot.extra_max)
    return amount if lot.amount_max is None else min(amount, lot.amount_max)


def without_campaign(book: Book, lot: Lot) -> int:
    """What the fact would earn without its campaign."""
    return lot.base * tier_percent(book, lot) * lot.line_percent // PERCENT**2


PAID_FOR: Final[frozenset[Trigger]] = frozenset({"premium.paid", "policy.renewed"})
"""Facts of the term as a whole: bought for all its days, whichever day they are dated. Their share goes with the money."""


TAKEN_UP: Final[frozenset[Trigger]] = frozenset({"policy.renewed", "policy.endorsed"})
"""Facts that a policy which continues another does not earn by again, as it does by its premium: their points go on with it."""


def _left_of(book: Book, amount: int, lot: Lot, term: TermMemory) -> int:
    """A void term never was; a refund takes its share of what premium earned; cover that was taken away, its own.

    What is dated after an early end never came: a completed year, cover that was added. An instalment paid after the end (the
    cancellation was recorded later) did come, and is refunded: its points go by what of the premium is given back, like all others.
    """
    rules = book.programme.earning.at(lot.earned_on)
    rule = rules.find(lot.rule)
    if term.ended is not None and lot.earned_on > term.ended and (rule is None or rule.trigger not in PAID_FOR):
        return 0
    added, settled_fen = added_by(lot.fact, f"{lot.policy_no}/{lot.term_no}", term), 0
    if added is not None:
        # What was given back with the cover that was taken away is none of what stands.
        amount, settled_fen = amount - amount * added.gone_fen // added.fen, term.reduced_fen
    if (rule is None or rule.refund == "keep") and not term.void:
        return amount
    lost = given_back(term, settled_fen)
    if rule is not None and rule.trigger in TAKEN_UP and lot.policy_no is not None:
        lost *= not_taken_up(book.memory.terms, lot.policy_no, term, rules.renewal_gap_days_max)
    return amount - amount * lost.numerator // lost.denominator


def tier_percent(book: Book, lot: Lot) -> int:
    """The multiplier of the tier on the fact's own date, where the rule has one; otherwise what the lot was granted with."""
    return tier_of(book, lot)[1]


def tier_of(book: Book, lot: Lot) -> tuple[str, int]:
    """That multiplier with the tier (or rank) it is of."""
    rules = book.programme.earning.at(lot.earned_on)
    rule = rules.find(lot.rule)
    percent = _tier_percent(book, lot, rules, rule)
    by_tier = rule is not None and rule.tier_multiplier and lot.wallet != "growth"
    return (book.memory.tier_on(lot.earned_on), percent) if by_tier else (lot.status, percent)


def _tier_percent(book: Book, lot: Lot, rules: EarningRules, rule: Rule | None) -> int:
    if rule is None or not rule.tier_multiplier or lot.wallet == "growth":
        return lot.status_percent
    return rules.tier_percent.get(book.memory.tier_on(lot.earned_on), PERCENT)
