"""`programme.v1`: what two persons published, for every service that goes by it. Who they were stays with the owner."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from tenure.contracts.event import Data


class RulesPublished(Data, frozen=True, kw_only=True):
    """A version of the rules of one `kind` comes into force on `effective`, a day to come when this was told.

    `document` is the whole version without its number and date; `digest` is the SHA-256 of the three (`tenure.rulebook.following`):
    whoever keeps another text than was approved refuses it.
    """

    kind: str
    version: int
    effective: date
    draft_id: str
    digest: str
    document: Mapping[str, Any]


class RulesWithdrawn(Data, frozen=True, kw_only=True):
    """A published version was taken back before its day: it never was in force."""

    kind: str
    version: int
    effective: date
    draft_id: str
