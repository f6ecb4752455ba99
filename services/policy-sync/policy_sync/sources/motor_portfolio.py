"""The motor portfolio of Segura-Gisbert, Lledó and Pavía (doi 10.1007/s13385-024-00398-0, CC BY 4.0) as facts of a core.

A row is one policy and year. The rows of one policy, in order of start, are its terms; `Date_lapse` ends it. The invariants: the
same rows always give the same facts under the same ids; no fact is dated before what it stands on; a loss lies inside cover.

A term that was never taken up (it starts on or after the lapse) is a renewal, cancelled the same day as `not_taken_up`, without
a payment or claims: that leaves a void term. Cover before the first row is term 0, without premium, flagged backfill.

A policy is taken whole or not at all: its terms are numbered from all its rows, so one that is wrong keeps the others out until it
is mended. Every row kept out is told, and the other policies of the file come in.
"""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec
from tenure.calendar import round_half_up, start_of
from tenure.contracts import core
from tenure.contracts.event import Data, Event
from tenure.contracts.topics import TYPE_OF

from policy_sync.sources import motor_rows
from policy_sync.sources.mapped import Finding, Mapped
from policy_sync.sources.motor_rows import Row, Wrong

SOURCE: Final = "/core/motor-portfolio"
PRODUCT_LINE: Final = "motor"
_OPENS_AT: Final = timedelta(hours=9)
_STEP: Final = timedelta(minutes=1)


def facts(rows: Iterable[Row], *, backfill: bool = False) -> Iterator[Event]:
    """The facts of all policies, policy by policy. Cover before the first row is backfill always, the rest if asked."""
    for terms in _by_policy(rows).values():
        for _, events in _policy(terms, backfill=backfill):
            yield from events


def mapped(path: Path, *, live_from: date | None) -> Iterator[Mapped]:
    """What a file gives, row by row: first the rows kept out, then the facts, policy by policy. Raises FileError."""
    found = list(motor_rows.rows(path))
    wrong = [row for row in found if isinstance(row, Wrong)]
    policies = _by_policy(row for row in found if isinstance(row, Row))
    order = 0
    for finding in _kept_out(wrong, policies):
        order += 1
        yield Mapped(finding.row, (), (finding,), order)
    for terms in policies.values():
        for number, told in _policy(terms, backfill=live_from is None):
            order += len(told)
            yield Mapped(number, tuple(told if live_from is None else split(told, live_from)), order=order)


def _by_policy(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows of each policy in order of start, policies as they come."""
    by_policy: dict[str, list[Row]] = {}
    for row in rows:
        by_policy.setdefault(row.id, []).append(row)
    return {policy: sorted(rows, key=lambda r: r.start) for policy, rows in by_policy.items()}


def _kept_out(wrong: Iterable[Wrong], policies: dict[str, list[Row]]) -> Iterator[Finding]:
    """The wrong rows, each with those of its policy, which leave `policies`."""
    for row in wrong:
        yield Finding(row.number, row.column, "malformed_row", row.why)
        for other in policies.pop(row.policy, ()):
            why = f"row {row.number} of the policy {row.policy} cannot be used, and its terms are numbered from all its rows"
            yield Finding(other.number, "ID", "policy_kept_out", why)


def in_order(events: Iterable[Event]) -> list[Event]:
    """The same facts as they happened: by time, and of one moment in the order given."""
    return sorted(events, key=lambda e: e.time)


def split(events: Iterable[Event], since: date) -> Iterator[Event]:
    """What happened before `since` becomes history (backfill); the rest is as it was."""
    first = start_of(since)
    for event in events:
        yield event if event.backfill or event.time >= first else msgspec.structs.replace(event, backfill=True)


def _policy(rows: list[Row], *, backfill: bool) -> Iterator[tuple[int, tuple[Event, ...]]]:
    """One policy's facts by row. Each day's facts are a minute apart, so that their order is in their times."""
    lapsed = next((row.lapsed for row in rows if row.lapsed is not None), None)
    for number, row in enumerate(rows, 1):
        is_late = number == 1 and row.started < row.start
        before = _Facts(row.id, 0, backfill=backfill).history(row, lapsed) if is_late else ()
        of = _Facts(row.id, number, backfill=backfill)
        if lapsed is not None and lapsed <= row.start:
            told = of.never_taken_up(row)
        else:
            told = of.term(row, lapsed if lapsed is not None and lapsed < row.end else None)
        yield row.number, (*before, *told)


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
