"""`programme/earning.yaml` is refused whole when it contradicts itself, with the place in the message."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tenure.contracts.programme import EarningRules
from tenure.programme import ProgrammeError, load_file
from tenure.testing import PROGRAMME_DIR

FILE = PROGRAMME_DIR / "earning.yaml"


def version() -> dict[str, Any]:
    (only,) = yaml.safe_load(FILE.read_text())["versions"]
    return only


def rule(**changes: Any) -> dict[str, Any]:
    base = {"code": "quiz", "trigger": "activity.completed", "label_zh": "问答", "label_en": "Quiz", "fixed": 10}
    return {k: v for k, v in {**base, **changes}.items() if v is not None}


def campaign(code: str, start: str, end: str, **more: Any) -> dict[str, Any]:
    return {"code": code, "window": {"start": start, "end": end}, "percent": 150, **more}


SPRING = campaign("spring", "2027-03-01", "2027-04-01")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": []}, "unknown field `rule`"),
        ({"rules": [rule(fixd=10)]}, "unknown field `fixd`"),
        ({"rules": [rule(fixed=-10)]}, "quiz.fixed must lie in 0 to"),
        ({"rules": [rule(fixed=10.5)]}, "Expected `int`"),
        ({"rules": [rule(fixed=None)]}, "quiz earns nothing"),
        ({"rules": [rule(points_max=-1)]}, "quiz.points_max must not be below 0"),
        ({"rules": [rule(limits=[{"per": "day", "times": 0}])]}, "limit.times must be at least 1"),
        ({"rules": [rule(limits=[{"per": "week"}])]}, "week"),
        ({"rules": [rule(trigger="policy.sold")]}, "policy.sold"),
        ({"rules": [rule(), rule()]}, "declared twice"),
        ({"rules": [rule(growth=5, pending="cooling_off")]}, "growth is never pending"),
        ({"rules": [rule(window={"start": "2027-03-01", "end": "2027-03-01"})]}, "a window must end after"),
        ({"rules": [rule(trigger="streak", streak={"rule": "steps", "days": 30})]}, "no rule steps"),
        ({"campaigns": [SPRING, campaign("easter", "2027-03-31", "2027-04-05")]}, "spring and easter overlap"),
        ({"campaigns": [campaign("x", "2027-03-01", "2027-04-01", rules=["qiz"])]}, "names unknown rules"),
        ({"campaigns": [campaign("x", "2027-03-01", "2027-04-01", percent=90)]}, "percent must lie in 100 to 1000"),
        ({"campaigns": [{**SPRING, "member_points_max": -1}]}, "member_points_max must not be below 0"),
        ({"campaigns": [{**SPRING, "budget_points_max": -1}]}, "budget_points_max must not be below 0"),
        ({"campaigns": [{**SPRING, "member_max": 1}]}, r"unknown field `member_max`.*that is spring"),
        (
            {"caps": [{"code": "c", "rules": ["quiz"], "per": "day", "points_max": -1}]},
            "cap c: points_max must not be below 0",
        ),
        ({"caps": [{"code": "c", "rules": ["qiz"], "per": "day", "points_max": 1}]}, "cap c names unknown rules"),
        ({"caps": [{"code": "c", "rules": [], "per": "day", "points_max": 1}]}, "cap c names no rules"),
        ({"rules": [rule(), rule(code="x", bonus={"days_early_min": 7, "points": -1})]}, r"bonus.points.*that is x"),
        ({"rules": [rule(fixed=2**63)]}, "quiz.fixed must lie in 0 to"),
        ({"tier_percent": {"gold": 1_200}}, "percent of gold"),
        ({"expiry_months": 0}, "expiry_months must be at least 1"),
        ({"rules": [rule(per_cny=1)]}, "quiz.per_cny means nothing for activity.completed"),
        ({"rules": [rule(pending="cooling_off")]}, "quiz.pending means nothing for activity.completed"),
        ({"rules": [rule(trigger="premium.paid", value_min=5)]}, "value_min means nothing for premium.paid"),
        ({"rules": [rule(trigger="premium.paid", points_max=5)]}, "points_max means nothing for premium.paid"),
        (
            {"rules": [rule(trigger="policy.renewed", late_days_max=5)]},
            "late_days_max means nothing for policy.renewed",
        ),
        (
            {"rules": [rule(trigger="referral.converted", product_lines=["home"])]},
            "product_lines means nothing for referral",
        ),
        (
            {"rules": [rule(trigger="referral.converted", limits=[{"per": "year"}])]},
            "is limited by nothing, not by year",
        ),
        ({"rules": [rule(trigger="policy.renewed", limits=[{"per": "year"}])]}, "is limited by term, not by year"),
        ({"rules": [rule(limits=[{"per": "session", "times": 2}])]}, "once a session, not 2 times"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "earning.yaml"
    path.write_text(yaml.safe_dump({"versions": [{**version(), **changes}]}))
    with pytest.raises(ProgrammeError, match=message):
        load_file(path, EarningRules)


def test_campaigns_that_only_touch_or_pay_other_rules_do_not_collide(tmp_path: Path) -> None:
    path = tmp_path / "earning.yaml"
    campaigns = [
        campaign("a", "2027-03-01", "2027-04-01", rules=["quiz"]),
        campaign("b", "2027-04-01", "2027-05-01", rules=["quiz"]),
        campaign("c", "2027-03-15", "2027-04-15", rules=["article"]),
    ]
    path.write_text(yaml.safe_dump({"versions": [{**version(), "campaigns": campaigns}]}))
    assert len(load_file(path, EarningRules).newest.campaigns) == 3


def test_the_table_of_the_design(rules: Any) -> None:
    fixed = {rule.code: rule.fixed for rule in rules.earning.newest.rules if rule.fixed}
    assert fixed == {
        "renewal": 200, "no_claim_year": 300, "steps": 10, "steps_streak": 500, "health_course": 20, "check_up": 500,
        "quiz": 10, "article": 5, "family_policy_data": 200, "class": 50, "wealth_lecture": 100, "safe_driving": 10,
        "referral": 500, "revisit": 20, "policy_report": 30, "claim_assist": 50, "good_review": 30, "service_report": 30,
        "referral_success": 500, "teamwork": 50, "sharing": 50, "mentoring": 100,
    }  # fmt: skip


def test_a_field_said_twice_is_no_silent_victory_of_the_last(tmp_path: Path) -> None:
    path = tmp_path / "earning.yaml"
    path.write_text(
        FILE.read_text().replace("refund_grace_days: 30", "refund_grace_days: 30\n    refund_grace_days: 3", 1)
    )
    with pytest.raises(ProgrammeError, match="said twice: refund_grace_days"):
        load_file(path, EarningRules)
    path.write_text("- quiz")
    with pytest.raises(ProgrammeError, match="list of `versions`"):
        load_file(path, EarningRules)


SCHEMAS = PROGRAMME_DIR.parent / "docs" / "contracts" / "programme"


@pytest.mark.parametrize("name", ["tiers", "earning", "benefits", "catalogue", "messages"])
def test_the_published_schema_accepts_the_files_and_refuses_what_it_does_not_know(name: str) -> None:
    validator = jsonschema.Draft202012Validator(json.loads((SCHEMAS / f"{name}.json").read_text()))
    raw = json.loads(json.dumps(yaml.safe_load((PROGRAMME_DIR / f"{name}.yaml").read_text()), default=str))
    validator.validate(raw)
    raw["versions"][0]["no_such_field"] = 1
    assert [error.validator for error in validator.iter_errors(raw)] == ["additionalProperties"]


@pytest.mark.parametrize(
    "changes", [{"fixed": -1}, {"fixed": 1.5}, {"trigger": "policy.sold"}, {"late_days_max": -1}, {"fixd": 1}]
)
def test_an_editor_sees_a_bad_rule(changes: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(json.loads((SCHEMAS / "earning.json").read_text()))
    raw = json.loads(json.dumps({"versions": [{**version(), "rules": [rule(**changes)]}]}, default=str))
    assert list(validator.iter_errors(raw))
