"""Referrals: the reward of who brought a customer, while that customer's policy stands.

The referrer and the referee have an account each. The referee's remembers who referred the policy; when the policy turns out void,
it leaves word for the referrer's account, which reads it on its own turn (`DayReached`), so that no event ever needs to look up
whose lock it should take.
"""

from msgspec.structs import replace
from tenure.contracts.activity import ReferralConverted
from tenure.contracts.decision import RefusedError

from points_ledger.rules.book import Book
from points_ledger.rules.chains import voids_first_term
from points_ledger.rules.days import must_lie_in_range
from points_ledger.rules.earning import Fact, earn, rules_for
from points_ledger.rules.reversal import restate, revoke


def on_referral(referrer: Book, referee: Book, referral: ReferralConverted) -> None:
    """Pending until the referee's cooling-off ends; of two who brought the same policy, the first heard of. Where either number
    was given up it is told again, under the ones they go by now.

    Raises RefusedError activity_in_future, date_out_of_range, self_referral.
    """
    if referral.on > referrer.day:
        raise RefusedError("activity_in_future", "a referral is reported after it became a policy")
    must_lie_in_range(referral.on, referral.cooling_off_end or referral.on)
    now = _by_now(referrer, referee, referral)
    if now.member_id == now.referee_id:
        raise RefusedError("self_referral", "nobody refers themselves, under whichever number they gave up")
    if now != referral:
        referrer.tell(now)
        return
    if _are_one(referrer, referee):
        raise RefusedError("self_referral", "nobody refers themselves, under whichever of their numbers")
    if referee.memory.referred_by.get(referral.policy_no, referrer.member_id) != referrer.member_id:
        return
    for rule in rules_for(referrer, "referral.converted", referral.on, person=True):
        earn(
            referrer,
            Fact(
                rule=rule,
                key=referral.policy_no,
                on=referral.on,
                activates_on=max(referral.on, referral.cooling_off_end or referral.on),
                base=rule.fixed,
            ),
        )
    _follow(referrer, referee, referral)


def _are_one(one: Book, other: Book) -> bool:
    """Whether two numbers are linked; a merger may have brought the link to one of them only."""
    mine, theirs = one.memory, other.memory
    return other.member_id in mine.persons or one.member_id in theirs.persons or bool(mine.persons & theirs.persons)


def _by_now(referrer: Book, referee: Book, referral: ReferralConverted) -> ReferralConverted:
    """The referral under the numbers that the two became."""
    return replace(
        referral,
        member_id=referrer.memory.became or referral.member_id,
        referee_id=referee.memory.became or referral.referee_id,
    )


def _follow(referrer: Book, referee: Book, referral: ReferralConverted) -> None:
    memory = referee.memory
    if referral.policy_no not in memory.referred_by:
        referred_by = {**memory.referred_by, referral.policy_no: referrer.member_id}
        referee.remember(replace(memory, referred_by=referred_by))
    if voids_first_term(memory, referral.policy_no, referee.rules.renewal_gap_days_max):
        _settle(referrer, referral.policy_no, void=True)


def read_news(book: Book) -> None:
    """What became of the policies this account's referrals brought."""
    for news in book.news:
        if book.memory.merged_into:
            book.leave_news(book.memory.merged_into, news.policy_no, void=news.void)
        else:
            _settle(book, news.policy_no, void=news.void)
    if book.news:
        book.news, book.changed = (), True


def _settle(book: Book, policy_no: str, *, void: bool) -> None:
    """By the rules it was earned by, whatever became of them since."""
    earned = {(lot.rule, lot.wallet): lot.earned_on for lot in book.lots.values() if lot.fact == policy_no}
    for (code, wallet), day in earned.items():
        rule = book.programme.earning.at(day).find(code)
        if rule is not None and rule.trigger == "referral.converted":
            (revoke if void else restate)(book, book.group(code, wallet, policy_no), book.day)
