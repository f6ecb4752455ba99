"""What callers, and its own importer, ask of policy-sync apart from the core's facts."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from tenure.contracts.event import Data


class KeepContact(Data, frozen=True, kw_only=True):
    """Keep a member's contact data. It is sealed at the edge: no rule, log or event ever sees what is in it."""

    member_id: str
    sealed: bytes
    key_id: str


class DismissGap(Data, frozen=True, kw_only=True):
    """A fact that waits is never to count. `source` None: whoever said it."""

    policy_no: str
    fact_id: str
    source: str | None
    dismissed_by: str
    reason: str


class OpenImport(Data, frozen=True, kw_only=True):
    """A file will come. `declaration` is what says how it is read, as it stands now; `live_from` None: all of it is history."""

    import_id: str
    source: str
    declaration: str
    file_name: str
    dry_run: bool
    live_from: date | None
    opened_by: str


class KeepPart(Data, frozen=True, kw_only=True):
    """One part of the file, numbered from 1."""

    import_id: str
    part: int
    body: bytes


class StartImport(Data, frozen=True, kw_only=True):
    """The file is whole: so many parts."""

    import_id: str
    parts: int


class AdvanceImport(Data, frozen=True, kw_only=True):
    """Rows up to `position` are done; `findings` as (row, place, code, detail). `is_anew`: reading began at the first row again."""

    import_id: str
    position: int
    counts: Mapping[str, int]
    findings: tuple[tuple[int, str, str, str], ...] = ()
    is_anew: bool = False
    is_end: bool = False
    why: str = ""


class OpenControl(Data, frozen=True, kw_only=True):
    """A control file of the core for one day; `lines`: its counts per product line, as JSON."""

    control_id: str
    on: date
    lines: str
    opened_by: str


class KeepControlTerms(Data, frozen=True, kw_only=True):
    """Some of the core's terms in force that day, each as the columns of `control_terms`."""

    control_id: str
    terms: tuple[Any, ...]


class CompareControl(Data, frozen=True, kw_only=True):
    """The comparison was made; this is what differs."""

    control_id: str
    differences: tuple[Any, ...]


class RequestFacts(Data, frozen=True, kw_only=True):
    """Ask the core for all facts of these policies again; `is_control`: because of a control file's differences."""

    control_id: str
    request_id: str
    policy_nos: tuple[str, ...]
    is_control: bool
    asked_by: str


class Correct(Data, frozen=True, kw_only=True):
    """A fact that makes the core's version of a control file true here; for a policy of which `heard` facts had been heard
    when it was judged, apart from what is corrected by the same control file.
    """

    control_id: str
    fact: Data
    heard: int


class SettleDifferences(Data, frozen=True, kw_only=True):
    """The core's version of these policies was taken as correcting facts; `corrected` are those of which nothing is left open.

    `reply` is what the caller is told.
    """

    control_id: str
    policy_nos: tuple[str, ...]
    corrected: tuple[str, ...]
    accepted_by: str
    reason: str
    reply: Any
