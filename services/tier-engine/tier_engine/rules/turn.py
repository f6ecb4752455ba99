"""What one event does to a member: the whole life lived anew, and what differs of it told (DESIGN 5.2).

The invariants: the state after a set of facts and days does not depend on their order; the newest `timeline` told is the one
the state holds; a change of the past is told once, as one `retroactive` change; a risk is told when it begins, and when it is over
with the tier still there, progress. Time alone tells changes of tier and risks; progress only then, a month before a policy
ends and when it did, and on the day of new rules by which something else is missing or other cover counts.
"""

from datetime import date
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from tenure.calendar import DAY
from tenure.contracts.decision import Decision
from tenure.contracts.event import Event
from tenure.contracts.programme import Programme
from tenure.contracts.tier import TierChanged, TierProgressed, tier_on

from tier_engine.rules.days import Growth, InsuredTerm, Measures, Profile
from tier_engine.rules.member import Member, give_back, hand_over, latest, same_insured
from tier_engine.rules.tell import change, changes_told, never_held, warning
from tier_engine.rules.timeline import Life, Risk, live, shares_that_count
from tier_engine.rules.why import nearest

NOTHING: Final = Measures(0, 0, False)


class Decided(msgspec.Struct, frozen=True):
    """A change as it was told, for the record: which event made us say it, and the day the member had lived to then."""

    cause: str
    cause_type: str
    backfill: bool
    change: TierChanged
    told_on: date


