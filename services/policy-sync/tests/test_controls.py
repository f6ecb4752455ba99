"""The core's control file: differences are found by policy number, asked about, or taken as correcting facts."""

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace
from policy_sync import control_api
from policy_sync.rules import controls
from tenure.contracts.reconciliation import FactsRequested
from tenure.settings import Settings
from tenure.testing import Under

from .books import DIFFERENCES, ON, OTHERWISE, agreeing, ask, control, differ, five_policies, term
from .world import cancelled, endorsed, holder_changed


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with five_policies(settings) as under:
        yield under


async def test_books_that_agree_have_no_differences(t: Under) -> None:
    lines = [
        {"product_line": "home", "policies": 4, "terms": 4, "premium_fen": 1_595_00},
        {"product_line": "motor", "policies": 1, "terms": 1, "premium_fen": 365_00},
    ]
    id_ = await control(t, agreeing(), lines)
    assert await differ(t, id_) == []
    seen = await ask(t, "GET", f"/controls/{id_}")
    assert (seen["agrees"], seen["open"]) == (True, 0)
    assert [line["agrees"] for line in seen["lines"]] == [True, True]


async def test_counts_alone_tell_which_product_line_differs(t: Under) -> None:
    lines = [
        {"product_line": "home", "policies": 4, "terms": 4, "premium_fen": 1_595_01},
        {"product_line": "marine", "policies": 1, "terms": 1, "premium_fen": 1},
    ]
    seen = await ask(t, "GET", f"/controls/{await control(t, [], lines)}")
    assert seen["agrees"] is False
    assert [(x["product_line"], x["agrees"]) for x in seen["lines"]] == [
        ("home", False),
        ("marine", False),
        ("motor", False),
    ]


async def test_a_snapshot_tells_every_difference_by_policy(t: Under) -> None:
    id_ = await control(t, OTHERWISE)
    assert await differ(t, id_) == DIFFERENCES
    page = await ask(t, "GET", f"/controls/{id_}/differences")
    premium = page["items"][1]
    assert (premium["ours"]["premium_fen"], premium["theirs"]["premium_fen"]) == (500_00, 450_00)


