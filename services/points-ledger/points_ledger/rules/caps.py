"""What a member may earn at most: by a campaign, by its budget, and by the rules of a cap in a period.

The invariants: a cap counts by the dates of facts, never by their arrival; it is never exceeded, and the fact that meets it gets
what is left, to the point; what was decided is written on the lot, so that settling it again gives the same.

A budget is shared by all members, and no account may wait for another's. So a fact under a budget earns without the campaign at
once and claims the rest (`BudgetClaim`); claims are allotted in the order they were made (`budgets`), and the account reads what
it got (`BudgetNews`) on its own turn.
"""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Final

from msgspec.structs import replace
from tenure.calendar import end_of_month
from tenure.contracts.programme import EarningRules
from tenure.contracts.programme.earning import Campaign, Cap, Rule

from points_ledger.rules.account import FOREVER, BudgetClaim, BudgetNews, Lot
from points_ledger.rules.book import Book
from points_ledger.rules.reversal import settle
from points_ledger.rules.worth import PERCENT, tier_percent, without_campaign, worth

MARGIN_DAYS: Final = 7
WAITS: Final = "waits for the budget of campaign "
BUDGET: Final = "budget of campaign "
CAMPAIGN: Final = "campaign "
CUT: Final = "cap"
"""How what names a cap begins."""
CUT_AGAIN: Final = f"{CUT}s, when it was stated again"


def under_caps(book: Book, lot: Lot, rules: EarningRules, campaign: Campaign | None) -> Lot:
    """The lot with what its campaign and its caps leave it. To be asked before it is granted."""
    if campaign is not None:
        lot = _in_campaign(book, lot, campaign, rules)
    caps = rules.caps_for(lot.rule)
    return _in_caps(book, lot, caps, rules) if caps else lot


def claim(book: Book, lot: Lot, campaign: Campaign | None) -> None:
    """Ask for the share of the budget that the lot was granted without."""
    if campaign is None or campaign.budget_points_max is None:
        return
    room = _member_room(book, lot, campaign)
    left = room if lot.amount_max is None else lot.amount_max - without_campaign(book, lot)
    wanted = min(_full_extra(book, lot), room, left)
    if wanted > 0:
        book.rows.append(
            BudgetClaim(book.member_id, book.lot_id(lot), campaign.code, wanted, campaign.budget_points_max)
        )
        book.changed = True


def earned_again(book: Book, lot: Lot) -> Lot:
    """A fact that was taken back holds after all: it gets what its caps have left now, for others may have had its room."""
    if not lot.revoked or (lot.amount_max is None and lot.extra_max is None):
        return lot
    rules = book.programme.earning.at(lot.earned_on)
    campaign = next((one for one in rules.campaigns if one.code == lot.campaign), None)
    room = min((_room(book, lot, cap) for cap in rules.caps_for(lot.rule)), default=None)
    if room is not None and lot.amount_max is not None and room < lot.amount_max:
        lot = replace(lot, amount_max=room, capped_by=CUT_AGAIN)
    if campaign is not None and lot.extra_max is not None:
        lot = replace(lot, extra_max=min(_member_room(book, lot, campaign), lot.extra_max))
    return book.put(lot)


def rated_anew(book: Book) -> None:
    """What facts are worth under tiers heard of later takes what the caps have left by now. What a cap cut stays cut."""
    rated = {
        lot.no: lot.amount_max
        for lot in book.lots.values()
        if lot.amount_max is not None and not lot.capped_by.startswith(CUT) and not lot.is_half_known(book.lived_to)
    }
    for lot in [lot for lot in _first_lots(book) if lot.no in rated] if rated else ():
        caps = book.programme.earning.at(lot.earned_on).caps_for(lot.rule)
        whole = worth(
            book, replace(lot, amount_max=None, policy_no=None)
        )  # what its term lost leaves its place in the cap
        if whole != rated[lot.no]:
            book.put(_bounded(book, lot, caps, whole, had=rated[lot.no]))


def read_allotted(book: Book) -> None:
    """What this account's lots were allotted of a budget."""
    for news in book.allotted:
        if book.memory.merged_into:
            book.rows.append(replace(news, member_id=book.memory.merged_into))
            continue
        lot = next((t for t in book.lots.values() if news.lot_id in (book.lot_id(t), t.origin)), None)
        if lot is not None:
            _allot(book, lot, news)
    if book.allotted:
        book.allotted, book.changed = (), True


def _allot(book: Book, lot: Lot, news: BudgetNews) -> None:
    capped_by = ""
    if news.points < news.asked:
        capped_by = BUDGET + lot.campaign
    elif news.points < _full_extra(book, lot):
        by_cap = lot.amount_max is not None and without_campaign(book, lot) + news.points >= lot.amount_max
        capped_by = lot.capped_by if by_cap and lot.capped_by.startswith(CUT) else CAMPAIGN + lot.campaign
    book.put(replace(lot, extra_max=news.points, capped_by=capped_by))
    group = next(one for one in book.groups(lot.rule, lot.wallet, lot.fact) if any(t.no == lot.no for t in one))
    settle(book, group, lot.earned_on)


