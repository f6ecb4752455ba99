"""One member as the app and the agent see it.

The invariant: each part follows from one topic alone, or is joined when it is shown, and what is dropped with time is dropped by
the members' own days. So the row does not depend on how the topics were interleaved.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace
from tenure.calendar import Period
from tenure.contracts.points import Wallet
from tenure.contracts.tier import NO_TIER, Condition

ENDED_TERM_KEPT: Final = timedelta(days=31)
TERMS_MAX: Final = 200
CLAIMS_CLOSED_MAX: Final = 20
ADVICE_MAX: Final = 40
EXTENSIONS_MAX: Final = 40
GRANTS_MAX: Final = 200
ORDERS_MAX: Final = 10
CLOSED: Final = frozenset({"declined", "paid", "closed", "withdrawn"})


class Label(NamedTuple):
    zh: str
    en: str


class Purse(Struct, frozen=True, array_like=True):
    """One wallet's balances, and the sums behind them; `available + pending + held - debt` follows from those."""

    available: int = 0
    pending: int = 0
    held: int = 0
    debt: int = 0
    granted: int = 0
    adjusted: int = 0
    spent: int = 0
    reversed: int = 0
    expired: int = 0

    def plus(self, other: "Purse") -> "Purse":
        return Purse(*(getattr(self, f) + getattr(other, f) for f in self.__struct_fields__))


class Standing(Struct, frozen=True, kw_only=True):
    """The tier as tier.v1 last told it; days and premium were measured on `measured_on`, and only then.

    The labels, and the product `lines` whose cover counts (None: every one), are those of version `worded_by` of the tier rules;
    0: of none yet.
    """

    tier: str = NO_TIER
    label: Label = Label("", "")
    since: date | None = None
    nearest: Condition | None = None
    nearest_label: Label = Label("", "")
    covered: bool = True
    insured_days: int = 0
    annual_premium_fen: int = 0
    measured_on: date | None = None
    drops_to: str | None = None
    drops_on: date | None = None
    worded_by: int = 0
    lines: tuple[str, ...] | None = None


class Term(Struct, frozen=True, kw_only=True):
    """A term of before `natural_person` was kept counts as a person's until it is heard of again."""

    id: str
    policy_no: str
    term_no: int
    version: int
    product_line: str
    start: date
    end: date
    status: str
    covers: tuple[Period, ...]
    natural_person: bool = True


class Claim(Struct, frozen=True, kw_only=True):
    claim_no: str
    policy_no: str
    product_line: str
    status: str
    amount_fen: int
    effective: date

    @property
    def is_open(self) -> bool:
        return self.status not in CLOSED


class Advice(Struct, frozen=True, kw_only=True):
    """What the tier grants for a claim."""

    claim_no: str
    effective: date
    fast_track: bool
    on_site_survey_waived: bool


class Grant(Struct, frozen=True, kw_only=True):
    """`remaining` None = as often as needed. `request_id`: asked of the core, which has to confirm it."""

    grant_id: str
    benefit: str
    label: Label
    tier: str
    quota: int | None
    remaining: int | None
    period_start: date
    period_end: date | None
    request_id: str | None = None


class Answer(Struct, frozen=True, kw_only=True):
    """What the core said to a request: an endorsement number, or none."""

    request_id: str
    endorsement_no: str | None


class Order(Struct, frozen=True, kw_only=True):
    """`via`: the numbers it came from by mergers, that under which it was placed first."""

    order_id: str
    sku: str
    quantity: int
    points: int
    status: str
    effective: date
    via: tuple[str, ...] = ()


class Expiring(Struct, frozen=True, kw_only=True):
    wallet: Wallet
    expires_on: date
    amount: int


