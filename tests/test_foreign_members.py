"""A foreign member does not exist: every GET that takes a member, a policy or a claim answers a stranger as it answers an id nobody has.

The routes are read off the services' routers, so a new one is asked here without being named.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import httpx
import pytest
from fastapi.routing import APIRoute
from tenure.contracts.topics import TOPIC_OF
from tenure.service import Service
from tenure.settings import Settings
from tenure.spine.codec import encode
from tenure.testing import Under, under_test
from tenure_local.services import SERVICES

from .scripts import script
from .test_contracts import in_the_tables_order

OWNERS: Final = script("gateway")
# Whom and what the examples know, by the names routes give their parameters.
TOLD: Final = {event.type: event.data for event in in_the_tables_order()}
KNOWN: Final[dict[str, str]] = {
    "member_id": TOLD["policy.issued"].member_id,
    "member": TOLD["policy.issued"].member_id,
    "policy_no": TOLD["policy.issued"].term.policy_no,
    "claim_no": TOLD["claim.changed"].claim_no,
}
NOBODYS: Final = {name: f"{value[0]}-NOBODYS" for name, value in KNOWN.items()}
STRANGERS: Final[dict[str, dict[str, Any]]] = {
    "another member": {"roles": ("member",), "subject": "M-7"},
    "an agent with another book": {"roles": ("agent",), "subject": "A-7", "book": ["M-7"]},
    "an agent with an empty book": {"roles": ("agent",), "subject": "A-8", "book": []},
    "an agent without a book": {"roles": ("agent",), "subject": "A-9"},
}


class Question(NamedTuple):
    """A GET, with the parameters of its path and the query parameters that name somebody or are required."""

    path: str
    in_path: tuple[str, ...]
    in_query: tuple[str, ...]

    def of(self, ids: dict[str, str]) -> tuple[str, dict[str, str]]:
        return self.path.format(**ids), {name: ids[name] for name in self.in_query}


def questions(service: Service[Any]) -> Iterator[Question]:
    for router in OWNERS.routers(service):
        for route in router.routes:
            assert isinstance(route, APIRoute)
            in_path = tuple(p.name for p in route.dependant.path_params)
            in_query = tuple(p.name for p in route.dependant.query_params if p.name in KNOWN)
            if "GET" in (route.methods or ()) and set(in_path) <= set(KNOWN) and (in_path or in_query):
                yield Question(OWNERS.PREFIX + route.path, in_path, in_query)


ALL: Final = [(service, question) for service in SERVICES for question in questions(service)]


async def ask(
    t: Under, question: Question, ids: dict[str, str], *, roles: tuple[str, ...], **who: Any
) -> httpx.Response:
    path, query = question.of(ids)
    return await t.http.get(path, params=query, headers=t.auth(*roles, **who))


def said(answer: httpx.Response, question: Question, ids: dict[str, str]) -> dict[str, Any]:
    """The problem, without the address that was asked for."""
    problem: dict[str, Any] = answer.json()
    assert problem.pop("instance") == question.of(ids)[0]
    return problem


@pytest.mark.parametrize("service", [s for s in SERVICES if any(one is s for one, _ in ALL)], ids=lambda s: s.name)
async def test_to_a_stranger_a_member_does_not_exist(service: Service[Any], settings: Settings) -> None:
    asked = [question for one, question in ALL if one is service]
    async with under_test(service, settings) as t:
        events = [e for e in in_the_tables_order() if TOPIC_OF[e.type] in service.reads and e.type != "day.started"]
        await t.deliver([t.as_record(encode(event)) for event in events])
        found = [await ask(t, q, KNOWN, roles=("operator",)) for q in asked]
        assert any(answer.status_code == 200 for answer in found), [answer.text for answer in found]
        for question in asked:
            for words, who in STRANGERS.items():
                answer = await ask(t, question, KNOWN, **who)
                where = f"{words} asks {question.path}"
                assert answer.status_code in (403, 404), f"{where}: {answer.status_code} {answer.text}"
                assert said(answer, question, KNOWN)["code"] in ("not_found", "forbidden"), where
                nobodys = await ask(t, question, NOBODYS, **who)
                assert said(answer, question, KNOWN) == said(nobodys, question, NOBODYS), where


def _somebody(parameter: re.Match[str]) -> str:
    """What a path may hold there: a route that wants a number is none for anything else."""
    return "1" if parameter[0].endswith(":int}") else "X-1"


@pytest.mark.parametrize("service", SERVICES, ids=lambda s: s.name)
async def test_without_a_token_no_question_is_answered(service: Service[Any], settings: Settings) -> None:
    async with under_test(service, settings) as t:
        for router in OWNERS.routers(service):
            for route in router.routes:
                path = OWNERS.PREFIX + OWNERS._PARAMETER.sub(_somebody, route.path)
                for method in route.methods:
                    answer = await t.http.request(method, path, headers={"Idempotency-Key": "k"})
                    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), f"{method} {path}"


def test_the_members_routes_are_among_those_asked() -> None:
    paths = {question.path for _, question in ALL}
    assert {
        "/v1/wallets/{member_id}",
        "/v1/wallets/{member_id}/statement",
        "/v1/tiers/{member_id}",
        "/v1/tiers/{member_id}/why",
        "/v1/benefits/{member_id}",
        "/v1/members/{member_id}/renewal-preview",
        "/v1/members/{member_id}/status",
        "/v1/policies/{policy_no}",
        "/v1/claims/{claim_no}/entitlements",
        "/v1/orders",
        "/v1/messages",
    } <= paths
