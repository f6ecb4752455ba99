"""What members do between policies and agents do for them: once each, within caps, by the date of the activity.

The invariants: caps and streaks count days of activity, never days of arrival; a corrected day undoes what it must; what comes to
nothing leaves a row that says why (`unpaid`).
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

import msgspec
from msgspec.structs import replace
from tenure.contracts.activity import ActivityCompleted, AgentServiceRecorded
from tenure.contracts.decision import RefusedError
from tenure.contracts.points import PointsGranted, PointsReversed, Wallet
from tenure.contracts.programme.earning import Limit, Rule, Streak

from points_ledger.commands import RecordActivity
from points_ledger.rules.account import FOREVER, WALLETS, Lot, Reason
from points_ledger.rules.book import Book
from points_ledger.rules.earning import Fact, earn
from points_ledger.rules.reversal import revoke
from points_ledger.rules.standing import must_be_still_used
from points_ledger.rules.unpaid import Activity, WhyNot, bar, key_of, limit_text, unpaid

_REFUSED: Final[dict[Reason, tuple[str, str]]] = {
    "agent_left": ("agent_left", "services after an agent has left do not count"),
    "too_late": ("activity_too_late", "{0} counts up to {1} days after its day"),
}
"""What a caller is told at once, as a refusal: code and detail."""
MEMORY_MARGIN_DAYS = 7
ONE_DAY = timedelta(1)


class ActivityResult(msgspec.Struct, frozen=True):
    """What one activity came to: points granted now, less points taken back now (a correction), by wallet.

    `limited_by` says which limit, cap or budget left less than the rule gives, if one did.
    """

    activity_id: str
    points: int
    growth: int
    agent: int
    limited_by: str = ""


def on_recorded(book: Book, command: RecordActivity) -> ActivityResult:
    """An activity from a caller. Raises RefusedError member_merged, activity_too_late, agent_left, and those of `on_activity`."""
    must_be_still_used(book)
    activity = command.activity
    _must_have_happened(book, activity)
    rule = _rule(book, activity)
    barred = bar(book, activity, rule)
    if barred is not None and barred.reason in _REFUSED:
        code, detail = _REFUSED[barred.reason]
        detail = detail.format(activity.kind, barred.limited_by)
        raise RefusedError(code, detail, rows=(unpaid(book, activity, rule, barred),))
    return on_activity(book, activity)


def on_activity(book: Book, activity: Activity) -> ActivityResult:
    """An activity as the log tells it; one that is too late leaves why, and no more. Under a number given up it is told again,
    under the one the person goes by now, and counts there beside what was told there.

    Raises RefusedError activity_in_future, no_session, self_referral.
    """
    _must_have_happened(book, activity)
    if book.memory.became:
        book.tell(_under(book.memory.became, activity))
        return ActivityResult(activity.activity_id, 0, 0, 0)
    if isinstance(activity, AgentServiceRecorded) and _for_oneself(book, activity):
        raise RefusedError("self_referral", "an agent serves, and refers, somebody else")
    rule, limited_by = _rule(book, activity), ""
    nothing = bar(book, activity, rule)
    if rule is not None and nothing is None:
        limited_by, nothing = _record(book, activity, rule)
    if nothing is not None:
        book.rows.append(unpaid(book, activity, rule, nothing))
    net = _net(book)
    return ActivityResult(activity.activity_id, net["points"], net["growth"], net["agent"], limited_by)


def _must_have_happened(book: Book, activity: Activity) -> None:
    if activity.on > book.day:
        raise RefusedError("activity_in_future", "an activity is reported after it happened")


def _under(number: str, activity: Activity) -> Activity:
    if isinstance(activity, AgentServiceRecorded):
        return replace(activity, agent_id=number)
    return replace(activity, member_id=number)


def _rule(book: Book, activity: Activity) -> Rule | None:
    """The rule for this kind on that day, if there is one."""
    return book.programme.earning.at(activity.on).find(activity.kind)


def _for_oneself(book: Book, service: AgentServiceRecorded) -> bool:
    """Whether the customer is the agent, under the same or another number."""
    customer = service.member_id
    return customer is not None and (customer == book.member_id or book.memory.is_of(customer))


def _record(book: Book, activity: Activity, rule: Rule) -> tuple[str, WhyNot | None]:
    """Let it earn what it earns. Returns what limited it, and why it came to nothing, if it did."""
    fact = _fact(book, activity, rule)
    if fact.remembered_until < book.lived_to:
        return "", WhyNot("heard_late")  # so long ago that whether it earned before is forgotten: it cannot be new
    below = None
    if rule.value_min is not None and isinstance(activity, ActivityCompleted):
        below = _measure(book, activity, rule, fact)
    elif (reached := _reached(book, rule, fact)) is not None:
        return limit_text(reached), WhyNot("limit", limit_text(reached))
    else:
        earn(book, fact)
    limited_by = next((lot.capped_by for lot in book.group(rule.code, rule.wallet, fact.key)), "")
    return limited_by, below or _nothing_of(book, fact, limited_by)


def _nothing_of(book: Book, fact: Fact, limited_by: str) -> WhyNot | None:
    """Why what counts has no points, nor growth: a cap left none, or a multiplier of that day."""
    code, key = fact.rule.code, fact.key
    if any(lot.granted for lot in book.lots.values() if lot.fact == key and lot.rule == code):
        return None
    return WhyNot("capped", limited_by) if limited_by else WhyNot("rated")


def _fact(book: Book, activity: Activity, rule: Rule) -> Fact:
    return Fact(
        rule=rule,
        key=_key(activity, rule),
        on=activity.on,
        activates_on=activity.on,
        base=rule.fixed,
        product_line=(activity.product_line or "") if isinstance(activity, ActivityCompleted) else "",
        rank=activity.rank if isinstance(activity, AgentServiceRecorded) else "",
        remembered_until=_remembered_until(book, rule, activity.on),
    )


def _key(activity: Activity, rule: Rule) -> str:
    session = activity.session_id if isinstance(activity, ActivityCompleted) else None
    if rule.per_session and rule.value_min is None and session is None:
        raise RefusedError("no_session", f"{rule.code} counts once a session: name the session")
    return key_of(activity, rule)


def _remembered_until(book: Book, rule: Rule, on: date) -> date:
    """As long as another activity could still count against it, or a streak over it change."""
    periods = [limit.per for limit in rule.limits]
    if "session" in periods or "once" in periods:
        return FOREVER
    late_days = (rule.late_days_max or 0) + MEMORY_MARGIN_DAYS
    if "year" in periods:
        return date(on.year, 12, 31) + timedelta(late_days)
    streak_days = max([streak.days for _, streak in _streaks_of(book, rule, on)], default=0)
    return on + timedelta(late_days + 2 * streak_days)


def _reached(book: Book, rule: Rule, fact: Fact) -> Limit | None:
    """The limit that leaves no room for the fact."""
    return next((limit for limit in rule.limits if limit.times <= _used(book, rule, limit, fact)), None)


def _used(book: Book, rule: Rule, limit: Limit, fact: Fact) -> int:
    """How many other facts of the rule's period already earned."""
    others = {lot.fact for lot in _earned(book, rule.code, rule.wallet) if _same_period(limit, lot.earned_on, fact.on)}
    return len(others - {fact.key})


