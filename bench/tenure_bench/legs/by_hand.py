"""The rules of a renewal day by hand: what a payment, a renewal, an anniversary and a year without a claim come to.

It knows that members have no tier, no debt and no campaign, that everything falls on one day, that terms are whole and that no
fact comes twice; so each earns a fixed sum, and no lot is ever read again.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec
from points_ledger.rules.memory import Memory
from points_ledger.rules.term_memory import TermMemory
from tenure.calendar import add_months, end_of_month
from uuid_utils import uuid7

EXPIRY_MONTHS: Final = 24
NOTICE: Final = timedelta(30)
FEN_PER_CNY: Final = 100
RENEWAL_POINTS: Final = 200
RENEWAL_PREMIUM_PERCENT: Final = 20
ANNIVERSARY_POINTS: Final = 100
ANNIVERSARY_POINTS_MAX: Final = 1_000
ANNIVERSARY_GROWTH: Final = 10
NO_CLAIM_POINTS: Final = 300
NO_CLAIM_GROWTH: Final = 20


class Term(msgspec.Struct):
    policy_no: str
    term_no: int
    version: int
    start: date
    written_end: date
    premium_fen: int
    cooling_off_end: date


class Paid(msgspec.Struct):
    member_id: str
    term: Term
    effective: date
    amount_fen: int
    instalment_no: int


class Renewed(msgspec.Struct):
    member_id: str
    term: Term
    renewed_on: date


class Anniversary(msgspec.Struct):
    member_id: str
    policy_no: str
    term_no: int
    years: int
    effective: date


class NoClaimYear(msgspec.Struct):
    member_id: str
    policy_no: str
    policy_year: int
    effective: date


class Granted(msgspec.Struct):
    member_id: str
    wallet: str
    amount: int
    effective: date
    lot_id: str
    entry_id: str
    rule: str
    rules_version: int
    activates_on: date
    expires_on: date | None
    source_type: str
    reference: str
    repaid_debt: int


class Account:
    """What of an account such a day changes."""

    __slots__ = ("available", "due_on", "growth", "known", "memory", "no", "pending")

    def __init__(self, row: Any = None) -> None:
        self.known = row is not None
        self.due_on: date | None = row["due_on"] if row else None
        self.no: int = row["lots_no"] if row else 0
        self.memory: dict[str, TermMemory] = _memory.decode(row["memory"]).terms if row else {}
        self.pending: int = row["points_pending"] if row else 0
        self.available: int = row["points_available"] if row else 0
        self.growth: int = row["growth_available"] if row else 0


_memory: Final = msgspec.msgpack.Decoder(Memory)
_json: Final = msgspec.json.Encoder()
_pack: Final = msgspec.msgpack.Encoder()


def memory_of(account: Account) -> bytes:
    return _pack.encode(Memory(terms=account.memory))


class Poll:
    """The rows of one poll."""

    def __init__(self, accounts: dict[str, Account]) -> None:
        self.accounts = accounts
        self.lots: list[tuple[Any, ...]] = []
        self.transfers: list[tuple[Any, ...]] = []
        self.told: list[Any] = []
        self.day = date.min

    def take(self, fact: Any, kind: str, event_id: str, time: bytes) -> None:
        """One event of any of the four kinds."""
        account = self.accounts.get(fact.member_id)
        if account is None:
            account = self.accounts[fact.member_id] = Account()
        for earned in HANDS[kind](fact, account):
            self._grant(account, fact.member_id, earned, kind, event_id, time)

    def _grant(
        self, account: Account, member: str, earned: tuple[Any, ...], kind: str, event_id: str, time: bytes
    ) -> None:
        wallet, rule, fact, points, on, active, policy_no, term_no = earned
        account.no, self.day = account.no + 1, on
        no, expires, bucket = account.no, None, "available"
        if wallet == "growth":
            account.growth += points
        else:
            expires, due = expiry(active), active
            if active <= on:
                due = expires - NOTICE
                account.available += points
            else:
                bucket = "pending"
                account.pending += points
            account.due_on = due if account.due_on is None or due < account.due_on else account.due_on
        self.lots.append(
            (
                *(member, no, wallet, rule, fact, points, points, on, active, expires),
                *(1, kind, event_id, date.max, points, 0, 0, 0, 0),
                *(policy_no, term_no, "", 100, 100, 100, False, "[]", ""),
            )
        )
        self.transfers.append((member, no, wallet, "issuance", bucket, points, no, "grant", on, event_id, ""))
        lot = f"{member}:{no}"
        value = Granted(member, wallet, points, on, lot, lot, rule, 1, active, expires, kind, fact, 0)
        self._tell(member.encode(), value, time)

    def _tell(self, member: bytes, value: Granted, time: bytes) -> None:
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", str(uuid7()).encode()),
            ("ce_source", b"/tenure/points-ledger"),
            ("ce_type", b"points.granted"),
            ("ce_time", time),
            ("ce_subject", b""),
            ("ce_partitionkey", member),
        ]
        self.told.append(("points.v1", member, _json.encode(value), headers))


@lru_cache(maxsize=4_096)
def expiry(active: date) -> date:
    return end_of_month(add_months(active, EXPIRY_MONTHS))


Earned = Iterator[tuple[Any, ...]]


def _paid(paid: Paid, account: Account) -> Earned:
    term, key = paid.term, f"{paid.term.policy_no}/{paid.term.term_no}"
    before = account.memory.get(key)
    account.memory[key] = _remembered(term, {**(before.paid if before else {}), paid.instalment_no: paid.amount_fen})
    fact, active = f"{key}#{paid.instalment_no}", max(paid.effective, term.cooling_off_end)
    points = paid.amount_fen // FEN_PER_CNY
    yield "points", "premium", fact, points, paid.effective, active, term.policy_no, term.term_no


def _renewed(renewed: Renewed, account: Account) -> Earned:
    term, key = renewed.term, f"{renewed.term.policy_no}/{renewed.term.term_no}"
    before = account.memory.get(key)
    account.memory[key] = _remembered(term, before.paid if before else {})
    active = max(renewed.renewed_on, term.cooling_off_end)
    points = RENEWAL_POINTS + term.premium_fen // FEN_PER_CNY * RENEWAL_PREMIUM_PERCENT // 100
    yield "points", "renewal", key, points, renewed.renewed_on, active, term.policy_no, term.term_no


def _remembered(term: Term, paid: dict[int, int]) -> TermMemory:
    return TermMemory(term.version, term.start, term.written_end, True, term.premium_fen, paid=paid)


def _anniversary(reached: Anniversary, account: Account) -> Earned:
    del account
    points = min(ANNIVERSARY_POINTS * reached.years, ANNIVERSARY_POINTS_MAX)
    on, fact = reached.effective, f"{reached.policy_no}@{reached.years}"
    yield "points", "anniversary", fact, points, on, on, reached.policy_no, reached.term_no
    yield "growth", "anniversary", fact, ANNIVERSARY_GROWTH, on, on, reached.policy_no, reached.term_no


def _no_claim_year(year: NoClaimYear, account: Account) -> Earned:
    del account
    on, fact = year.effective, f"{year.policy_no}@{year.policy_year}"
    yield "points", "no_claim_year", fact, NO_CLAIM_POINTS, on, on, year.policy_no, None
    yield "growth", "no_claim_year", fact, NO_CLAIM_GROWTH, on, on, year.policy_no, None


HANDS: Final[dict[str, Callable[[Any, Account], Earned]]] = {
    "premium.paid": _paid,
    "policy.renewed": _renewed,
    "policy.anniversary": _anniversary,
    "no_claim_year.completed": _no_claim_year,
}
DECODERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    "premium.paid": msgspec.json.Decoder(Paid),
    "policy.renewed": msgspec.json.Decoder(Renewed),
    "policy.anniversary": msgspec.json.Decoder(Anniversary),
    "no_claim_year.completed": msgspec.json.Decoder(NoClaimYear),
}
