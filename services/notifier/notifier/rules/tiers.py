"""Messages about the tier: one per real change.

The invariant: what is told last about the tier agrees with the tier the member was last left with. A change that is undone before
its message went out is never told, and several changes in that time are told as one, from where they began to where they ended. A
warning that is over before it went out is never told either.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Final

from msgspec.structs import replace
from tenure.calendar import start_of
from tenure.contracts.benefit import BenefitGranted, Granted
from tenure.contracts.decision import Decision
from tenure.contracts.event import Event
from tenure.contracts.programme import Programme
from tenure.contracts.programme.order import ranks_on
from tenure.contracts.tier import NO_TIER, TierChanged

from notifier.rules.asking import Draft, ask, both, member_of, superseded, suppress
from notifier.rules.member import (
    MOVES_MAX,
    UNSAID_MAX,
    Item,
    Member,
    Move,
    Pending,
    waiting_at,
    with_book,
    with_pending,
    without,
)
from notifier.rules.progress import measured

TEMPLATES: Final = frozenset({"tier_upgraded", "tier_dropped", "tier_ended"})
REVOKED: Final = "benefit_revoked"
AT_RISK: Final = "tier_at_risk"
NO_NEWS: Final = frozenset({"renewed", "quota_lowered"})
Decided = Decision[Member]


def is_about_tier(pending: Pending) -> bool:
    return pending.template in TEMPLATES


def is_of_own_tier(pending: Pending) -> bool:
    """Whether it is news of this number's tier alone: who it is merged into has another, and is told of that one."""
    return is_about_tier(pending) or pending.template == AT_RISK


def on_tier_changed(state: Member | None, event: Event, programme: Programme) -> Decided:
    """A warning about another tier than the member has by now is over."""
    averted = _averted(member_of(state, event), event, lambda warning: warning.params["tier"] != event.data.to_tier)
    return both(averted, _on_changed(averted.state, event, programme))


def _averted(member: Member, event: Event, is_over: Callable[[Pending], bool]) -> Decided:
    waiting = waiting_at(member, event.time, lambda p: p.template == AT_RISK and is_over(p))
    if waiting is None:
        return Decision(member)
    return suppress(without(member, waiting), [superseded(member, waiting, event.time)])


def _on_changed(member: Member, event: Event, programme: Programme) -> Decided:
    data = event.data
    waiting = waiting_at(member, event.time, is_about_tier)
    base = str(waiting.params["from_tier"]) if waiting else member.book.tier
    member = measured(member, data.nearest, event.time)
    member = with_book(member, tier=data.to_tier)
    went_on = member.book.merged and data.to_tier == NO_TIER  # to the person's other number
    drafts = () if went_on else _drafts(base, data, event, programme)
    if waiting is None or any(waiting.dedupe == f"{d.template}:{d.subject}" for d in drafts):
        return ask(member, event, programme, *drafts)
    unsaid = (*member.book.unsaid, *str(waiting.params["days"]).split(" "))[-UNSAID_MAX:]
    member = with_book(member, unsaid=tuple(dict.fromkeys(unsaid)))
    cancelled = suppress(without(member, waiting), [superseded(member, waiting, event.time)])
    return both(cancelled, ask(cancelled.state, event, programme, *drafts))


def _drafts(base: str, data: TierChanged, event: Event, programme: Programme) -> tuple[Draft, ...]:
    template = _template(base, data.to_tier, ranks_on(programme.tiers, event.day))
    if template is None:
        return ()
    newest = data.timeline[-1].effective if data.timeline else data.effective
    on = max(newest, data.effective)  # where a step is taken back, what is left is older
    days = sorted({on, data.effective, event.day})
    params = {
        "tier": data.to_tier,
        "from_tier": base,
        "on": on.isoformat(),
        "days": " ".join(day.isoformat() for day in days),
    }
    return (Draft(template, f"{data.to_tier}:{on.isoformat()}", params),)


def _template(base: str, tier: str, ranks: Mapping[str, int]) -> str | None:
    """A first, lowest tier is told by the welcome."""
    before, after = ranks.get(base, -1), ranks.get(tier, -1)
    if after > max(before, 0):
        return "tier_upgraded"
    if after < before:
        return "tier_ended" if tier == NO_TIER else "tier_dropped"
    return None


def on_tier_progressed(state: Member | None, event: Event, _: Programme) -> Decided:
    """A tier that is confirmed (renewed at night, before the morning's messages) is at risk no longer."""
    data = event.data
    averted = _averted(
        member_of(state, event), event, lambda warning: bool(data.confirmed) and warning.params["tier"] == data.tier
    )
    return both(averted, Decision(measured(averted.state, data.nearest, max(event.time, start_of(data.effective)))))


