"""What is told, when, and why not: tables of examples over the pure rules."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from notifier.commands import SendDue
from notifier.rules import occasions, quiet, tiers, wording
from notifier.rules.member import Book, Member, Suppressed
from notifier.rules.release import Told, on_send_due
from notifier.service import SERVICE
from tenure.contracts import points, tier
from tenure.contracts.event import Data
from tenure.contracts.message import MessageRequested, MessageSuppressed
from tenure.contracts.policy import MemberEnrolled
from tenure.contracts.programme import Programme
from tenure.contracts.programme.messages import PLACEHOLDERS
from tenure.contracts.tier import Condition

from .cast import (
    D,
    M,
    advised,
    at,
    claim,
    consent,
    earned,
    event,
    expiring,
    failed,
    fulfilled,
    granted,
    holder_changed,
    renewed,
    reversed_points,
    revoked,
    several_granted,
    tier_changed,
)

NEXT = D + timedelta(days=1)


class Desk:
    """One member at the notifier: events go in by their own time, and what is told comes out."""

    def __init__(self, rules: Programme, **member: Any) -> None:
        self.rules, self.member = rules, Member(member_id=M, **member)
        self.rows: list[Any] = []

    def hears(self, data: Data, when: datetime | None = None, *, backfill: bool = False) -> "Desk":
        self._keep(SERVICE.decide(self.member, event(data, when, backfill=backfill), self.rules))
        return self

    def tells(self, now: datetime | None = None) -> list[Told]:
        before = len(self.rows)
        self._keep(on_send_due(self.member, event(SendDue(member_id=M, now=now), now), self.rules))
        return [row for row in self.rows[before:] if isinstance(row, Told)]

    def _keep(self, decided: Any) -> None:
        self.member = decided.state
        self.rows += decided.rows

    def why_not(self) -> list[tuple[str, str]]:
        return [(row.pending.template, row.reason) for row in self.rows if isinstance(row, Suppressed)]


@pytest.mark.parametrize(
    ("happened", "due"),
    [
        (at(0), at(8)),  # a day begins: anniversaries wait for the morning
        (at(7, 59), at(8)),
        (at(8), at(8)),  # 08:00 is not quiet
        (at(20, 59), at(20, 59)),
        (at(21), at(8, day=NEXT)),  # 21:00 is
        (at(23, 59), at(8, day=NEXT)),
        (at(12), at(12)),
    ],
)
def test_nothing_goes_out_in_quiet_hours(rules: Programme, happened: datetime, due: datetime) -> None:
    (told,) = Desk(rules).hears(claim(), happened).tells()
    assert (told.scheduled_for, told.sent_at) == (due, due)


def test_quiet_hours_may_lie_within_one_day(rules: Programme) -> None:
    siesta = replace(rules.messages.newest, quiet_start=at(12).time(), quiet_end=at(14).time())
    assert quiet.sendable(at(13), siesta) == at(14)
    assert quiet.sendable(at(14), siesta) == at(14)
    assert not quiet.is_quiet(at(23), siesta)


def test_what_a_night_brought_is_told_as_it_happened(rules: Programme) -> None:
    desk = Desk(rules)
    steps = ["reported", "registered", "surveyed", "assessed", "approved", "paid"]
    for hour, status in enumerate(steps, start=1):
        desk.hears(claim(status), at(hour))
    assert [t.dedupe.split(":")[2] for t in desk.tells()] == steps


def test_two_payments_of_one_day_are_two_messages_and_the_same_told_again_is_none(rules: Programme) -> None:
    """The contents first, the building in the afternoon; then policy-sync repeats itself."""
    desk = Desk(rules)
    texts = []
    for hour, fen in ((10, 300_000), (14, 800_000), (15, 800_000)):
        texts += [t.text_en for t in desk.hears(claim("paid", amount_fen=fen), at(hour)).tells()]
    assert texts == [f"Your claim C-1 was paid; amount CNY {paid}." for paid in ("3,000.00", "8,000.00")]


@pytest.mark.parametrize(
    ("before", "after", "template"),
    [
        ("none", "basic", None),  # the welcome says it
        ("none", "silver", "tier_upgraded"),
        ("basic", "silver", "tier_upgraded"),
        ("basic", "diamond", "tier_upgraded"),
        ("gold", "silver", "tier_dropped"),
        ("silver", "none", "tier_ended"),
        ("gold", "gold", None),  # only the past changed
    ],
)
def test_a_change_of_tier_is_told_once(rules: Programme, before: str, after: str, template: str | None) -> None:
    desk = Desk(rules, book=Book(tier=before)).hears(tier_changed(before, after))
    assert [t.template for t in desk.tells()] == ([template] if template else [])


def test_an_upgrade_names_what_it_unlocked_in_both_languages(rules: Programme) -> None:
    first, second = [b for b in rules.benefits.newest.benefits if b.from_tier == "silver"][:2]
    desk = Desk(rules, book=Book(tier="basic"))
    desk.hears(granted(first.code)).hears(tier_changed("basic", "silver")).hears(granted(second.code))
    desk.hears(granted("other", effective=D - timedelta(days=9))).hears(granted("renewed", change="renewed"))
    (told,) = desk.tells()
    assert told.text_zh == f"恭喜，您自 2026-03-01 起升为白银会员。已解锁权益：{first.label_zh}、{second.label_zh}。"
    assert told.text_en.endswith(f"Now yours: {first.label_en}, {second.label_en}.")


def test_an_upgrade_promises_no_cover_that_the_core_has_not_confirmed(rules: Programme) -> None:
    desk = Desk(rules, book=Book(tier="basic")).hears(granted("burst_pipe_liability"))
    (told,) = desk.hears(tier_changed("basic", "silver")).tells()
    assert told.text_zh.endswith("已解锁权益：管道破裂责任险（扩展条款）（承保确认后生效）。")
    assert told.text_en.endswith("Now yours: Burst-pipe liability extension (once the insurer confirms it).")
    (lost,) = Desk(rules).hears(revoked("burst_pipe_liability")).tells()
    assert lost.text_en == "These benefits ended on 2026-03-01: Burst-pipe liability extension."


def test_grants_told_together_are_told_like_those_told_one_by_one(rules: Programme) -> None:
    grants = [granted("a"), granted("b", change="renewed"), granted("a"), granted("c", change="restored")]
    alone, together = Desk(rules), Desk(rules)
    for one in grants:
        alone.hears(one)
    assert together.hears(several_granted(*grants)).member == alone.member
    assert [move.benefit for move in alone.member.book.moves] == ["a", "c"]


def test_an_upgrade_reversed_within_minutes_is_never_told(rules: Programme) -> None:
    desk = Desk(rules, book=Book(tier="basic"))
    desk.hears(tier_changed("basic", "silver"), at(12)).hears(tier_changed("silver", "basic"), at(12, 9))
    assert desk.tells() == []
    assert desk.why_not() == [("tier_upgraded", "superseded")]


def test_a_tier_that_is_taken_back_went_on_the_day_it_had_come(rules: Programme) -> None:
    """What is left of the timeline is the step before it, of years ago."""
    came = D - timedelta(days=100)
    taken_back = replace(
        tier_changed("silver", "basic", effective=D - timedelta(days=900)), effective=came, retroactive=True
    )
    (told,) = Desk(rules, book=Book(tier="silver")).hears(taken_back).tells()
    assert told.text_en == f"Your tier changed from Silver to Basic on {came}."


def test_what_an_upgrade_that_was_never_told_had_brought_goes_without_a_word(rules: Programme) -> None:
    code = rules.benefits.newest.benefits[-1].code
    desk = Desk(rules, book=Book(tier="basic"))
    desk.hears(tier_changed("basic", "silver"), at(12)).hears(granted(code), at(12))
    desk.hears(tier_changed("silver", "basic"), at(12, 9)).hears(revoked(code, reason="corrected"), at(12, 9))
    assert desk.tells() == []


def test_a_benefit_that_is_back_before_its_end_was_told_has_not_ended(rules: Programme) -> None:
    """A tier that went at midnight and is reached again by a renewal of that morning, heard together."""
    back, lost = [b.code for b in rules.benefits.newest.benefits[:2]]
    label = {b.code: b.label_en for b in rules.benefits.newest.benefits}
    desk = Desk(rules, book=Book(tier="silver"))
    desk.hears(revoked(back), at(12)).hears(revoked(lost), at(12)).hears(granted(back, change="restored"), at(12))
    assert [t.text_en for t in desk.tells()] == [f"These benefits ended on 2026-03-01: {label[lost]}."]
    desk = Desk(rules, book=Book(tier="silver")).hears(revoked(back), at(12))
    desk.hears(several_granted(granted(back, change="restored"), granted(lost, change="restored")), at(12))
    assert (desk.tells(), desk.why_not()) == ([], [("benefit_revoked", "superseded")])
    desk = Desk(rules, book=Book(tier="silver")).hears(revoked(back), at(12)).hears(granted(back), at(12))
    assert len(desk.tells()) == 1
    desk = Desk(rules, book=Book(tier="silver")).hears(revoked(back), at(12))
    desk.hears(granted(back, change="restored"), at(18))
    assert len(desk.tells()) == 1


def test_a_grant_that_a_correction_only_dates_anew_is_not_lost(rules: Programme) -> None:
    kept, lost = [b.code for b in rules.benefits.newest.benefits[:2]]
    desk = Desk(rules, book=Book(tier="silver"))
    desk.hears(granted(kept)).hears(granted(lost)).hears(granted(kept, effective=D - timedelta(days=900)))
    desk.hears(revoked(kept, reason="corrected")).hears(revoked(lost, reason="corrected"))
    (told,) = desk.tells()
    assert told.template == "benefit_revoked"
    label = {b.code: b.label_en for b in rules.benefits.newest.benefits}
    assert label[lost] in told.text_en
    assert label[kept] not in told.text_en


def test_an_upgrade_reversed_after_it_was_told_is_told_too(rules: Programme) -> None:
    """Even when a replay's sender has not run in between: the events' own times decide."""
    desk = Desk(rules, book=Book(tier="basic"))
    desk.hears(tier_changed("basic", "silver"), at(12)).hears(tier_changed("silver", "basic"), at(12, 11))
    assert [t.template for t in desk.tells()] == ["tier_upgraded", "tier_dropped"]


def test_two_upgrades_within_minutes_are_one(rules: Programme) -> None:
    desk = Desk(rules, book=Book(tier="basic"))
    desk.hears(tier_changed("basic", "silver"), at(12)).hears(tier_changed("silver", "gold"), at(12, 5))
    (told,) = desk.tells()
    assert "黄金" in told.text_zh
    assert desk.why_not() == [("tier_upgraded", "superseded")]


def test_a_lost_tier_names_what_went_with_it_and_the_loss_is_not_told_twice(rules: Programme) -> None:
    code = rules.benefits.newest.benefits[-1].code
    desk = Desk(rules, book=Book(tier="gold")).hears(tier_changed("gold", "silver")).hears(revoked(code))
    (told,) = desk.tells()
    assert rules.benefits.newest.benefits[-1].label_zh in told.text_zh
    assert desk.why_not() == [("benefit_revoked", "superseded")]


def test_what_imported_history_brought_is_not_told_when_we_go_live(rules: Programme) -> None:
    years_ago = D - timedelta(days=400)
    desk = Desk(rules).hears(MemberEnrolled(member_id=M, effective=years_ago), backfill=True)
    desk.hears(tier_changed("none", "basic", effective=years_ago), backfill=True)
    desk.hears(tier_changed("basic", "silver", effective=D - timedelta(days=35)), at(12), backfill=True)
    assert desk.tells() == []
    desk.hears(tier_changed("silver", "gold", effective=NEXT), at(12, day=NEXT))
    assert [t.template for t in desk.tells()] == ["tier_upgraded"]


def test_a_membership_that_ended_is_told_once_whatever_ended_with_it(rules: Programme) -> None:
    desk = Desk(rules, book=Book(tier="silver"))
    desk.hears(revoked("claims_fast_track", effective=D - timedelta(days=90))).hears(tier_changed("silver", "none"))
    assert [t.template for t in desk.tells()] == ["tier_ended"]


@pytest.mark.parametrize(
    ("status", "fen", "said_zh", "said_en"),
    [
        ("reported", 0, "已报案。", "was reported."),  # nobody has said yet what it comes to
        ("reported", 123_456, "已报案，金额 1,234.56 元。", "was reported; amount CNY 1,234.56."),
        ("withdrawn", 0, "已撤案。", "was withdrawn."),
        ("paid", 0, "已赔付，金额 0.00 元。", "was paid; amount CNY 0.00."),
    ],
)
def test_a_claim_of_which_no_amount_is_known_is_told_without_one(
    rules: Programme, status: str, fen: int, said_zh: str, said_en: str
) -> None:
    (told,) = Desk(rules).hears(claim(status, amount_fen=fen), at(12)).tells()
    assert (told.text_zh, told.text_en) == (f"您的理赔 C-1 {said_zh}", f"Your claim C-1 {said_en}")


@pytest.mark.parametrize(
    ("kind", "cash_fen", "said_zh", "said_en"),
    [
        (
            *("code", 0),
            "您兑换的咖啡代金券 30 元（1 件，2,800 积分）已发放，兑换码见订单，订单 O-1。",
            "What you redeemed is ready (its code is with the order): Coffee voucher, CNY 30 (quantity 1, 2,800 points); order O-1.",
        ),
        (  # paid for, not sent yet; the rest is paid at the door
            *("goods", 1_900),
            "您兑换的咖啡代金券 30 元（1 件，2,800 积分）已确认，等待发货，订单 O-1。另有 19.00 元在交付时支付。",
            "What you redeemed will be sent: Coffee voucher, CNY 30 (quantity 1, 2,800 points); order O-1. CNY 19.00 is to be paid on delivery.",
        ),
        (
            *("service", 0),
            "您兑换的咖啡代金券 30 元（1 件，2,800 积分）已确认，等待安排服务，订单 O-1。",
            "What you redeemed will be arranged: Coffee voucher, CNY 30 (quantity 1, 2,800 points); order O-1.",
        ),
        (  # told before orders said what they are
            *("", 0),
            "您兑换的咖啡代金券 30 元（1 件，2,800 积分）已兑换成功，订单 O-1。",
            "What you redeemed is yours: Coffee voucher, CNY 30 (quantity 1, 2,800 points); order O-1.",
        ),
    ],
)
def test_an_order_says_what_is_there_what_is_to_come_and_what_is_still_to_be_paid(
    rules: Programme, kind: str, cash_fen: int, said_zh: str, said_en: str
) -> None:
    (told,) = Desk(rules).hears(replace(fulfilled(), kind=kind, cash_fen=cash_fen), at(12)).tells()
    assert (told.text_zh, told.text_en) == (said_zh, said_en)


def test_an_order_queued_by_an_earlier_release_is_told_in_general_words(rules: Programme) -> None:
    desk = Desk(rules).hears(fulfilled(), at(22)).hears(failed("insufficient_points"), at(22))
    old = [
        replace(p, params={k: v for k, v in p.params.items() if k not in ("status", "amount")})
        for p in desk.member.book.pending
    ]
    desk.member = replace(desk.member, book=replace(desk.member.book, pending=tuple(old)))
    assert [t.text_en.partition(":")[0] for t in desk.tells()] == [
        "What you redeemed is yours",
        "Order O-1 (Coffee voucher, CNY 30) could not be completed (it cannot be done at present); no points were taken.",
    ]


@pytest.mark.parametrize(
    ("reason", "said_zh", "said_en"),
    [
        ("insufficient_points", "可用积分不足", "too few points were available"),
        ("supplier_says_no", "暂时无法处理", "it cannot be done at present"),
    ],
)
def test_an_order_that_failed_says_why_and_that_nothing_was_taken(
    rules: Programme, reason: str, said_zh: str, said_en: str
) -> None:
    """Nothing comes back: whoever had too few points had none of them reserved."""
    (told,) = Desk(rules).hears(failed(reason), at(12)).tells()
    assert told.text_zh == f"您的订单 O-1（咖啡代金券 30 元）未能完成（{said_zh}），未扣减积分。"
    assert (
        told.text_en == f"Order O-1 (Coffee voucher, CNY 30) could not be completed ({said_en}); no points were taken."
    )


def test_one_point_and_one_day_are_said_as_one(rules: Programme) -> None:
    nearest = Condition(tier="gold", measure="insured_years", actual=4, threshold=5, operator=">=", missing=1)
    desk = Desk(rules, book=Book(tier="silver", nearest=nearest)).hears(expiring())
    desk.hears(earned("renewal", 1), at(7)).hears(reversed_points(1), at(7))
    desk.hears(points.PointsExpiring(member_id=M, wallet="points", amount=1, effective=D, expires_on=date(2026, 4, 1)))
    assert [t.text_en for t in desk.tells()] == [
        "Your cover ends within a month: P-1 (2026-04-01). Renew, and 1 more insured day makes you a Gold member.",
        "1 point expires at the start of 2026-04-01; use it in time.",
        "1 point was taken back on 2026-03-01 because what had earned it changed (Premium paid).",
        "You earned 1 point (renewal).",
    ]


def test_reminders_of_one_day_are_one_message_that_says_what_renewing_unlocks(rules: Programme) -> None:
    nearest = Condition(tier="gold", measure="insured_years", actual=4, threshold=5, operator=">=", missing=31)
    desk = Desk(rules, book=Book(tier="silver", nearest=nearest)).hears(expiring("P-1")).hears(expiring("P-2"))
    (told,) = desk.tells()
    assert "P-1 (2026-04-01)、P-2 (2026-04-01)" in told.text_zh
    assert "续保后再投保 31 天即可升为黄金会员" in told.text_zh
    assert told.sms


def test_a_reminder_says_what_was_measured_last_before_it_goes_out(rules: Programme) -> None:
    """As tier-engine measures on the day of the reminder, as a fact of the night has it, and not as the day after."""
    stale = Condition(
        tier="gold", measure="annual_premium_fen", actual=0, threshold=80_000, operator=">", missing=80_001
    )
    today = Condition(tier="gold", measure="insured_years", actual=4, threshold=5, operator=">=", missing=28)
    desk = Desk(rules, book=Book(tier="silver", nearest=stale)).hears(expiring()).hears(_progress(today))
    (told,) = desk.hears(_progress(stale), at(9)).tells()
    assert told.text_en.endswith("Renew, and 28 more insured days make you a Gold member.")
    desk = Desk(rules, book=Book(tier="silver", nearest=today)).hears(expiring())
    desk.hears(tier_changed("silver", "gold", nearest=None), at(7))
    (reminder,) = [t for t in desk.tells() if t.template == "policy_expiring"]
    assert reminder.text_en == "Your cover ends within a month: P-1 (2026-04-01)."


@pytest.mark.parametrize("tier_first", [True, False])
def test_a_replay_that_has_read_of_later_years_says_nothing_of_them(rules: Programme, tier_first: bool) -> None:
    """Tier-engine had lived on when it heard of the reminder: by then the tier had dropped, and could be reached once more."""
    later = Condition(tier="gold", measure="insured_years", actual=1, threshold=5, operator=">=", missing=1_460)
    progress = replace(_progress(later), effective=D + timedelta(days=400))
    heard = [progress, expiring()] if tier_first else [expiring(), progress]
    desk = Desk(rules, book=Book(tier="gold"))
    for data in heard:
        desk.hears(data)
    (told,) = desk.tells()
    assert told.text_en == "Your cover ends within a month: P-1 (2026-04-01)."


def test_premium_that_is_missing_is_said_in_yuan(rules: Programme) -> None:
    nearest = Condition(
        tier="silver", measure="annual_premium_fen", actual=30_000, threshold=30_000, operator=">", missing=1
    )
    (told,) = Desk(rules, book=Book(nearest=nearest)).hears(expiring()).tells()
    assert "CNY 0.01 more annual premium makes you a Silver member" in told.text_en


def test_no_reminder_for_what_was_renewed_before_it_went_out(rules: Programme) -> None:
    desk = Desk(rules).hears(expiring("P-1")).hears(expiring("P-2")).hears(renewed("P-1"), at(7))
    assert "P-1" not in desk.tells()[0].text_en
    desk = Desk(rules).hears(expiring("P-1")).hears(renewed("P-1"), at(7))
    assert desk.tells() == []
    assert desk.why_not() == [("policy_expiring", "superseded")]


@pytest.mark.parametrize(
    ("covered_to", "templates"),
    [
        (D + timedelta(days=31), ["policy_expiring"]),  # to the term's end: a merger brought it
        (D + timedelta(days=9), []),  # somebody else has the rest of it
        (None, []),
    ],
)
def test_who_has_cover_to_the_end_is_reminded_of_it_whoever_had_it_before(
    rules: Programme, covered_to: date | None, templates: list[str]
) -> None:
    desk = Desk(rules).hears(expiring("P-1")).hears(holder_changed(covered_to=covered_to), at(7))
    assert [told.template for told in desk.tells()] == templates


@pytest.mark.parametrize(
    ("heard", "templates"),
    [
        (claim(), ["claim_progress"]),
        (claim("paid", handed_over="to"), []),
        (claim(handed_over="from"), []),
        (advised(), ["claim_advised"]),
        (advised(handed_over=True), []),
    ],
)
def test_whose_a_claim_turns_out_to_be_is_no_message(rules: Programme, heard: Data, templates: list[str]) -> None:
    assert [told.template for told in Desk(rules).hears(heard, at(12)).tells()] == templates


def test_every_step_of_a_claim_is_told_beyond_any_cap(rules: Programme) -> None:
    desk = Desk(rules)
    for status in ("reported", "registered", "surveyed", "assessed", "approved", "paid", "closed"):
        desk.hears(claim(status), at(12))
    told = desk.tells()
    assert len(told) == 7 > rules.messages.newest.daily_max
    assert told[0].text_zh.startswith("您的理赔 C-1 ")
    assert "5,000.00" in told[0].text_en


def test_the_days_cap_lets_service_go_before_marketing(rules: Programme) -> None:
    """Cap 5: of six service messages and an invitation, the invitation and the last of the file's order stay behind."""
    desk = Desk(rules).hears(consent(), at(9))
    desk.hears(invitation("class-1"), at(9))
    for n in range(6):
        desk.hears(fulfilled(f"O-{n}"), at(10, n))
    told = desk.tells()
    assert [t.dedupe for t in told] == [f"order_fulfilled:O-{n}" for n in range(5)]
    assert desk.why_not() == [("order_fulfilled", "daily_cap"), ("class_invitation", "daily_cap")]


