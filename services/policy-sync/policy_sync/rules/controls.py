"""A control file of the core, compared with what stands here: opened, filled, compared, and its differences settled.

The invariants: terms are taken until the comparison and not after it; a difference is settled once, by a request to the core or by
taking the core's version as correcting facts; what is corrected never edits a fact, and is what the comparison saw: a term that
was changed in the meantime is not corrected by what it was before.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace
from tenure.contracts import core
from tenure.contracts.decision import Decision, RefusedError
from tenure.contracts.event import Data, Event
from tenure.contracts.programme import Programme
from tenure.contracts.reconciliation import FactsRequested

from policy_sync import commands
from policy_sync.rules.recorded import ControlTermsKept, DifferenceFound, DifferencesSettled

_PREFIX: Final = "control "
DIFFERENCES_MAX: Final = 10_000
Kind = Literal["missing_here", "missing_there", "product_line", "member_id", "start", "end", "premium_fen"]
Since = Literal["stands", "agrees", "changed"]

PROBLEMS: Final = MappingProxyType(
    {
        "no_such_control": (404, "There is no such control file.", "没有该对账文件。"),
        "control_compared": (409, "The control file was compared already.", "该对账文件已完成比对。"),
        "control_not_compared": (409, "The control file was not compared yet.", "该对账文件尚未比对。"),
        "no_such_difference": (404, "No open difference concerns this policy.", "该保单没有未处理的差异。"),
    }
)


class ControlTerm(msgspec.Struct, frozen=True):
    """A term in force on the control's day, as one side has it."""

    policy_no: str
    term_no: int
    member_id: str
    product_line: str
    start: date
    end: date
    premium_fen: int


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One respect in which a term differs. `ours` or `theirs` is None where that side has no such term in force."""

    policy_no: str
    term_no: int
    kind: Kind
    ours: ControlTerm | None
    theirs: ControlTerm | None


class ControlState(msgspec.Struct, frozen=True, kw_only=True):
    """`open`: differences not settled yet, by policy. `has_more`: there were more than are kept."""

    id: str
    on: date | None = None
    lines: str = "[]"
    opened_by: str = ""
    opened_at: datetime | None = None
    is_compared: bool = False
    has_more: bool = False
    open: Mapping[str, tuple[Kind, ...]] = MappingProxyType({})


def control_key(id_: str) -> str:
    return _PREFIX + id_


def control_of(key: str) -> str | None:
    """The control file of a state's key; None for anything else's."""
    return key.removeprefix(_PREFIX) if key.startswith(_PREFIX) else None


def differences(ours: ControlTerm | None, theirs: ControlTerm | None) -> Iterator[Difference]:
    """In which respects the two sides' word on one term differs."""
    one = theirs or ours
    assert one is not None
    about: dict[str, Any] = {"policy_no": one.policy_no, "term_no": one.term_no, "ours": ours, "theirs": theirs}
    if ours is None or theirs is None:
        yield Difference(**about, kind="missing_here" if ours is None else "missing_there")
        return
    kinds: tuple[Kind, ...] = ("product_line", "member_id", "start", "end", "premium_fen")
    for kind in kinds:
        if getattr(ours, kind) != getattr(theirs, kind):
            yield Difference(**about, kind=kind)


def since(difference: Difference, now: ControlTerm | None) -> Since:
    """Whether the difference stands as it was found, is none any more, or is another one. `now`: our term, if in force that day."""
    ours, theirs, kind = difference.ours, difference.theirs, difference.kind
    if kind in ("missing_here", "missing_there"):
        return "agrees" if now == theirs else "stands" if now == ours else "changed"
    said = getattr(now, kind, None)
    return "agrees" if said == getattr(theirs, kind) else "stands" if said == getattr(ours, kind) else "changed"


def corrections(difference: Difference, *, on: date, number: str, is_known: bool) -> tuple[Data, ...]:
    """The facts that make the core's version true here from `on`; none if only the core's own facts can (a start, a line)."""
    about: dict[str, Any] = {"policy_no": difference.policy_no, "term_no": difference.term_no}
    ours, theirs = difference.ours, difference.theirs
    match difference.kind:
        case "missing_here" if theirs is not None:
            cls = core.PolicyRenewed if is_known else core.PolicyIssued
            return (cls(**msgspec.structs.asdict(theirs)),)
        case "missing_there":
            return (core.PolicyCancelled(**about, effective=on, kind="mid_term"),)
        case "member_id" if theirs is not None:
            return (core.PolicyHolderChanged(**about, effective=on, member_id=theirs.member_id),)
        case "end" if theirs is not None:
            return (core.PolicyEndorsed(**about, endorsement_no=number, effective=on, end=theirs.end),)
        case "premium_fen" if ours is not None and theirs is not None:
            delta = theirs.premium_fen - ours.premium_fen
            return (core.PolicyEndorsed(**about, endorsement_no=number, effective=on, premium_delta_fen=delta),)
        case _:
            return ()


