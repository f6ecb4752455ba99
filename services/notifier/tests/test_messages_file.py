"""A messages file that could not be rendered is refused when it is read, with the place that is wrong."""

from pathlib import Path

import pytest
import yaml
from tenure.contracts.programme import BenefitRules, Messages
from tenure.programme import ProgrammeError, load_file
from tenure.testing import PROGRAMME_DIR

GOOD = yaml.safe_load((PROGRAMME_DIR / "messages.yaml").read_text(encoding="utf-8"))["versions"][0]
TEMPLATE = {
    "id": "t",
    "event": "claim.changed",
    "title": {"zh": "题", "en": "title"},
    "text": {"zh": "{on}", "en": "{on}"},
}


def _read(folder: Path, **changes: object) -> Messages:
    path = folder / "messages.yaml"
    path.write_text(yaml.safe_dump({"versions": [{**GOOD, **changes}]}, allow_unicode=True), encoding="utf-8")
    return load_file(path, Messages).newest


def test_the_repositorys_file_tells_every_occasion_in_two_languages() -> None:
    rules = load_file(PROGRAMME_DIR / "messages.yaml", Messages).newest
    assert {t.event for t in rules.templates} >= {
        *("member.enrolled", "tier.changed", "tier.at_risk", "policy.expiring", "points.granted", "points.expiring"),
        *("points.reversed", "coverage_extension.confirmed", "benefit.revoked", "claim.changed", "claim.advised"),
        *("order.fulfilled", "order.failed", "safety_report.ready", "message.requested"),
    }
    assert all(t.text.zh and t.text.en and t.title.zh and t.title.en for t in rules.templates)


def test_no_name_of_a_benefit_reads_as_two_where_messages_list_them() -> None:
    """A list is set apart by commas in English and by 、 in Chinese."""
    benefits = load_file(PROGRAMME_DIR / "benefits.yaml", BenefitRules).newest.benefits
    assert [b.label_en for b in benefits if ", " in b.label_en] == []
    assert [b.label_zh for b in benefits if "、" in b.label_zh] == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"text": {"zh": "{on} {tier}", "en": "{on}"}}, "differ in placeholders ['tier']"),
        (
            {"text": {"zh": "{on}", "en": "{on}", "en_one": "{points}"}},
            "en_one has placeholders that en has not: ['points']",
        ),
        ({"text": {"zh": "{on}", "en": "{on}", "en_one": "{on}"}}, "en_one without one of ['missing', 'points']"),
        ({"text": {"zh": "{phone}", "en": "{phone}"}}, "unknown placeholders ['phone']"),
        ({"text": {"zh": "{on", "en": "{on}"}}, "'}'"),
        ({"text": {"zh": "{on.year}", "en": "{on.year}"}}, "plain name"),
        ({"event": "claim.danced"}, "no event type 'claim.danced'"),
        ({"channels": ["sms"]}, "must have in_app"),
        ({"channels": ["in_app", "pigeon"]}, "pigeon"),
        ({"purpose": "spam"}, "spam"),
        ({"title": {"zh": "{on}", "en": "{on}"}}, "a title has no placeholders"),
        ({"colour": "red"}, "unknown field `colour`"),
    ],
)
def test_a_template_that_cannot_be_told_is_refused(tmp_path: Path, wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ProgrammeError) as refused:
        _read(tmp_path, templates=[{**TEMPLATE, **wrong}])
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"templates": [TEMPLATE, TEMPLATE]}, "two templates with one id"),
        ({"phrases": {}}, "phrases must be exactly"),
        ({"quiet_end": GOOD["quiet_start"]}, "quiet hours"),
        ({"daily_max": 0}, "daily_max"),
        ({"settle_s": -1}, "settle_s"),
    ],
)
def test_a_version_that_contradicts_itself_is_refused(tmp_path: Path, wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ProgrammeError) as refused:
        _read(tmp_path, **wrong)
    assert says in str(refused.value)


def test_a_label_that_is_missing_shows_the_code(tmp_path: Path) -> None:
    assert _read(tmp_path, labels={}).label("paid", "zh") == "paid"
