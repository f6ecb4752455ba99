"""The ledger on a real PostgreSQL: twice is once, halves are the whole, the books hold, and a bad event harms nobody else."""

import asyncio
from datetime import date, timedelta

import asyncpg
import pytest
from msgspec.structs import replace
from points_ledger import audit
from points_ledger.columns import ACCOUNT, BALANCES, HOLD, LOT, PROPOSAL, TRANSFER
from points_ledger.rules.account import Account, Hold, Lot, Proposal, Transfer
from points_ledger.service import SERVICE
from tenure.calendar import start_of
from tenure.contracts.activity import ReferralConverted
from tenure.contracts.points import (
    PointsActivated,
    PointsExpired,
    PointsExpiring,
    PointsGranted,
    PointsReversed,
)
from tenure.contracts.policy import CustomerMerged
from tenure.settings import Settings
from tenure.spine.codec import utc_now
from tenure.testing import Under, under_test

from .world import (
    D,
    M,
    anniversary,
    cancelled,
    did,
    issued,
    no_claim_year,
    paid,
    refunded,
    renewed,
    served,
    term,
    tiers,
    uncancelled,
)

TABLES = ("accounts", "lots", "transfers", "holds", "adjustments", "referral_news")


@pytest.fixture
async def t(settings: Settings):
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        yield under
        assert await failing(under) == set()


async def failing(t: Under) -> set[str]:
    return {name for name, holds in (await audit.verify(t.pool)).items() if not holds}


async def rows(t: Under) -> dict[str, list[tuple]]:
    """Every row of the service, without the wall's clock and the ids of events."""
    found = {}
    for table in TABLES:
        records = await t.pool.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")
        found[table] = [
            tuple(v for k, v in r.items() if k not in ("recorded_at", "cause", "source_id", "seq")) for r in records
        ]
    return found


async def points(t: Under, member: str = M) -> tuple[int, int, int]:
    row = await t.pool.fetchrow(
        "SELECT points_pending, points_available, points_debt FROM accounts WHERE member_id = $1", member
    )
    return tuple(row)


def life(member: str = M) -> list:
    """Two years of one member: every kind of thing that can happen to points."""
    first = term(member_id=member, policy_no=f"P-{member}", cooling_off_end=D("2026-01-16"))
    second = term(2, member_id=member, policy_no=f"P-{member}")
    mine = {"member_id": member, "policy_no": f"P-{member}"}
    return [
        (issued(first), "2026-01-01"),
        (paid(first), "2026-01-01"),
        (tiers(("2026-01-01", "basic"), ("2026-06-01", "gold"), member_id=member), "2026-06-01"),
        *((replace(did("steps", D("2026-07-01") + timedelta(n), 10_000), member_id=member), None) for n in range(30)),
        (replace(did("steps", "2026-07-28", 3), member_id=member), "2026-07-30"),
        (replace(did("check_up", "2026-09-01"), member_id=member), None),
        (renewed(second, "2026-12-20", early=12), "2026-12-20"),
        (paid(second, on="2026-12-20"), "2026-12-20"),
        (replace(anniversary(1, "2027-01-01"), **mine), None),
        (replace(no_claim_year(), **mine), None),
        (refunded(second, 20_000, "2027-03-01"), "2027-03-01"),
        (cancelled(second, "2027-04-01", "flat"), "2027-04-01"),
        (uncancelled(second, "2027-04-10"), "2027-04-10"),
        (served("mentoring", "2027-05-01"), None),
    ]


def records(t: Under, events: list) -> list:
    return [record for data, at in events for record in t.records(data, at=D(at) if at else None)]


def test_the_tables_have_the_structs_own_order() -> None:
    """Rows become structs by position, so the columns must be the fields, in order."""
    for struct, columns in ((Lot, LOT), (Transfer, TRANSFER), (Hold, HOLD), (Proposal, PROPOSAL)):
        names = [
            {"lot_no": "no", "transfer_no": "no"}.get(c, c) if c != "lot_no" or struct is Lot else c for c in columns
        ]
        assert names == list(struct.__struct_fields__)
    assert list(ACCOUNT)[:5] == list(Account.__struct_fields__)[:5]
    assert list(ACCOUNT)[6:] == list(BALANCES)


