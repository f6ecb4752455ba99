"""What was begun for a number before or while it was another's ends with who it was for, once the two are parted again."""

from msgspec.structs import replace
from points_ledger.commands import ApproveAdjustment, ProposeAdjustment, RefundHold
from points_ledger.rules.account import ReferralNews
from points_ledger.service import SERVICE
from tenure.contracts.activity import ReferralConverted
from tenure.contracts.points import PointsRefunded
from tenure.contracts.policy import CustomerMerged
from tenure.contracts.programme import Programme
from tenure.contracts.programme.earning import Campaign, Window
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .test_unmerger import MERGED, OTHER, THEIRS, one, parted, spend, unmerged
from .world import D, M, World, cancelled, did, paid, term, under_rules

REFERRER = "M-9"


def referred(world: World, referee: str, on: str) -> None:
    world.hear(ReferralConverted(member_id=REFERRER, referee_id=referee, policy_no="P-2", on=D(on)))


def test_who_brought_their_policy_is_known_to_them_again(world: World) -> None:
    one(world)
    referred(world, M, "2026-06-10")
    assert world.points(REFERRER) == (0, 500, 0)
    parted(world, "2026-07-01")
    world.hear(cancelled(THEIRS, "2026-07-02", "flat"))
    news = [row for row in world.rows if isinstance(row, ReferralNews)]
    assert news == [ReferralNews(REFERRER, "P-2", void=True)], "the policy never was, and brought nobody"


def test_a_correction_proposed_for_a_number_is_made_for_it(world: World) -> None:
    world.hear(paid(THEIRS, 30_000, "2026-02-01"))
    world.hear(paid(term(), 50_000))
    asked = ProposeAdjustment(
        adjustment_id="J-1", member_id=OTHER, wallet="points", points=70, reason="complaint", ticket="T-1", proposed_by="op-1"
    )  # fmt: skip
    world.hear(asked, "2026-05-01", key=OTHER)
    world.hear(MERGED)
    assert set(world.accounts[M].proposals) == {"J-1"}
    parted(world, "2026-07-01")
    assert (set(world.accounts[M].proposals), set(world.accounts[OTHER].proposals)) == (set(), {"J-1"})
    world.hear(ApproveAdjustment(adjustment_id="J-1", approved_by="op-2"), "2026-07-02", key=OTHER)
    assert (world.points(), world.points(OTHER)) == ((0, 500, 0), (0, 370, 0))


def test_an_order_is_given_back_whole_though_a_lot_it_took_is_another_customers(world: World) -> None:
    """500 of the order were the survivor's own, 100 were theirs; then the survivor becomes a third number, and parts from it again."""
    one(world)
    spend(world, 600, "2026-06-10")
    parted(world, "2026-07-01")
    world.hear(CustomerMerged(member_id="M-3", merged_id=M, effective=D("2026-07-02")))
    world.hear(RefundHold(hold_id="H-1", points=50), "2026-07-03", key="M-3")
    assert world.points("M-3") == (0, 50, 0)
    world.hear(unmerged("2026-07-04", merged=M, survivor="M-3"))
    world.hear(RefundHold(hold_id="H-1"), "2026-07-05")
    assert sum(world.points(name)[1] for name in (M, "M-3")) == 600
    assert sum(told.amount for told in world.of(PointsRefunded)) == 600


async def test_a_correction_that_waits_is_stored_with_whom_it_is_for(settings: Settings) -> None:
    """Approved while the two are one, it is the survivor's; nothing is left with a number given up."""
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as t:
        await t.feed(paid(THEIRS, 30_000, "2026-02-01"), paid(term(), 50_000), at=D("2026-02-01"))
        first, second = [await propose(t, OTHER, points) for points in (70, 40)]
        await t.feed(MERGED, at=D("2026-06-01"))
        assert await waiting(t) == {first: M, second: M}
        assert await approve(t, first) == M
        await t.feed(*(unmerged("2026-07-01", to=to) for to in (M, OTHER)), at=D("2026-07-01"))
        assert await waiting(t) == {second: OTHER}
        assert await approve(t, second) == OTHER
        rows = await t.pool.fetch("SELECT member_id, points_available FROM accounts ORDER BY 1")
        assert [tuple(row) for row in rows] == [(M, 570), (OTHER, 340)]
        assert set((await t.http.get("/v1/ledger/verify", headers=t.auth("operator"))).json().values()) == {True}


