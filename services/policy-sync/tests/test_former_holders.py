"""What a policy that changed hands shows to each who held it: their own part of it, and nothing of the others."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from policy_sync.service import SERVICE
from tenure.contracts import core
from tenure.settings import Settings
from tenure.spine.codec import encode
from tenure.testing import Under, under_test

from .world import Said, claim, day, holder_changed, issued, renewed

SOLD, RENEWED = issued(yuan=200), renewed("2025-03-01", "2026-03-01", yuan=999)
HANDED_OVER = holder_changed("2024-06-01", "M-2")
CLAIMS = (
    claim(core.ClaimReported, "2024-05-01", no="C-1"),
    claim(core.ClaimReported, "2024-07-01", no="C-2"),
    claim(core.ClaimReported, "2025-07-01", no="C-3"),
)
WHOLE = (
    "M-2",
    ["M-1", "M-2"],
    [(1, 200_00, [["2024-03-01", "2025-03-01"]]), (2, 999_00, [["2025-03-01", "2026-03-01"]])],
)
FIRST = ("M-1", ["M-1"], [(1, 200_00, [["2024-03-01", "2024-06-01"]])])
LATER = ("M-2", ["M-2"], [(1, 200_00, [["2024-06-01", "2025-03-01"]]), (2, 999_00, [["2025-03-01", "2026-03-01"]])])
Shown = tuple[str, list[str], list[tuple[int, int, list[list[str]]]]]


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings) as under:
        await say(under, SOLD, HANDED_OVER, RENEWED, *CLAIMS)
        yield under


async def say(t: Under, *facts: Any) -> None:
    for fact in facts:
        outcomes = await t.deliver([t.as_record(encode((fact if isinstance(fact, Said) else Said(fact)).event()))])
        assert [o.wrong for o in outcomes] == [None]


async def get(t: Under, path: str, role: str, subject: str = "x", **more: Any) -> Any:
    """The answer's body, or its status where there is none to see."""
    book = {"book": more.pop("book")} if "book" in more else {}
    answer = await t.http.get(f"/v1{path}", headers=t.auth(role, subject=subject, **book), params=more)
    return answer.json() if answer.status_code == 200 else answer.status_code


def shown(view: Any) -> Shown:
    terms = [(term["term_no"], term["premium_fen"], term["covers"]) for term in view["terms"]]
    return view["member_id"], view["member_ids"], terms


@pytest.mark.parametrize(("subject", "own"), [("M-1", FIRST), ("M-2", LATER)])
async def test_each_holder_reads_their_own_part_of_a_policy(t: Under, subject: str, own: Shown) -> None:
    assert shown(await get(t, "/policies/P-1", "member", subject)) == own
    listed = await get(t, "/policies", "member", subject, member_id=subject)
    assert [shown(view) for view in listed["items"]] == [own]


@pytest.mark.parametrize(
    ("role", "who"), [("operator", {}), ("core", {}), ("service", {}), ("agent", {"book": ["M-1"]})]
)
async def test_who_works_with_a_policy_reads_all_of_it(t: Under, role: str, who: dict[str, Any]) -> None:
    assert shown(await get(t, "/policies/P-1", role, **who)) == WHOLE
    (listed,) = (await get(t, "/policies", role, member_id="M-1", **who))["items"]
    assert shown(listed) == WHOLE
    believed = await get(t, "/policies/P-1/belief", role, effective="2025-07-01", **who)
    assert [c["claim_no"] for c in believed["claims"]] == ["C-1", "C-2", "C-3"]


async def test_a_change_of_holder_that_is_announced_makes_nobody_the_holder_before_its_day(t: Under) -> None:
    await say(t, Said(holder_changed("2190-01-01", "M-3"), "2025-08-01"))
    assert shown(await get(t, "/policies/P-1", "operator")) == ("M-2", ["M-1", "M-2", "M-3"], WHOLE[2])


