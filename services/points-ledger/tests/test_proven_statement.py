"""A member's statement proves itself: offline, against a published root, and not if anything in it was changed."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from points_ledger.proof import statement
from points_ledger.service import SERVICE
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .sealed_ledger import AFTER, DAY, a_ledger_with_everything, examined, hold, seal, unguarded
from .world import D, M, cancelled, paid, term


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        yield under


# --- a statement that proves itself ---


async def proof(t: Under, member: str = "M-2", subject: str = "M-2", **query: object) -> bytes:
    answer = await t.http.get(
        f"/v1/wallets/{member}/statement/proof", params=query, headers=t.auth("member", subject=subject)
    )
    assert answer.status_code == 200, answer.text
    return answer.content


async def test_a_statement_is_verified_offline_against_the_published_root(t: Under) -> None:
    await a_ledger_with_everything(t)
    root = (await t.http.get("/v1/ledger/roots/newest", headers=t.auth("member"))).json()["root"]
    found = statement.verify(await proof(t), root)
    stored = await t.pool.fetchrow("SELECT * FROM accounts WHERE member_id = 'M-2'")
    assert (found.first_no, found.last_no) == (1, stored["transfers_no"])
    assert found.balances == {k: v for k, v in stored.items() if k.startswith(("points_", "growth_", "agent_")) and v}
    older = (await t.http.get("/v1/ledger/roots/2027-05-31", headers=t.auth("member"))).json()["root"]
    part = statement.verify(await proof(t, day="2027-05-31"), older)
    assert 0 < part.entries < found.entries
    with pytest.raises(statement.NotProvenError, match="does not stand under this root"):
        statement.verify(await proof(t), older)


async def test_what_is_owed_is_proven_as_a_debt(t: Under) -> None:
    """500 points were spent of a policy that never was."""
    await t.feed(paid(term()))
    await t.day(D("2026-01-02"))
    await hold(t, 500, "H-1", "capture")
    await t.feed(cancelled(term(), "2026-01-03", "flat"))
    await seal(t, DAY, publish=AFTER)
    assert statement.verify(await proof(t, M, M), (await examined(t)).newest).balances == {"points_debt": 500}


async def test_a_long_statement_comes_in_files_that_follow_one_another(
    t: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_ledger_with_everything(t)
    monkeypatch.setattr(statement, "LINES_MAX", 25)
    root, after, pieces = (await examined(t)).newest, 0, []
    while after is not None:
        content = await proof(t, after=after)
        pieces.append(statement.verify(content, root))
        after = msgspec.json.decode(content)["next_after"]
    assert len(pieces) > 2
    assert [p.first_no for p in pieces[1:]] == [p.last_no + 1 for p in pieces[:-1]]
    assert pieces[-1].last_no == await t.pool.fetchval("SELECT transfers_no FROM accounts WHERE member_id = 'M-2'")


async def test_whatever_is_changed_in_a_statement_is_found(t: Under, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every value of the file, whole and in pieces; only `next_after` may go, for nothing proves that more follows."""
    await a_ledger_with_everything(t)
    root = (await examined(t)).newest
    monkeypatch.setattr(statement, "LINES_MAX", 25)
    for after in (0, 25):
        content = await proof(t, after=after)
        told = msgspec.json.decode(content)
        statement.verify(content, root)
        unseen = []
        for path in places(told):
            changed = msgspec.json.decode(content)
            _change(changed, path)
            with contextlib.suppress(statement.NotProvenError):
                statement.verify(msgspec.json.encode(changed), root)
                unseen.append(path)
        assert unseen == []
        assert {path[0] for path in places(told)} == set(statement.ProvenStatement.__struct_fields__)
        assert statement.verify(msgspec.json.encode({**told, "next_after": None}), root) == statement.verify(
            content, root
        )


EDITED: list[tuple[str, Callable[[dict], object], str]] = [
    ("dated years later", lambda file: file | {"day": "2035-12-31"}, "this root is not that of 2035-12-31"),
    ("dated an earlier day", lambda file: file | {"day": "2027-05-31"}, "this root is not that of 2027-05-31"),
    (
        "an earlier day as the last",
        lambda file: file | {"day": "2027-05-31", "days": file["published"]["2027-05-31"]["day_no"]},
        "does not stand under this root",
    ),
    (
        "the root's day left out",
        lambda file: file | {"published": {k: v for k, v in file["published"].items() if k != file["day"]}},
        "this root is not that of 2028-08-02",
    ),
    ("no entries", lambda file: file | {"entries": []}, "has no entries"),
    ("no entries, any root", lambda file: file | {"entries": [], "root": "00" * 32}, "does not stand under this root"),
    ("the fourth left out", lambda file: file | {"entries": file["entries"][:3] + file["entries"][4:]}, "are missing"),
    ("the first left out", lambda file: file | {"entries": file["entries"][1:]}, "are missing"),
    ("turned round", lambda file: file | {"entries": file["entries"][::-1]}, "are missing"),
    ("said to go on elsewhere", lambda file: file | {"next_after": 3}, "not after 3"),
    ("written before dates were proven", lambda file: file | {"form": 1}, "has form 1.*ask for the statement anew"),
    ("of another member", lambda file: file | {"member_id": "M-1"}, "another member's"),
    ("a number too large", lambda file: file | {"days": 2**70}, "does not stand under this root"),
]