async def test_every_entry_says_why_after_a_merger_was_undone(settings: Settings) -> None:
    """By each name its statements ever gave it: under their number, the survivor's, and their number again."""
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as t:
        await t.feed(paid(THEIRS, 30_000, "2026-02-01"), paid(term(), 50_000), at=D("2026-02-01"))
        for month in (6, 8):
            await t.feed(replace(MERGED, effective=D(f"2026-0{month}-01")), at=D(f"2026-0{month}-01"))
            parting = (unmerged(f"2026-0{month + 1}-01", to=to) for to in (M, OTHER))
            await t.feed(*parting, at=D(f"2026-0{month + 1}-01"))
        await t.feed(cancelled(THEIRS, "2026-09-02", "flat"), at=D("2026-09-02"))
        entries = set[str]()
        for member in (M, OTHER):
            lines = (await t.http.get(f"/v1/wallets/{member}/statement", headers=t.auth("operator"))).json()["items"]
            entries |= {line["entry_id"] for line in lines if line["reference"] == "P-2/1#1"}
        assert len(entries) == 5
        for entry in sorted(entries):
            why = await t.http.get(f"/v1/entries/{entry}/why", headers=t.auth("operator"))
            assert why.status_code == 200, entry
            assert (why.json()["member_id"], why.json()["reference"], why.json()["taken_back"]) == (
                OTHER,
                "P-2/1#1",
                300,
            )


async def test_the_share_of_a_budget_finds_a_lot_that_came_back(settings: Settings, rules: Programme) -> None:
    """Claimed under their number, allotted after a merger and its undoing."""
    may = Campaign(
        code="may", window=Window(start=D("2026-05-01"), end=D("2026-06-01")), percent=300, budget_points_max=1_000
    )
    events = settings.model_copy(update={"clock": "events"})
    async with under_test(SERVICE, events, under_rules(rules, campaigns=(may,))) as t:
        when = {"at": D("2026-05-02")}
        await t.feed(paid(term(), 50_000), replace(did("quiz", "2026-05-02"), member_id=OTHER), **when)
        await t.deliver(t.records(replace(MERGED, effective=D("2026-05-02"))))
        await t.deliver(t.records(*(unmerged("2026-05-02", to=to) for to in (M, OTHER))))
        assert await t.pool.fetchval("SELECT count(*) FROM budget_claims") == 1
        await t.day(D("2026-05-03"))
        rows = await t.pool.fetch("SELECT member_id, points_available FROM accounts ORDER BY 1")
        assert [tuple(row) for row in rows] == [(M, 500), (OTHER, 30)]


async def propose(t: Under, member_id: str, points: int) -> str:
    body = {"member_id": member_id, "points": points, "reason": "complaint", "ticket": "T-1"}
    made = await t.http.post("/v1/adjustments", json=body, headers=t.auth("operator", subject="op-1"))
    assert made.status_code == 201, made.text
    adjustment_id: str = made.json()["adjustment_id"]
    return adjustment_id


async def approve(t: Under, adjustment_id: str) -> str:
    path = f"/v1/adjustments/{adjustment_id}/approve"
    done = await t.http.post(path, headers=t.auth("operator", subject="op-2"))
    assert done.status_code == 200, done.text
    member_id: str = done.json()["member_id"]
    return member_id


async def waiting(t: Under) -> dict[str, str]:
    rows = await t.pool.fetch("SELECT adjustment_id, member_id FROM adjustments WHERE state = 'proposed'")
    return {row[0]: row[1] for row in rows}