def _same_period(limit: Limit, one: date, other: date) -> bool:
    if limit.per == "day":
        return one == other
    return limit.per == "once" or (limit.per == "year" and one.year == other.year)


def _earned(book: Book, rule: str, wallet: Wallet) -> Iterator[Lot]:
    return (t for t in book.lots.values() if t.rule == rule and t.wallet == wallet and t.standing > 0)


def _holding(book: Book, rule: Rule) -> Iterator[Lot]:
    """The facts of a rule that hold, also those of which a cap left nothing."""
    lots = (lot for lot in book.lots.values() if lot.rule == rule.code and lot.wallet == rule.wallet)
    return (lot for lot in lots if lot.base and not lot.revoked)


def _measure(book: Book, activity: ActivityCompleted, rule: Rule, fact: Fact) -> WhyNot | None:
    """A measured day earns once it reaches the threshold; the newest report of a day is the one that counts."""
    below = None
    if activity.value >= (rule.value_min or 0):
        earn(book, fact)
    else:
        for group in book.groups(rule.code, rule.wallet, fact.key):
            revoke(book, group, fact.on)
        below = WhyNot("below", str(rule.value_min))
    for streak_rule, _ in _streaks_of(book, rule, fact.on):
        _Streaks(book, rule, streak_rule).settle(fact.on)
    return below


