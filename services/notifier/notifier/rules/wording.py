"""The words of a message: every placeholder of `messages.yaml` with the way its value is written in either language."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from msgspec.structs import replace
from tenure.calendar import local_date
from tenure.contracts.programme import Programme
from tenure.contracts.programme.messages import COUNTED, Language, Messages, Text
from tenure.contracts.programme.order import rule_on
from tenure.contracts.tier import NO_TIER

from notifier.rules.member import OWED, Pending

LISTED_MAX: Final = 12
TEXT_CHARS_MAX: Final = 1_000
FEN_PER_YUAN: Final = 100
AMOUNTS: Final = frozenset({"amount", "missing"})
"""Placeholders that are written from a number, in fen or days."""
PAID: Final = "paid"
ONE: Final = "1"
AWAITS_CONFIRMATION: Final = "awaits_confirmation"


class Words(NamedTuple):
    """What a text is written from."""

    pending: Pending
    language: Language
    programme: Programme
    rules: Messages
    extensions: Mapping[str, str]

    def param(self, name: str) -> str | int:
        return self.pending.params.get(name, "")


def write(text: Text, words: Words) -> str:
    """The text in the words' language, a placeholder without a value empty, no spaces left over."""
    values = {name: PLACES[name](words, name) for name in text.names}
    is_one = any(values.get(name) == ONE for name in COUNTED)
    return text.of(words.language, is_one=is_one).format_map(values).strip()[:TEXT_CHARS_MAX]


def _plain(words: Words, name: str) -> str:
    value = words.param(name)
    return f"{value:,}" if isinstance(value, int) else value


def _yuan(words: Words, name: str) -> str:
    value = words.param(name)
    return f"{int(value) / FEN_PER_YUAN:,.2f}" if value != "" else ""


def _missing(words: Words, name: str) -> str:
    return _yuan(words, name) if words.param("measure") == "annual_premium_fen" else _plain(words, name)


def _tier(words: Words, name: str) -> str:
    code = str(words.param(name))
    rule = rule_on(words.programme.tiers, code, local_date(words.pending.asked_at))
    if rule is None:
        return words.rules.label(code or NO_TIER, words.language)
    return rule.label_zh if words.language == "zh" else rule.label_en


def _code(words: Words, name: str) -> str:
    """An order queued before its message said what became of it has the general words, which are labelled by the template."""
    return words.rules.label(str(words.param(name)) or words.pending.template, words.language)


def _benefit_label(words: Words, code: str) -> str:
    benefit = words.programme.benefits.newest.benefit(code)
    if benefit is None:
        return words.rules.label(code, words.language)
    return benefit.label_zh if words.language == "zh" else benefit.label_en


def _benefit(words: Words, name: str) -> str:
    """The benefit of a coverage extension that the core answered."""
    request = str(words.param(name))
    return _benefit_label(words, words.extensions.get(request, request))


def _sku(words: Words, name: str) -> str:
    item = words.programme.catalogue.newest.by_sku.get(str(words.param(name)))
    if item is None:
        return str(words.param(name))
    return item.title_zh if words.language == "zh" else item.title_en


def _listed(words: Words, labels: list[str]) -> str:
    shown = list(dict.fromkeys(labels))
    more = len(shown) - LISTED_MAX
    if more > 0:
        shown = [*shown[:LISTED_MAX], f"另有 {more} 项" if words.language == "zh" else f"{more} more"]
    return ("、" if words.language == "zh" else ", ").join(shown)


def _benefits(words: Words, _: str) -> str:
    """An extension of cover that a tier brings is promised by nobody before the core has confirmed it."""
    name = _promised if words.pending.template == "tier_upgraded" else _benefit_label
    return _listed(words, [name(words, item.code) for item in words.pending.items])


def _promised(words: Words, code: str) -> str:
    benefit, label = words.programme.benefits.newest.benefit(code), _benefit_label(words, code)
    if benefit is None or not benefit.is_extension:
        return label
    condition = words.rules.label(AWAITS_CONFIRMATION, words.language)
    return f"{label}（{condition}）" if words.language == "zh" else f"{label} ({condition})"


def _rules(words: Words, _: str) -> str:
    return _listed(words, [_rule_label(words, item.code) for item in words.pending.items if item.code != OWED])


def _rule_label(words: Words, code: str) -> str:
    rule = words.programme.earning.newest.find(code)
    if rule is None or code in words.rules.labels:
        return words.rules.label(code, words.language)
    return rule.label_zh if words.language == "zh" else rule.label_en


def _owed(words: Words, name: str) -> str:
    """How much of the points taken back had been used: who owes is told so, and how it is repaid."""
    phrase, owed = words.rules.phrases.get(name), sum(i.amount for i in words.pending.items if i.code == OWED)
    if phrase is None or not owed:
        return ""
    named = {**words.pending.params, "missing": owed, "measure": ""}
    return write(phrase, words._replace(pending=replace(words.pending, params=named)))


def _policies(words: Words, _: str) -> str:
    return _listed(words, [item.code for item in words.pending.items])


def _points(words: Words, name: str) -> str:
    """The sum of what was merged, or the amount the occasion names."""
    if words.pending.items:
        return f"{sum(item.amount for item in words.pending.items):,}"
    return _plain(words, name)


def _unlocks(words: Words, _: str) -> str:
    if not words.param("next_tier"):
        return ""
    years = words.param("measure") == "insured_years"
    return write(words.rules.phrases["unlocks_years" if years else "unlocks_premium"], words)


def _if_listed(words: Words, name: str) -> str:
    return write(words.rules.phrases[name], words) if words.pending.items else ""


def _of_amount(words: Words, name: str) -> str:
    """What a claim comes to, as far as anybody said; that nothing was paid is said, too."""
    phrase = words.rules.phrases.get(name)
    is_known = bool(words.param("amount")) or words.param("status") == PAID
    return write(phrase, words) if phrase is not None and is_known else ""


def _cash_due(words: Words, name: str) -> str:
    phrase = words.rules.phrases.get(name)
    return write(phrase, words) if phrase is not None and words.param("amount") else ""


PLACES: Final[Mapping[str, Callable[[Words, str], str]]] = MappingProxyType(
    {
        "policies": _policies,
        "policy_no": _plain,
        "tier": _tier,
        "from_tier": _tier,
        "to_tier": _tier,
        "next_tier": _tier,
        "missing": _missing,
        "on": _plain,
        "drops_on": _plain,
        "expires_on": _plain,
        "benefit": _benefit,
        "benefits": _benefits,
        "points": _points,
        "rules": _rules,
        "claim_no": _plain,
        "status": _code,
        "amount": _yuan,
        "of_amount": _of_amount,
        "order_id": _plain,
        "sku": _sku,
        "quantity": _plain,
        "topic": _plain,
        "endorsement_no": _plain,
        "start": _plain,
        "end": _plain,
        "unlocks": _unlocks,
        "unlocked": _if_listed,
        "lost": _if_listed,
        "owed": _owed,
        "cash_due": _cash_due,
    }
)
