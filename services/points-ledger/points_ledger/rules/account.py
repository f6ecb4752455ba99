"""The state of one account, and what it remembers.

An account is one member's or one agent's, and nothing in it is shared with another. A lot is what one rule earned for one fact:
why, how much, and what became of it (`granted = remaining + held + spent + reversed + expired`). Whether a lot is pending,
active or expired follows from its dates and the day the account has lived to; no flag says so, so no tick can be missed.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Final, Literal

import msgspec
from tenure.contracts.points import Wallet

from points_ledger.commands import Purpose
from points_ledger.rules.memory import Memory

FOREVER: Final = date.max
WALLETS: Final[tuple[Wallet, ...]] = ("points", "growth", "agent")
BUCKETS: Final = ("pending", "available", "held", "debt")
Bucket = Literal["pending", "available", "held", "debt"]
Programme = Literal["issuance", "redemption", "breakage", "adjustment", "merger"]
Ledger = Bucket | Programme
Kind = Literal[
    "grant",
    "activate",
    "hold",
    "capture",
    "release",
    "refund",
    "reverse",
    "restore",
    "repay",
    "expire",
    "adjust",
    "merge",
]
Reason = Literal[
    "limit",
    "too_late",
    "heard_late",
    "below",
    "no_rule",
    "not_then",
    "not_for_line",
    "agent_left",
    "backfill",
    "capped",
    "rated",
]
"""Why an activity came to nothing; `words.of_nothing` has each in a sentence."""
GRACE: Final = "refund_grace"
ADJUSTMENT: Final = "adjustment"
FIRST_TERM: Final = 1
"""The first term sold here; 0 is cover before go-live."""
EXPIRED_KEPT_DAYS: Final = 92
"""How long what expired unused is known, and may still pay for a cancellation that is heard late."""
DEBT: Final = 0
"""Stands where a lot's number stands, in what was taken back: nothing was there to take, so it became a debt."""


class Lot(msgspec.Struct, frozen=True, gc=False):
    """What one rule earned for one fact. `fact` is the business key: the same fact never earns twice by the same rule.

    `extra_max`: the most the campaign may add; `amount_max`: the most it may come to at all; `capped_by` names what set them.
    """

    no: int
    wallet: Wallet
    rule: str
    fact: str
    granted: int
    remaining: int
    earned_on: date
    activates_on: date
    expires_on: date | None
    rules_version: int
    source_type: str
    source_id: str
    remembered_until: date
    base: int = 0
    held: int = 0
    spent: int = 0
    reversed: int = 0
    expired: int = 0
    policy_no: str | None = None
    term_no: int | None = None
    status: str = ""
    status_percent: int = 100
    line_percent: int = 100
    campaign_percent: int = 100
    revoked: bool = False
    taken: tuple[tuple[int, int], ...] = ()
    origin: str = ""
    campaign: str = ""
    extra_max: int | None = None
    amount_max: int | None = None
    capped_by: str = ""
    cut_on: date | None = None

    @property
    def ends_on(self) -> date | None:
        """The day at whose start it expires: its own, or an earlier one when its agent left."""
        return self.expires_on if self.cut_on is None else self.cut_on

    @property
    def standing(self) -> int:
        """What the grant still counts for: granted, less what was taken back for it, from wherever."""
        return self.granted - sum([amount for _, amount in self.taken]) if self.taken else self.granted

    @property
    def spending_order(self) -> tuple[date, date, int]:
        """Earliest expiry first, then earliest earned; of one day what was granted first, a survivor's own before what came."""
        return (self.ends_on or FOREVER, self.earned_on, self.no)

    def is_pending(self, on: date) -> bool:
        return self.activates_on > on

    def is_expired(self, on: date) -> bool:
        ends_on = self.expires_on if self.cut_on is None else self.cut_on
        return ends_on is not None and ends_on <= on

    def is_known(self, on: date) -> bool:
        """Whether what is left of it, or expired unused, may be taken for another by then. `store.LOTS` reads it so long."""
        if self.remaining or self.remembered_until >= on:
            return True
        ends_on = self.ends_on
        return self.expired > 0 and ends_on is not None and (on - ends_on).days < EXPIRED_KEPT_DAYS

    def is_half_known(self, on: date) -> bool:
        """Whether what belongs to it (its fact's other lots, others in its cap) may be forgotten by then."""
        return self.remembered_until < on

    def is_spendable(self, on: date) -> bool:
        return self.remaining > 0 and not self.is_pending(on) and not self.is_expired(on)


