"""What operators do and see over HTTP: adjustments from files, debts by age, the audit of an account. On a real database."""

import asyncio
from typing import Any

import pytest
from points_ledger import api_adjustments
from points_ledger.service import SERVICE
from tenure.contracts.policy import CustomerMerged, PolicyRescinded
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .world import D, M, cancelled, did, paid, refunded, renewed, term, tiers, void

HEAD = "member_id,points,reason,ticket"
FRAUD = {"reason": "fraud case 77", "ticket": "T-7"}


@pytest.fixture
async def t(settings: Settings):
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        await under.feed(paid(term(), 30_000), at=D("2026-06-01"))
        await under.feed(paid(term(member_id="M-2", policy_no="P-2"), 20_000), at=D("2026-06-01"))
        await under.day(D("2026-06-15"))
        yield under


async def post(t: Under, path: str, body: Any = None, subject: str = "op-1", key: str | None = None) -> Any:
    sent = {"content": body} if isinstance(body, str | bytes) else {"json": body}
    kind = {"Content-Type": "text/csv"} if isinstance(body, str | bytes) else {}
    return await t.http.post(f"/v1{path}", **sent, headers={**t.auth("operator", subject=subject, key=key), **kind})


async def get(t: Under, path: str) -> Any:
    return (await t.http.get(f"/v1{path}", headers=t.auth("operator"))).json()


async def available(t: Under) -> list[int]:
    return [row[0] for row in await t.pool.fetch("SELECT points_available FROM accounts ORDER BY member_id")]


FILE = f"{HEAD}\n{M},100,goodwill after the flood,T-1\nM-2,-50,booked twice,T-2\nM-2,-140,booked thrice,T-3\n"


async def test_a_file_is_tried_then_proposed_then_approved_by_another(t: Under) -> None:
    dry = (await post(t, "/adjustment-files?dry_run=true", FILE)).json()
    assert (dry["taken"], dry["refused"], dry["points_in"], dry["points_out"]) == (False, 0, 100, 190)
    assert (await get(t, "/adjustments"))["items"] == [], "a dry run leaves nothing"
    taken = (await post(t, "/adjustment-files", "\ufeff" + FILE, key="file-1")).json()
    assert (taken["taken"], [row["row"] for row in taken["rows"]]) == (True, [2, 3, 4])
    again = (await post(t, "/adjustment-files", "\ufeff" + FILE, key="file-1")).json()
    assert again == taken, "sent again it is taken once"
    assert len((await get(t, f"/adjustments?batch={taken['batch']}&state=proposed"))["items"]) == 3
    assert await available(t) == [300, 200], "nothing moved yet"
    own = (await post(t, f"/adjustment-files/{taken['batch']}/approve")).json()["items"]
    assert {row["code"] for row in own} == {"same_person"}
    decided = (await post(t, f"/adjustment-files/{taken['batch']}/approve", subject="op-2")).json()["items"]
    assert {(row["state"], row["approved_by"], row["code"]) for row in decided} == {("approved", "op-2", "")}
    assert await available(t) == [400, 10]
    assert (await post(t, f"/adjustment-files/{taken['batch']}/approve", subject="op-2")).status_code == 404


BAD = f"""{HEAD},wallet
{M},1.5,goodwill,T-1,points
{M},9223372036854775808,goodwill,T-1,points
{M},0,goodwill,T-1,points
{M},10001,goodwill,T-1,points
M-404,5,goodwill,T-1,points
op-1,5,goodwill,T-1,points
{M},5,,T-1,points
{M},5,goodwill,T-1,gold
{M},5
{M},5,goodwill,T-1,points
"""