def invitation(dedupe: str, template: str = "class_invitation", **params: str | int) -> MessageRequested:
    return MessageRequested(
        member_id=M, template=template, dedupe=dedupe, params=params or {"on": "2026-03-20", "topic": "防水"}
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], False),  # nobody asked the member: no
        ([(True, 9)], True),
        ([(True, 9), (False, 10)], False),
        ([(False, 10), (True, 9)], False),  # an older word that arrives late
    ],
)
def test_marketing_needs_the_members_newest_word(rules: Programme, words: list[tuple[bool, int]], told: bool) -> None:
    desk = Desk(rules)
    for marketing, hour in words:
        desk.hears(consent(marketing=marketing), at(hour))
    assert bool(desk.hears(invitation("c"), at(12)).tells()) is told


def test_history_is_counted_and_told_to_nobody(rules: Programme) -> None:
    desk = Desk(rules).hears(tier_changed("none", "silver"), backfill=True).hears(claim(), backfill=True)
    assert desk.tells() == []
    assert desk.member.backfilled == 2
    assert desk.member.book.tier == "silver"
    assert desk.rows == []


def test_the_same_change_under_another_id_is_not_told_again(rules: Programme) -> None:
    desk = Desk(rules).hears(claim(), at(12))
    assert len(desk.tells()) == 1
    desk.hears(claim(), at(13))
    assert desk.tells() == []
    assert desk.why_not() == [("claim_progress", "duplicate")]


