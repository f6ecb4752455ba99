"""The life of a draft: proposed by one person, approved by another, in force from its day; withdrawn before it by anybody.

    proposed --(approve, by another person)--> approved --(its day comes)--> in force
    proposed or approved --(withdraw, until the day before)--> withdrawn

The invariant: nobody puts rules in force alone, or into the past; a number once given to a version is never given again.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from tenure.contracts.event import WrongEventError
from tenure.contracts.programme import Versions
from tenure.rulebook.kinds import must_fit, version_of

State = Literal["proposed", "approved", "withdrawn"]
DRAFTS_OPEN_MAX = 50
AHEAD_DAYS_MAX = 3_660


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """Rules on their way. `version` is their number once approved."""

    draft_id: str
    kind: str
    state: State
    effective: date
    document: Mapping[str, Any]
    reason: str
    proposed_by: str
    proposed_at: datetime
    version: int | None = None
    approved_by: str | None = None
    approved_at: datetime | None = None
    withdrawn_by: str | None = None
    withdrawn_at: datetime | None = None
    withdrawn_why: str = ""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What a step is decided by: the versions there are, those of the files, the numbers ever given, the drafts that wait, and the
    date.
    """

    versions: Versions[Any]
    files: Versions[Any]
    number_max: int
    waiting: int
    today: date


def proposed(draft: Draft, known: Known) -> Draft:
    """Raises WrongEventError rules_invalid, effective_passed, effective_taken, effective_far, too_many_drafts."""
    _fits(draft, known)
    _date_is_free(draft, known)
    if known.waiting >= DRAFTS_OPEN_MAX:
        raise WrongEventError("too_many_drafts", f"at most {DRAFTS_OPEN_MAX} drafts wait for approval")
    return draft


def approved(draft: Draft, known: Known, *, by: str, at: datetime) -> Draft:
    """Raises WrongEventError draft_resolved, same_person, rules_invalid, effective_passed, effective_taken."""
    if draft.state != "proposed":
        raise WrongEventError("draft_resolved", f"this draft is {draft.state}")
    if by == draft.proposed_by:
        raise WrongEventError("same_person", "another person than the one who proposed it must approve")
    _fits(draft, known)
    _date_is_free(draft, known)
    return replace(draft, state="approved", version=known.number_max + 1, approved_by=by, approved_at=at)


def withdrawn(draft: Draft, known: Known, *, by: str, at: datetime, why: str) -> Draft:
    """Raises WrongEventError draft_resolved, rules_in_force."""
    if draft.state == "withdrawn":
        raise WrongEventError("draft_resolved", "this draft is withdrawn")
    if draft.state == "approved" and draft.effective <= known.today:
        raise WrongEventError(
            "rules_in_force", f"in force since {draft.effective}: publish rules that follow them instead"
        )
    return replace(draft, state="withdrawn", withdrawn_by=by, withdrawn_at=at, withdrawn_why=why)


def _fits(draft: Draft, known: Known) -> None:
    version = version_of(draft.kind, draft.document, version=known.number_max + 1, effective=draft.effective)
    must_fit(draft.kind, version, known.files)


def _date_is_free(draft: Draft, known: Known) -> None:
    if draft.effective <= known.today:
        raise WrongEventError(
            "effective_passed", f"rules come into force on a day to come; {draft.effective} is not after {known.today}"
        )
    if (draft.effective - known.today).days > AHEAD_DAYS_MAX:
        raise WrongEventError("effective_far", f"at most {AHEAD_DAYS_MAX} days ahead")
    taken = next((v.version for v in known.versions.all if v.effective == draft.effective), None)
    if taken is not None:
        raise WrongEventError("effective_taken", f"version {taken} comes into force on {draft.effective} already")