class Turn:
    """What one event does to a member."""

    def __init__(self, event: Event, programme: Programme) -> None:
        self.event, self.versions = event, programme.tiers
        self.digest = programme.tiers.digest

    def relive(
        self, member: Member, terms: tuple[InsuredTerm, ...], growth: Growth, *, lived_to: date | None = None
    ) -> Decision[Any]:
        """The member with these terms and this growth, having lived to the event's day (or further), and the differences."""
        day = latest(member.lived_to, lived_to, self.event.day) or self.event.day
        if member.merged_into is not None:
            return Decision(state=self._kept_for_another(member, terms, growth, day))
        moved = growth != member.growth or not same_insured(member.terms, terms)
        if not moved and member.judged_by == self.digest and (member.due_on is None or day < member.due_on):
            return Decision(state=_noted(member, terms, day))
        life = live(terms, growth, self.versions)
        timeline, risk = life.until(day), life.risk_at(day)
        of_history = self.event.backfill and (member.of_history or member.lived_to is None)
        after = replace(
            member,
            terms=terms,
            growth=growth,
            lived_to=day,
            timeline=timeline,
            warned=risk,
            due_on=_due_on(member, life, day, of_history=of_history),
            judged_by=self.digest,
            of_history=of_history,
        )
        changes = tuple(changes_told(member, after, life))
        warnings = (warning(after, risk, life),) if risk is not None and _is_news(risk, member.warned, changes) else ()
        progress = self._progress(member, after, life) if moved else ()
        if not progress and (
            _is_eased(member, after) or (not changes and self._comes_under_other_rules(member, after, life))
        ):
            progress = (self.measured(after, life),)
        return Decision(state=after, emit=(*changes, *warnings, *progress), rows=self._on_record(changes, day))

    def merge(self, into: Member, old: Member) -> Decision[Any]:
        """`into` takes over all that `old` holds; `old` ends as if it had never been a member. A ring closes, and ends, where
        `into` is among those that were merged into `old`, however far down: what it had brought is with it again.
        """
        if any(into.member_id in brought.holders for brought in old.brought):
            into = replace(into, merged_into=into.goes_to or None, goes_to=None)
        whole = hand_over(old, into)
        taken = self.relive(replace(into, brought=whole.brought), whole.terms, whole.growth, lived_to=old.lived_to)
        day = latest(old.lived_to, self.event.day)
        gone = Member(
            member_id=old.member_id,
            lived_to=day,
            due_on=day if old.goes_to is not None else None,
            merged_into=into.member_id,
            judged_by=self.digest,
            brought=old.brought,
            ties_no=old.ties_no,
            goes_to=old.goes_to,
            by=old.by,
        )
        farewell = (never_held(gone, old.timeline, self.versions),) if old.timeline else ()
        return Decision(
            state=(taken.state, old if gone == old else gone),
            emit=(*farewell, *taken.emit),
            rows=(*self._on_record(farewell, gone.lived_to or self.event.day), *taken.rows),
        )

    def unmerge(self, survivor: Member, old: Member) -> Decision[Any]:
        """Both go on with what is theirs; the old id's history is told anew as one change, not step by step."""
        left, back = give_back(survivor, old)
        rest = self.relive(replace(survivor, brought=left.brought), left.terms, left.growth)
        again = self.relive(replace(old, merged_into=None), back.terms, back.growth)
        told = tuple(e for e in again.emit if not isinstance(e, TierChanged))
        after: Member = again.state
        whole = (self._whole(after),) if after.timeline else ()
        return Decision(
            state=(rest.state, after),
            emit=(*rest.emit, *whole, *told),
            rows=(*rest.rows, *self._on_record(whole, after.lived_to or self.event.day)),
        )

    def _whole(self, member: Member) -> TierChanged:
        life = live(member.terms, member.growth, self.versions)
        return change(member, life, member.timeline[0].effective, was=())

    def _kept_for_another(self, member: Member, terms: tuple[InsuredTerm, ...], growth: Growth, day: date) -> Member:
        """Facts that still come under an old id wait one turn of the due work, which hands them over."""
        after = replace(member, terms=terms, growth=growth, lived_to=day, judged_by=self.digest)
        after = replace(after, due_on=day if after.has_its_turn else None)
        return member if after == member else after

    def _progress(self, before: Member, after: Member, life: Life) -> tuple[TierProgressed, ...]:
        """Told if the fact moved what counts on the day lived to, which time alone would not have."""
        assert after.lived_to is not None
        measures = life.segment_at(after.lived_to).profile.at(after.lived_to)
        return () if measures == self._measures_before(before, after.lived_to) else (self.measured(after, life),)

    def _comes_under_other_rules(self, before: Member, after: Member, life: Life) -> bool:
        """Whether a version came into force since, by which something else is missing to the next tier, or other cover counts."""
        if before.lived_to is None or not before.timeline or not after.timeline or after.lived_to is None:
            return False
        was, now, day = self.versions.at(before.lived_to), self.versions.at(after.lived_to), after.lived_to
        if was is now:
            return False
        tier, by_then = tier_on(after.timeline, day), Profile(shares_that_count(after.terms), after.growth, was).at(day)
        by_now = life.segment_at(day).profile.at(day)
        asked_then, asked_now = nearest(was, tier, by_then, day), nearest(now, tier, by_now, day)
        return (asked_then, by_then.covered) != (asked_now, by_now.covered)

    def measured(self, after: Member, life: Life) -> TierProgressed:
        """How far the member is on the day lived to."""
        assert after.lived_to is not None
        day = after.lived_to
        segment = life.segment_at(day)
        measures = segment.profile.at(day)
        tier = tier_on(after.timeline, day)
        return TierProgressed(
            member_id=after.member_id,
            tier=tier,
            effective=day,
            insured_days=measures.insured_days,
            annual_premium_fen=measures.annual_premium_fen,
            nearest=nearest(segment.ladder.rules, tier, measures, day),
            covered=measures.covered,
            confirmed=segment.ladder.qualified(measures.insured_days, measures.annual_premium_fen)
            >= segment.ladder.rank(tier),
        )

    def _measures_before(self, before: Member, day: date) -> Measures:
        if not before.holds_anything:
            return NOTHING
        return Profile(shares_that_count(before.terms), before.growth, self.versions.at(day)).at(day)

    def _on_record(self, changes: tuple[TierChanged, ...], day: date) -> tuple[Decided, ...]:
        event = self.event
        return tuple(Decided(f"{event.source} {event.id}", event.type, event.backfill, c, day) for c in changes)


def _due_on(member: Member, life: Life, day: date, *, of_history: bool) -> date | None:
    """An old id has its turn at once; history alone begins to live on the next day that comes, whatever it is."""
    if member.goes_to is not None:
        return day
    return day + DAY if of_history else life.next_due(day)


def _is_news(risk: Risk, told: Risk | None, changes: tuple[TierChanged, ...]) -> bool:
    """A risk that was told is forgotten by whoever hears of another tier in between."""
    return risk != told or any(changed.to_tier != risk.tier for changed in changes)


def _is_eased(before: Member, after: Member) -> bool:
    """Whether a risk that was told is over and the tier is still there: whoever shows it has to hear of that."""
    risk = before.warned
    return risk is not None and after.warned is None and after.timeline != () and after.timeline[-1].tier == risk.tier


def _noted(member: Member, terms: tuple[InsuredTerm, ...], day: date) -> Member:
    """Nothing that counts moved: at most a version, or the day lived to."""
    if terms is member.terms and day == member.lived_to:
        return member
    return replace(member, terms=terms, lived_to=day)
