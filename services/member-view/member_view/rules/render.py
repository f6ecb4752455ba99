"""A member's row as JSON, written once when it changes so that a read is one value from one row.

`as_of` is the newest day any event told of; what is in force, open or expiring is meant on that day.
"""

from collections.abc import Collection
from datetime import date, datetime
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import asdict
from tenure.contracts.programme.tiers import is_eligible
from tenure.contracts.tier import NO_TIER

from member_view.rules.view import Claim, Grant, Order, Purse, Term, View

AGENT: Final = "agent"
WALLETS: Final = ("points", "growth", AGENT)
EXPIRING_SHOWN_MAX: Final = 12
_encode: Final = msgspec.json.Encoder().encode


class Shown(Struct, frozen=True, kw_only=True):
    """The answer of /me and /members/{id}/status."""

    member_id: str
    as_of: date
    summary_zh: str
    summary_en: str
    tier: dict[str, Any]
    progress: dict[str, Any] | None
    points: dict[str, Any]
    expiring: list[dict[str, Any]]
    benefits: list[dict[str, Any]]
    claims: list[dict[str, Any]]
    policies: list[dict[str, Any]]
    next_expiry: date | None
    orders: list[dict[str, Any]]
    enrolled_on: date | None
    updated_at: datetime | None


class Now(NamedTuple):
    """What of a view counts on its day."""

    policies: list[Term]
    claims: list[Claim]
    covered: bool
    lapsed: bool


def now(view: View) -> Now:
    """A member keeps the tier for a time without cover. Only a policy that the tier's rules count is cover, as tier-engine has it;
    but cover bought already counts: what may be used on a day benefits says.
    """
    policies = in_force(view)
    covered = any(_counts(term, view.standing.lines) for term in policies)
    return Now(policies, open_claims(view), covered, view.standing.tier != NO_TIER and not covered)


def _counts(term: Term, lines: Collection[str] | None) -> bool:
    return is_eligible(term.product_line, natural_person=term.natural_person, lines=lines)


def render(view: View, today: Now | None = None) -> bytes | None:
    """The JSON, or None for who is erased or lives on under another id. `today`: what `now` says of it, if that was asked."""
    if view.erased or view.merged_into is not None:
        return None
    today = today or now(view)
    policies, claims, _, lapsed = today
    return _encode(
        Shown(
            member_id=view.member_id,
            as_of=view.lived_to,
            summary_zh=_summary_zh(view, today),
            summary_en=_summary_en(view, today),
            tier=_tier(view, lapsed=lapsed),
            progress=_progress(view),
            points={w: _purse(view.purses.get(w, Purse())) for w in WALLETS if w == "points" or w in view.purses},
            expiring=_expiring(view),
            benefits=[_benefit(view, g) for g in view.grants.values()],
            claims=[_claim(view, c) for c in claims],
            policies=[_policy(t) for t in policies],
            next_expiry=min((t.end for t in policies if t.start <= view.lived_to), default=None),
            orders=[_order(o) for o in reversed(list(view.orders.values()))],
            enrolled_on=view.enrolled_on,
            updated_at=view.updated_at,
        )
    )


def in_force(view: View) -> list[Term]:
    """Terms with cover on or after the view's day, those that begin later included."""
    return [t for t in view.terms.values() if t.status != "void" and any(end > view.lived_to for _, end in t.covers)]


def open_claims(view: View) -> list[Claim]:
    return [c for c in view.claims.values() if c.is_open]


def _tier(view: View, *, lapsed: bool) -> dict[str, Any]:
    s = view.standing
    return {
        "code": s.tier,
        "label_zh": s.label.zh,
        "label_en": s.label.en,
        "since": s.since,
        "lapsed": lapsed,
        "drops_to": s.drops_to,
        "drops_on": s.drops_on,
        "insured_days": s.insured_days,
        "annual_premium_fen": s.annual_premium_fen,
        "measured_on": s.measured_on,
    }


