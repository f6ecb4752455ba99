"""A merger undone: lots go back with their dates, policies with their debts, and both books hold."""

from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace
from points_ledger.commands import (
    ApproveAdjustment,
    CaptureHold,
    PlaceHold,
    ProposeAdjustment,
    RecordActivity,
    RefundHold,
    ReleaseHold,
)
from points_ledger.proof import replay
from points_ledger.rules.account import AccountChange
from points_ledger.service import SERVICE
from tenure.contracts.decision import RefusedError
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged, PolicyRescinded
from tenure.settings import Settings
from tenure.testing import under_test

from .test_against_the_model import as_a_reader_adds_up
from .world import WALL, D, M, World, cancelled, did, paid, renewed, term, tiers, uncancelled, void

OTHER = "M-2"
THEIRS = term(policy_no="P-2", member_id=OTHER)
MERGED = CustomerMerged(member_id=M, merged_id=OTHER, effective=D("2026-06-01"))


def unmerged(on: str, to: str = "", merged: str = OTHER, survivor: str = M) -> CustomerUnmerged:
    return CustomerUnmerged(member_id=to or survivor, survivor_id=survivor, merged_id=merged, effective=D(on))


def one(world: World) -> None:
    world.hear(paid(THEIRS, 30_000, "2026-02-01"))
    world.hear(paid(term(), 50_000))
    world.hear(MERGED)


def parted(world: World, on: str) -> None:
    """Told to both, as policy-sync does."""
    world.hear(unmerged(on))
    world.hear(unmerged(on, to=OTHER))


def spend(world: World, points: int, on: str, hold_id: str = "H-1") -> None:
    world.hear(
        PlaceHold(hold_id=hold_id, member_id=M, wallet="points", points=points, reference="", expires_at=WALL), on
    )
    world.hear(CaptureHold(hold_id=hold_id), on)


def dates(world: World, member: str) -> set[tuple[str, str, int]]:
    lots = world.accounts[member].lots.values()
    return {(str(lot.earned_on), str(lot.expires_on), lot.remaining) for lot in lots}


def test_the_lots_go_back_with_their_dates(world: World) -> None:
    one(world)
    assert (world.points(), world.points(OTHER)) == ((0, 800, 0), (0, 0, 0))
    parted(world, "2026-07-01")
    assert (world.points(), world.points(OTHER)) == ((0, 500, 0), (0, 300, 0))
    assert dates(world, OTHER) == {("2026-02-01", "2028-03-01", 300)}
    assert world.accounts[OTHER].memory.merged_into == ""
    assert [row.what for row in world.rows if isinstance(row, AccountChange)] == [
        "merged",
        "merged",
        "unmerged",
        "unmerged",
    ]


def test_policies_are_settled_by_whose_they_are_again(world: World) -> None:
    one(world)
    parted(world, "2026-07-01")
    world.hear(cancelled(THEIRS, "2026-08-01", "flat"))
    assert (world.points(), world.points(OTHER)) == ((0, 500, 0), (0, 0, 0))
    world.hear(uncancelled(THEIRS, "2026-09-01"))
    assert (world.points(), world.points(OTHER)) == ((0, 500, 0), (0, 300, 0))


def test_what_their_policy_earned_meanwhile_goes_too_and_other_earnings_stay(world: World) -> None:
    one(world)
    world.hear(renewed(replace(term(2, policy_no="P-2"), member_id=M), on="2026-06-15"))
    world.hear(did("quiz", "2026-06-16"))
    parted(world, "2026-07-01")
    assert (world.points(), world.points(OTHER)) == ((0, 510, 0), (0, 600, 0))


def test_what_was_spent_stays_spent_in_the_lots_it_was_taken_from(world: World) -> None:
    one(world)
    spend(world, 600, "2026-06-10")
    parted(world, "2026-07-01")
    assert (world.points(), world.points(OTHER)) == ((0, 0, 0), (0, 200, 0)), "500 of the earlier lot, 100 of theirs"
    world.hear(RefundHold(hold_id="H-1"), "2026-07-02")
    assert world.points() == (0, 600, 0), "the refund is the survivor's, who bought; 100 of it with 30 days"


