"""A member's row for people: the summary an agent reads out first, then what stands behind it."""

from typing import Any, Final

from tenure_local.api import Api, ApiError
from tenure_local.console import out

NOT_IN_FORCE: Final = "none can be used before cover resumes 恢复保障前均不可使用"
FROZEN: Final = "frozen: none can be redeemed 账户已冻结，不可兑换"
SHOWN: Final = ("tier", "progress", "points", "expiring", "benefits", "claims", "policies", "orders")


def show(member: dict[str, Any], *, is_frozen: bool = False) -> None:
    for name in ("summary_zh", "summary_en"):
        out.print(member.get(name, ""), style="bold", markup=False)
    lines = [(part, line) for part in SHOWN for line in _LINES[part](member.get(part) or {})]
    if (member.get("tier") or {}).get("lapsed"):
        lines.insert(*_before("benefits", NOT_IN_FORCE, lines))
    if is_frozen:
        lines.insert(*_before("points", FROZEN, lines))
    enrolled = member.get("enrolled_on")
    lines.append(("as of", member["as_of"] + (f" (member since {enrolled})" if enrolled else "")))
    before = ""
    for part, line in lines:
        out.print(f"  {part if part != before else '':<10}{line}", markup=False)
        before = part


def _before(part: str, said: str, lines: list[tuple[str, str]]) -> tuple[int, tuple[str, str]]:
    """Where a part begins, what has to be known before any of it is promised."""
    at = next((i for i, (name, _) in enumerate(lines) if name == part), len(lines))
    return at, (part, said)


def why_not_shown(api: Api, member: str) -> str:
    """Who has no page was never heard of, erased, or goes by another number since a merger."""
    try:
        survivor = api.get("/v1/tiers/{}", member)["merged_into"]
    except ApiError:
        survivor = None
    if survivor is None:
        return f"no member {member} is known here"
    return f"{member} was given up for {survivor}: see `tenure status {survivor}`"


def _yuan(fen: int) -> str:
    return f"CNY {fen // 100:,}.{fen % 100:02d}"


def _tier(tier: dict[str, Any]) -> list[str]:
    if not tier or not tier["label_en"]:
        return ["none"]
    drops = f", drops to {tier['drops_to']} on {tier['drops_on']}" if tier.get("drops_on") else ""
    since = f" since {tier['since']}" if tier["since"] else ""  # who has no tier has it since no day
    return [f"{tier['label_en']} {tier['label_zh']}{since}{drops}"]


def _progress(step: dict[str, Any]) -> list[str]:
    if not step:
        return []
    by = f", expected on {step['expected_on']}" if step.get("expected_on") else ""
    actual, threshold = step["actual"], step["threshold"]
    if str(step["measure"]).endswith("_fen"):
        actual, threshold = _yuan(actual), _yuan(threshold)
    measure = str(step["measure"]).removesuffix("_fen").replace("_", " ")
    return [f"{step['label_en']} needs {measure} {step['operator']} {threshold}, now {actual}{by}"]


def _points(wallets: dict[str, Any]) -> list[str]:
    return [
        f"{wallet}: "
        + ", ".join(f"{count:,} {state}" for state, count in balance.items() if count or state == "available")
        for wallet, balance in wallets.items()
    ]


def _expiring(lots: list[dict[str, Any]]) -> list[str]:
    return [f"{lot['wallet']}: {lot['points']:,} at the start of {lot['expires_on']}" for lot in lots]


def _benefits(grants: list[dict[str, Any]]) -> list[str]:
    return [
        f"{g['label_en']} {g['label_zh']}"
        + (f": {g['remaining']} of {g['quota']} left" if g.get("quota") is not None else "")
        + (f", until {g['period_end']}" if g.get("period_end") else "")
        + _extension(g)
        for g in grants
    ]


def _extension(grant: dict[str, Any]) -> str:
    """Cover stands when the core has endorsed it, and not before."""
    match grant.get("extension"):
        case "confirmed":
            return f", cover endorsed: {grant['endorsement_no']}"
        case "requested":
            return ", no cover yet: asked of the core"
        case "rejected":
            return ", no cover: the core did not confirm it"
    return ""


def _claims(claims: list[dict[str, Any]]) -> list[str]:
    return [
        f"{c['claim_no']} {c['status']} since {c['since']}"
        + (f", {_yuan(c['amount_fen'])}" if c.get("amount_fen") or c["status"] == "paid" else "")
        + (", fast track" if c.get("fast_track") else "")
        + (", no on-site survey" if c.get("on_site_survey_waived") else "")
        for c in claims
    ]


def _policies(policies: list[dict[str, Any]]) -> list[str]:
    return [
        f"{p['policy_no']} term {p['term_no']}, {p['product_line']}, {p['start']} to {p['end']}, {p['status']}"
        for p in policies
    ]


def _orders(orders: list[dict[str, Any]]) -> list[str]:
    return [f"{o['quantity']} x {o['sku']}, {o['points']:,} points, {o['status']}" for o in orders]


_LINES: Final[dict[str, Any]] = {
    "tier": _tier,
    "progress": _progress,
    "points": _points,
    "expiring": _expiring,
    "benefits": _benefits,
    "claims": _claims,
    "policies": _policies,
    "orders": _orders,
}