def on_open(state: ControlState, event: Event, _: Programme) -> Decision[ControlState]:
    data: commands.OpenControl = event.data
    assert state.opened_at is None
    opened = replace(state, on=data.on, lines=data.lines, opened_by=data.opened_by, opened_at=event.time)
    return Decision(opened, reply={"control_id": state.id})


def on_terms(state: ControlState, event: Event, _: Programme) -> Decision[ControlState]:
    """Keep terms of the core's snapshot; the same term again replaces itself. Raises RefusedError."""
    data: commands.KeepControlTerms = event.data
    if state.opened_at is None:
        raise RefusedError("no_such_control", "it was never opened")
    if state.is_compared:
        raise RefusedError("control_compared", "terms come before the comparison")
    return Decision(state, rows=(ControlTermsKept(state.id, data.terms),), reply={"terms": len(data.terms)})


def on_compared(state: ControlState, event: Event, _: Programme) -> Decision[ControlState]:
    """Keep what was found to differ, the first of it if it is much. Raises RefusedError."""
    data: commands.CompareControl = event.data
    if state.opened_at is None:
        raise RefusedError("no_such_control", "it was never opened")
    if state.is_compared:
        raise RefusedError("control_compared", "open another for a second look")
    rows = tuple(DifferenceFound(state.id, one) for one in data.differences[:DIFFERENCES_MAX])
    has_more = len(data.differences) > len(rows)
    compared = replace(state, is_compared=True, has_more=has_more)
    return Decision(compared, rows=rows, reply={"differences": len(rows), "has_more": has_more})


def on_request(state: ControlState, event: Event, _: Programme) -> Decision[ControlState]:
    """Ask the core for the facts of these policies again. Raises RefusedError."""
    data: commands.RequestFacts = event.data
    _check_open(state, data.policy_nos, is_control=data.is_control)
    on = state.on or event.day
    asked = tuple(
        FactsRequested(
            policy_no=no, request_id=f"{data.request_id}/{no}", on=on, reasons=state.open.get(no, ("asked",))
        )
        for no in dict.fromkeys(data.policy_nos)
    )
    return Decision(
        _settled(state, data.policy_nos),
        asked,
        (DifferencesSettled(state.id, data.policy_nos, "requested", data.asked_by, ""),),
        {"requested": len(asked)},
    )


def on_accepted(state: ControlState, event: Event, _: Programme) -> Decision[ControlState]:
    """The core's version was taken as correcting facts, also where another call settled it just before; what could not be
    corrected stays open. Raises RefusedError.
    """
    data: commands.SettleDifferences = event.data
    _check_compared(state)
    settled = DifferencesSettled(state.id, data.corrected, "accepted", data.accepted_by, data.reason)
    return Decision(_settled(state, data.corrected), rows=(settled,), reply=data.reply)


def _check_open(state: ControlState, policy_nos: tuple[str, ...], *, is_control: bool) -> None:
    if not is_control:
        return
    _check_compared(state)
    if unknown := [no for no in policy_nos if no not in state.open]:
        raise RefusedError("no_such_difference", f"nothing open concerns {', '.join(unknown[:5])}")


def _check_compared(state: ControlState) -> None:
    if state.opened_at is None:
        raise RefusedError("no_such_control", "it was never opened")
    if not state.is_compared:
        raise RefusedError("control_not_compared", "compare it first")


def _settled(state: ControlState, policy_nos: tuple[str, ...]) -> ControlState:
    return replace(state, open={no: kinds for no, kinds in state.open.items() if no not in policy_nos})


def rules() -> dict[type, Any]:
    """Which rule decides which command."""
    return {
        commands.OpenControl: on_open,
        commands.KeepControlTerms: on_terms,
        commands.CompareControl: on_compared,
        commands.RequestFacts: on_request,
        commands.SettleDifferences: on_accepted,
    }
