"""How a publication travels: what its owner tells, and what a service that goes by those rules keeps of it.

The invariants: what is kept is what was approved, whole (its digest says so), and fits the files of this service, or the event is
parked; a version that was withdrawn never comes back, in whatever order or however often the two events arrive.
"""

import hashlib
from collections.abc import Collection, Mapping
from datetime import date
from typing import Any, Final

import msgspec

from tenure.contracts.decision import Decision
from tenure.contracts.event import Event, WrongEventError
from tenure.contracts.programme import Programme
from tenure.contracts.publication import RulesPublished, RulesWithdrawn
from tenure.programme import ProgrammeError
from tenure.rulebook.drafts import Draft
from tenure.rulebook.kinds import Published, merged

SPOKEN: Final = (RulesPublished, RulesWithdrawn)
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """One version as it was told, for the store. No `document`: it was withdrawn."""

    draft_id: str
    kind: str
    version: int
    effective: date
    document: Mapping[str, Any] | None


def digest_of(document: Mapping[str, Any], *, version: int, effective: date) -> str:
    """What names a version whole: SHA-256 of its JSON with sorted keys and without spaces."""
    return hashlib.sha256(_encode({**document, "version": version, "effective": effective})).hexdigest()


def told(draft: Draft) -> RulesPublished | RulesWithdrawn | None:
    """What the world hears of a draft as it stands; nothing of one that never had a number."""
    if draft.version is None:
        return None
    named: dict[str, Any] = {name: getattr(draft, name) for name in ("kind", "version", "effective", "draft_id")}
    if draft.state == "withdrawn":
        return RulesWithdrawn(**named)
    digest = digest_of(draft.document, version=draft.version, effective=draft.effective)
    return RulesPublished(**named, digest=digest, document=draft.document)


def event_id(draft: Draft) -> str:
    """The same however often it is told: an inbox drops what it has seen."""
    return f"{draft.draft_id}.{draft.state}"


def hear(event: Event, *, follows: Collection[str], files: Programme) -> Decision[tuple[()]]:
    """Keep what was published or withdrawn, of the kinds this service goes by. Refuses rules_altered, rules_invalid."""
    data: RulesPublished | RulesWithdrawn = event.data
    if data.kind not in follows:
        return Decision(state=())
    document = None if isinstance(data, RulesWithdrawn) else _whole(data, files)
    named = {name: getattr(data, name) for name in ("draft_id", "kind", "version", "effective")}
    return Decision(state=(), rows=(Heard(**named, document=document),))


def _whole(data: RulesPublished, files: Programme) -> Mapping[str, Any]:
    if digest_of(data.document, version=data.version, effective=data.effective) != data.digest:
        raise WrongEventError("rules_altered", f"{data.draft_id} is not the text that was approved")
    one = Published(data.kind, data.version, data.effective, data.document, data.draft_id)
    try:
        merged(files, [one])
    except ProgrammeError as error:
        raise WrongEventError("rules_invalid", str(error)) from None
    return data.document