async def test_a_file_with_a_bad_row_is_not_taken_and_says_which_rows_and_why(t: Under) -> None:
    await t.feed(did("quiz", "2026-06-15"))
    for path in ("/adjustment-files?dry_run=true", "/adjustment-files"):
        answer = (await post(t, path, BAD)).json()
        assert [row["code"] for row in answer["rows"]] == [
            "validation_failed", "validation_failed", "adjustment_too_large", "adjustment_too_large", "unknown_member",
            "unknown_member", "validation_failed", "validation_failed", "validation_failed", "",
        ]  # fmt: skip
        assert (answer["taken"], answer["refused"]) == (False, 9)
        assert all(row["detail"] for row in answer["rows"][:9])
        assert answer["rows"][1]["detail"] == "points must be a whole number of at most 12 digits"
    assert (await get(t, "/adjustments"))["items"] == []


NO_FILES = {
    "nothing": " ",
    "too few columns": "member_id,points\nM-1,5\n",
    "no rows": HEAD + "\n",
    "a column nobody knows": f"{HEAD},colour\n{M},5,goodwill,T-1,red\n",
    "not UTF-8": b"\xff\xfe",
    "too many rows": HEAD + "\n" + f"{M},1,goodwill,T-1\n" * 501,
    "a quote that never ends": HEAD + '\n"M-1,5',
}


async def test_what_is_no_file_of_adjustments_is_refused_whole(t: Under) -> None:
    for what, body in NO_FILES.items():
        answer = await post(t, "/adjustment-files", body)
        assert (answer.status_code, answer.json()["code"]) == (422, "file_refused"), what
    assert (await get(t, "/adjustments"))["items"] == []


async def test_a_file_of_as_many_rows_as_may_be_is_tried_and_none_has_more_cells_than_its_head(t: Under) -> None:
    answer = await post(
        t, "/adjustment-files?dry_run=true", HEAD + "\n" + f"{M},1,goodwill,T-1\n" * 499 + f"{M},1,goodwill,T-1,5\n"
    )
    rows = answer.json()["rows"]
    assert ([row["code"] for row in rows[:499]], rows[499]["code"]) == ([""] * 499, "validation_failed")
    assert rows[499]["detail"] == "this row has not as many cells as the head"


async def test_a_refused_row_names_the_cell_that_is_wrong(t: Under) -> None:
    head = "member_id,points,reason,ticket\n"
    answer = (await post(t, "/adjustment-files?dry_run=true", f"{head}{M},5,x,T-1\n{M},5,goodwill,\n")).json()
    assert [row["detail"].partition(":")[0] for row in answer["rows"]] == ["reason", "ticket"]
    twice = await post(t, "/adjustment-files", f"member_id,points,reason,ticket,points\n{M},5,goodwill,T-1,7\n")
    assert (twice.status_code, twice.json()["code"]) == (422, "file_refused"), "which of the two is meant?"


def adjustment(points: int, member: str = M) -> dict[str, Any]:
    return {"member_id": member, "points": points, "reason": "goodwill", "ticket": "T-1"}


async def test_a_day_has_a_limit_for_a_member_and_for_a_maker(t: Under) -> None:
    """20,000 points for one member and 100,000 by one person, up or down, however many ask at once; the next day is a new one."""
    asked = [post(t, "/adjustments", adjustment(10_000 * sign), f"op-{n}") for n, sign in enumerate((1, 1, 1, -1, 1))]
    answers = await asyncio.gather(*asked)
    assert sorted(a.status_code for a in answers)[:2] == [201, 201]
    assert {a.json()["code"] for a in answers if a.status_code != 201} == {"adjustment_day_limit"}, (
        "also who came at once"
    )
    assert await t.pool.fetchval("SELECT sum(abs(points)) FROM adjustments") == 20_000
    late = await post(t, "/adjustments", adjustment(1), "op-9")
    assert (late.status_code, late.json()["code"]) == (409, "adjustment_day_limit")
    assert "for one member" in late.json()["detail"]
    await t.pool.execute("UPDATE adjustment_days SET points = 99999 WHERE role = 'maker' AND who = 'op-1'")
    row = "INSERT INTO adjustment_days VALUES ('2026-06-15', 'maker', 'op-1', 99999, 100000) ON CONFLICT DO NOTHING"
    await t.pool.execute(row)
    much = await post(t, "/adjustments", adjustment(2, "M-2"))
    assert (much.json()["code"], "one person" in much.json()["detail"]) == ("adjustment_day_limit", True)
    first = await post(t, "/adjustments", adjustment(1, "M-2"), key="the-last-one")
    assert first.status_code == 201
    again = await post(t, "/adjustments", adjustment(1, "M-2"), key="the-last-one")
    assert again.json() == first.json(), "asked again it is answered again, and counts once"
    await t.day(D("2026-06-16"))
    assert (await post(t, "/adjustments", adjustment(10_000))).status_code == 201


