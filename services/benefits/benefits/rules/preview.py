"""What a future tier would add to the benefits of a present one: the same entitlement as a real upgrade (`plan.is_entitled`)."""

from datetime import date

import msgspec
from tenure.contracts.programme import Programme
from tenure.contracts.programme.benefits import Benefit

from benefits.rules.plan import is_entitled, quota_at


class Unlocked(msgspec.Struct, frozen=True, kw_only=True):
    """A benefit that comes new (`quota_now` is then null too), or may be used more often than now. No quota = as needed."""

    benefit: str
    label_zh: str
    label_en: str
    category: str
    is_new: bool
    quota_now: int | None
    quota_then: int | None


def unlocked(tier_now: str, tier_then: str, programme: Programme, day: date) -> tuple[Unlocked, ...]:
    """What `tier_then` brings on `day` that `tier_now` does not."""
    found = []
    for benefit in programme.benefits.at(day).benefits:
        has = is_entitled(benefit, tier_now, programme, day)
        will = is_entitled(benefit, tier_then, programme, day)
        now = quota_at(benefit, tier_now, programme, day) if has else None
        then = quota_at(benefit, tier_then, programme, day)
        if will and (not has or (now is not None and (then is None or then > now))):
            found.append(_unlocked(benefit, is_new=not has, now=now, then=then))
    return tuple(found)


def _unlocked(benefit: Benefit, *, is_new: bool, now: int | None, then: int | None) -> Unlocked:
    return Unlocked(
        benefit=benefit.code,
        label_zh=benefit.label_zh,
        label_en=benefit.label_en,
        category=benefit.category,
        is_new=is_new,
        quota_now=now,
        quota_then=then,
    )