async def test_who_never_held_it_finds_nothing(t: Under) -> None:
    assert await get(t, "/policies/P-1", "member", "M-3") == 404
    assert await get(t, "/policies/P-1/belief", "member", "M-3") == 404


async def test_a_holder_whom_a_correction_left_no_day_finds_nothing(t: Under) -> None:
    """Of two changes of one day the later word is right: M-2 never held it."""
    await say(t, Said(holder_changed("2024-06-01", "M-3"), hour=11))
    assert await get(t, "/policies/P-1", "member", "M-2") == 404
    assert await get(t, "/policies/P-1/belief", "member", "M-2") == 404
    assert (await get(t, "/policies", "member", "M-2", member_id="M-2"))["items"] == []
    assert shown(await get(t, "/policies/P-1", "member", "M-1")) == FIRST


@pytest.mark.parametrize(
    ("subject", "effective", "holder", "premium_yuan", "terms", "claims"),
    [
        ("M-1", "2024-05-01", "M-1", 200, [(1, True)], ["C-1"]),
        ("M-1", "2024-07-01", "M-1", 0, [(1, False)], ["C-1"]),
        ("M-1", "2025-07-01", "M-1", 0, [(1, False)], ["C-1"]),
        ("M-2", "2024-05-01", "M-2", 0, [(1, False), (2, False)], ["C-2", "C-3"]),
        ("M-2", "2024-07-01", "M-2", 200, [(1, True), (2, False)], ["C-2", "C-3"]),
        ("M-2", "2025-07-01", "M-2", 999, [(1, False), (2, True)], ["C-2", "C-3"]),
    ],
)
async def test_what_was_believed_is_each_holder_s_own_part(
    t: Under,
    subject: str,
    effective: str,
    holder: str,
    premium_yuan: int,
    terms: list[tuple[int, bool]],
    claims: list[str],
) -> None:
    found = await get(t, "/policies/P-1/belief", "member", subject, effective=effective)
    assert (found["member_id"], found["member_ids"]) == (holder, [subject])
    assert (found["premium_fen"], found["covered"]) == (premium_yuan * 100, premium_yuan > 0)
    assert [(term["term_no"], term["covered"]) for term in found["terms"]] == terms
    assert [c["claim_no"] for c in found["claims"]] == claims


@pytest.mark.parametrize("subject", ["M-1", "M-9"])
async def test_numbers_of_one_person_read_the_same_part(t: Under, subject: str) -> None:
    await say(t, core.CustomerMerged(member_id="M-9", merged_id="M-1", on=day("2025-08-01")))
    await t.day(day("2025-08-02"))
    own = ("M-9", ["M-9", "M-1"], FIRST[2])
    assert shown(await get(t, "/policies/P-1", "member", subject)) == own
    believed = await get(t, "/policies/P-1/belief", "member", subject, effective="2024-05-01")
    assert (believed["member_ids"], [c["claim_no"] for c in believed["claims"]]) == (["M-9", "M-1"], ["C-1"])
    assert shown(await get(t, "/policies/P-1", "member", "M-2")) == LATER


async def test_holders_who_turn_out_to_be_one_person_read_all_of_it_until_they_are_parted(t: Under) -> None:
    await say(t, core.CustomerMerged(member_id="M-2", merged_id="M-1", on=day("2025-08-01")))
    await t.day(day("2025-08-02"))
    for subject in ("M-1", "M-2"):
        assert shown(await get(t, "/policies/P-1", "member", subject)) == ("M-2", ["M-2", "M-1"], WHOLE[2])
    await say(t, core.CustomerUnmerged(member_id="M-2", merged_id="M-1", on=day("2025-09-01")))
    await t.day(day("2025-09-02"))
    assert shown(await get(t, "/policies/P-1", "member", "M-1")) == FIRST
    assert shown(await get(t, "/policies/P-1", "member", "M-2")) == LATER