def on_tier_at_risk(state: Member | None, event: Event, programme: Programme) -> Decided:
    """Another risk takes the place of one that still waits to be told."""
    data = event.data
    params = {"tier": data.tier, "to_tier": data.to_tier, "drops_on": data.drops_on.isoformat()}
    draft = Draft(AT_RISK, f"{data.tier}:{data.drops_on.isoformat()}", params)
    averted = _averted(member_of(state, event), event, lambda warning: warning.subject != draft.subject)
    return both(averted, ask(averted.state, event, programme, draft))


def on_benefit_granted(state: Member | None, event: Event, _: Programme) -> Decided:
    """Told with the tier that unlocked it; the next period of a benefit the member had is no news."""
    return _granted(member_of(state, event), event, (event.data,))


def on_benefits_granted(state: Member | None, event: Event, _: Programme) -> Decided:
    return _granted(member_of(state, event), event, event.data.grants)


def _granted(member: Member, event: Event, grants: Sequence[BenefitGranted | Granted]) -> Decided:
    """A grant that is there again before anybody was told that it ended has not ended."""
    member = _moved(member, _news(event.data.effective, grants))
    restored = {g.grant_id for g in grants if g.change == "restored"}
    if not restored:
        return Decision(member)
    kept, over = list[Pending](), list[Pending]()
    for pending in member.book.pending:
        if pending.template != REVOKED or event.time >= pending.send_at:
            kept.append(pending)
        elif left := tuple(item for item in pending.items if item.id not in restored):
            kept.append(replace(pending, items=left))
        else:
            over.append(pending)
    return suppress(with_pending(member, kept), [superseded(member, pending, event.time) for pending in over])


def _news(effective: date, grants: Iterable[BenefitGranted | Granted]) -> list[Move]:
    return [Move(effective, g.tier, g.benefit, granted=True) for g in grants if g.change not in NO_NEWS]


def on_benefit_revoked(state: Member | None, event: Event, programme: Programme) -> Decided:
    """Told with the tier that was lost, or else by itself. What moved to another membership of the same person is not lost."""
    member, data = member_of(state, event), event.data
    if data.reason == "merged":
        return Decision(member)
    on = data.effective.isoformat()
    member = _moved(member, [Move(data.effective, "", data.benefit, granted=False)])
    corrected = data.reason == "corrected"
    subject, params = (f"{on}:corrected", {"on": on, "corrected": 1}) if corrected else (on, {"on": on})
    return ask(member, event, programme, Draft(REVOKED, subject, params, (Item(data.grant_id, data.benefit),)))


def _moved(member: Member, moves: Iterable[Move]) -> Member:
    known = member.book.moves
    new = [move for move in dict.fromkeys(moves) if move not in known]
    return with_book(member, moves=(*known, *new)[-MOVES_MAX:]) if new else member


def complete(pending: Pending, member: Member) -> Pending:
    """A message about the tier with the benefits that came or went with it, as far as they are known by now."""
    days = str(pending.params["days"]).split(" ")
    granted = pending.template == "tier_upgraded"
    moved = [m.benefit for m in member.book.moves if m.granted is granted and m.effective.isoformat() in days]
    items = tuple(Item(benefit, benefit) for benefit in dict.fromkeys(moved))
    return replace(pending, items=items)


def is_told_by_tier(pending: Pending, member: Member, told: Sequence[Pending]) -> bool:
    """Whether a revocation goes without saying: the message about the lost tier or membership says it, or it was never given as far
    as the member was told.
    """
    if pending.template != REVOKED:
        return False
    day = str(pending.params.get("on"))
    about_tier = [p for p in (*told, *member.book.pending) if p.template in TEMPLATES - {"tier_upgraded"}]
    said = any(p.template == "tier_ended" or day in str(p.params["days"]).split(" ") for p in about_tier)
    unsaid = "corrected" in pending.params and day in member.book.unsaid
    return said or unsaid or not still_lost(pending, member).items


def still_lost(pending: Pending, member: Member) -> Pending:
    """A revocation without what the member has again: where a correction only moved the day of a grant, nothing was lost."""
    if "corrected" not in pending.params:
        return pending
    on = str(pending.params["on"])
    return replace(pending, items=tuple(i for i in pending.items if not _is_held_again(i.code, on, member)))


def _is_held_again(benefit: str, on: str, member: Member) -> bool:
    others = [m for m in member.book.moves if m.benefit == benefit and m.effective.isoformat() != on]
    return bool(others) and max(others, key=lambda m: (m.effective, not m.granted)).granted