def test_a_debt_of_their_policy_goes_back_with_it(world: World) -> None:
    one(world)
    spend(world, 800, "2026-06-10")
    world.hear(cancelled(replace(THEIRS, member_id=M), "2026-06-20", "flat"))
    assert world.points() == (0, 0, 300)
    parted(world, "2026-07-01")
    assert (world.points(), world.points(OTHER)) == ((0, 0, 0), (0, 0, 300))


def test_points_under_an_open_reservation_wait(world: World) -> None:
    one(world)
    world.hear(
        PlaceHold(hold_id="H-1", member_id=M, wallet="points", points=600, reference="", expires_at=WALL), "2026-06-10"
    )
    with pytest.raises(RefusedError, match="hold_open"):
        world.hear(unmerged("2026-07-01"))
    world.hear(ReleaseHold(hold_id="H-1"), "2026-07-01")
    parted(world, "2026-07-01")
    assert world.points(OTHER) == (0, 300, 0)


def test_who_adds_up_the_events_comes_to_the_same(world: World) -> None:
    """A merger is told by the customer's own event; from then on every point is told."""
    one(world)
    world.hear(cancelled(replace(THEIRS, member_id=M), "2026-06-20", "flat"))
    world.hear(uncancelled(replace(THEIRS, member_id=M), "2026-06-21"))
    told = len(world.told)
    before = {name: dict(account.balances) for name, account in world.accounts.items()}
    parted(world, "2026-07-01")
    for name, account in world.accounts.items():
        change = as_a_reader_adds_up(world.told[told:], name)
        for key in account.balances:
            if not key.startswith("growth"):
                assert account.balances[key] - before[name][key] == change[key], (name, key)


@pytest.mark.parametrize(
    "asked",
    [
        RecordActivity(activity=replace(did("check_up", "2026-06-15"), member_id=OTHER)),
        PlaceHold(hold_id="H-9", member_id=OTHER, wallet="points", points=1, reference="", expires_at=WALL),
        ProposeAdjustment(
            adjustment_id="A-1", member_id=OTHER, wallet="points", points=10, reason="goodwill", ticket="T-1", proposed_by="op-1"
        ),
    ],
    ids=["an activity", "a reservation", "a correction"],
)  # fmt: skip
def test_nobody_does_anything_under_a_number_they_gave_up(world: World, asked: Any) -> None:
    """Or a check-up would be paid under both. Once parted, the number is theirs again."""
    one(world)
    with pytest.raises(RefusedError, match="member_merged"):
        world.hear(asked, "2026-06-15", key=OTHER)
    parted(world, "2026-07-01")
    world.hear(asked, "2026-07-01", key=OTHER)


@pytest.mark.parametrize("survivor", [M, OTHER])
def test_what_one_number_owes_is_paid_by_what_the_other_has(world: World, survivor: str) -> None:
    """500 points spent of a policy that turned out void are owed by one number; the other has 800, of which 500 expire earlier."""
    world.hear(paid(term(), 50_000))
    spend(world, 500, "2026-02-01")
    world.hear(cancelled(term(), "2026-03-01", "flat"))
    world.hear(replace(did("check_up", "2026-02-01"), member_id=OTHER))
    world.hear(paid(THEIRS, 30_000, "2026-03-01"))
    world.hear(replace(MERGED, member_id=survivor, merged_id=OTHER if survivor == M else M))
    assert world.points(survivor) == (0, 300, 0)
    assert ("2026-03-01", "2028-04-01", 300) in dates(world, survivor)
    told: Counter[str] = Counter()
    for name in (M, OTHER):
        told.update(as_a_reader_adds_up(world.told, name))
    assert (told["points_available"], told["points_debt"]) == (300, 0), "readers add the two up, and hear of the rest"


def test_a_merger_can_be_done_undone_and_done_again(world: World) -> None:
    one(world)
    parted(world, "2026-07-01")
    parted(world, "2026-07-01")
    world.hear(replace(MERGED, effective=D("2026-07-02")))
    assert world.points() == (0, 800, 0)
    parted(world, "2026-07-03")
    assert (world.points(), world.points(OTHER)) == ((0, 500, 0), (0, 300, 0))


