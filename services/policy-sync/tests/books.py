"""A book of five policies beside the core's control files, over REST."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from policy_sync.service import SERVICE
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .world import day, issued

ON = "2024-06-30"


@asynccontextmanager
async def five_policies(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings) as under:
        await under.feed(
            issued(policy_no="P-1"),
            issued(policy_no="P-2", yuan=500),
            issued(policy_no="P-3", member_id="M-3"),
            issued(policy_no="P-4", product_line="motor"),
            issued(policy_no="P-5"),
            issued("2023-01-01", "2024-01-01", policy_no="P-9"),
        )
        await under.day(day(ON))
        await under.emitted()
        yield under


def term(policy_no: str, **more: Any) -> dict[str, Any]:
    about = {"policy_no": policy_no, "term_no": 1, "member_id": "M-1", "product_line": "home"}
    return about | {"start": "2024-03-01", "end": "2025-03-01", "premium_fen": 365_00} | more


def agreeing() -> list[dict[str, Any]]:
    """What stands here, in the core's words."""
    return [
        term("P-1"),
        term("P-2", premium_fen=500_00),
        term("P-3", member_id="M-3"),
        term("P-4", product_line="motor"),
        term("P-5"),
    ]


async def ask(t: Under, method: str, path: str, **more: Any) -> Any:
    answer = await t.http.request(method, f"/v1/reconciliation{path}", headers=t.auth("operator"), **more)
    return answer.json() if answer.status_code < 400 else (answer.status_code, answer.json()["code"])


async def control(t: Under, terms: list[dict[str, Any]], lines: Any = ()) -> str:
    opened = await ask(t, "POST", "/controls", json={"on": ON, "lines": list(lines)})
    id_: str = opened["control_id"]
    for at in range(0, len(terms), 3):
        await ask(t, "POST", f"/controls/{id_}/terms", json={"terms": terms[at : at + 3]})
    assert "differences" in await ask(t, "POST", f"/controls/{id_}/compare")
    return id_


async def differ(t: Under, id_: str) -> list[tuple[str, str]]:
    return [(d["policy_no"], d["kind"]) for d in (await ask(t, "GET", f"/controls/{id_}/differences"))["items"]]


OTHERWISE = [
    term("P-2", premium_fen=450_00),
    term("P-3", member_id="M-4"),
    term("P-4", product_line="motor", end="2024-12-01", start="2024-03-01"),
    term("P-5", start="2024-02-01"),
    term("P-6", member_id="M-6"),
]
DIFFERENCES = [
    ("P-1", "missing_there"),
    ("P-2", "premium_fen"),
    ("P-3", "member_id"),
    ("P-4", "end"),
    ("P-5", "start"),
    ("P-6", "missing_here"),
]
