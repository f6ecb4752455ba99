"""A member's statement proves itself: offline, against a published root, and not if anything in it was changed."""

import contextlib
from collections.abc import AsyncIterator

import msgspec
import pytest
from points_ledger.proof import statement
from points_ledger.service import SERVICE
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .sealed_ledger import a_ledger_with_everything, examined, unguarded
from .world import M


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


async def test_whatever_is_changed_in_a_statement_is_found(t: Under) -> None:
    """Every value of the first and the last entry, every hash of the file, one entry left out, two exchanged."""
    await a_ledger_with_everything(t)
    root, content = (await examined(t)).newest, await proof(t)
    told = msgspec.json.decode(content)
    statement.verify(content, root)
    tried, missed = 0, []
    for path in places(told):
        changed = msgspec.json.decode(content)
        _change(changed, path)
        with contextlib.suppress(statement.NotProvenError):
            statement.verify(msgspec.json.encode(changed), root)
            missed.append(path)
        tried += 1
    assert missed == []
    assert tried > 80
    for cut in (told["entries"][:3] + told["entries"][4:], [*reversed(told["entries"])]):
        with pytest.raises(statement.NotProvenError, match="missing"):
            statement.verify(msgspec.json.encode({**told, "entries": cut}), root)
    for nonsense in (b"", b"[]", b"{}", content[:-2], b'{"form": 1}'):
        with pytest.raises(statement.NotProvenError):
            statement.verify(nonsense, root)


def places(told: dict) -> list[tuple]:
    found: list[tuple] = [("member_id",), ("days",), ("after",)]
    for n in (0, len(told["entries"]) - 1):
        entry = told["entries"][n]
        found += [("entries", n, "row", i) for i in range(len(entry["row"]))]
        found += [("entries", n, "why", i) for i in range(len(entry["why"] or ()))]
        found += [("entries", n, "path", 0), ("entries", n, "index"), ("entries", n, "batch_no")]
    first = str(told["entries"][0]["batch_no"])
    day = told["batches"][first]["day"]
    found += [("batches", first, name) for name in ("seq_to", "seq_after", "entries", "previous")]
    found += [("published", day, name) for name in ("day_no", "batch_from", "batch_to", "entries")]
    return [*found, ("published", day, "path", 0)]


def _change(told: dict, path: tuple) -> None:
    *way, last = path
    at = told
    for step in way:
        at = at[step]
    value = at[last]
    if isinstance(value, str) and len(value) == 64:
        at[last] = "00" * 32
    elif isinstance(value, int):
        at[last] = value + 1
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
