"""Pages by key: every row once, in order, and a cursor we did not give is refused."""

from datetime import date
from typing import Any

import pytest
from tenure.edge.paging import Signed, decode_cursor, encode_cursor, page_of
from tenure.edge.problems import Problem
from tenure.testing import Under


async def pages(under: Under, limit: int) -> list[list[str]]:
    found, cursor = [], None
    while True:
        params = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        page = (await under.http.get("/v1/counters", params=params, headers=under.auth("operator"))).json()
        found.append([item["member_id"] for item in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            return found


@pytest.mark.parametrize(("rows", "limit", "sizes"), [(0, 3, [0]), (2, 3, [2]), (3, 3, [3]), (7, 3, [3, 3, 1])])
async def test_every_row_comes_once_in_order(under: Under, rows: int, limit: int, sizes: list[int]) -> None:
    members = [f"M{n}" for n in range(rows)]
    await under.pool.executemany("INSERT INTO counter VALUES ($1, 1)", [(m,) for m in members])
    found = await pages(under, limit)
    assert [len(page) for page in found] == sizes
    assert [m for page in found for m in page] == members


@pytest.mark.parametrize("key", ["M1", 5, [1, "M1"], ["2026-01-31", "ä/?&="]])
def test_a_cursor_comes_back_as_it_went(key: Any) -> None:
    cursor = encode_cursor(key)
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert decode_cursor(cursor, Any) == key


def test_a_cursor_of_dates_is_typed() -> None:
    assert decode_cursor(encode_cursor((date(2026, 1, 31), "E1")), tuple[date, str]) == (date(2026, 1, 31), "E1")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "A",
        "AAAA",
        "ÄÖ",
        encode_cursor(5),
        encode_cursor({"a": 1}),
        "A" * 10_000,
        encode_cursor("x") + "A",
        encode_cursor("M\0"),
    ],
)
def test_a_broken_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Problem, match="cursor_invalid"):
        decode_cursor(cursor, str)


MINE = Signed(b"k" * 32, "statement of M-1")


def test_a_signed_cursor_comes_back_as_it_went() -> None:
    assert MINE.decode(MINE.encode([5, "M1"]), list[Any]) == [5, "M1"]
    assert MINE.decode(None, int) is None


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "ÄÖ",
        encode_cursor(5),
        MINE._replace(about="statement of M-2").encode(5),
        MINE._replace(secret=b"x" * 32).encode(5),
        MINE.encode("five"),
        MINE.encode(5)[:-1],
        MINE.encode(5) + "AAAA",
        MINE.encode(55)[:-2],
    ],
)
def test_a_cursor_that_others_wrote_or_changed_is_refused(cursor: str) -> None:
    with pytest.raises(Problem, match="cursor_invalid"):
        MINE.decode(cursor, int)


def test_a_page_is_empty_only_when_there_is_nothing() -> None:
    assert page_of([], 5, key=str, show=str).items == []