async def test_a_life_is_what_it_is_worth(t: Under) -> None:
    await t.deliver(records(t, life()))
    assert await t.parked() == []
    # premium 500 + 29 steps days 290 + check-up 500 + renewal 400 x 1.2 + premium 500 + anniversary 120 + no claim 300; of the second
    # term two fifths were refunded before the cancellation that was reversed: that refund stands (decision 0008).
    assert await points(t) == (0, 500 + 290 + 500 + (480 - 192) + (500 - 200) + 120 + 300, 0)
    told = await t.emitted(PointsGranted, PointsReversed)
    assert {type(x) for x in told} == {PointsGranted, PointsReversed}


async def test_twice_is_once_and_halves_are_the_whole(t: Under, settings: Settings) -> None:
    whole = records(t, life() + life("M-2"))
    await t.deliver(whole)
    once, told = await rows(t), len(await t.emitted())
    await t.deliver(whole)
    assert (await rows(t), len(await t.emitted())) == (once, 0)
    async with under_test(SERVICE, settings) as other:
        for n in range(0, len(whole), 7):
            await other.deliver(whole[n : n + 7])
            await other.deliver(whole[max(0, n - 3) : n + 7])
        assert await rows(other) == once
        assert len(await other.emitted()) == told


async def test_the_same_facts_under_new_ids_change_nothing(t: Under) -> None:
    events = [(data, at) for data, at in life() if getattr(data, "value", 0) != 3]
    await t.deliver(records(t, events))
    before = await rows(t)
    assert await t.emitted()
    await t.deliver(records(t, events[:-4] + events[-1:]))
    assert await t.emitted() == []
    assert await rows(t) == before


async def test_the_days_bring_activation_notice_and_expiry_each_with_its_own_date(t: Under) -> None:
    await t.feed(paid(term(cooling_off_end=D("2026-01-16"))))
    assert await points(t) == (500, 0, 0)
    assert await t.day(D("2026-01-15")) == 0
    await t.day(D("2028-06-01"))
    (activated,) = [e for e in await t.emitted() if isinstance(e, PointsActivated)]
    assert activated.effective == D("2026-01-16")
    assert await points(t) == (0, 0, 0)
    assert await t.pool.fetchval("SELECT due_on FROM accounts") is None


async def test_notice_and_expiry_are_told(t: Under) -> None:
    await t.feed(did("check_up", "2026-01-10"))
    await t.emitted()
    for day in ("2028-01-01", "2028-01-02", "2028-01-20", "2028-02-01", "2028-02-02"):
        await t.day(D(day))
    told = await t.emitted()
    assert [(type(e), e.amount, e.effective) for e in told] == [
        (PointsExpiring, 500, D("2028-01-02")),
        (PointsExpired, 500, D("2028-02-01")),
    ]


async def test_ticks_between_facts_or_after_them_give_the_same_rows(settings: Settings) -> None:
    ended, events = [], life()
    for ticks in (False, True):
        async with under_test(SERVICE, settings) as under:
            for data, at in events:
                if ticks:
                    await under.day(D(at) if at else data.effective if hasattr(data, "effective") else data.on)
                await under.feed(data, at=D(at) if at else None)
            await under.day(D("2030-01-01"))
            ended.append((await rows(under))["lots"])
            assert await failing(under) == set()
    assert ended[0] == ended[1]


async def test_the_referrer_hears_that_the_referees_policy_is_void(t: Under) -> None:
    theirs = term(policy_no="P-9", member_id="M-2")
    await t.feed(issued(theirs))
    await t.feed(ReferralConverted(member_id=M, referee_id="M-2", policy_no="P-9", on=D("2026-01-02")))
    assert await points(t) == (0, 500, 0)
    await t.feed(cancelled(theirs, "2026-01-10"))
    await t.day(D("2026-01-10"))
    assert await points(t) == (0, 0, 0)
    assert await t.pool.fetchval("SELECT count(*) FROM referral_news") == 0
    await t.feed(uncancelled(theirs, "2026-01-12"))
    await t.day(D("2026-01-12"))
    assert await points(t) == (0, 500, 0)