def test_a_live_sender_waits_for_the_instant_and_never_sends_late_at_night(rules: Programme) -> None:
    desk = Desk(rules).hears(tier_changed("none", "silver"), at(20, 55))
    assert desk.tells(at(20, 56)) == []
    assert desk.tells(at(21, 30)) == []  # the sender was down at 21:05, which is quiet anyway
    assert desk.tells(at(8, day=NEXT))[0].sent_at == at(8, day=NEXT)


def test_a_live_sender_that_was_down_puts_off_then_gives_up(rules: Programme) -> None:
    late = Desk(rules).hears(fulfilled(), at(12))
    assert late.tells(at(12, day=NEXT)) == []  # first the other day's messages are counted
    assert [t.sent_at for t in late.tells(at(12, 1, day=NEXT))] == [at(12, 1, day=NEXT)]
    stale = Desk(rules).hears(fulfilled(), at(12))
    assert stale.tells(at(13, day=D + timedelta(days=3))) == []
    assert stale.why_not() == [("order_fulfilled", "stale")]


def test_points_about_to_expire_are_told_with_their_day(rules: Programme) -> None:
    soon = points.PointsExpiring(member_id=M, wallet="points", amount=1240, effective=D, expires_on=date(2026, 4, 1))
    (told,) = Desk(rules).hears(soon).tells()
    assert told.text_en == "1,240 points expire at the start of 2026-04-01; use them in time."