def _streaks_of(book: Book, rule: Rule, day: date) -> list[tuple[Rule, Streak]]:
    rules = book.programme.earning.at(day).on("streak")
    return [(r, r.streak) for r in rules if r.streak is not None and r.streak.rule == rule.code]


class _Streaks:
    """The streaks of one kind. Each pays once, for days that belong to no other paid streak, by the rules of its last day."""

    def __init__(self, book: Book, rule: Rule, streak_rule: Rule) -> None:
        self.book, self.steps, self.rule = book, rule, streak_rule
        self.days = {lot.earned_on for lot in _holding(book, rule)}
        self.paid = {date.fromisoformat(lot.fact): lot.earned_on for lot in _holding(book, streak_rule)}

    def settle(self, day: date) -> None:
        """After `day` changed: undo the streak it broke, and pay what is whole now."""
        for start, last in sorted(self.paid.items()):
            if start <= day <= last and not self._is_whole(start, last):
                self._undo(start, day)
        for near in (day, day - ONE_DAY, day + ONE_DAY):
            if self._is_free(near):
                self._pay_run(near)

    def _is_whole(self, start: date, last: date) -> bool:
        return all(start + timedelta(n) in self.days for n in range((last - start).days + 1))

    def _is_free(self, day: date) -> bool:
        return day in self.days and not any(start <= day <= last for start, last in self.paid.items())

    def _undo(self, start: date, day: date) -> None:
        del self.paid[start]
        for wallet in (self.rule.wallet, "growth"):
            for group in self.book.groups(self.rule.code, wallet, start.isoformat()):
                revoke(self.book, group, day)

    def _pay_run(self, day: date) -> None:
        """Pay the full streaks in the run of free days around `day`, from its beginning."""
        while self._is_free(day - ONE_DAY):
            day -= ONE_DAY
        start = day
        while self._is_free(day):
            days = (day - start).days + 1
            if any(days >= streak.days for streak in self._on(day)):
                self._pay(start, day)
                start = day + ONE_DAY
            day += ONE_DAY

    def _on(self, day: date) -> Iterator[Streak]:
        """The streak by the rules of that day, if they have it."""
        return (streak for rule, streak in _streaks_of(self.book, self.steps, day) if rule.code == self.rule.code)

    def _pay(self, start: date, last: date) -> None:
        rule = self.book.programme.earning.at(last).find(self.rule.code) or self.rule
        self.paid[start] = last
        earn(
            self.book,
            Fact(
                rule=rule,
                key=start.isoformat(),
                on=last,
                activates_on=last,
                base=rule.fixed,
                remembered_until=last + timedelta(2 * ((last - start).days + 1)),
            ),
        )


def _net(book: Book) -> dict[Wallet, int]:
    """What was told to be granted, less what was told to be taken back."""
    net = dict.fromkeys(WALLETS, 0)
    for told in book.told:
        if isinstance(told, PointsGranted):
            net[told.wallet] += told.amount
        elif isinstance(told, PointsReversed):
            net[told.wallet] -= told.amount
    return net
