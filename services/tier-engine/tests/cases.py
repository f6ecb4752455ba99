"""Short words for terms, programmes and events, so that a case reads as an insurance person would say it."""

from datetime import date, datetime
from types import SimpleNamespace

from msgspec.structs import replace
from tenure.calendar import add_years, start_of
from tenure.contracts.core import CancellationKind  # noqa: F401 - the words of the contract
from tenure.contracts.decision import DayReached
from tenure.contracts.event import Event
from tenure.contracts.points import PointsGranted, PointsReversed
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged, PolicyIssued, Term
from tenure.contracts.programme import TierRules, Versions
from tenure.contracts.programme.tiers import GrowthCredit, TierCondition, TierRule
from tier_engine.rules import InsuredTerm

YUAN = 100


def day(text: str) -> date:
    return date.fromisoformat(text)


def term(
    start: str | date,
    end: str | date | None = None,
    *,
    premium: float = 100.00,
    policy: str = "P-1",
    no: int = 1,
    member: str = "M-1",
    line: str = "home",
    version: int = 1,
    covers: list[tuple[str, str]] | None = None,
    void: bool = False,
    person: bool = True,
    years: int = 1,
) -> Term:
    """A term of `years` from `start` (or to `end`), premium in yuan; `covers` where there are gaps."""
    begins = day(start) if isinstance(start, str) else start
    ends = day(end) if isinstance(end, str) else end or add_years(begins, years)
    held = tuple((day(a), day(b)) for a, b in covers) if covers is not None else ((begins, ends),)
    return Term(
        policy_no=policy,
        term_no=no,
        member_id=member,
        product_line=line,
        start=begins,
        end=ends,
        written_end=ends,
        premium_fen=round(premium * YUAN),
        status="void" if void else "in_force",
        version=version,
        covers=() if void else held,
        natural_person=person,
        inception=begins,
    )


def insured(*terms: Term) -> tuple[InsuredTerm, ...]:
    return tuple(InsuredTerm.of(t) for t in terms)


def continuous(
    start: str, years: int, *, premium: float = 100.00, policy: str = "P-1", member: str = "M-1"
) -> list[Term]:
    """Renewed every year without a gap."""
    first = day(start)
    return [
        term(add_years(first, n), add_years(first, n + 1), premium=premium, policy=policy, no=n + 1, member=member)
        for n in range(years)
    ]


def _tier(name: str, years: int | None = None, over_yuan: int | None = None) -> TierRule:
    any_of = []
    if years is not None:
        any_of.append(TierCondition(measure="insured_years", operator=">=", threshold=years))
    if over_yuan is not None:
        any_of.append(TierCondition(measure="annual_premium_fen", operator=">", threshold=over_yuan * YUAN))
    return TierRule(name=name, label_zh=name, label_en=name.title(), any_of=tuple(any_of))


RULES = TierRules(
    version=1,
    effective=day("2015-01-01"),
    tiers=(_tier("basic"), _tier("silver", 2, 300), _tier("gold", 5, 800), _tier("diamond", 8, 1500)),
)


def programme(*versions: TierRules) -> SimpleNamespace:
    """A programme of which only the tiers matter."""
    return SimpleNamespace(tiers=Versions(list(versions or (RULES,))))


STANDARD = programme()


def with_growth_days(rules: TierRules = RULES) -> TierRules:
    return replace(rules, growth_credit=GrowthCredit(days_per_point=1, days_max_per_calendar_year=90))


def stricter(effective: str, *, version: int = 2, silver=(3, 500), gold=(6, 1000), diamond=(9, 2000)) -> TierRules:
    return replace(
        RULES,
        version=version,
        effective=day(effective),
        tiers=(_tier("basic"), _tier("silver", *silver), _tier("gold", *gold), _tier("diamond", *diamond)),
    )


_count = iter(range(10**9))


def event(data, at: date | str, *, key: str | None = None, backfill: bool = False) -> Event:
    when: datetime = start_of(day(at) if isinstance(at, str) else at)
    return Event(
        id=f"e-{next(_count)}",
        source="/core/test",
        type=type(data).__name__,
        key=key or data.member_id,
        time=when,
        data=data,
        backfill=backfill,
    )


def known(t: Term, at: date | str | None = None) -> Event:
    """The fact that makes a term known, told on its first day unless `at` says otherwise."""
    return event(PolicyIssued(member_id=t.member_id, term=t, effective=t.start), at or t.start)


def came(at: date | str, member: str = "M-1") -> Event:
    on = day(at) if isinstance(at, str) else at
    return event(DayReached(key=member, day=on), on, key=member)


def merged(into: str, old: str, at: str | date, *, no: int = 0) -> Event:
    on = day(at) if isinstance(at, str) else at
    return event(CustomerMerged(member_id=into, merged_id=old, effective=on, ties_no=no), on)


def unmerged(survivor: str, old: str, at: str | date, *, told_to: str | None = None, no: int = 0) -> Event:
    on = day(at) if isinstance(at, str) else at
    told_to = told_to or survivor
    data = CustomerUnmerged(member_id=told_to, survivor_id=survivor, merged_id=old, effective=on, ties_no=no)
    return event(data, on)


def growth(points: int, at: str | date, member: str = "M-1", *, wallet: str = "growth") -> Event:
    on = day(at) if isinstance(at, str) else at
    if points < 0:
        return event(
            PointsReversed(
                member_id=member, wallet=wallet, amount=-points, effective=on, entry_id="n", rule="class",
                from_pending=0, from_lots=-points, as_debt=0,
            ),
            on,
        )  # fmt: skip
    return event(
        PointsGranted(
            member_id=member, wallet=wallet, amount=points, effective=on, lot_id="l", entry_id="n", rule="class",
            rules_version=1, activates_on=on, expires_on=None, source_type="activity",
        ),
        on,
    )  # fmt: skip