def _in_campaign(book: Book, lot: Lot, campaign: Campaign, rules: EarningRules) -> Lot:
    until = lot.remembered_until
    if campaign.member_points_max is not None:
        covered = (rule for rule in rules.rules if campaign.rules is None or rule.code in campaign.rules)
        until = _remembered(lot, campaign.window.end, covered)
    lot = replace(lot, campaign=campaign.code, campaign_percent=campaign.percent, remembered_until=until)
    full = _full_extra(book, lot)
    if not full or (campaign.member_points_max is None and campaign.budget_points_max is None):
        return lot
    extra = min(full, _member_room(book, lot, campaign))
    if campaign.budget_points_max is not None and extra:
        return replace(lot, extra_max=0, capped_by=WAITS + campaign.code)
    return replace(lot, extra_max=extra, capped_by="" if extra == full else CAMPAIGN + campaign.code)


def _full_extra(book: Book, lot: Lot) -> int:
    """What the campaign would add if nothing capped it."""
    percents = tier_percent(book, lot) * lot.line_percent * lot.campaign_percent
    return lot.base * percents // PERCENT**3 - without_campaign(book, lot)


def _member_room(book: Book, lot: Lot, campaign: Campaign) -> int:
    """What the campaign may still add for this member. What waits for a budget counts as if it were allotted."""
    if campaign.member_points_max is None:
        return _full_extra(book, lot)
    others = (t for t in _first_lots(book) if t.campaign == campaign.code and t.no != lot.no)
    return max(0, campaign.member_points_max - sum(_extra_of(book, t) for t in others))


def _extra_of(book: Book, lot: Lot) -> int:
    """What the campaign added to a lot, or may yet add when it waits for the budget."""
    full = _full_extra(book, lot)
    if lot.extra_max is None or lot.capped_by.startswith(WAITS):
        return full
    if (
        lot.extra_max == 0 and lot.amount_max is not None and lot.capped_by.startswith(CUT)
    ):  # it waits for what a cap leaves
        return min(full, max(0, lot.amount_max - without_campaign(book, lot)))
    return min(full, lot.extra_max)


def _in_caps(book: Book, lot: Lot, caps: tuple[Cap, ...], rules: EarningRules) -> Lot:
    """The narrowest of the caps that cover the rule decides. What a budget may still add is under them, too."""
    covered = [rule for rule in rules.rules if any(rule.code in cap.rules for cap in caps)]
    until = max(_remembered(lot, _end_of(cap, lot.earned_on), covered) for cap in caps)
    return replace(_bounded(book, lot, caps, worth(book, lot)), remembered_until=until)


def _bounded(book: Book, lot: Lot, caps: tuple[Cap, ...], possible: int, *, had: int = 0) -> Lot:
    """The lot, of which the caps leave at most so much of what is possible. What it had it keeps: together two who became one may
    have more than a cap gives one.
    """
    if lot.capped_by.startswith(WAITS):
        possible += _full_extra(book, lot)
    room, narrowest = min(((_room(book, lot, cap), cap) for cap in caps), key=lambda found: found[0])
    room = max(room, had)
    capped_by = f"{CUT} {narrowest.code}" if room < possible else lot.capped_by
    return replace(lot, amount_max=min(possible, room), capped_by=capped_by)


def _room(book: Book, lot: Lot, cap: Cap) -> int:
    """What is left of a cap. A policy that lost its points may get them back, so they keep their place."""
    end = _end_of(cap, lot.earned_on)
    others = (
        t for t in _first_lots(book)
        if t.rule in cap.rules and t.wallet == lot.wallet and t.no != lot.no and _end_of(cap, t.earned_on) == end
    )  # fmt: skip
    taken = sum(worth(book, t) if t.amount_max is None else t.amount_max for t in others)
    return max(0, cap.points_max - taken)


def _first_lots(book: Book) -> Iterator[Lot]:
    """One lot for each fact that holds: a top-up repeats the numbers of the first."""
    firsts = (group[0] for group in book.grouped(lot for lot in book.lots.values() if lot.base))
    return (lot for lot in firsts if not lot.revoked)


def _end_of(cap: Cap, day: date) -> date:
    """The last day of the cap's period in which `day` lies."""
    match cap.per:
        case "day":
            return day
        case "month":
            return end_of_month(day) - timedelta(1)
        case "year":
            return date(day.year, 12, 31)
    return FOREVER


def _remembered(lot: Lot, end: date, covered: Iterable[Rule]) -> date:
    """As long as another fact of the period may still come, however late; what has no bound may always."""
    late = [rule.late_days_max for rule in covered]
    if end == FOREVER or None in late:
        return FOREVER
    return max(lot.remembered_until, end + timedelta(max((days or 0 for days in late), default=0) + MARGIN_DAYS))