def test_a_chain_of_mergers_is_undone_link_by_link(world: World) -> None:
    one(world)
    world.hear(
        did("check_up", "2026-06-02").__class__(member_id="M-3", activity_id="c", kind="check_up", on=D("2026-06-02"))
    )
    world.hear(CustomerMerged(member_id="M-3", merged_id=M, effective=D("2026-06-05")))
    assert world.points("M-3") == (0, 1_300, 0)
    world.hear(unmerged("2026-07-01", merged=M, survivor="M-3"))
    assert (world.points("M-3"), world.points()) == ((0, 500, 0), (0, 800, 0))
    parted(world, "2026-07-02")
    assert (world.points(), world.points(OTHER)) == ((0, 500, 0), (0, 300, 0))


def frozen(world: World, member: str, reason: str, purpose: str = "freeze") -> None:
    name = f"J-{purpose}-{member}-{reason}"
    asked = ProposeAdjustment(
        adjustment_id=name, member_id=member, wallet="points", points=0, reason=reason, ticket="T-1", proposed_by="op-1", purpose=purpose
    )  # type: ignore[arg-type] # fmt: skip
    world.hear(asked, "2026-05-01", key=member)
    world.hear(ApproveAdjustment(adjustment_id=name, approved_by="op-2"), "2026-05-01", key=member)


RESCINDED = PolicyRescinded(member_id=M, term=void(replace(THEIRS, member_id=M)), effective=D("2026-06-02"))
FREEZES = {
    "neither": ([], [], [], [], []),
    "what came goes back": ([], ["case 77"], [], [], ["case 77"]),
    "what the survivor had stays": (["case 77"], [], [], ["case 77"], []),
    "one case of both numbers": (["case 77"], ["case 77"], [], ["case 77"], ["case 77"]),
    "what was done to both as one stays": ([], [], ["case 78"], ["case 78"], []),
    "a policy goes with what it froze": ([], [], ["rescinded"], [], ["policy P-2 rescinded"]),
    "what two persons ended stays ended": ([], ["case 77"], ["unfreeze"], [], []),
    "several": (["a"], ["b", "c"], ["d"], ["a", "d"], ["b", "c"]),
}


@pytest.mark.parametrize(("mine", "theirs", "meanwhile", "mine_after", "theirs_after"), FREEZES.values(), ids=FREEZES)
def test_each_freeze_goes_with_the_number_it_was_for(
    world: World, mine: list[str], theirs: list[str], meanwhile: list[str], mine_after: list[str], theirs_after: list[str]
) -> None:  # fmt: skip
    world.hear(did("quiz", "2026-01-02"))
    world.hear(paid(THEIRS, 30_000, "2026-02-01"))
    for member, reasons in ((M, mine), (OTHER, theirs)):
        for reason in reasons:
            frozen(world, member, reason)
    world.hear(MERGED)
    assert Counter(world.accounts[M].memory.freezes) == Counter(mine + theirs)
    for what in meanwhile:
        if what == "rescinded":
            world.hear(RESCINDED)
        else:
            frozen(world, M, what, "unfreeze" if what == "unfreeze" else "freeze")
    parted(world, "2026-07-01")
    assert [list(world.accounts[name].memory.freezes) for name in (M, OTHER)] == [mine_after, theirs_after]
    for name, freezes in ((M, mine_after), (OTHER, theirs_after)):
        changes = [row.what for row in world.rows if isinstance(row, AccountChange) and row.member_id == name]
        told = [what for what in changes if what in ("frozen", "unfrozen")]
        assert (told[-1:] == ["frozen"]) == bool(freezes), "the audit ends as the account stands"


