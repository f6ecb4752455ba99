"""What comes again under an id that was heard: the same is known, anything else is refused and says so, from files and over REST."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from policy_sync.resent import otherwise
from policy_sync.service import SERVICE
from tenure.contracts import core
from tenure.contracts.event import Data
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .test_api import event, issue, payment, push
from .test_imports import GOOD, as_csv, findings, read_all, upload, view
from .world import Said, day, holder_changed, issued, paid, renewed

HEARD = Said(issued(region="440300"), "2024-02-20", id_="1")


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings) as under:
        yield under


AGAIN: list[tuple[str, Data, str]] = [
    ("the same", issued(region="440300"), ""),
    ("without its region, which it need not say", issued(), ""),
    ("under the holder's new number", issued(region="440300", member_id="M-NEW"), ""),
    ("for another premium", issued(region="440300", yuan=366), "said otherwise before: premium_fen"),
    ("of somebody else", issued(region="440300", member_id="M-2"), "said otherwise before: member_id"),
    ("as something else altogether", paid("2024-02-20"), "was another event's"),
    ("as the renewal of the same days", renewed("2024-03-01", "2025-03-01", term_no=1), "was another event's"),
]


@pytest.mark.parametrize(("what", "data", "why"), AGAIN, ids=[row[0] for row in AGAIN])
def test_what_says_the_same_is_known_and_what_does_not_is_told_why(what: str, data: Data, why: str) -> None:
    said = Said(data, "2024-02-20", id_="1").event()
    wrong = otherwise(said, [HEARD.fact()], {"M-1": "M-NEW"}, is_timed=True)
    assert (wrong.detail.split("; ")[0] if wrong else "") == (f"the id 1 {why}" if why else "")


def test_the_time_counts_where_the_sender_gave_it() -> None:
    later = Said(HEARD.data, "2024-02-21", id_="1").event()
    assert otherwise(later, [HEARD.fact()], {}, is_timed=False) is None
    wrong = otherwise(later, [HEARD.fact()], {}, is_timed=True)
    assert wrong is not None
    assert "another time" in wrong.detail


def test_what_was_known_by_another_id_stays_known_and_what_was_never_heard_of_the_policy_is_another_events() -> None:
    second_id = Said(HEARD.data, "2024-02-20", id_="2").event()
    assert otherwise(second_id, [HEARD.fact()], {}, is_timed=True) is None
    wrong = otherwise(second_id, [], {}, is_timed=True)
    assert wrong is not None
    assert wrong.code == "same_id"


async def test_a_row_that_says_otherwise_than_the_last_file_is_found(t: Under, tmp_path: Path) -> None:
    """The core changed a row that it had sent: nothing of it counts under the old id, and somebody has to know."""
    await upload(t, as_csv(tmp_path / "monday.csv", GOOD))
    await read_all(t)
    rows = [list(row) for row in GOOD]
    rows[0][6], rows[2][10], rows[3][3] = "310.00", "15/10/2024", "04/06/2024"
    changed = as_csv(tmp_path / "tuesday.csv", rows)
    expected = [
        (2, "PolicyIssued", "same_id"),
        (2, "PremiumPaid", "same_id"),
        (4, "PolicyCancelled", "same_id"),
        (5, "PolicyIssued", "same_id"),
    ]
    for is_dry in (True, False):
        id_ = await upload(t, changed, dry_run=is_dry)
        await read_all(t)
        counts = (await view(t, id_))["counts"]
        assert (counts["known"], counts["refused"]) == (5, 4)
        assert await findings(t, id_) == expected
    assert await t.pool.fetchval("SELECT premium_fen FROM terms WHERE policy_no = 'H-1' AND term_no = 1") == 300_01


@pytest.mark.parametrize("is_dry", [True, False])
async def test_two_rows_of_one_file_that_share_an_id_and_nothing_else(t: Under, tmp_path: Path, is_dry: bool) -> None:
    twice = [GOOD[0], GOOD[0], [*GOOD[0][:6], "310.00", *GOOD[0][7:]]]
    id_ = await upload(t, as_csv(tmp_path / "terms.csv", twice), dry_run=is_dry)
    await read_all(t)
    assert await findings(t, id_) == [(4, "PolicyIssued", "same_id"), (4, "PremiumPaid", "same_id")]
    counts = (await view(t, id_))["counts"]
    assert (counts["accepted"], counts["known"], counts["refused"]) == (2, 2, 2)


async def test_old_rows_that_name_a_merged_customer_by_the_number_of_now_are_known(t: Under, tmp_path: Path) -> None:
    await upload(t, as_csv(tmp_path / "terms.csv", GOOD))
    await read_all(t)
    await t.feed(core.CustomerMerged(member_id="C-9", merged_id="C-1", on=day("2025-06-01")))
    await t.day(day("2025-06-02"))
    renamed = [[*row[:2], "C-9", *row[3:]] if row[2] == "C-1" else row for row in GOOD]
    for is_dry in (True, False):
        id_ = await upload(t, as_csv(tmp_path / "again.csv", renamed), dry_run=is_dry)
        await read_all(t)
        assert (await findings(t, id_), (await view(t, id_))["counts"]["known"]) == ([], 9)


async def test_over_rest_a_used_id_is_refused_for_anything_else(t: Under) -> None:
    batch: list[Any] = [event("1", "PolicyIssued", issue()), event("2", "PremiumPaid", payment())]
    assert await push(t, *batch) == [("accepted", ""), ("accepted", "")]
    assert await push(t, *batch) == [("duplicate", ""), ("duplicate", "")], (
        "no time of their own: another hour is no other event"
    )
    assert await push(
        t,
        event("1", "PolicyIssued", issue(premium_fen=40_000)),
        event("2", "PremiumPaid", payment("P-2")),
        event("2", "PremiumPaid", payment()),
        event("3", "CustomerRegistered", {"member_id": "M-1", "registered_on": "2026-03-01", "region": "440300"}),
        event("3", "CustomerRegistered", {"member_id": "M-1", "registered_on": "2026-03-01", "region": "310000"}),
    ) == [("refused", "same_id"), ("refused", "same_id"), ("duplicate", ""), ("accepted", ""), ("refused", "same_id")]


def test_the_new_holder_is_not_who_the_old_row_named() -> None:
    said = Said(replace(HEARD.data, member_id="M-2"), "2024-02-20", id_="1").event()
    known = [HEARD.fact(), Said(holder_changed("2024-09-01", "M-2")).fact()]
    assert otherwise(said, known, {}, is_timed=True) is not None