def test_what_was_taken_back_is_not_laid_to_a_policy(rules: Programme) -> None:
    """Steps that were reported again; a customer who turns out to be two, and has a policy less."""
    steps = points.PointsReversed(
        member_id=M,
        wallet="points",
        amount=10,
        effective=D,
        entry_id="E-1",
        rule="steps",
        from_pending=0,
        from_lots=10,
        as_debt=0,
    )
    (told,) = Desk(rules).hears(steps).tells()
    assert told.text_en == "10 points were taken back on 2026-03-01 because what had earned them changed (Steps)."
    (told,) = Desk(rules, book=Book(tier="silver")).hears(tier_changed("silver", "none")).tells()
    assert told.text_en == "As no policy of yours stands behind it, your Silver membership is no longer valid."


def test_a_tier_at_risk_is_told(rules: Programme) -> None:
    risk = tier.TierAtRisk(member_id=M, tier="gold", to_tier="silver", effective=D, drops_on=date(2027, 3, 1))
    (told,) = Desk(rules).hears(risk).tells()
    assert told.text_en == (
        "On 2027-03-01 your Gold tier becomes Silver, unless renewing or adding cover brings you up to Gold again before then."
    )


def test_every_placeholder_has_its_way_of_writing() -> None:
    assert wording.PLACES.keys() == PLACEHOLDERS


def test_the_queue_is_bounded(rules: Programme, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.rules.asking.PENDING_MAX", 1)
    decided = occasions.on_order_fulfilled(Member(member_id=M), event(fulfilled("O-1")), rules)
    decided = occasions.on_order_fulfilled(decided.state, event(fulfilled("O-2")), rules)
    assert len(decided.state.book.pending) == 1
    assert [type(e) for e in decided.emit] == [MessageSuppressed]


def test_a_state_is_never_changed_in_place(rules: Programme) -> None:
    member = Member(member_id=M)
    after = tiers.on_tier_changed(member, event(tier_changed("none", "gold")), rules).state
    assert member == Member(member_id=M)
    assert tiers.on_tier_progressed(after, event(_progress(after.book.nearest)), rules).state is after


def _progress(nearest: Condition | None) -> tier.TierProgressed:
    return tier.TierProgressed(
        member_id=M, tier="gold", effective=D, insured_days=1, annual_premium_fen=1, nearest=nearest, covered=True
    )