async def test_adjustments_are_listed_by_how_they_stand_whom_they_are_for_and_the_file_they_came_in(t: Under) -> None:
    mine, theirs = [(await post(t, "/adjustments", adjustment(n, member))).json() for n, member in ((1, M), (2, "M-2"))]
    file = (await post(t, "/adjustment-files", f"{HEAD}\n{M},3,goodwill,T-1\n", key="f")).json()
    await post(t, f"/adjustments/{theirs['adjustment_id']}/approve", subject="op-2")
    for query, points in (
        ("", [3, 2, 1]),
        ("state=proposed", [3, 1]),
        ("state=approved", [2]),
        (f"member_id={M}", [3, 1]),
        (f"batch={file['batch']}", [3]),
        (f"batch={file['batch']}&member_id=M-2", []),
    ):
        found = (await get(t, f"/adjustments?{query}"))["items"]
        assert [one["points"] for one in found] == points, query
    assert mine["state"] == "proposed"


@pytest.fixture
async def at_midnight(t: Under, monkeypatch: pytest.MonkeyPatch) -> None:
    """What op-1 may propose on the 15th is taken by others once it was looked at, and by the next look it is the 16th."""
    await t.pool.execute("INSERT INTO adjustment_days VALUES ('2026-06-15', 'maker', 'op-1', 100000, 100000)")
    look, looks = api_adjustments._exceeding, 0

    async def before_and_after(*asked: Any) -> dict[str, str]:
        nonlocal looks
        looks += 1
        if looks == 1:
            return {}
        await t.day(D("2026-06-16"))
        return await look(*asked)

    monkeypatch.setattr(api_adjustments, "_exceeding", before_and_after)


@pytest.mark.usefixtures("at_midnight")
async def test_who_met_the_limit_of_a_day_that_was_just_over_proposes_on_the_next(t: Under) -> None:
    assert (await post(t, "/adjustments", adjustment(10))).status_code == 201
    rows = await t.pool.fetch("SELECT day, points FROM adjustment_days WHERE role = 'maker' ORDER BY day")
    assert [tuple(row) for row in rows] == [(D("2026-06-15"), 100_000), (D("2026-06-16"), 10)]


@pytest.mark.usefixtures("at_midnight")
async def test_a_file_that_met_it_is_not_taken_and_may_be_sent_again(t: Under) -> None:
    file = f"{HEAD}\n{M},10,goodwill,T-1\n"
    refused = await post(t, "/adjustment-files", file, key="f")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert await t.pool.fetchval("SELECT count(*) FROM adjustments") == 0
    assert (await post(t, "/adjustment-files", file, key="f")).json()["taken"]


async def test_a_file_beyond_the_days_limit_names_the_row_and_is_not_taken(t: Under) -> None:
    file = f"{HEAD}\n{M},10000,goodwill,T-1\n{M},-10000,goodwill,T-2\n{M},1,goodwill,T-3\nM-2,1,goodwill,T-4\n"
    answer = (await post(t, "/adjustment-files", file, key="f")).json()
    assert [row["code"] for row in answer["rows"]] == ["", "", "adjustment_day_limit", ""]
    assert (answer["taken"], answer["refused"]) == (False, 1)
    assert await t.pool.fetchval("SELECT count(*) FROM adjustment_days") == 0, "nothing was taken, nothing counts"
    good = file.replace(f"{M},1,goodwill,T-3\n", "")
    taken = (await post(t, "/adjustment-files", good, key="g")).json()
    assert taken["taken"]
    assert (await post(t, "/adjustment-files", good, key="g")).json() == taken, "sent again it is taken once"


