"""What a member's tier grants for a claim: fast track, no on-site survey for a small one, an adviser (DESIGN 5.4).

Decided by dates: the tier on the day the claim was reported, and cover of the claim's own policy on the day of the loss. Of at
most (以下) includes the ceiling: CNY 5,000.00 is small, 5,000.01 is not. A claim without an amount yet is not small yet. Told
once, and again only if the entitlement changed while the claim is open.
"""

from collections.abc import Iterator
from datetime import date
from typing import Final

import msgspec
from tenure.contracts.benefit import ClaimAdvised
from tenure.contracts.policy import ClaimChanged
from tenure.contracts.programme import Programme
from tenure.contracts.programme.benefits import Benefit
from tenure.contracts.programme.order import rule_on
from tenure.contracts.tier import NO_TIER, tier_on

from benefits.rules.plan import is_entitled
from benefits.state import Advice, KnownClaim, State

YOUNG: Final = frozenset({"reported", "registered"})
OPEN: Final = YOUNG | {"surveyed", "assessed", "reopened"}
replace = msgspec.structs.replace


class Reason(msgspec.Struct, frozen=True):
    code: str
    zh: str
    en: str


class Entitlements(msgspec.Struct, frozen=True, kw_only=True):
    """The answer an agent reads out while the phone rings. `tier` is the member's on `tier_as_of`, the day of the report."""

    claim_no: str
    member_id: str
    tier: str
    tier_as_of: date
    in_force_on_loss_date: bool
    amount_fen: int
    fast_track: bool
    on_site_survey_waived: bool
    photo_assessment: bool
    claims_adviser: bool
    reasons: tuple[Reason, ...]


def entitlements(state: State, claim: KnownClaim, programme: Programme) -> Entitlements:
    """What this claim is entitled to, with the reasons."""
    tier = tier_on(state.tiers, claim.reported_on)
    covered = _covered(state, claim)
    held = [
        b
        for b in programme.benefits.at(claim.reported_on).benefits
        if is_entitled(b, tier, programme, claim.reported_on)
    ]
    fast_track = covered and any(b.entitlement == "fast_track" for b in held)
    waived = covered and any(_waives(b, claim.amount_fen) for b in held)
    adviser = covered and any(b.kind == "adviser" for b in held)
    return Entitlements(
        claim_no=claim.claim_no,
        member_id=state.member_id,
        tier=tier,
        tier_as_of=claim.reported_on,
        in_force_on_loss_date=covered,
        amount_fen=claim.amount_fen,
        fast_track=fast_track,
        on_site_survey_waived=waived,
        photo_assessment=waived,
        claims_adviser=adviser,
        reasons=tuple(_reasons(claim, tier, programme, covered=covered)),
    )


def take_claim(state: State, changed: ClaimChanged, *, backfill: bool) -> State:
    """The state with what the event says of its claim. An older word about a claim does not replace a newer one.

    A claim of imported history is live with its member (`going_on`), or from the first word that is none, if it is open then.
    What is another's is dropped; under a number that was given up, once who remains has heard of it. What came from another is
    advised anew: who was told of it is not who has it now.
    """
    known = state.claims.get(changed.claim_no)
    if changed.handed_over == "from":
        rest = {no: claim for no, claim in state.claims.items() if no != changed.claim_no}
        if state.merged_into is not None:
            rest[changed.claim_no] = replace(_claim(changed, live=False), is_gone=True)
        return replace(state, claims=rest) if rest != state.claims else state
    is_new = known is None and not changed.handed_over
    live = not backfill and changed.status in (YOUNG if is_new else OPEN)
    if known is None:
        claim = _claim(changed, live=live)
    else:
        newest = _claim(changed, live=live) if changed.effective >= known.as_of else known
        reported_on = changed.reported_on or min(known.reported_on, changed.effective)
        advised = None if changed.handed_over else known.advised
        claim = replace(newest, reported_on=reported_on, live=known.live or live, advised=advised)
    return state if claim == known else replace(state, claims={**state.claims, claim.claim_no: claim})


def going_on(state: State) -> State:
    """The state with its open claims live, those of imported history, too; the same object if they are."""
    if state.merged_into is not None:
        return state
    found = {
        no: replace(c, live=True) for no, c in state.claims.items() if c.status in OPEN and not (c.live or c.is_gone)
    }
    return replace(state, claims={**state.claims, **found}) if found else state


def advise(state: State, programme: Programme) -> tuple[State, tuple[ClaimAdvised, ...]]:
    """Tell what the open claims are entitled to, where that was not told yet or is no longer true."""
    claims, told = dict(state.claims), list[ClaimAdvised]()
    for claim in state.claims.values():
        if claim.live and claim.status in OPEN:
            found = entitlements(state, claim, programme)
            advice = Advice(
                tier=found.tier, fast_track=found.fast_track, on_site_survey_waived=found.on_site_survey_waived
            )
            if _is_news(claim, advice):
                claims[claim.claim_no] = replace(claim, advised=advice)
                told.append(_advised(state.member_id, claim, advice))
    return (replace(state, claims=claims) if told else state), tuple(told)


