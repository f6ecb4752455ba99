"""The motor portfolio of Segura-Gisbert, Lledó and Pavía (doi 10.1007/s13385-024-00398-0, CC BY 4.0) as facts of a core.

A row is one policy and year. The rows of one policy, in order of start, are its terms; `Date_lapse` ends it. The invariants: the
same rows always give the same facts under the same ids; no fact is dated before what it stands on; a loss lies inside cover.

A term that was never taken up (it starts on or after the lapse) is a renewal, cancelled the same day as `not_taken_up`, without
a payment or claims: that leaves a void term. Cover before the first row is term 0, without premium, flagged backfill.
"""

import csv
import gzip
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import msgspec
from tenure.calendar import round_half_up, start_of
from tenure.contracts import core
from tenure.contracts.event import Data, Event
from tenure.contracts.topics import TYPE_OF

SOURCE: Final = "/core/motor-portfolio"
PRODUCT_LINE: Final = "motor"
COLUMNS: Final = (
    "ID",
    "Date_start_contract",
    "Date_last_renewal",
    "Date_next_renewal",
    "Distribution_channel",
    "Date_lapse",
    "Premium",
    "Cost_claims_year",
    "N_claims_year",
    "Type_risk",
    "Area",
)
Channel = Literal["agent", "broker"]
_CHANNELS: Final = MappingProxyType[str, Channel]({"0": "agent", "1": "broker"})
_RISKS: Final = MappingProxyType({"1": "motorbike", "2": "van", "3": "car", "4": "agricultural"})
_AREAS: Final = MappingProxyType({"1": "urban", "0": "rural"})
_GZIP_MAGIC: Final = b"\x1f\x8b"
_OPENS_AT: Final = timedelta(hours=9)
_STEP: Final = timedelta(minutes=1)
CLAIMS_MAX: Final = 1_000


class RowError(ValueError):
    """A row of the file cannot be used; the message names the row and the column."""


class Row(NamedTuple):
    """One policy and year. `started` is the contract's first day, `lapsed` the day it ended, if it did."""

    id: str
    started: date
    start: date
    end: date
    channel: Channel
    lapsed: date | None
    premium_fen: int
    claims: int
    claims_fen: int
    risk: str
    area: str


def read(path: Path) -> Iterator[Row]:
    """The rows of `policies.csv`, gzipped or plain. Raises RowError."""
    with path.open("rb") as raw:
        is_gzip = raw.read(2) == _GZIP_MAGIC
    with (
        gzip.open(path, "rt", encoding="utf-8", newline="")
        if is_gzip
        else path.open(encoding="utf-8", newline="") as text
    ):
        lines = csv.reader(text, delimiter=";")
        at = _positions(next(lines, []))
        for number, cells in enumerate(lines, 2):
            yield _row(number, cells, at)


def facts(rows: Iterable[Row], *, backfill: bool = False) -> Iterator[Event]:
    """The facts of all policies, policy by policy. Cover before the first row is backfill always, the rest if asked."""
    by_policy: dict[str, list[Row]] = {}
    for row in rows:
        by_policy.setdefault(row.id, []).append(row)
    for terms in by_policy.values():
        yield from _policy(sorted(terms, key=lambda r: r.start), backfill=backfill)


def in_order(events: Iterable[Event]) -> list[Event]:
    """The same facts as they happened: by time, and of one moment in the order given."""
    return sorted(events, key=lambda e: e.time)


def split(events: Iterable[Event], since: date) -> Iterator[Event]:
    """What happened before `since` becomes history (backfill); the rest is as it was."""
    first = start_of(since)
    for event in events:
        yield event if event.backfill or event.time >= first else msgspec.structs.replace(event, backfill=True)


def _positions(header: list[str]) -> dict[str, int]:
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise RowError(f"row 1: the columns {', '.join(missing)} are missing (separator ';')")
    return {name: header.index(name) for name in COLUMNS}


def _row(number: int, cells: list[str], at: dict[str, int]) -> Row:
    """Raises RowError that names the row (the header is row 1) and the column."""
    column = ""

    def cell(name: str) -> str:
        nonlocal column
        column = name
        return cells[at[name]]

    try:
        row = Row(
            id=_present(cell("ID")),
            started=_date(cell("Date_start_contract")),
            start=_date(cell("Date_last_renewal")),
            end=_date(cell("Date_next_renewal")),
            channel=_CHANNELS[cell("Distribution_channel")],
            lapsed=_date(text) if (text := cell("Date_lapse")) else None,
            premium_fen=_fen(cell("Premium")),
            claims=_count(cell("N_claims_year")),
            claims_fen=_fen(cell("Cost_claims_year")),
            risk=_RISKS[cell("Type_risk")],
            area=_AREAS[cell("Area")],
        )
    except (ValueError, KeyError, InvalidOperation) as error:
        raise RowError(
            f"row {number}: {column}: {cells[at[column]]!r} cannot be used ({type(error).__name__})"
        ) from None
    except IndexError:
        raise RowError(f"row {number}: {column}: the row has {len(cells)} cells only") from None
    if row.end <= row.start:
        raise RowError(f"row {number}: Date_next_renewal: {row.end} is not after Date_last_renewal {row.start}")
    return row


def _present(text: str) -> str:
    if not text or not text.isalnum():
        raise ValueError(text)
    return text


@lru_cache(maxsize=65_536)
def _date(text: str) -> date:
    day, month, year = text.split("/")
    return date(int(year), int(month), int(day))