async def test_both_books_hold_on_a_real_database(settings: Settings) -> None:
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as t:
        await t.feed(paid(THEIRS, 30_000, "2026-02-01"), paid(term(), 50_000), at=D("2026-02-01"))
        for _ in range(2):
            await t.feed(MERGED, at=D("2026-06-01"))
            await t.feed(did("quiz", "2026-06-16"), at=D("2026-06-16"))
            await t.feed(unmerged("2026-07-01"), unmerged("2026-07-01", to=OTHER), at=D("2026-07-01"))
        assert await t.parked() == []
        rows = await t.pool.fetch("SELECT member_id, points_available FROM accounts ORDER BY 1")
        assert [tuple(row) for row in rows] == [(M, 510), (OTHER, 300)]
        assert set((await t.http.get("/v1/ledger/verify", headers=t.auth("operator"))).json().values()) == {True}
        assert await replay.differences(t.pool) == [], (
            "nor does the proof find anything that the entries do not explain"
        )
        await t.day(D("2028-04-01"))
        assert await t.pool.fetchval("SELECT sum(points_available) FROM accounts") == 10, "each expired by its own date"


async def test_the_proof_accuses_nobody_after_a_merger(settings: Settings) -> None:
    """A renewal that came with the other number is rated anew by the united tier; and a policy that earned nothing in the end moves."""
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as t:
        second, void = replace(term(2, policy_no="P-2"), member_id=OTHER), term(policy_no="P-3", member_id="M-3")
        await t.feed(renewed(second, "2026-12-20", early=12), did("quiz", "2026-12-21"), at=D("2026-12-21"))
        await t.feed(paid(void), cancelled(void, "2026-12-22", "flat"), at=D("2026-12-22"))
        for other in (OTHER, "M-3"):
            await t.feed(CustomerMerged(member_id=M, merged_id=other, effective=D("2027-01-05")))
        await t.feed(tiers(("2026-06-01", "gold")), at=D("2027-01-06"))
        found = await t.pool.fetch("SELECT rule, granted, origin FROM lots WHERE member_id = $1 ORDER BY lot_no", M)
        assert [tuple(row) for row in found] == [
            ("quiz", 10, ""),
            ("renewal", 400, "M-2:1"),
            ("premium", 500, "M-3:1"),
            ("renewal", 80, ""),
        ], "gold adds a fifth, here"
        assert await replay.differences(t.pool) == []
        async with t.pool.acquire() as conn:
            await conn.execute("SET session_replication_role = replica")
            await conn.execute("UPDATE lots SET origin = 'M-2:1' WHERE lot_no = 4")
            assert await replay.differences(t.pool) == [], "as top-ups were written before they had no origin"
            await conn.execute("UPDATE lots SET granted = 90, remaining = 90 WHERE lot_no = 4")
            assert "lot M-1:4: its figures are not those of its entries" in await replay.differences(t.pool)
            await conn.execute("RESET session_replication_role")


async def test_an_entry_of_a_number_given_up_is_explained_where_it_is_now(settings: Settings) -> None:
    """Also along a chain; and the statement of the old number still says what each line was for."""
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as t:
        await t.feed(paid(THEIRS, 30_000, "2026-02-01"))
        await t.feed(MERGED, CustomerMerged(member_id="M-0", merged_id=M, effective=D("2026-06-02")))
        why = (await t.http.get(f"/v1/entries/{OTHER}:1/why", headers=t.auth("operator"))).json()
        assert (why["member_id"], why["origin"], why["rule"], why["granted"]) == ("M-0", f"{OTHER}:1", "premium", 300)
        assert why["entry_id"] == f"M-0:{why['entry_id'].rpartition(':')[2]}"
        assert (await t.http.get(f"/v1/entries/{OTHER}:9/why", headers=t.auth("operator"))).status_code == 404
        lines = (await t.http.get(f"/v1/wallets/{OTHER}/statement", headers=t.auth("operator"))).json()["items"]
        assert {(line["rule"], line["reference"]) for line in lines} == {("premium", "P-2/1#1")}
        pages = [(await t.http.get(f"/v1/wallets/{m}", headers=t.auth("operator"))).json() for m in (OTHER, M, "M-0")]
        assert [page["merged_into"] for page in pages] == [M, "M-0", None]
        assert [page["wallets"]["points"]["available"] for page in pages] == [0, 0, 300]