def _claim(changed: ClaimChanged, *, live: bool) -> KnownClaim:
    return KnownClaim(
        claim_no=changed.claim_no,
        policy_no=changed.policy_no,
        product_line=changed.product_line,
        loss_date=changed.loss_date,
        reported_on=changed.reported_on or changed.effective,
        as_of=changed.effective,
        status=changed.status,
        amount_fen=changed.amount_fen,
        live=live,
        came=changed.handed_over is not None,
    )


def _is_news(claim: KnownClaim, advice: Advice) -> bool:
    """Something to say for the first time, or something said before that is no longer so. Another tier alone is no news."""
    if claim.advised is None:
        return advice.fast_track or advice.on_site_survey_waived
    said = claim.advised
    return (said.fast_track, said.on_site_survey_waived) != (advice.fast_track, advice.on_site_survey_waived)


def _advised(member_id: str, claim: KnownClaim, advice: Advice) -> ClaimAdvised:
    return ClaimAdvised(
        member_id=member_id,
        claim_no=claim.claim_no,
        tier=advice.tier,
        fast_track=advice.fast_track,
        on_site_survey_waived=advice.on_site_survey_waived,
        effective=claim.as_of,
        handed_over=claim.came and claim.advised is None,
    )


def _covered(state: State, claim: KnownClaim) -> bool:
    terms = (term for term in state.terms.values() if term.policy_no == claim.policy_no)
    return any(start <= claim.loss_date < end for term in terms for start, end in term.covers)


def _waives(benefit: Benefit, amount_fen: int) -> bool:
    return benefit.amount_max_fen is not None and 0 < amount_fen <= benefit.amount_max_fen


def _reasons(claim: KnownClaim, tier: str, programme: Programme, *, covered: bool) -> Iterator[Reason]:
    rules = programme.benefits.at(claim.reported_on)
    if not covered:
        yield Reason(
            "not_in_force",
            f"出险日 {claim.loss_date} 该保单不在保障期内，不享受会员理赔权益。",
            f"The policy was not in force on the loss date {claim.loss_date}, so no member's claim benefits apply.",
        )
        return
    rule = rule_on(programme.tiers, tier, claim.reported_on)
    if rule is None or tier == NO_TIER:
        yield Reason(
            "no_tier",
            f"报案日 {claim.reported_on} 尚无会员等级。",
            f"The member had no tier on the day of the report, {claim.reported_on}.",
        )
        return
    for benefit in rules.benefits:
        if benefit.kind in ("claim_entitlement", "adviser"):
            yield _reason(benefit, claim, rule.label_zh, rule.label_en, programme, tier)


def _reason(benefit: Benefit, claim: KnownClaim, zh: str, en: str, programme: Programme, tier: str) -> Reason:
    """Why this benefit applies to this claim, or why not."""
    if not is_entitled(benefit, tier, programme, claim.reported_on):
        needed = rule_on(programme.tiers, benefit.from_tier, claim.reported_on)
        needed_zh, needed_en = (needed.label_zh, needed.label_en) if needed else (benefit.from_tier, benefit.from_tier)
        return Reason(
            f"{benefit.code}:tier_too_low",
            f"{benefit.label_zh}：需{needed_zh}及以上等级，报案日为{zh}。",
            f"{benefit.label_en}: needs {needed_en} or higher; the member was {en} on the day of the report.",
        )
    if benefit.amount_max_fen is None:
        return Reason(
            benefit.code, f"{benefit.label_zh}：{zh}会员享有。", f"{benefit.label_en}: granted to {en} members."
        )
    return _reason_of_amount(benefit, claim.amount_fen)


def _reason_of_amount(benefit: Benefit, amount_fen: int) -> Reason:
    ceiling = yuan(benefit.amount_max_fen or 0)
    if amount_fen == 0:
        return Reason(
            f"{benefit.code}:amount_unknown",
            f"{benefit.label_zh}：案件尚无估损金额，金额在 {ceiling} 元以下（含）时适用。",
            f"{benefit.label_en}: the claim has no amount yet; it applies up to and including CNY {ceiling}.",
        )
    if not _waives(benefit, amount_fen):
        return Reason(
            f"{benefit.code}:amount_too_high",
            f"{benefit.label_zh}：金额 {yuan(amount_fen)} 元超过 {ceiling} 元，需现场查勘。",
            f"{benefit.label_en}: CNY {yuan(amount_fen)} is over CNY {ceiling}, so a surveyor comes.",
        )
    return Reason(
        benefit.code,
        f"{benefit.label_zh}：金额 {yuan(amount_fen)} 元，在 {ceiling} 元以下（含），照片定损即可。",
        f"{benefit.label_en}: CNY {yuan(amount_fen)} is at most CNY {ceiling}; photographs suffice.",
    )


def yuan(fen: int) -> str:
    """Fen as yuan with thousands separators: 500000 is 5,000.00."""
    return f"{fen // 100:,}.{fen % 100:02}"