async def test_the_referrer_hears_how_the_referees_policy_stands_by_now(t: Under) -> None:
    """Void and in force again, and then void for good, before the referrer's turn comes each time."""
    theirs = term(policy_no="P-9", member_id="M-2")
    await t.feed(issued(theirs))
    await t.feed(ReferralConverted(member_id=M, referee_id="M-2", policy_no="P-9", on=D("2026-01-02")))
    await t.feed(cancelled(theirs, "2026-01-10"), uncancelled(theirs, "2026-01-11"))
    await t.day(D("2026-01-11"))
    assert await points(t) == (0, 500, 0)
    for version in (30, 60):
        told = replace(theirs, version=version)
        await t.feed(cancelled(told, "2026-01-12"), uncancelled(told, "2026-01-12"))
    await t.feed(cancelled(replace(theirs, version=90), "2026-01-12"))
    await t.day(D("2026-01-12"))
    assert await points(t) == (0, 0, 0)


async def test_two_customers_become_one(t: Under) -> None:
    theirs = term(policy_no="P-2", member_id="M-2", cooling_off_end=D("2026-07-01"))
    await t.feed(paid(theirs, 30_000), paid(term(), 50_000))
    await t.feed(CustomerMerged(member_id=M, merged_id="M-2", effective=D("2026-06-01")))
    assert (await points(t), await points(t, "M-2")) == ((300, 500, 0), (0, 0, 0))
    await t.day(D("2026-07-01"))
    assert await points(t) == (0, 800, 0)
    assert await t.pool.fetchval("SELECT origin FROM lots WHERE origin <> ''") == "M-2:1"


async def test_points_return_to_the_lots_they_were_taken_from_however_long_those_are_over(t: Under) -> None:
    """The premium's points were spent; its cancellation took quizzes instead, and is reversed when those are long forgotten."""
    await t.feed(paid(term(), 50_000), at=D("2026-01-01"))
    await t.day(D("2026-01-05"))
    hold = {"member_id": M, "points": 500, "hold_id": "H-1"}
    assert (await t.http.post("/v1/holds", json=hold, headers=t.auth("service"))).status_code == 201
    await t.http.post("/v1/holds/H-1/capture", headers=t.auth("service"))
    await t.feed(*(did("quiz", f"2026-02-0{n}") for n in (3, 4, 5)))
    await t.feed(cancelled(term(), "2026-03-10", "flat"))
    quizzes = "SELECT remaining FROM lots WHERE rule = 'quiz' ORDER BY lot_no"
    assert [row[0] for row in await t.pool.fetch(quizzes)] == [0, 0, 0]
    await t.feed(did("article", "2026-06-19"))
    await t.feed(uncancelled(term(), "2026-06-20"))
    assert [row[0] for row in await t.pool.fetch(quizzes)] == [10, 10, 10]
    anew = await t.pool.fetch("SELECT granted FROM lots WHERE rule = 'premium' AND lot_no > 1")
    assert [row[0] for row in anew] == [5], "only what the article had repaid of the debt by then"


async def test_a_wrong_event_is_parked_and_its_key_queues_while_others_flow(t: Under) -> None:
    wrong = did("quiz", "2026-05-02")
    batch = [
        *t.records(wrong, at=D("2026-05-01")),
        *t.records(did("check_up", "2026-05-01")),
        *t.records(paid(term(member_id="M-2", policy_no="P-2"))),
    ]
    await t.deliver(batch)
    assert await t.parked() == [(M, "activity_in_future"), (M, "behind")]
    assert await points(t, "M-2") == (0, 500, 0)


async def test_backfill_leaves_no_points_but_knows_the_payments(t: Under) -> None:
    await t.feed(issued(term()), paid(term()), backfill=True)
    assert await t.pool.fetchval("SELECT count(*) FROM transfers") == 0
    assert await t.emitted() == []
    await t.feed(anniversary(1, "2027-01-01"))
    assert await points(t) == (0, 100, 0)


