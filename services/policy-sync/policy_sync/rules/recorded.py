"""Rows that only grow: what a decision appends beside the states it changes."""

from typing import Any, NamedTuple

from policy_sync.rules.facts import Fact


class Recorded(NamedTuple):
    """A new fact of a policy or member (`key` is the state's key)."""

    key: str
    fact: Fact


class Duplicate(NamedTuple):
    """The core said again, under a new id, what it had said: counted, without effect."""

    key: str
    fact: Fact
    original: Fact


class GapDismissed(NamedTuple):
    """A fact that waited and will never count: when (after so many facts heard), who said so, and why."""

    key: str
    fact: Fact
    heard: int
    by: str
    reason: str


class ContactKept(NamedTuple):
    """A member's contact data, sealed; the newest replaces the ones before."""

    member_id: str
    sealed: bytes
    key_id: str


class ContactForgotten(NamedTuple):
    """A member was erased: the contact data goes with it."""

    member_id: str


class PartKept(NamedTuple):
    """A part of an import's file; the newest of one number replaces the one before."""

    import_id: str
    part: int
    body: bytes


class FindingKept(NamedTuple):
    """What is wrong with a row of an import."""

    import_id: str
    row: int
    place: str
    code: str
    detail: str


class FindingsForgotten(NamedTuple):
    """Reading an import began at its first row again: what was found before will be found again."""

    import_id: str


class Reheld(NamedTuple):
    """Whose this number is may have changed: the policies under it are to be looked at again.

    `survivor_id`: into whom or from whom it was told to be; None if nothing was told.
    """

    member_id: str
    survivor_id: str | None


class ControlTermsKept(NamedTuple):
    """Terms of the core's snapshot (`rules.controls.ControlTerm`)."""

    control_id: str
    terms: tuple[Any, ...]


class DifferenceFound(NamedTuple):
    """A difference between a control file and what stands here (`rules.controls.Difference`)."""

    control_id: str
    difference: Any


class DifferencesSettled(NamedTuple):
    """The open differences of these policies were dealt with, by whom and why: `how` is requested or accepted."""

    control_id: str
    policy_nos: tuple[str, ...]
    how: str
    by: str
    why: str
