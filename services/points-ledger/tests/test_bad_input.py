"""Bad input over REST: a clear problem in both languages, nothing lost, and what comes after it is served as if it had not been."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from points_ledger.proof import check
from points_ledger.service import SERVICE
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .world import D, M, did, served

CHINESE = re.compile(r"[\u4e00-\u9fff]")
HOLD = {"member_id": M, "points": 10}
QUIZ = {"member_id": M, "activity_id": "q-1", "kind": "quiz", "on": "2026-06-15"}
REFERRAL = {"member_id": M, "referee_id": "X-1", "policy_no": "P-9", "on": "2026-06-15"}
ADJUST = {"member_id": M, "points": 10, "reason": "goodwill", "ticket": "T-1"}
AMOUNTS: dict[str, Any] = {
    "zero": 0,
    "minus one": -1,
    "two to the 63rd": 2**63,
    "two to the 63rd less one": 2**63 - 1,
    "ten to the thirtieth": 10**30,
    "one and a half": 1.5,
    "ten, as a fraction": 10.0,
    "text": "10",
    "true": True,
    "nothing": None,
    "a list": [10],
}
ROLES = {"adjustments": "operator", "agents": "operator", "activities": "core"}
CASES: dict[str, tuple[str, Any, str]] = {
    **{
        f"a reservation of {name}": ("/holds", HOLD | {"points": v}, "validation_failed") for name, v in AMOUNTS.items()
    },
    **{
        f"a capture of {name}": ("/holds/H-1/capture", {"points": v}, "validation_failed")
        for name, v in AMOUNTS.items()
        if v is not None
    },
    "an adjustment of one and a half": ("/adjustments", ADJUST | {"points": 1.5}, "validation_failed"),
    "an adjustment of two to the 63rd": ("/adjustments", ADJUST | {"points": 2**63}, "validation_failed"),
    "an adjustment for blanks as a reason": ("/adjustments", ADJUST | {"reason": "    "}, "validation_failed"),
    "an adjustment for wide blanks as a reason": (
        "/adjustments",
        ADJUST | {"reason": "\u3000" * 4},
        "validation_failed",
    ),
    "an adjustment for a blank as a ticket": ("/adjustments", ADJUST | {"ticket": " "}, "validation_failed"),
    "an adjustment of nothing": ("/adjustments", ADJUST | {"points": 0}, "adjustment_too_large"),
    "a reservation of growth": ("/holds", HOLD | {"wallet": "growth"}, "validation_failed"),
    "a reservation of gold": ("/holds", HOLD | {"wallet": "gold"}, "validation_failed"),
    "a reservation for somebody unknown": ("/holds", HOLD | {"member_id": "M-404"}, "insufficient_points"),
    "a reservation for nobody": ("/holds", {"points": 10}, "validation_failed"),
    "a reservation for a member with a slash": ("/holds", HOLD | {"member_id": "M/1"}, "validation_failed"),
    "a reservation for a member with a control character": (
        "/holds",
        HOLD | {"member_id": "M\x85"},
        "validation_failed",
    ),
    "a reservation with a field nobody knows": ("/holds", HOLD | {"pionts": 10}, "validation_failed"),
    "a reservation that lasts for ever": ("/holds", HOLD | {"ttl_s": 10**9}, "validation_failed"),
    "a reservation that lasts no time": ("/holds", HOLD | {"ttl_s": 0}, "validation_failed"),
    "a reference with a line break": ("/holds", HOLD | {"reference": "a\nb"}, "validation_failed"),
    "a capture of what never was": ("/holds/H-404/capture", None, "not_found"),
    "a capture of more than is held": ("/holds/H-1/capture", {"points": 101}, "hold_too_small"),
    "an activity of tomorrow": ("/activities", QUIZ | {"on": "2026-06-16"}, "activity_in_future"),
    "an activity of last year": ("/activities", QUIZ | {"on": "2025-06-15"}, "activity_too_late"),
    "an activity on a day that is none": ("/activities", QUIZ | {"on": "2026-02-30"}, "validation_failed"),
    "a thousand million steps": ("/activities", QUIZ | {"kind": "steps", "value": 10**9}, "validation_failed"),
    "steps below nothing": ("/activities", QUIZ | {"kind": "steps", "value": -1}, "validation_failed"),
    "half a step": ("/activities", QUIZ | {"kind": "steps", "value": 0.5}, "validation_failed"),
    "a referral of tomorrow": ("/activities", REFERRAL | {"on": "2026-06-16"}, "activity_in_future"),
    "a referral of the last day there is": ("/activities", REFERRAL | {"on": "9999-12-31"}, "activity_in_future"),
    "a referral of the first day there is": ("/activities", REFERRAL | {"on": "0001-01-01"}, "date_out_of_range"),
    "a cooling-off that never ends": (
        "/activities",
        REFERRAL | {"cooling_off_end": "9999-12-31"},
        "date_out_of_range",
    ),
    "an agent who leaves on the last day there is": ("/agents/A-7/leave", {"on": "9999-12-31"}, "date_out_of_range"),
    "an agent who left on the first day there is": ("/agents/A-7/leave", {"on": "0001-01-01"}, "date_out_of_range"),
    "an agent who returns in the year 2200": ("/agents/A-7/return", {"on": "2200-01-01"}, "date_out_of_range"),
    "a kind nobody knows": ("/activities", QUIZ | {"kind": "sleep"}, "validation_failed"),
}


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        await under.feed(did("check_up", "2026-06-01"), served("mentoring", "2026-05-01"))
        await under.day(D("2026-06-15"))
        yield under


async def test_each_is_told_clearly_and_nothing_is_lost(t: Under) -> None:
    headers = t.auth("service")
    assert (
        await t.http.post("/v1/holds", json=HOLD | {"points": 100, "hold_id": "H-1"}, headers=headers)
    ).status_code == 201
    before = await books(t)
    for name, (path, body, code) in CASES.items():
        role = ROLES.get(path.split("/")[1], "service")
        answer = await t.http.post(f"/v1{path}", json=body, headers=t.auth(role, subject="somebody"))
        problem = answer.json()
        assert (problem["code"], 400 <= answer.status_code < 500) == (code, True), f"{name}: {answer.text}"
        assert problem["detail"], name
        assert CHINESE.search(problem["detail_zh"]), name
        assert await books(t) == before, f"{name} left something"
    captured = await t.http.post("/v1/holds/H-1/capture", headers=t.auth("service"))
    assert captured.json()["captured"] == 100
    assert (await check.examine(t.pool)).wrong == []


async def books(t: Under) -> list[tuple[Any, ...]]:
    counted = "SELECT (SELECT count(*) FROM lots), (SELECT count(*) FROM transfers), (SELECT count(*) FROM outbox), (SELECT count(*) FROM adjustments)"
    return [
        tuple(await t.pool.fetchrow(counted)),
        *(tuple(row) for row in await t.pool.fetch("SELECT * FROM accounts ORDER BY 1")),
        *(tuple(row) for row in await t.pool.fetch("SELECT * FROM holds ORDER BY 1")),
    ]
