"""Bad input over REST, on real PostgreSQL: it gets a clear problem in both languages, and nothing else is disturbed: what was good
before it, beside it and after it has its effect. (From the core's topics: test_bad_records.py.)
"""

import json
import re
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import pytest
from policy_sync.service import SERVICE as POLICY_SYNC
from tenure.contracts import policy
from tenure.settings import Settings
from tenure.spine import parking
from tenure.spine.parking import ParkedEvent
from tenure.testing import Under, under_test

FACTS: Final = "/v1/facts"
TEN_MB: Final = 10 * 1024 * 1024
CHINESE: Final = re.compile(r"[\u4e00-\u9fff]")

ISSUED: Final[dict[str, Any]] = {
    "policy_no": "P-1",
    "member_id": "M-1",
    "product_line": "home",
    "start": "2025-06-01",
    "end": "2026-06-01",
    "premium_fen": 30_001,
}
MISSING: Final = object()


def fact(id_: str, data: Any = None, *, type_: str = "PolicyIssued", **attributes: Any) -> dict[str, Any]:
    """A structured CloudEvent. Attributes and fields given as MISSING are left out."""
    whole = {
        "id": id_,
        "source": "/core/pas",
        "type": type_,
        "time": "2025-05-30T10:00:00+08:00",
        "data": data,
        **attributes,
    }
    return {name: value for name, value in whole.items() if value is not MISSING}


def issued(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in (ISSUED | changes).items() if value is not MISSING}


def renewed(**changes: Any) -> dict[str, Any]:
    return {
        "policy_no": "P-1",
        "term_no": 2,
        "start": "2026-06-01",
        "end": "2027-06-01",
        "premium_fen": 30_000,
    } | changes


GOOD: Final = fact("good-1", issued(policy_no="P-GOOD", member_id="M-GOOD"))

# What is wrong with one fact, in the words of who sent it; and the code that says so over REST and in the park.
WRONG_FACTS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "an unknown type": (fact("bad", issued(), type_="PolicyInvented"), "unknown_type"),
    "an unknown version": (fact("bad", issued(), dataschema="/schemas/PolicyIssued/2.json"), "unknown_version"),
    "a source too long to keep": (fact("bad", issued(), source="/core/" + "x" * 251), "missing_attribute"),
    "no premium": (fact("bad", issued(premium_fen=MISSING)), "malformed"),
    "no policy number": (fact("bad", issued(policy_no=MISSING)), "malformed"),
    "an empty policy number": (fact("bad", issued(policy_no="")), "malformed"),
    "a premium in yuan": (fact("bad", issued(premium_fen=12.5)), "malformed"),
    "a premium as text": (fact("bad", issued(premium_fen="300")), "malformed"),
    "a negative premium": (fact("bad", issued(premium_fen=-1)), "malformed"),
    "a premium beyond all reason": (fact("bad", issued(premium_fen=10**15)), "malformed"),
    "a date that is none": (fact("bad", issued(start="2025-02-30")), "malformed"),
    "data that is a list": (fact("bad", [1, 2]), "malformed"),
    "an end before the start": (fact("bad", issued(end="2025-05-31")), "end_before_start"),
    "an end on the start": (fact("bad", issued(end="2025-06-01")), "end_before_start"),
    "a year out of range": (fact("bad", issued(start="0900-06-01")), "date_out_of_range"),
}
# What is wrong only beside the term that is known: P-1 from 1 June 2025 to 1 June 2026.
WRONG_TERMS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "a term that overlaps another": (fact("bad", renewed(start="2026-05-31"), type_="PolicyRenewed"), "term_overlaps"),
    "a term around another": (fact("bad", renewed(start="2025-01-01"), type_="PolicyRenewed"), "term_overlaps"),
    "the same term with another price": (fact("bad", issued(premium_fen=99_900)), "contradicts_known_fact"),
}