async def test_a_file_beyond_its_makers_day_names_the_row_whichever_members_it_is_for(t: Under) -> None:
    """All but two points of what op-1 may propose on that day are used up; freezing somebody takes none of them."""
    await t.pool.execute("INSERT INTO adjustment_days VALUES ('2026-06-15', 'maker', 'op-1', 99998, 100000)")
    rows = (
        f"{M},1,goodwill,T-1,correct\nM-2,-1,goodwill,T-2,correct\nM-2,1,goodwill,T-3,correct\n{M},0,fraud,T-4,freeze\n"
    )
    answer = (await post(t, "/adjustment-files?dry_run=true", f"{HEAD},purpose\n{rows}")).json()
    assert [row["code"] for row in answer["rows"]] == ["", "", "adjustment_day_limit", ""]
    assert "one person" in answer["rows"][2]["detail"]


async def test_a_file_that_was_refused_may_come_again_under_its_key(t: Under) -> None:
    """The day's limit of M-1 is used up; on the next day the same file is taken, and then once."""
    file = f"{HEAD}\n{M},10000,goodwill,T-1\n{M},10000,goodwill,T-2\n{M},1,goodwill,T-3\n"
    refused = (await post(t, "/adjustment-files", file, key="f")).json()
    assert (refused["taken"], refused["rows"][2]["code"]) == (False, "adjustment_day_limit")
    corrected = file.replace(f"{M},1,goodwill,T-3\n", "")
    assert (await post(t, "/adjustment-files?dry_run=true", corrected, key="f")).json()["refused"] == 0
    taken = await post(t, "/adjustment-files", corrected, key="f")
    assert (taken.json()["taken"], "Idempotency-Replayed" in taken.headers) == (True, False)
    again = await post(t, "/adjustment-files", corrected, key="f")
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (taken.json(), "true")
    assert (await post(t, "/adjustment-files", file, key="f")).json()["code"] == "idempotency_key_reused"


async def test_a_file_whose_answer_is_forgotten_is_not_taken_twice(t: Under) -> None:
    """Answers are kept for months, adjustments for ever."""
    file = f"{HEAD}\n{M},10,goodwill,T-1\nM-2,10,goodwill,T-1\n"
    batch = (await post(t, "/adjustment-files", file, key="f")).json()["batch"]
    await t.pool.execute("DELETE FROM idempotency")
    waiting = (await post(t, "/adjustment-files", file, key="f")).json()
    assert (waiting["taken"], {row["code"] for row in waiting["rows"]}) == (False, {"adjustment_exists"})
    await post(t, f"/adjustment-files/{batch}/approve", subject="op-2")
    decided = await post(t, "/adjustment-files", file, key="f")
    assert (decided.status_code, decided.json()["code"]) == (409, "adjustment_exists")
    assert batch in decided.json()["detail"]
    assert await t.pool.fetchval("SELECT count(*) FROM adjustments") == 2


async def test_of_two_files_at_once_that_together_exceed_the_day_one_is_taken_whole_and_the_other_not_at_all(
    t: Under,
) -> None:
    file = f"{HEAD}\nM-2,1,goodwill,T-1\n{M},10000,goodwill,T-2\n{M},-10000,goodwill,T-3\n"
    answers = await asyncio.gather(*(post(t, "/adjustment-files", file, f"op-{n}", f"at-once-{n}") for n in range(4)))
    taken = [answer.json()["batch"] for answer in answers if answer.status_code == 200 and answer.json()["taken"]]
    told = [row["code"] for a in answers if a.status_code == 200 for row in a.json()["rows"] if row["code"]]
    told += [a.json()["code"] for a in answers if a.status_code != 200]
    assert (len(taken), set(told)) == (1, {"adjustment_day_limit"})
    assert [tuple(row) for row in await t.pool.fetch("SELECT batch, count(*) FROM adjustments GROUP BY 1")] == [
        (taken[0], 3)
    ]


