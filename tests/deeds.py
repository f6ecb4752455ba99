"""What befalls a member beside insurance and orders: a quiz, steps that are reported again, corrections by hand, a freeze and its end."""

from datetime import date, timedelta
from typing import Final, NamedTuple

from hypothesis import strategies as st
from points_ledger.commands import ApproveAdjustment, ProposeAdjustment, Purpose
from tenure.calendar import start_of
from tenure.contracts.activity import ActivityCompleted

from .both_rules import Both
from .corrected_purse import CorrectedPurse


class Deed(NamedTuple):
    """`size`: by hand, how many parts of 12 of what is there are more or less; of steps and referrals, how many days ago they were."""

    what: str
    size: int


deeds: Final = st.builds(
    Deed,
    st.sampled_from(["quiz", "quiz", "walk", "walk", "walked_less", "more", "less", "freeze", "unfreeze", "refer"]),
    st.sampled_from([0, 1, 5, 7, 8, 12, 13]),
)
ENOUGH, TOO_FEW = 12_000, 4_000
AT_ONCE_MAX: Final = 1_000


class Deeds:
    """Tells the ledger and a purse of each deed; both must take it, or neither."""

    def __init__(self, both: Both) -> None:
        self.both = both
        self._count = 0

    def do(self, member: str, purse: CorrectedPurse, deed: Deed, day: date) -> None:
        self._count += 1
        match deed.what:
            case "quiz":
                self._activity(member, "quiz", day, day)
                purse.quiz()
            case "walk":
                self._activity(member, "steps", day, day, ENOUGH)
                purse.walk()
            case "walked_less":
                on = day - timedelta(deed.size)
                self._activity(member, "steps", on, day, TOO_FEW)
                purse.walked_less(on)
            case "more" | "less" if purse.lots:
                points = min(max(1, -(-purse.available * deed.size // 12)), AT_ONCE_MAX)
                self._by_hand(member, purse, points if deed.what == "more" else -points, day)
            case "freeze" | "unfreeze" if purse.lots:
                assert self._two_say(member, "freeze" if deed.what == "freeze" else "unfreeze", 0, day)
                purse.frozen = deed.what == "freeze"

    def _activity(self, member: str, kind: str, on: date, day: date, value: int = 0) -> None:
        did = ActivityCompleted(activity_id=f"a-{self._count}", member_id=member, kind=kind, on=on, value=value)  # type: ignore[arg-type]
        self.both.hear_member(did, start_of(day))

    def _by_hand(self, member: str, purse: CorrectedPurse, points: int, day: date) -> None:
        assert self._two_say(member, "correct", points, day) == purse.corrected(points)

    def _two_say(self, member: str, purpose: Purpose, points: int, day: date) -> bool:
        name = f"J-{self._count}"
        proposed = ProposeAdjustment(
            adjustment_id=name,
            member_id=member,
            wallet="points",
            points=points,
            reason="x",
            ticket="T",
            proposed_by="op-1",
            purpose=purpose,
        )
        approved = ApproveAdjustment(adjustment_id=name, approved_by="op-2")
        return all(self.both.ask(command, start_of(day), member=member) for command in (proposed, approved))
