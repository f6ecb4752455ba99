"""`programme/messages.yaml`: what members are told, in which words, when, and how often.

A file that loads can be rendered: both languages of a text name the same placeholders, only known ones, and every
template hangs on an event type that exists. Times are local, Asia/Shanghai.
"""

from datetime import date, time
from string import Formatter
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from tenure.contracts.message import Purpose

Channel = Literal["in_app", "sms"]
Language = Literal["zh", "en"]
Timing = Literal["at_once", "settled", "digest"]
"""`settled` waits `settle_s` for what may cancel or complete it; `digest` goes out when quiet hours next end."""

PLACEHOLDERS: Final = frozenset(
    {
        "policies",
        "policy_no",
        "tier",
        "from_tier",
        "to_tier",
        "next_tier",
        "missing",
        "on",
        "drops_on",
        "expires_on",
        "benefit",
        "benefits",
        "points",
        "rules",
        "claim_no",
        "status",
        "amount",
        "of_amount",
        "order_id",
        "sku",
        "quantity",
        "topic",
        "endorsement_no",
        "start",
        "end",
        # Sentences that stand only when their own placeholders have values (`phrases`).
        "unlocks",
        "unlocked",
        "lost",
        "owed",
        "cash_due",
    }
)
COUNTED: Final = frozenset({"points", "missing"})
"""Placeholders of numbers that are counted."""
PHRASES: Final = frozenset({"unlocks_years", "unlocks_premium", "unlocked", "lost"})
PHRASES_OPTIONAL: Final = frozenset({"of_amount", "owed", "cash_due"})
"""What a file of before has no words for, and no text with a place for it."""


def placeholders(text: str) -> frozenset[str]:
    """The names in braces. Raises ValueError for braces that do not close or name nothing."""
    names = [name for _, name, spec, conversion in Formatter().parse(text) if name is not None]
    if any(not name.isidentifier() for name in names):
        raise ValueError(f"a placeholder must be a plain name: {text!r}")
    return frozenset(names)


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same words in both languages. `en_one` are the English ones where what is counted is one; without it they are as ever."""

    zh: str
    en: str
    en_one: str | None = None

    def __post_init__(self) -> None:
        chinese, english = placeholders(self.zh), placeholders(self.en)
        if chinese != english:
            raise ValueError(f"zh and en differ in placeholders {sorted(chinese ^ english)}")
        if unknown := placeholders(self.en_one or "") - english:
            raise ValueError(f"en_one has placeholders that en has not: {sorted(unknown)}")
        if self.en_one is not None and not english & COUNTED:
            raise ValueError(f"en_one without one of {sorted(COUNTED)}, which is what is counted")
        if unknown := chinese - PLACEHOLDERS:
            raise ValueError(f"unknown placeholders {sorted(unknown)}")

    def of(self, language: Language, *, is_one: bool = False) -> str:
        if language == "zh":
            return self.zh
        return self.en_one if is_one and self.en_one is not None else self.en

    @property
    def names(self) -> frozenset[str]:
        return placeholders(self.zh)


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One occasion to tell a member something; `event` is the event type that brings it about.

    Where a day's cap does not suffice for all, the template that stands first in the file goes first; `capped: false`
    neither counts nor is held back.
    """

    id: str
    event: str
    purpose: Purpose = "service"
    channels: tuple[Channel, ...] = ("in_app",)
    timing: Timing = "at_once"
    capped: bool = True
    title: Text
    text: Text

    def __post_init__(self) -> None:
        from tenure.contracts.topics import TYPES

        if self.event not in TYPES:
            raise ValueError(f"{self.id}: no event type {self.event!r}")
        if "in_app" not in self.channels:
            raise ValueError(f"{self.id}: every message stands in the inbox, so channels must have in_app")
        if self.title.names:
            raise ValueError(f"{self.id}: a title has no placeholders")


class Messages(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version. `labels` are the words for codes (claim states, earning rules); a code without one shows itself."""

    version: int
    effective: date
    daily_max: Annotated[int, Meta(ge=1, le=100)]
    quiet_start: time
    quiet_end: time
    settle_s: Annotated[int, Meta(ge=0, le=86_400)]
    stale_after_h: Annotated[int, Meta(ge=1, le=24 * 31)]
    templates: tuple[Template, ...]
    phrases: dict[str, Text]
    labels: dict[str, Text] = {}

    def __post_init__(self) -> None:
        ids = [t.id for t in self.templates]
        if len(set(ids)) != len(ids):
            raise ValueError("two templates with one id")
        if self.phrases.keys() - PHRASES_OPTIONAL != PHRASES:
            raise ValueError(f"phrases must be exactly {sorted(PHRASES)}, and may be {sorted(PHRASES_OPTIONAL)}")
        if self.quiet_start == self.quiet_end:
            raise ValueError("quiet hours that begin when they end are none")

    def template(self, template_id: str) -> Template | None:
        return next((t for t in self.templates if t.id == template_id), None)

    def rank(self, template_id: str) -> int:
        """Where the template stands in the file: what comes first goes first."""
        return next((i for i, t in enumerate(self.templates) if t.id == template_id), len(self.templates))

    def label(self, code: str, language: Language) -> str:
        text = self.labels.get(code)
        return text.of(language) if text else code
