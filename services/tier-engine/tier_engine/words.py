"""Reasons as sentences an agent can read aloud, in Chinese and English.

The invariant: a sentence says nothing that is not in the structure it is made from.
"""

from datetime import date

import msgspec
from tenure.calendar import DAY, DAYS_PER_YEAR
from tenure.contracts.programme import TierRules
from tenure.contracts.tier import NO_TIER, Condition, Step

from tier_engine.rules.evidence import Evidence

SAID_MAX = 3
"""So many policies or stretches of cover are said aloud, the newest; the structure beside the sentence has them all."""


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


def behind(evidence: Evidence) -> Words:
    """What a change rests on: the days with cover, and the premiums of the policies in force."""
    zh, en = _days_behind(evidence)
    in_force = [p for p in evidence.policies if p.in_force]
    if not in_force:
        return Words(f"{zh}当日没有有效保单。", f"{en} No policy was in force on that day.")
    said = in_force[-SAID_MAX:]
    policies_zh = "、".join(f"{p.policy_no} {money(p.annual_premium_fen)} 元" for p in said)
    policies_en = ", ".join(f"{p.policy_no} CNY {money(p.annual_premium_fen)}" for p in said)
    more_zh, more_en = _and_more(len(in_force))
    total = money(evidence.annual_premium_fen)
    all_zh, all_en = (f"，合计 {total} 元", f"; CNY {total} in all") if len(in_force) > 1 else ("", "")
    return Words(
        f"{zh}当日有效保单的年度保费：{policies_zh}{more_zh}{all_zh}。",
        f"{en} Premium a year of the policies in force on that day: {policies_en}{more_en}{all_en}.",
    )


def _days_behind(evidence: Evidence) -> tuple[str, str]:
    """One stretch is its own sum; of several, each with its days."""
    if not evidence.insured_days:
        return "此前没有保障日。", "No insured day lies before it."
    more_zh, more_en = _and_more(len(evidence.intervals))
    said, alone = evidence.intervals[-SAID_MAX:], len(evidence.intervals) == 1 and not evidence.growth_days
    zh = "、".join(f"{day_zh(i.start)}至{day_zh(i.end - DAY)}" + ("" if alone else f" {i.days} 天") for i in said)
    en = ", ".join(f"{i.start} to {i.end - DAY}" + ("" if alone else f" ({_count(i.days, 'day')})") for i in said)
    grown_zh = f"，另有成长值折算 {evidence.growth_days} 天" if evidence.growth_days else ""
    grown_en = f", and {_count(evidence.growth_days, 'day')} for growth points" if evidence.growth_days else ""
    return (
        f"此前累计投保 {evidence.insured_days} 天：{zh}{more_zh}{grown_zh}。",
        f"{_count(evidence.insured_days, 'insured day')} before it: {en}{more_en}{grown_en}.",
    )


def _and_more(number: int) -> tuple[str, str]:
    more = number - SAID_MAX
    return (f"等共 {number} 项", f" and {more} more") if more > 0 else ("", "")


def holds(tier: str, since: date | None, rules: TierRules, *, lapsed: bool) -> Words:
    """What the member is, in one sentence."""
    if tier == NO_TIER or since is None:
        return Words("目前还不是会员：尚无保障。", "Not a member yet: there has been no cover.")
    named = label(rules, tier)
    paused_zh = "目前没有有效保障，权益暂停使用，恢复投保后即可继续使用。" if lapsed else ""
    paused_en = " There is no cover now: benefits rest, and can be used again once there is." if lapsed else ""
    return Words(
        f"自{day_zh(since)}起为{named.zh}会员。{paused_zh}",
        f"{named.en} since {since}.{paused_en}",
    )


def goes_on(step: Step | None, rules: TierRules) -> Words:
    """The next tier, if every policy in force simply goes on."""
    if step is None:
        return Words("", "")
    tier = label(rules, step.tier)
    return Words(
        f"如现有保单都续保且保费不变，将于{day_zh(step.effective)}成为{tier.zh}会员。",
        f"If every policy in force goes on for its premium, {tier.en} comes on {step.effective}.",
    )


def told(tier: str, since: date | None, *, on: date, as_of: date, rules: TierRules) -> Words:
    """What was told by a day about a day."""
    named = label(rules, tier)
    if since is None:
        return Words(
            f"截至{day_zh(on)}，未告知{day_zh(as_of)}有任何等级。", f"By {on} no tier had been told for {as_of}."
        )
    return Words(
        f"截至{day_zh(on)}，告知的{day_zh(as_of)}等级为{named.zh}（自{day_zh(since)}起）。",
        f"By {on} we had told that the tier of {as_of} was {named.en}, since {since}.",
    )


def joined(*parts: Words) -> Words:
    """One after the other, as they are read aloud."""
    return Words("".join(p.zh for p in parts), " ".join(p.en for p in parts if p.en))


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
