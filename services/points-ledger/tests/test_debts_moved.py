"""Since when a debt is owed, where customers turned out to be one person: since the older of both, whichever number owed it.

A debt has an age limit (DOMAIN 13), and the day of a merger is no day of a debt.

| `M-1` owes since | `M-2` owes since | on 1 June | then | owed since |
| --- | --- | --- | --- | --- |
| - | 1 March: 300 | merged | | 1 March |
| 1 May: 500 | 1 March: 300 | merged | | 1 March |
| 1 March: 500 | 1 May: 300 | merged | | 1 March |
| 1 May: 500 | 1 March: 300 | merged | 300 or more are repaid | 1 May |
| - | 1 March: 300 | merged | the survivor is merged, too | 1 March |
| 1 May: 500 | 1 March: 300 | merged | parted on 1 July | each as before |
| 1 February: 500 | 1 March: 300 | merged | 20 are repaid, and they part | each as before |
| 1 February: 100 | 1 March: 300 | merged | parted on 1 July | each as before |
"""

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace
from points_ledger.service import SERVICE
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .world import D, M, cancelled, did, paid, term

OTHER, THIRD = "M-2", "M-3"
MINE, THEIRS = (M, 500), (OTHER, 300)
MERGED = CustomerMerged(member_id=M, merged_id=OTHER, effective=D("2026-06-01"))
PARTED = CustomerUnmerged(member_id=M, survivor_id=M, merged_id=OTHER, effective=D("2026-07-01"))


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        yield under


async def owing(t: Under, who: tuple[str, int], since: str) -> None:
    """So many points were spent of a policy that turned out on that day never to have been."""
    member, points = who
    sold = term(policy_no=f"P-{member}", member_id=member)
    await t.feed(paid(sold, points * 100))
    await t.day(D("2026-01-02"))
    order = {"member_id": member, "points": points, "hold_id": f"H-{member}"}
    assert (await t.http.post("/v1/holds", json=order, headers=t.auth("service"))).status_code == 201
    await t.http.post(f"/v1/holds/H-{member}/capture", headers=t.auth("service"))
    await t.feed(cancelled(sold, since, "flat"))


async def owed(t: Under) -> dict[str, tuple[int, str]]:
    found = (await t.http.get("/v1/debts", headers=t.auth("operator"))).json()
    return {one["member_id"]: (one["points"], one["since"]) for one in found["items"]}


@pytest.mark.parametrize(
    ("mine", "theirs", "then"),
    [
        (None, "2026-03-01", (300, "2026-03-01")),
        ("2026-05-01", "2026-03-01", (800, "2026-03-01")),
        ("2026-03-01", "2026-05-01", (800, "2026-03-01")),
        ("2026-05-01", None, (500, "2026-05-01")),
    ],
)
async def test_it_is_owed_since_the_older_of_both(
    t: Under, mine: str | None, theirs: str | None, then: tuple[int, str]
) -> None:
    for who, since in sorted(((MINE, mine), (THEIRS, theirs)), key=lambda one: one[1] or ""):
        if since is not None:
            await owing(t, who, since)
    await t.feed(MERGED)
    assert await owed(t) == {M: then}


async def test_the_older_is_repaid_first_whichever_number_owed_it(t: Under) -> None:
    await owing(t, THEIRS, "2026-03-01")
    await owing(t, MINE, "2026-05-01")
    await t.feed(MERGED, did("quiz", "2026-06-02"))
    assert await owed(t) == {M: (790, "2026-03-01")}
    await t.feed(did("check_up", "2026-06-03"))
    assert await owed(t) == {M: (290, "2026-05-01")}


async def test_it_keeps_its_age_through_a_second_merger(t: Under) -> None:
    await owing(t, THEIRS, "2026-03-01")
    await t.feed(MERGED, replace(MERGED, member_id=THIRD, merged_id=M, effective=D("2026-06-05")))
    assert await owed(t) == {THIRD: (300, "2026-03-01")}


@pytest.mark.parametrize(
    ("points", "since", "quizzes"), [(500, "2026-05-01", 0), (500, "2026-02-01", 2), (100, "2026-02-01", 0)]
)
async def test_those_who_part_owe_what_they_owed_since_they_did(
    t: Under, points: int, since: str, quizzes: int
) -> None:
    for who, day in sorted((((M, points), since), (THEIRS, "2026-03-01")), key=lambda one: one[1]):
        await owing(t, who, day)
    await t.feed(MERGED, *(did("quiz", f"2026-06-1{n}") for n in range(quizzes)), PARTED)
    assert await owed(t) == {M: (points - quizzes * 10, since), OTHER: (300, "2026-03-01")}