async def test_debts_age_are_put_forward_and_written_off_by_two(t: Under) -> None:
    for member, points in ((M, 300), ("M-2", 200)):
        await t.http.post(
            "/v1/holds",
            json={"member_id": member, "points": points, "hold_id": f"H-{member}"},
            headers=t.auth("service"),
        )
        await t.http.post(f"/v1/holds/H-{member}/capture", headers=t.auth("service"))
    await t.feed(cancelled(term(), "2026-07-01", "flat"))
    await t.feed(cancelled(term(member_id="M-2", policy_no="P-2"), "2027-03-01", "flat"))
    await t.day(D("2027-07-01"))
    found = (await get(t, "/debts"))["items"]
    assert [(d["member_id"], d["points"], d["since"], d["age_days"], d["put_forward"]) for d in found] == [
        (M, 300, "2026-07-01", 365, True),
        ("M-2", 200, "2027-03-01", 122, False),
    ]
    body = {"member_id": M, "points": 300, "reason": "a year old", "ticket": "T-9", "purpose": "write_off"}
    proposal = (await post(t, "/adjustments", body)).json()
    assert (await post(t, f"/adjustments/{proposal['adjustment_id']}/approve", subject="op-2")).status_code == 200
    assert [d["member_id"] for d in (await get(t, "/debts"))["items"]] == ["M-2"]
    story = await get(t, f"/wallets/{M}/changes")
    assert (story["frozen"], [c["what"] for c in story["changes"]]) == (False, ["written_off"])
    assert set((await get(t, "/ledger/verify")).values()) == {True}


async def test_an_entry_says_in_words_what_it_was_for_and_why_points_were_taken_back(t: Under) -> None:
    """As it is read out to a customer, in Chinese and in English."""
    await t.http.post("/v1/holds", json={"member_id": M, "points": 120, "hold_id": "H-1"}, headers=t.auth("service"))
    await t.http.post("/v1/holds/H-1/capture", headers=t.auth("service"))
    why = await get(t, f"/entries/{M}:1/why")
    assert why["says_en"] == (
        "2026-01-01, Premium paid, P-1/1#1: 300 points; expiring at the start of 2028-02-01; 120 spent, 180 left."
    )
    await t.feed(refunded(term(premium_fen=30_000), 10_050, "2026-07-01"), at=D("2026-07-01"))
    why = await get(t, f"/entries/{M}:1/why")
    assert "; 100 were taken back: CNY 100.50 of the premium of CNY 300.00 was refunded; " in why["says_en"]
    assert "；冲回100分：保费300.00元已退100.50元；" in why["says_zh"]
    await t.feed(cancelled(term(), "2026-07-02", "flat"), at=D("2026-07-02"))
    why = await get(t, f"/entries/{M}:1/why")
    assert "300 were taken back: the policy term never was" in why["says_en"]
    assert (why["says_zh"][-1], "该期保险自始无效" in why["says_zh"]) == ("。", True)


async def test_points_that_came_later_for_the_same_fact_say_whose_rest_they_are(t: Under) -> None:
    """A renewal is heard before its tier: 400 points at first, then gold's fifth."""
    await t.feed(renewed(term(2), "2026-12-20", early=12))
    await t.feed(tiers(("2026-06-01", "gold")), at=D("2026-12-21"))
    first, more = [
        line for line in (await get(t, f"/wallets/{M}/statement"))["items"][::-1] if line["rule"] == "renewal"
    ]
    why = await get(t, f"/entries/{more['entry_id']}/why")
    assert (why["base"], why["tier_or_rank"], why["status_percent"], why["granted"]) == (400, "gold", 120, 80)
    assert why["tops_up"] == first["entry_id"]
    told = f"80 points on top of entry {first['entry_id']}, in all (400 x 120 % (Gold)); "
    assert told in why["says_en"]
    assert f"在明细{first['entry_id']}之外补发80分" in why["says_zh"]
    assert (await get(t, f"/entries/{first['entry_id']}/why"))["tops_up"] is None