@pytest.mark.parametrize("nonsense", [b"", b"[]", b"{}", b'{"form": 2}', b'{"form": "2"}', b"[" * 50_000])
def test_what_is_no_statement_is_said_to_be_none(nonsense: bytes) -> None:
    with pytest.raises(statement.NotProvenError, match="not a proven statement"):
        statement.verify(nonsense, "00" * 32)


async def test_an_edited_statement_is_refused_with_what_is_wrong(t: Under) -> None:
    await a_ledger_with_everything(t)
    root, content = (await examined(t)).newest, await proof(t)
    for _, edit, says in EDITED:
        with pytest.raises(statement.NotProvenError, match=says):
            statement.verify(msgspec.json.encode(edit(msgspec.json.decode(content))), root)
    with pytest.raises(statement.NotProvenError, match="not a proven statement"):
        statement.verify(content[:-2], root)


async def test_a_statement_cut_at_its_end_speaks_of_what_it_shows_only(t: Under) -> None:
    """Nothing in a file can prove that no entry follows: it is proven up to its last one, and says which that is."""
    await a_ledger_with_everything(t)
    root, content = (await examined(t)).newest, await proof(t)
    told = msgspec.json.decode(content)
    cut = told | {"entries": told["entries"][:-3], "next_after": None}
    cut["batches"] = {str(n): told["batches"][str(n)] for n in {entry["batch_no"] for entry in cut["entries"]}}
    whole, part = statement.verify(content, root), statement.verify(msgspec.json.encode(cut), root)
    assert (part.first_no, part.last_no, part.entries) == (1, whole.last_no - 3, whole.entries - 3)


async def test_a_file_that_ends_where_the_root_does_has_no_next(t: Under, monkeypatch: pytest.MonkeyPatch) -> None:
    await a_ledger_with_everything(t)
    older = await proof(t, day="2027-05-31")
    monkeypatch.setattr(statement, "LINES_MAX", len(msgspec.json.decode(older)["entries"]))
    assert await proof(t, day="2027-05-31") == older
    assert msgspec.json.decode(older)["next_after"] is None, "the entries after it are not under its root"


def places(told: Any, *way: Any) -> list[tuple]:
    """Every value of a file that is no list and no object, and every empty one, by the way to it."""
    inside = told.items() if isinstance(told, dict) else enumerate(told) if isinstance(told, list) else ()
    found = [path for step, value in inside for path in places(value, *way, step)]
    return found or [way]


def _change(told: dict, path: tuple) -> None:
    *way, last = path
    at: Any = told
    for step in way:
        at = at[step]
    value = at[last]
    if isinstance(value, str) and len(value) == 64:
        at[last] = "00" * 32
    elif isinstance(value, int):
        at[last] = value + 1
    elif isinstance(value, list):
        at[last] = ["00" * 32]
    else:
        at[last] = f"{value}?"


async def test_who_may_ask_for_roots_and_proofs(t: Under) -> None:
    assert (await t.http.get("/v1/ledger/roots/newest", headers=t.auth("member"))).json()["code"] == "no_root"
    await a_ledger_with_everything(t)
    foreign = await t.http.get("/v1/wallets/M-2/statement/proof", headers=t.auth("member", subject=M))
    assert foreign.status_code == 404
    assert (await t.http.get("/v1/ledger/roots/2028-08-02")).status_code == 401
    assert (await t.http.get("/v1/ledger/roots/2020-01-01", headers=t.auth("member"))).json()["code"] == "no_root"
    assert (await t.http.get("/v1/ledger/roots/yesterday", headers=t.auth("member"))).status_code == 422


async def test_an_entry_that_is_not_what_was_sealed_is_not_proven(t: Under) -> None:
    await a_ledger_with_everything(t)
    conn = await unguarded(t)
    await conn.execute("UPDATE transfers SET amount = amount + 1 WHERE member_id = 'M-2' AND transfer_no = 7")
    await conn.close()
    answer = await t.http.get("/v1/wallets/M-2/statement/proof", headers=t.auth("operator"))
    assert (answer.status_code, answer.json()["code"]) == (409, "entry_changed")