class View(Struct, frozen=True, kw_only=True):
    """`lived_to` is the newest day any event told of. `merged_into`: this id is an old one of that member. `ties_no`: the newest of
    what was told of whose it is.
    """

    member_id: str
    lived_to: date = date.min
    updated_at: datetime | None = None
    enrolled_on: date | None = None
    standing: Standing = Standing()
    purses: Mapping[Wallet, Purse] = {}
    expiring: tuple[Expiring, ...] = ()
    terms: Mapping[str, Term] = {}
    claims: Mapping[str, Claim] = {}
    advice: Mapping[str, Advice] = {}
    grants: Mapping[str, Grant] = {}
    requests: Mapping[str, str] = {}
    answers: Mapping[str, Answer] = {}
    orders: Mapping[str, Order] = {}
    erased: bool = False
    merged_into: str | None = None
    ties_no: int = 0

    @property
    def has_leftovers(self) -> bool:
        """Whether something arrived under an old id that belongs to the member who remains."""
        return self.merged_into is not None and blank(self) != self


def blank(view: View) -> View:
    """The same id with nothing of its own."""
    return View(
        member_id=view.member_id,
        lived_to=view.lived_to,
        updated_at=view.updated_at,
        standing=view.standing if view.merged_into else Standing(),
        grants=view.grants if view.merged_into else {},
        requests=view.requests if view.merged_into else {},
        merged_into=view.merged_into,
        ties_no=view.ties_no,
        erased=view.erased,
    )


def settled(view: View, before: View | None = None) -> View:
    """The view without what its days have left behind; the bounds keep what is newest.

    `before` is the settled view this one was made from: what is the same in both, on the same day, is settled.
    """
    later = before is None or view.lived_to != before.lived_to
    changed = {
        name: settle(view)
        for name, settle, is_dated in _SETTLED
        if (later and is_dated) or before is None or getattr(view, name) is not getattr(before, name)
    }
    return replace(view, **changed) if changed else view


def _grants(view: View) -> dict[str, Grant]:
    kept = sorted(view.grants.values(), key=lambda g: (g.period_start, g.grant_id))[-GRANTS_MAX:]
    return {g.grant_id: g for g in kept if g.period_end is None or g.period_end > view.lived_to}


def _terms(view: View) -> dict[str, Term]:
    return _newest((t for t in view.terms.values() if t.end + ENDED_TERM_KEPT > view.lived_to), TERMS_MAX)


def _expiring(view: View) -> tuple[Expiring, ...]:
    ahead = (e for e in view.expiring if e.expires_on > view.lived_to)
    return tuple(sorted(ahead, key=lambda e: (e.expires_on, e.wallet)))


_SETTLED: Final[tuple[tuple[str, Callable[[View], object], bool], ...]] = (
    ("terms", _terms, True),
    ("grants", _grants, True),
    ("expiring", _expiring, True),
    ("claims", lambda view: _claims(view.claims.values()), False),
    ("advice", lambda v: {a.claim_no: a for a in sorted(v.advice.values(), key=_by_claim)[-ADVICE_MAX:]}, False),
    ("orders", lambda v: {o.order_id: o for o in sorted(v.orders.values(), key=_by_order)[-ORDERS_MAX:]}, False),
    ("requests", lambda view: dict(list(view.requests.items())[-EXTENSIONS_MAX:]), False),
    ("answers", lambda view: dict(list(view.answers.items())[-EXTENSIONS_MAX:]), False),
)
"""The parts that are bounded: how, and whether a later day leaves something of them behind."""


def _newest(terms: Iterable[Term], kept_max: int) -> dict[str, Term]:
    return {t.id: t for t in sorted(terms, key=lambda t: (t.end, t.id))[-kept_max:]}


def _claims(claims: Iterable[Claim]) -> dict[str, Claim]:
    ordered = sorted(claims, key=_by_claim)
    closed = {c.claim_no for c in [c for c in ordered if not c.is_open][-CLAIMS_CLOSED_MAX:]}
    return {c.claim_no: c for c in ordered if c.is_open or c.claim_no in closed}


def _by_claim(one: Claim | Advice) -> tuple[date, str]:
    return one.effective, one.claim_no


def _by_order(order: Order) -> tuple[date, str]:
    return order.effective, order.order_id