async def test_what_differs_in_more_than_is_kept_says_so_and_never_agrees(
    t: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    for where in (controls, control_api):
        monkeypatch.setattr(where, "DIFFERENCES_MAX", 2)
    for terms, has_more in ((OTHERWISE, True), (agreeing()[2:], False)):
        id_ = await control(t, terms)
        assert await differ(t, id_) == [
            ("P-1", "missing_there"),
            ("P-2", DIFFERENCES[1][1] if has_more else "missing_there"),
        ]
        await ask(t, "POST", f"/controls/{id_}/requests", json={"policy_nos": ["P-1", "P-2"]})
        seen = await ask(t, "GET", f"/controls/{id_}")
        assert (seen["open"], seen["has_more"], seen["agrees"]) == (0, has_more, not has_more)


async def test_one_call_asks_the_core_for_the_facts_again(t: Under) -> None:
    id_ = await control(t, OTHERWISE)
    assert await ask(t, "POST", f"/controls/{id_}/requests", json={"policy_nos": ["P-5", "P-2"]}) == {"requested": 2}
    told = await t.emitted(FactsRequested)
    assert [(e.policy_no, e.on.isoformat(), e.reasons) for e in told] == [
        ("P-5", ON, ("start",)),
        ("P-2", ON, ("premium_fen",)),
    ]
    assert (await ask(t, "GET", f"/controls/{id_}"))["open"] == 4
    again = await ask(t, "POST", f"/controls/{id_}/requests", json={"policy_nos": ["P-5"]})
    assert again == (404, "no_such_difference")
    await ask(t, "POST", "/requests", json={"policy_nos": ["P-77"]})
    assert [(e.policy_no, e.reasons) for e in await t.emitted(FactsRequested)] == [("P-77", ("asked",))]


async def test_the_core_s_version_is_taken_as_correcting_facts(t: Under) -> None:
    id_ = await control(t, OTHERWISE)
    every = [no for no, _ in DIFFERENCES]
    fates = await ask(t, "POST", f"/controls/{id_}/corrections", json={"policy_nos": every, "reason": "TICKET-7"})
    assert [(f["policy_no"], f["status"]) for f in fates["corrections"]] == [
        ("P-1", "corrected"),
        ("P-2", "corrected"),
        ("P-3", "corrected"),
        ("P-4", "corrected"),
        ("P-5", "ask_the_core"),
        ("P-6", "corrected"),
    ]
    left = [d for d in (await ask(t, "GET", f"/controls/{id_}/differences"))["items"] if d["settled"] is None]
    assert [(d["policy_no"], d["kind"]) for d in left] == [("P-5", "start")], "nobody can say it is settled"
    done = await t.pool.fetch("SELECT DISTINCT settled_by, settled_why FROM differences WHERE settled = 'accepted'")
    assert [tuple(r) for r in done] == [("test", "TICKET-7")]
    told = {type(e).__name__ for e in await t.emitted()}
    assert {"PolicyCancelled", "PolicyEndorsed", "PolicyHolderChanged", "PolicyIssued"} <= told
    assert await differ(t, await control(t, OTHERWISE)) == [("P-5", "start")]
    before = await t.pool.fetchval("SELECT count(*) FROM facts")
    assert await ask(t, "POST", f"/controls/{id_}/corrections", json={"policy_nos": every}) == (
        404,
        "no_such_difference",
    )
    assert await t.pool.fetchval("SELECT count(*) FROM facts") == before, "taken once"


async def test_corrections_under_a_key_that_was_used_for_others_correct_nothing(t: Under) -> None:
    id_ = await control(t, OTHERWISE)
    path, headers = f"/v1/reconciliation/controls/{id_}/corrections", t.auth("operator", key="k-1")
    first = await t.http.post(path, json={"policy_nos": ["P-1"]}, headers=headers)
    before = await t.pool.fetchval("SELECT count(*) FROM facts")
    other = await t.http.post(path, json={"policy_nos": ["P-2"]}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await t.pool.fetchval("SELECT count(*) FROM facts") == before
    again = await t.http.post(path, json={"policy_nos": ["P-1"]}, headers=headers)
    assert (first.status_code, again.content) == (200, first.content)


async def test_a_term_cancelled_here_is_not_brought_back_by_saying_it_again(t: Under) -> None:
    await t.feed(replace(cancelled("2024-05-01"), policy_no="P-1"))
    id_ = await control(t, agreeing())
    assert await differ(t, id_) == [("P-1", "missing_here")]
    fates = await ask(t, "POST", f"/controls/{id_}/corrections", json={"policy_nos": ["P-1"], "reason": "TICKET-8"})
    assert [f["status"] for f in fates["corrections"]] == ["ask_the_core"]
    assert (await ask(t, "GET", f"/controls/{id_}"))["open"] == 1
    assert await ask(t, "POST", f"/controls/{id_}/requests", json={"policy_nos": ["P-1"]}) == {"requested": 1}
    (settled,) = (await ask(t, "GET", f"/controls/{id_}/differences"))["items"]
    assert (settled["settled"], settled["settled_by"], settled["settled_why"]) == ("requested", "test", None)


async def test_a_difference_in_two_files_is_corrected_once(t: Under) -> None:
    """Two nights' files name what nobody settled in between: the second finds it as the core has it."""
    first, second = [await control(t, OTHERWISE) for _ in range(2)]
    every = [no for no, _ in DIFFERENCES if no != "P-5"]
    for id_, status in ((first, "corrected"), (second, "agrees")):
        fates = await ask(t, "POST", f"/controls/{id_}/corrections", json={"policy_nos": every})
        assert {f["status"] for f in fates["corrections"]} == {status}
        assert (await ask(t, "GET", f"/controls/{id_}"))["open"] == 1
    assert await differ(t, await control(t, OTHERWISE)) == [("P-5", "start")]


async def test_what_the_core_said_after_the_comparison_is_not_corrected_by_what_was_before(t: Under) -> None:
    id_ = await control(t, OTHERWISE)
    await t.feed(
        replace(endorsed("2024-06-01", yuan=-50), policy_no="P-2"),
        replace(endorsed("2024-06-15", end="2024-11-01"), policy_no="P-4"),
        replace(cancelled("2024-08-01"), policy_no="P-1"),
    )
    fates = await ask(t, "POST", f"/controls/{id_}/corrections", json={"policy_nos": ["P-1", "P-2", "P-4"]})
    assert [(f["policy_no"], f["status"]) for f in fates["corrections"]] == [
        ("P-1", "changed_since"),
        ("P-2", "agrees"),
        ("P-4", "changed_since"),
    ]
    rows = await t.pool.fetch("""SELECT policy_no, "end", premium_fen FROM terms WHERE policy_no < 'P-5' ORDER BY 1""")
    assert [(no, str(end), fen) for no, end, fen in rows if no != "P-3"] == [
        ("P-1", "2024-08-01", 365_00),
        ("P-2", "2025-03-01", 450_00),
        ("P-4", "2024-11-01", 365_00),
    ]
    left = [d for d in (await ask(t, "GET", f"/controls/{id_}/differences"))["items"] if d["settled"] is None]
    assert {d["policy_no"] for d in left} == {"P-1", "P-3", "P-4", "P-5", "P-6"}


async def test_a_policy_is_compared_with_whoever_held_it_on_the_files_day(t: Under) -> None:
    """The night's file comes when the next day's change is known; and a change may be announced long before its day."""
    await t.feed(replace(holder_changed("2024-07-01", "M-8"), policy_no="P-1"))
    await t.feed(replace(holder_changed("2024-09-01", "M-9"), policy_no="P-1"))
    assert await differ(t, await control(t, agreeing())) == []
    renamed = [*agreeing()[1:], term("P-1", member_id="M-8")]
    id_ = await control(t, renamed)
    assert await differ(t, id_) == [("P-1", "member_id")]
    fates = await ask(t, "POST", f"/controls/{id_}/corrections", json={"policy_nos": ["P-1"]})
    assert [f["status"] for f in fates["corrections"]] == ["corrected"]
    assert await differ(t, await control(t, renamed)) == []


async def test_a_correction_that_cannot_be_is_told(t: Under) -> None:
    """The core names a term that would overlap another of the same policy."""
    id_ = await control(t, [*agreeing()[1:], term("P-1", term_no=2, start="2024-05-01")])
    fates = await ask(t, "POST", f"/controls/{id_}/corrections", json={"policy_nos": ["P-1"]})
    assert {(f["kind"], f["status"], f["code"]) for f in fates["corrections"]} == {
        ("missing_there", "corrected", ""),
        ("missing_here", "refused", "term_overlaps"),
    }


async def test_what_is_out_of_turn_is_refused(t: Under) -> None:
    assert await ask(t, "POST", "/controls/nothing/compare") == (404, "no_such_control")
    assert await ask(t, "POST", "/controls/nothing/terms", json={"terms": [term("P-1")]}) == (404, "no_such_control")
    assert await ask(t, "POST", "/controls/nothing/corrections", json={"policy_nos": ["P-1"]}) == (
        404,
        "no_such_control",
    )
    id_ = (await ask(t, "POST", "/controls", json={"on": ON}))["control_id"]
    assert await ask(t, "POST", f"/controls/{id_}/compare") == (422, "nothing_to_compare")
    assert (await ask(t, "GET", f"/controls/{id_}"))["agrees"] is False, "nothing was compared"
    assert await ask(t, "POST", f"/controls/{id_}/requests", json={"policy_nos": ["P-1"]}) == (
        409,
        "control_not_compared",
    )
    done = await control(t, agreeing())
    assert await ask(t, "POST", f"/controls/{done}/terms", json={"terms": [term("P-1")]}) == (409, "control_compared")
    assert await ask(t, "POST", f"/controls/{done}/compare") == (409, "control_compared")
    home = {"product_line": "home", "policies": 1, "terms": 1, "premium_fen": 1}
    twice = await ask(t, "POST", "/controls", json={"on": ON, "lines": [home, home | {"terms": 2}]})
    assert twice == (422, "validation_failed"), "which of the two is meant?"
    assert await ask(t, "POST", "/controls", json={"on": "1066-10-14"}) == (422, "control_day_out_of_range")