def _fen(text: str) -> int:
    """An amount in yuan as fen, half a fen up."""
    if text.isdigit():
        return int(text) * 100
    exact = Decimal(text)
    if not exact.is_finite() or exact < 0:
        raise ValueError(text)
    numerator, denominator = exact.as_integer_ratio()
    return round_half_up(numerator * 100, denominator)


def _count(text: str) -> int:
    count = int(text)
    if not 0 <= count <= CLAIMS_MAX:
        raise ValueError(text)
    return count


def _policy(rows: list[Row], *, backfill: bool) -> Iterator[Event]:
    """One policy's facts. Each day's facts are a minute apart, so that their order is in their times."""
    lapsed = next((row.lapsed for row in rows if row.lapsed is not None), None)
    first = rows[0]
    if first.started < first.start:
        yield from _Facts(first.id, 0, backfill=backfill).history(first, lapsed)
    for number, row in enumerate(rows, 1):
        of = _Facts(row.id, number, backfill=backfill)
        if lapsed is not None and lapsed <= row.start:
            yield from of.never_taken_up(row)
        else:
            yield from of.term(row, lapsed if lapsed is not None and lapsed < row.end else None)


class _Facts:
    """The facts of one term."""

    def __init__(self, policy: str, term_no: int, *, backfill: bool) -> None:
        self.policy, self.term_no, self.backfill = policy, term_no, backfill
        self.policy_no, self.member_id = f"P-{policy}", f"M-{policy}"

    def history(self, first: Row, lapsed: date | None) -> Iterator[Event]:
        """Cover before the first row: insured days and nothing else."""
        yield self._told("issued", self._issued(first, first.started, first.start, 0), first.started, backfill=True)
        if lapsed is not None and lapsed < first.start:
            yield self._told("cancelled", self._cancelled(lapsed, "mid_term"), lapsed, step=5)

    def never_taken_up(self, row: Row) -> Iterator[Event]:
        yield self._opened(row)
        yield self._told("cancelled", self._cancelled(row.start, "not_taken_up"), row.start, step=1)

    def term(self, row: Row, cut: date | None) -> Iterator[Event]:
        """A term that was taken up, and cut short on `cut` if that is a day inside it."""
        yield self._opened(row)
        about = {"policy_no": self.policy_no, "term_no": self.term_no}
        paid = core.PremiumPaid(**about, amount_fen=row.premium_fen, paid_on=row.start)  # type: ignore[arg-type]
        yield self._told("paid", paid, row.start, step=1)
        yield from self._claims(row, cut or row.end)
        if cut is None:
            return
        yield self._told("cancelled", self._cancelled(cut, "mid_term"), cut, step=5)
        left_fen = round_half_up(row.premium_fen * (row.end - cut).days, (row.end - row.start).days)
        if left_fen:
            refunded = core.PremiumRefunded(**about, amount_fen=left_fen, refunded_on=cut)  # type: ignore[arg-type]
            yield self._told("refunded", refunded, cut, step=6)

    def _opened(self, row: Row) -> Event:
        """The first row of a contract that began with it is its issue, every other row a renewal."""
        if self.term_no == 1 and row.started == row.start:
            return self._told("issued", self._issued(row, row.start, row.end, row.premium_fen), row.start)
        renewed = core.PolicyRenewed(
            policy_no=self.policy_no,
            term_no=self.term_no,
            start=row.start,
            end=row.end,
            premium_fen=row.premium_fen,
            renewed_on=row.start,
            member_id=self.member_id,
            product_line=PRODUCT_LINE,
        )
        return self._told("renewed", renewed, row.start)

    def _issued(self, row: Row, start: date, end: date, premium_fen: int) -> core.PolicyIssued:
        return core.PolicyIssued(
            policy_no=self.policy_no,
            term_no=self.term_no,
            member_id=self.member_id,
            product_line=PRODUCT_LINE,
            start=start,
            end=end,
            premium_fen=premium_fen,
            channel=row.channel,
            region=row.area,
            risk=row.risk,
        )

    def _cancelled(self, effective: date, kind: core.CancellationKind) -> core.PolicyCancelled:
        return core.PolicyCancelled(policy_no=self.policy_no, term_no=self.term_no, effective=effective, kind=kind)

    def _claims(self, row: Row, end: date) -> Iterator[Event]:
        """Closed claims of equal shares, the remainder on the last; the loss on the middle day of the term as it was covered."""
        loss = row.start + (end - row.start) // 2
        for number in range(1, row.claims + 1):
            share = row.claims_fen // row.claims
            if number == row.claims:
                share += row.claims_fen % row.claims
            about = {"policy_no": self.policy_no, "claim_no": f"C-{self.policy}-{self.term_no}-{number}"}
            steps: tuple[tuple[str, Data], ...] = (
                ("reported", core.ClaimReported(**about, loss_date=loss, reported_on=loss, estimate_fen=share)),
                ("paid", core.ClaimPaid(**about, on=loss, amount_fen=share)),
                ("closed", core.ClaimClosed(**about, on=loss)),
            )
            for step, (name, data) in enumerate(steps, 2):
                yield self._told(f"claim-{number}-{name}", data, loss, step=step)

    def _told(self, name: str, data: Data, day: date, *, step: int = 0, backfill: bool = False) -> Event:
        return Event(
            id=f"{self.policy}-{self.term_no}-{name}",
            source=SOURCE,
            type=TYPE_OF[type(data)],
            key=self.policy_no,
            time=_at(day, step),
            data=data,
            backfill=backfill or self.backfill,
        )


@lru_cache(maxsize=65_536)
def _at(day: date, step: int) -> datetime:
    return start_of(day) + _OPENS_AT + _STEP * step