every_wrong_fact = pytest.mark.parametrize(("wrong", "code"), WRONG_FACTS.values(), ids=WRONG_FACTS)
every_wrong_term = pytest.mark.parametrize(("wrong", "code"), WRONG_TERMS.values(), ids=WRONG_TERMS)


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(POLICY_SYNC, settings) as under:
        yield under


async def push(t: Under, *facts: Any, **headers: str) -> httpx.Response:
    return await t.http.post(FACTS, json=list(facts), headers={**t.auth("core"), **headers})


async def listed(t: Under) -> list[tuple[str, str]]:
    return [(row.key, row.code) for row in await parked(t)]


async def parked(t: Under) -> list[ParkedEvent]:
    async with t.pool.acquire() as conn:
        return await parking.listed(conn)  # type: ignore[arg-type]


async def told(t: Under) -> list[tuple[str, int]]:
    """Which policies were told as issued since the last look, and at what premium."""
    return [(e.term.policy_no, e.term.premium_fen) for e in await t.emitted(policy.PolicyIssued)]


async def is_undisturbed(t: Under) -> None:
    """A good fact still works, and is the only one that ever did."""
    answer = await push(t, GOOD)
    assert [r["status"] for r in answer.json()["results"]] == ["accepted"]
    assert await told(t) == [("P-GOOD", 30_001)]
    assert await listed(t) == []
    shown = await t.http.get("/v1/policies/P-GOOD", headers=t.auth("operator"))
    assert shown.status_code == 200
    assert (await t.http.get("/v1/policies/P-1", headers=t.auth("operator"))).status_code == 404


def is_a_clear_problem(answer: httpx.Response, status: int, code: str, *, language: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], problem["status"]) == (code, status)
    assert bool(CHINESE.search(problem["title"])) == (language == "zh-CN")
    assert problem["detail"]
    assert not CHINESE.search(problem["detail"])
    assert CHINESE.search(problem["detail_zh"])


# A request that is wrong as a whole.

WRONG_BODIES: Final[dict[str, tuple[bytes, int, str]]] = {
    "malformed JSON": (b'[{"id": "1", ', 400, "malformed_json"),
    "no body": (b"", 400, "malformed_json"),
    "one fact without its array": (json.dumps(GOOD).encode(), 422, "validation_failed"),
    "no fact": (b"[]", 422, "validation_failed"),
    "too many facts": (b"[" + b"{}," * 1_000 + b"{}]", 422, "validation_failed"),
    "10 MB": (b'["' + b" " * TEN_MB + b'"]', 413, "body_too_large"),
}


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize(("body", "status", "code"), WRONG_BODIES.values(), ids=WRONG_BODIES)
async def test_a_wrong_body_is_told_as_a_problem(t: Under, body: bytes, status: int, code: str, language: str) -> None:
    headers = {**t.auth("core"), "Content-Type": "application/json", "Accept-Language": language}
    is_a_clear_problem(await t.http.post(FACTS, content=body, headers=headers), status, code, language=language)
    await is_undisturbed(t)


@pytest.mark.parametrize(
    ("who", "status", "code"),
    [
        ("nobody", 401, "unauthenticated"),
        ("a made-up token", 401, "unauthenticated"),
        ("an expired token", 401, "unauthenticated"),
        ("another key's token", 401, "unauthenticated"),
        ("a member", 403, "forbidden"),
        ("an agent", 403, "forbidden"),
    ],
)
async def test_who_may_not_push_facts_is_told_so(t: Under, who: str, status: int, code: str) -> None:
    good = t.token("core")
    tokens = {
        "nobody": "",
        "a made-up token": "Bearer made.up.token",
        "an expired token": f"Bearer {t.token('core', ttl_s=-3_600)}",
        "another key's token": f"Bearer {good[:-8]}{'A' * 8}",
        "a member": f"Bearer {t.token('member', subject='M-1')}",
        "an agent": f"Bearer {t.token('agent', subject='A-1', book=['M-1'])}",
    }
    given: dict[str, str] = {"Authorization": tokens[who]} if tokens[who] else {}
    for language in ("en", "zh-CN"):
        answer = await t.http.post(FACTS, json=[fact("1", issued())], headers={**given, "Accept-Language": language})
        is_a_clear_problem(answer, status, code, language=language)
    await is_undisturbed(t)