def _progress(view: View) -> dict[str, Any] | None:
    nearest, label = view.standing.nearest, view.standing.nearest_label
    if nearest is None:
        return None
    return {**asdict(nearest), "label_zh": label.zh, "label_en": label.en}


def _purse(purse: Purse) -> dict[str, int]:
    return {"available": purse.available, "pending": purse.pending, "held": purse.held, "debt": purse.debt}


def _expiring(view: View) -> list[dict[str, Any]]:
    """What was announced, and not more than is there: what was spent meanwhile does not expire."""
    left = {wallet: purse.available for wallet, purse in view.purses.items()}
    shown = []
    for e in view.expiring[:EXPIRING_SHOWN_MAX]:
        amount = min(e.amount, max(0, left.get(e.wallet, 0)))
        left[e.wallet] = left.get(e.wallet, 0) - amount
        if amount:
            shown.append({"wallet": e.wallet, "expires_on": e.expires_on, "points": amount})
    return shown


def _benefit(view: View, grant: Grant) -> dict[str, Any]:
    shown = {
        "grant_id": grant.grant_id,
        "benefit": grant.benefit,
        "label_zh": grant.label.zh,
        "label_en": grant.label.en,
        "quota": grant.quota,
        "remaining": grant.remaining,
        "period_start": grant.period_start,
        "period_end": grant.period_end,
    }
    if grant.request_id is not None:
        answer = view.answers.get(grant.request_id)
        shown["endorsement_no"] = answer.endorsement_no if answer else None
        shown["extension"] = "requested" if answer is None else "confirmed" if answer.endorsement_no else "rejected"
    return shown


def _claim(view: View, claim: Claim) -> dict[str, Any]:
    advice = view.advice.get(claim.claim_no)
    return {
        "claim_no": claim.claim_no,
        "policy_no": claim.policy_no,
        "status": claim.status,
        "amount_fen": claim.amount_fen,
        "since": claim.effective,
        "fast_track": bool(advice and advice.fast_track),
        "on_site_survey_waived": bool(advice and advice.on_site_survey_waived),
    }


def _policy(term: Term) -> dict[str, Any]:
    return {
        "policy_no": term.policy_no,
        "term_no": term.term_no,
        "product_line": term.product_line,
        "start": term.start,
        "end": term.end,
        "status": term.status,
    }


def _order(order: Order) -> dict[str, Any]:
    return {name: value for name, value in asdict(order).items() if name != "via"}


def _summary_en(view: View, today: Now) -> str:
    s, purse = view.standing, view.purses.get("points", Purse())
    tier = f"{s.label.en} since {s.since}" if s.tier != NO_TIER else "No tier yet"
    parts = [tier + (" (no cover now)" if today.lapsed else ""), _counted(purse.available, "point")]
    if purse.debt:
        parts.append(f"{purse.debt:,} owed, repaid first")
    if AGENT in view.purses:
        parts.append(_counted(view.purses[AGENT].available, "agent point"))
    for claim in today.claims:
        shown = _claim(view, claim)
        told = "no on-site survey needed" if shown["on_site_survey_waived"] else claim.status
        parts.append(f"open claim {claim.claim_no}: {told}" + (", fast track" if shown["fast_track"] else ""))
    return "; ".join(parts)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _summary_zh(view: View, today: Now) -> str:
    s, purse = view.standing, view.purses.get("points", Purse())
    tier = f"{s.label.zh}会员（自 {s.since} 起）" if s.tier != NO_TIER else "暂无等级"
    parts = [tier + ("，目前无在保保单" if today.lapsed else ""), f"{purse.available:,} 积分"]
    if purse.debt:
        parts.append(f"欠 {purse.debt:,} 积分，须先抵扣")
    if AGENT in view.purses:
        parts.append(f"{view.purses[AGENT].available:,} 代理人积分")
    for claim in today.claims:
        shown = _claim(view, claim)
        told = "无需现场查勘" if shown["on_site_survey_waived"] else "处理中"
        parts.append(f"未结理赔 {claim.claim_no}：{told}" + ("，绿色通道" if shown["fast_track"] else ""))
    return "；".join(parts)
