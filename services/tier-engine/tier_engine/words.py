"""Reasons as sentences an agent can read aloud, in Chinese and English.

The invariant: a sentence says nothing that is not in the structure it is made from.
"""

from datetime import date

import msgspec
from tenure.calendar import DAYS_PER_YEAR
from tenure.contracts.programme import TierRules
from tenure.contracts.tier import NO_TIER, Condition, Step


class Words(msgspec.Struct, frozen=True):
    """One thing said in both languages."""

    zh: str
    en: str


NO_TIER_WORDS = Words("无等级", "No tier")


def label(rules: TierRules, tier: str) -> Words:
    """A tier's name as these rules call it."""
    if tier == NO_TIER:
        return NO_TIER_WORDS
    rule = rules.rule(tier)
    return Words(rule.label_zh, rule.label_en) if rule else Words(tier, tier)


def money(fen: int) -> str:
    return f"{fen // 100:,}.{fen % 100:02d}"


def day_zh(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"


def met(condition: Condition) -> Words:
    """A condition that holds."""
    zh_bound, en_bound = ("超过", "more than") if condition.operator == ">" else ("至少", "at least")
    if condition.measure == "annual_premium_fen":
        actual, threshold = money(condition.actual), money(condition.threshold)
        return Words(
            f"年度保费 {actual} 元（要求{zh_bound} {threshold} 元）",
            f"an annual premium of CNY {actual} ({en_bound} CNY {threshold} needed)",
        )
    return Words(
        f"投保年限满 {condition.actual} 年（要求{zh_bound} {condition.threshold} 年）",
        f"{_count(condition.actual, 'insured year')} ({en_bound} {condition.threshold} needed)",
    )


def missing(condition: Condition | None, rules: TierRules) -> Words:
    """What the next tier still needs."""
    if condition is None:
        return Words("已是最高等级。", "This is the highest tier.")
    tier = label(rules, condition.tier)
    if condition.measure == "annual_premium_fen":
        more = money(condition.missing)
        return Words(
            f"年度保费再增加 {more} 元即可成为{tier.zh}会员。", f"{tier.en} needs CNY {more} more annual premium."
        )
    zh, en = f"再投保 {condition.missing} 天", f"{tier.en} needs {_count(condition.missing, 'more insured day')}"
    if condition.expected_on is None:
        return Words(f"{zh}即可成为{tier.zh}会员。", f"{en}.")
    return Words(
        f"{zh}即可成为{tier.zh}会员，保障不间断则在{day_zh(condition.expected_on)}达到。",
        f"{en}: reached on {condition.expected_on} if cover goes on.",
    )


def changed(step: Step, came_from: str, reasons: tuple[Condition, ...], rules: TierRules) -> Words:
    """Why the tier became what it is on the step's day."""
    tier = label(rules, step.tier)
    since_zh, since_en = f"自{day_zh(step.effective)}起为{tier.zh}会员", f"{tier.en} since {step.effective}"
    if step.cause == "soft_landing":
        lost = label(rules, came_from)
        return Words(
            f"自{day_zh(step.effective)}起由{lost.zh}降为{tier.zh}：保护期已满，其间未再满足{lost.zh}的任何条件。",
            f"{since_en}, one level down: the protection of {lost.en} ended, and none of its conditions held again.",
        )
    if not reasons:
        return Words(f"{since_zh}：首个保障日。", f"{since_en}: the first day with cover.")
    said = [met(r) for r in reasons]
    return Words(f"{since_zh}：{'，且'.join(w.zh for w in said)}。", f"{since_en}: {' and '.join(w.en for w in said)}.")


def at_risk(drops_on: date, to_tier: str, rules: TierRules) -> Words:
    """What happens if no condition holds again in time."""
    tier = label(rules, to_tier)
    return Words(
        f"如不再满足条件，将于{day_zh(drops_on)}降为{tier.zh}。",
        f"It becomes {tier.en} on {drops_on} unless a condition holds again.",
    )


def progress(insured_days: int, annual_premium_fen: int) -> Words:
    years, days = divmod(insured_days, DAYS_PER_YEAR)
    return Words(
        f"累计投保 {years} 年 {days} 天，年度保费 {money(annual_premium_fen)} 元。",
        f"Insured for {_count(years, 'year')} and {_count(days, 'day')}; annual premium CNY {money(annual_premium_fen)}.",
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