@pytest.mark.parametrize("sql", ["UPDATE transfers SET amount = 1", "DELETE FROM transfers", "TRUNCATE transfers"])
async def test_history_is_never_edited(t: Under, sql: str) -> None:
    await t.feed(paid(term()))
    with pytest.raises(asyncpg.CheckViolationError, match="append-only"):
        await t.pool.execute(sql)


async def test_an_open_hold_moves_with_a_merged_member_and_can_be_captured_there(t: Under) -> None:
    await t.feed(replace(did("check_up", "2026-01-10"), member_id="M-2"))
    await t.day(D("2026-01-11"))
    assert (await hold(t, 300, member_id="M-2", hold_id="H-1")).status_code == 201
    await t.feed(CustomerMerged(member_id=M, merged_id="M-2", effective=D("2026-01-12")))
    assert await points(t) == (0, 200, 0)
    captured = await t.http.post("/v1/holds/H-1/capture", headers=t.auth("service"))
    assert captured.json()["member_id"] == M
    refund = await t.http.post("/v1/holds/H-1/refund", headers=t.auth("service"))
    assert refund.json()["refunded"] == 300
    assert await points(t) == (0, 500, 0)


async def test_news_for_a_referrer_who_became_another_reaches_the_survivor(t: Under) -> None:
    theirs = term(policy_no="P-9", member_id="M-9")
    await t.feed(issued(theirs))
    await t.feed(ReferralConverted(member_id="M-2", referee_id="M-9", policy_no="P-9", on=D("2026-01-02")))
    await t.feed(CustomerMerged(member_id=M, merged_id="M-2", effective=D("2026-01-05")))
    assert await points(t) == (0, 500, 0)
    await t.feed(cancelled(theirs, "2026-01-10"))
    await t.day(D("2026-01-10"))
    assert await points(t) == (0, 0, 0)


# --- holds under concurrency, and the timer ---


async def hold(t: Under, points: int, key: str | None = None, **more):
    body = {"member_id": M, "points": points, **more}
    return await t.http.post("/v1/holds", json=body, headers=t.auth("service", subject="mall", key=key))


async def test_of_two_holds_for_the_last_points_exactly_one_wins(t: Under) -> None:
    await t.feed(did("check_up", "2026-01-10"))
    await t.day(D("2026-01-11"))
    answers = await asyncio.gather(*(hold(t, 300) for _ in range(8)))
    assert sorted(a.status_code for a in answers) == [201] + [409] * 7
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"insufficient_points"}


async def test_two_doors_on_one_account_do_not_double_spend(t: Under) -> None:
    """As two replicas would: two transactions of their own, at the same time."""
    from points_ledger.commands import PlaceHold
    from tenure.contracts.event import Event
    from tenure.spine.transact import Item

    await t.feed(did("check_up", "2026-01-10"))

    def placing(n: int) -> Item:
        command = PlaceHold(
            hold_id=f"H-{n}", member_id=M, wallet="points", points=300, reference="", expires_at=utc_now()
        )
        when = start_of(date(2026, 1, 11))
        return Item(Event(id=f"c-{n}", source="/test", type="PlaceHold", key=M, time=when, data=command))

    outcomes = await asyncio.gather(*(t.door.transact([placing(n)]) for n in range(6)))
    assert sum(o[0].wrong is None for o in outcomes) == 1


async def test_nobody_takes_over_anothers_hold(t: Under) -> None:
    await t.feed(did("check_up", "2026-01-10"), replace(did("check_up", "2026-01-10"), member_id="M-2"))
    await t.day(D("2026-01-11"))
    assert (await hold(t, 100, hold_id="H-1")).status_code == 201
    stolen = await hold(t, 100, hold_id="H-1", member_id="M-2")
    assert (stolen.status_code, stolen.json()["code"]) == (409, "hold_exists")
    assert await t.pool.fetchval("SELECT member_id FROM holds WHERE hold_id = 'H-1'") == M
