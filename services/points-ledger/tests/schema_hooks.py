"""What schemathesis must know of this API that a schema cannot say; loaded by it through SCHEMATHESIS_HOOKS.

A refusal by a rule (too late, too many, not at all) is an answer to a request that fits the schema; a refusal of its form is not.
"""

import uuid
from typing import Any

import schemathesis
from schemathesis.generation import GenerationMode

FORM = {"validation_failed", "malformed_json", "bad_request"}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Each request is one of its own: a key that was used for another is refused, as it must be."""
    sent = case.headers or {}
    if "Idempotency-Key" in sent and _is_positive(case):
        case.headers["Idempotency-Key"] = uuid.uuid4().hex


@schemathesis.check
def what_fits_the_schema_is_not_refused_for_its_form(ctx: Any, response: Any, case: Any) -> None:
    if _is_positive(case) and response.status_code in (400, 422) and not _has_a_float(case.body):
        code = response.json()["code"]
        assert code not in FORM, f"{code}: {response.text[:500]}"


@schemathesis.check
def a_refusal_is_a_problem_in_two_languages(ctx: Any, response: Any, case: Any) -> None:
    if response.status_code >= 400 and response.status_code != 406 and response.content:
        problem = response.json()
        assert problem["code"]
        assert problem["detail"]
        assert problem["detail_zh"]
        assert problem["status"] == response.status_code


def _is_positive(case: Any) -> bool:
    return case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE


def _has_a_float(body: Any) -> bool:
    """JSON Schema takes 233.0 for an integer; this API wants 233."""
    if isinstance(body, dict):
        return any(map(_has_a_float, body.values()))
    if isinstance(body, list):
        return any(map(_has_a_float, body))
    return isinstance(body, float)