class Transfer(msgspec.Struct, frozen=True, gc=False):
    """One movement, never changed: `amount` from `debit` to `credit`, counted on `effective`."""

    member_id: str
    no: int
    wallet: Wallet
    debit: Ledger
    credit: Ledger
    amount: int
    lot_no: int
    kind: Kind
    effective: date
    cause: str
    hold_id: str = ""


class Hold(msgspec.Struct, frozen=True):
    """A reservation. `parts` are the lots it took, in order of use; after a capture, what was captured and not refunded."""

    hold_id: str
    wallet: Wallet
    points: int
    reference: str
    state: Literal["held", "captured", "released", "timed_out"]
    parts: tuple[tuple[int, int], ...]
    placed_on: date
    expires_at: datetime
    refundable_until: date
    captured: int = 0
    refunded: int = 0


class Proposal(msgspec.Struct, frozen=True):
    """A manual adjustment that waits for a second person. `batch`: the file it came in."""

    adjustment_id: str
    wallet: Wallet
    points: int
    reason: str
    ticket: str
    proposed_by: str
    state: Literal["proposed", "approved", "rejected"] = "proposed"
    approved_by: str = ""
    purpose: Purpose = "correct"
    batch: str = ""


class MovedLot(msgspec.Struct, frozen=True):
    """A lot as it was when it left an account for another."""

    member_id: str
    lot: Lot


class AccountChange(msgspec.Struct, frozen=True):
    """What happened to an account as such, for the audit: who or what did it, why, by which event, counted on which day."""

    member_id: str
    what: Literal["frozen", "unfrozen", "left", "returned", "linked", "merged", "unmerged", "rejected", "written_off"]
    reason: str
    actor: str
    cause: str
    effective: date


class Unpaid(msgspec.Struct, frozen=True):
    """An activity that came to nothing, and why. `fact` is the key it would have earned by; `limited_by` measures the reason: a
    limit, days, a value, product lines, a cap.
    """

    member_id: str
    day: date
    kind: str
    fact: str
    activity_id: str
    reason: Reason
    limited_by: str
    rules_version: int


class AdjustmentUse(msgspec.Struct, frozen=True):
    """Points proposed by hand on a day, by a maker or for a member, and how many may be."""

    day: date
    role: Literal["maker", "member"]
    who: str
    points: int
    points_max: int


class ReferralNews(msgspec.Struct, frozen=True):
    """What became of a referee's policy, left for the referrer's account to read on its own turn."""

    member_id: str
    policy_no: str
    void: bool


class BudgetClaim(msgspec.Struct, frozen=True):
    """A lot asks for its share of a campaign's budget. Members share it, so the lot waits for its turn outside the account."""

    member_id: str
    lot_id: str
    campaign: str
    points: int
    budget_points_max: int


class BudgetNews(msgspec.Struct, frozen=True):
    """What a lot was allotted of its campaign's budget, left for the account to read on its own turn."""

    member_id: str
    lot_id: str
    points: int
    asked: int


class Account(msgspec.Struct, frozen=True):
    """`lived_to`: everything the dates imply up to that day is posted. `due_on`: the next day that brings something."""

    member_id: str
    lived_to: date | None = None
    due_on: date | None = None
    lots_no: int = 0
    transfers_no: int = 0
    balances: dict[str, int] = {}
    lots: dict[int, Lot] = {}
    holds: dict[str, Hold] = {}
    proposals: dict[str, Proposal] = {}
    memory: Memory = Memory()
    news: tuple[ReferralNews, ...] = ()
    allotted: tuple[BudgetNews, ...] = ()


def lot_id(member_id: str, no: int) -> str:
    return f"{member_id}:{no}"


def balance(wallet: Wallet, bucket: str) -> str:
    """The name of a balance, as in the table of accounts."""
    return f"{wallet}_{bucket}"


BALANCES: Final = tuple(balance(w, b) for w in WALLETS for b in BUCKETS)


_NOTHING: Final = dict.fromkeys(BALANCES, 0)
"""Balances stand in this order in every account, as in the table's columns."""


def new_account(member_id: str) -> Account:
    return Account(member_id, balances=_NOTHING.copy())


def standing_of(lots: Iterable[Lot]) -> int:
    return sum(lot.standing for lot in lots)
