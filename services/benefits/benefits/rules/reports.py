"""The annual home-safety diagnosis (年度家庭安全诊断) on a home policy's anniversary, from what we know: region, claims, services.

One report for a policy and year, whatever number of times the anniversary is told. Imported history gets none.
"""

from datetime import date
from typing import Final

import msgspec
from tenure.calendar import add_years
from tenure.contracts.policy import PolicyAnniversary
from tenure.contracts.programme import Programme

from benefits.rules.homes import region_of
from benefits.state import State

CLAIM_YEARS: Final = 3
PRODUCT_LINE: Final = "home"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A service that is still free this period and would answer what the report found."""

    grant_id: str
    benefit: str
    remaining: int
    label_zh: str
    label_en: str


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """A report's body. `claims` are those with a loss in the three years before `made_on`, by status."""

    report_id: str
    policy_no: str
    product_line: str
    years: int
    made_on: date
    region: str | None
    season: str | None
    climate_zh: str
    climate_en: str
    claims: dict[str, int]
    claims_on_this_policy: int
    advice_zh: str
    advice_en: str
    checks: tuple[Check, ...]


def report_id(anniversary: PolicyAnniversary) -> str:
    return f"{anniversary.policy_no}.{anniversary.years}"


def policy_of(report: str) -> str:
    return report.rsplit(".", 1)[0]


def diagnose(state: State, anniversary: PolicyAnniversary, programme: Programme) -> Diagnosis:
    """The report of one anniversary."""
    day = anniversary.effective
    region = anniversary.region or region_of(state)
    season = programme.benefits.at(day).season_of(region)
    recent = [c for c in state.claims.values() if add_years(day, -CLAIM_YEARS) < c.loss_date <= day]
    by_status: dict[str, int] = {}
    for claim in recent:
        by_status[claim.status] = by_status.get(claim.status, 0) + 1
    checks = _checks(state, programme, day)
    zh, en = _advice(len(recent), checks)
    return Diagnosis(
        report_id=report_id(anniversary),
        policy_no=anniversary.policy_no,
        product_line=anniversary.product_line,
        years=anniversary.years,
        made_on=day,
        region=region,
        season=season.code if season else None,
        climate_zh=season.hint_zh if season else "",
        climate_en=season.hint_en if season else "",
        claims=by_status,
        claims_on_this_policy=sum(c.policy_no == anniversary.policy_no for c in recent),
        advice_zh=zh,
        advice_en=en,
        checks=checks,
    )


def _checks(state: State, programme: Programme, day: date) -> tuple[Check, ...]:
    rules = programme.benefits.at(day)
    found = []
    for grant in state.grants.values():
        benefit = rules.benefit(grant.benefit)
        if benefit and benefit.kind == "service" and grant.status == "active" and grant.remaining:
            found.append(
                Check(
                    grant_id=grant.id,
                    benefit=grant.benefit,
                    remaining=grant.remaining,
                    label_zh=benefit.label_zh,
                    label_en=benefit.label_en,
                )
            )
    return tuple(found)


def _advice(claims: int, checks: tuple[Check, ...]) -> tuple[str, str]:
    had_zh = f"近三年有 {claims} 起出险，建议针对出险原因排查隐患" if claims else "近三年无出险记录，请继续保持"
    had_en = (
        f"Claims in the last three years: {claims}; have their causes looked at"
        if claims
        else "No claim in the last three years; well kept"
    )
    if not checks:
        return f"{had_zh}。", f"{had_en}."
    zh = "、".join(c.label_zh for c in checks)
    en = ", ".join(c.label_en for c in checks)
    return f"{had_zh}；本会员年度仍可预约：{zh}。", f"{had_en}. Still free this membership year: {en}."