async def test_repayments_make_a_debt_younger(t: Under) -> None:
    await t.http.post("/v1/holds", json={"member_id": M, "points": 300, "hold_id": "H-1"}, headers=t.auth("service"))
    await t.http.post("/v1/holds/H-1/capture", headers=t.auth("service"))
    await t.feed(cancelled(term(), "2026-07-01", "flat"), did("quiz", "2026-07-02"))
    await t.day(D("2026-08-01"))
    (debt,) = (await get(t, "/debts"))["items"]
    assert (debt["points"], debt["since"]) == (290, "2026-07-01")


async def test_a_debt_is_as_old_as_what_is_still_owed_of_it(t: Under) -> None:
    """150 are owed in July, and repaid in August; what is owed since March of the next year is no old debt."""

    async def spend(points: int) -> None:
        order = {"member_id": M, "points": points, "hold_id": f"H-{points}"}
        assert (await t.http.post("/v1/holds", json=order, headers=t.auth("service"))).status_code == 201
        assert (await t.http.post(f"/v1/holds/H-{points}/capture", headers=t.auth("service"))).status_code == 200

    await spend(300)
    await t.feed(refunded(term(), 15_000, "2026-07-01", version=5))
    assert [(debt["points"], debt["since"]) for debt in (await get(t, "/debts"))["items"]] == [(150, "2026-07-01")]
    await t.feed(did("check_up", "2026-08-01"))
    await spend(350)
    await t.feed(refunded(term(), 15_000, "2027-03-01", version=6))
    await t.day(D("2027-07-01"))
    (debt,) = (await get(t, "/debts"))["items"]
    assert (debt["points"], debt["since"], debt["put_forward"]) == (150, "2027-03-01", False)


async def test_a_debt_is_repaid_by_its_dates_in_whichever_order_it_was_heard_of(t: Under) -> None:
    """All 300 are spent; 150 are owed since 1 July, and 150 since 20 June, as is told later. 160 are repaid, so June's are."""
    order = {"member_id": M, "points": 300, "hold_id": "H-1"}
    assert (await t.http.post("/v1/holds", json=order, headers=t.auth("service"))).status_code == 201
    await t.http.post("/v1/holds/H-1/capture", headers=t.auth("service"))
    await t.feed(refunded(term(), 15_000, "2026-07-01", version=5), at=D("2026-07-01"))
    await t.feed(refunded(term(), 15_000, "2026-06-20", version=6), at=D("2026-07-02"))
    assert [(one["points"], one["since"]) for one in (await get(t, "/debts"))["items"]] == [(300, "2026-06-20")]
    await t.feed(paid(term(policy_no="P-9"), 16_000, "2026-07-03"))
    assert [(one["points"], one["since"]) for one in (await get(t, "/debts"))["items"]] == [(140, "2026-07-01")]


OWED = [
    ("D-1", "points", "2026-06-01"),
    ("D-2", "points", "2026-05-01"),
    ("D-3", "agent", "2026-06-01"),
    ("D-3", "points", "2026-05-01"),
    ("D-4", "points", "2026-06-01"),
]