# One fact among good ones, over REST.


def refused_once(answer: httpx.Response, code: str) -> dict[str, Any]:
    """The one refusal among the results; it names its event and says why in both languages."""
    assert answer.status_code == 200, answer.text
    (refused,) = [r for r in answer.json()["results"] if r["status"] == "refused"]
    problem: dict[str, Any] = refused["problem"]
    assert problem["code"] == code, problem
    assert not CHINESE.search(problem["title"])
    assert CHINESE.search(problem["title_zh"])
    assert problem["detail"]
    return dict(refused)


@every_wrong_fact
async def test_a_wrong_fact_is_refused_its_neighbours_are_accepted_and_it_can_be_corrected(
    t: Under, wrong: dict[str, Any], code: str
) -> None:
    before, after = GOOD, fact("good-2", issued(policy_no="P-2", member_id="M-2"))
    answer = await push(t, before, wrong, after)
    assert refused_once(answer, code)["id"] == "bad"
    assert [r["status"] for r in answer.json()["results"]] == ["accepted", "refused", "accepted"]
    assert await told(t) == [("P-GOOD", 30_001), ("P-2", 30_001)]
    assert await listed(t) == [], "what is told to its caller is not parked"
    corrected = await push(t, fact("bad", issued()))
    assert [r["status"] for r in corrected.json()["results"]] == ["accepted"], "under the same id"
    assert await told(t) == [("P-1", 30_001)]


@every_wrong_term
async def test_a_wrong_term_is_refused_and_the_policy_stays_as_it_was(
    t: Under, wrong: dict[str, Any], code: str
) -> None:
    await push(t, fact("1", issued()))
    refused_once(await push(t, wrong), code)
    shown = (await t.http.get("/v1/policies/P-1", headers=t.auth("operator"))).json()
    assert [(term["start"], term["end"], term["premium_fen"]) for term in shown["terms"]] == [
        ("2025-06-01", "2026-06-01", 30_001)
    ]
    answer = await push(t, fact("2", renewed(), type_="PolicyRenewed"))
    assert [r["status"] for r in answer.json()["results"]] == ["accepted"], "the right renewal still comes through"


@pytest.mark.parametrize(
    ("element", "code"),
    [
        ("hello", "malformed"),
        (17, "malformed"),
        (fact("", issued()), "missing_attribute"),
        (fact("x" * 300, issued()), "missing_attribute"),
        (fact("1", issued(), source=""), "missing_attribute"),
        (fact("1", issued(), id=MISSING), "malformed"),
        (fact("1", issued(), time="2025-05-30T10:00:00"), "malformed"),
        (fact("1", issued(), time="2199-01-01T00:00:00+08:00"), "time_in_future"),
        (fact("1", issued(), time="9999-01-01T00:00:00+08:00"), "date_out_of_range"),
        (fact("1", {"member_id": "M-1", "to_tier": "diamond"}, type_="tier.changed"), "unknown_type"),
    ],
)
async def test_an_element_that_is_no_fact_is_refused_alone(t: Under, element: Any, code: str) -> None:
    answer = await push(t, element)
    refused_once(answer, code)
    await is_undisturbed(t)


async def test_text_that_is_not_utf_8_is_refused_alone(t: Under) -> None:
    headers = {**t.auth("core"), "Content-Type": "application/json"}
    refused_once(await t.http.post(FACTS, content=b'[{"id": "\xff\xfe"}]', headers=headers), "malformed")
    await is_undisturbed(t)