async def test_pages_of_debts_show_each_once_and_a_members_wallets_together(t: Under) -> None:
    for n, (member, wallet, since) in enumerate(OWED, 1):
        await t.pool.execute(
            f"INSERT INTO accounts (member_id, lots_no, transfers_no, {wallet}_debt) VALUES ($1, 0, $2, 10) "
            f"ON CONFLICT (member_id) DO UPDATE SET {wallet}_debt = 10, transfers_no = $2",
            member,
            n,
        )
        await t.pool.execute(
            "INSERT INTO transfers (member_id, transfer_no, wallet, debit, credit, amount, lot_no, kind, effective, cause, hold_id) "
            "VALUES ($1, $2, $3, 'debt', 'issuance', 10, 1, 'reverse', $4, 'c', '')",
            member,
            n,
            wallet,
            D(since),
        )
    pages, after = [], ""
    while after is not None and len(pages) < len(OWED):
        page = await get(t, f"/debts?limit=3&after={after}")
        pages.append([(one["member_id"], one["wallet"], one["since"]) for one in page["items"]])
        after = page["next_after"]
    assert pages == [OWED[:2], OWED[2:4], OWED[4:]]


async def test_an_agent_leaves_and_a_freeze_is_seen(t: Under) -> None:
    service = {"agent_id": "A-7", "activity_id": "s-1", "kind": "mentoring", "on": "2026-06-15"}
    await t.http.post("/v1/activities", json=service, headers=t.auth("service"))
    left = (await post(t, "/agents/A-7/leave", {"on": "2026-06-16"})).json()
    assert left["frozen"] == "agent left"
    story = await get(t, "/wallets/A-7/changes")
    assert (story["frozen"], {c["what"] for c in story["changes"]}) == (True, {"frozen", "left"})
    assert [(await get(t, f"/wallets/{who}"))["frozen"] for who in ("A-7", M)] == [True, False], (
        "as whoever reads it is told"
    )
    frozen = await post(t, "/adjustments", {"member_id": "A-7", "points": 0, "purpose": "freeze", **FRAUD})
    assert (await post(t, f"/adjustments/{frozen.json()['adjustment_id']}/approve", subject="op-2")).status_code == 200
    assert (await post(t, "/agents/A-7/return", {"on": "2026-06-16"})).json()["frozen"] == FRAUD["reason"]
    story = await get(t, "/wallets/A-7/changes")
    assert (story["frozen"], [c["what"] for c in story["changes"]]) == (True, ["returned", "frozen", "frozen", "left"])
    order = {"member_id": "A-7", "points": 100, "wallet": "agent"}
    refused = await t.http.post("/v1/holds", json=order, headers=t.auth("service"))
    assert (refused.status_code, refused.json()["code"]) == (409, "account_frozen")
    await post(t, "/agents/A-7/leave", {"on": "2026-06-16"})
    late = await t.http.post(
        "/v1/activities", json={**service, "activity_id": "s-2"} | {"on": "2026-06-15"}, headers=t.auth("service")
    )
    assert late.json()["agent"] == 100
    await t.day(D("2026-09-14"))
    assert await t.pool.fetchval("SELECT sum(expired) FROM lots WHERE wallet = 'agent'") == 200
    assert (await get(t, "/wallets/A-7"))["wallets"]["agent"]["available"] == 0
    linked = (await post(t, "/agents/A-7/membership", {"member_id": M})).json()
    assert linked["persons"] == [M]
    assert (await post(t, "/agents/A-7/membership", {"member_id": "A-7"})).json()["code"] == "same_account"
    assert (await post(t, "/agents/A-404/leave", {"on": "2026-06-16"})).json()["code"] == "unknown_member"


async def test_after_a_merger_the_survivor_is_seen_to_be_frozen(t: Under) -> None:
    await t.feed(PolicyRescinded(member_id="M-2", term=void(term(policy_no="P-2")), effective=D("2026-06-16")))
    await t.feed(CustomerMerged(member_id=M, merged_id="M-2", effective=D("2026-06-17")))
    story = await get(t, f"/wallets/{M}/changes")
    assert (story["frozen"], {c["what"] for c in story["changes"]}) == (True, {"merged", "frozen"})
    assert (await get(t, "/wallets/M-2/changes"))["frozen"] is False, "a number given up has nothing to freeze"
    refused = await t.http.post("/v1/holds", json={"member_id": M, "points": 10}, headers=t.auth("service"))
    assert (refused.status_code, refused.json()["code"]) == (409, "account_frozen")
