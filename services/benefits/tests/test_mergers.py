"""Members who turn out to be one person, and two after all, on PostgreSQL: uses, endorsements, visits, reports and claims."""

from datetime import date

import benefits_cast as cast
import pytest
from benefits.service import SERVICE
from benefits.store import decode
from benefits_cast import parting
from tenure.contracts import policy
from tenure.contracts.benefit import BenefitRevoked, CoverageExtensionRequested, SafetyReportReady
from tenure.testing import under_test

D = date.fromisoformat


@pytest.fixture
async def t(settings):
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        yield under


async def everything(t):
    tables = ("members", "claims", "appointments", "reports")
    return {name: await t.pool.fetch(f"SELECT * FROM {name} ORDER BY 1") for name in tables}


async def test_a_merged_members_uses_stay_counted_and_its_claims_move(t):
    for member, no in (("M-1", "P-1"), ("M-2", "P-2")):
        await t.feed(cast.issued(member, no=no, end="2022-01-01"), cast.tiers(("2020-01-01", "basic"), member=member))
    await t.feed(cast.claim(100, member="M-2", no="C-2", policy_no="P-2"))
    await t.day(D("2020-05-01"))
    used = await t.http.post(
        "/v1/benefits/M-2.home_safety.20200101/use", json={"on": "2020-05-01"}, headers=t.auth("operator")
    )
    await t.emitted()
    merged = t.records(policy.CustomerMerged(member_id="M-1", merged_id="M-2", effective=D("2020-07-01")))
    await t.deliver(merged)
    events = await t.emitted(BenefitRevoked)
    assert {(e.member_id, e.reason) for e in events} == {("M-2", "merged")}
    row = await t.pool.fetchrow("SELECT * FROM members WHERE member_id = 'M-1'")
    grant = decode(row["state"]).grants["M-1.home_safety.20200101"]
    assert (grant.used, grant.status) == (1, "used")
    assert row["used"] == 1
    assert await t.pool.fetchval("SELECT member_id FROM claims WHERE claim_no = 'C-2'") == "M-1"
    pages = [(await t.http.get(f"/v1/benefits/{m}", headers=t.auth("operator"))).json() for m in ("M-1", "M-2")]
    assert [(len(page["benefits"]), page["merged_into"]) for page in pages] == [(4, None), (0, "M-1")]
    before = await everything(t)
    await t.feed(policy.CustomerMerged(member_id="M-1", merged_id="M-2", effective=D("2020-07-01")))
    assert await everything(t) == before
    released = await t.http.post(
        f"/v1/benefits/M-2.home_safety.20200101/uses/{used.json()['use_id']}/release", headers=t.auth("operator")
    )
    assert released.status_code == 200


@pytest.mark.parametrize("tier_first", [True, False])
async def test_merger_and_the_tiers_told_of_it_come_in_either_order(t, tier_first):
    """tier-engine tells the survivor's united timeline, and none for the merged number, on a topic of its own."""
    for member, no in (("M-1", "P-1"), ("M-2", "P-2")):
        await t.feed(cast.issued(member, no=no, end="2022-01-01"), cast.tiers(("2020-01-01", "basic"), member=member))
    await t.day(D("2020-05-01"))
    path = "/v1/benefits/M-2.home_safety.20200101/use"
    await t.http.post(path, json={"on": "2020-05-01"}, headers=t.auth("operator"))
    merger = [policy.CustomerMerged(member_id="M-1", merged_id="M-2", effective=D("2020-07-01"))]
    told = [cast.tiers(("2020-01-01", "silver")), cast.tiers(member="M-2")]
    for data in (*told, *merger) if tier_first else (*merger, *told):
        await t.feed(data, at=D("2020-07-01"))
    states = {r["member_id"]: decode(r["state"]) for r in await t.pool.fetch("SELECT member_id, state FROM members")}
    grant = states["M-1"].grants["M-1.home_safety.20200101"]
    assert (grant.quota, grant.used, grant.status) == (2, 1, "active")
    assert not states["M-2"].grants
    assert not any(g.is_kept for g in states["M-1"].grants.values())
    verified = await t.http.get("/v1/benefits/verify", headers=t.auth("operator"))
    assert set(verified.json().values()) == {True}


async def test_a_merger_undone_by_its_opposite_brings_the_history_back(t):
    await t.feed(cast.issued(end="2022-01-01"), cast.tiers(("2020-01-01", "basic")))
    await t.day(D("2020-05-01"))
    await t.http.post(
        "/v1/benefits/M-1.home_safety.20200101/use", json={"on": "2020-05-01"}, headers=t.auth("operator")
    )
    await t.feed(policy.CustomerMerged(member_id="M-2", merged_id="M-1", effective=D("2020-07-01")))
    await t.feed(policy.CustomerMerged(member_id="M-1", merged_id="M-2", effective=D("2020-07-02")))
    await t.feed(cast.tiers(("2020-01-01", "basic")))
    rows = {r["member_id"]: decode(r["state"]) for r in await t.pool.fetch("SELECT member_id, state FROM members")}
    assert rows["M-1"].grants["M-1.home_safety.20200101"].used == 1
    assert (rows["M-1"].merged_into, rows["M-2"].merged_into) == (None, "M-1")


async def test_a_member_parted_again_has_benefits_of_their_own(t):
    for member, no in (("M-1", "P-1"), ("M-2", "P-2")):
        await t.feed(cast.issued(member, no=no, end="2022-01-01"), cast.tiers(("2020-01-01", "basic"), member=member))
    await t.feed(policy.CustomerMerged(member_id="M-1", merged_id="M-2", effective=D("2020-07-01")))
    parted = parting("M-1", "M-2", "2020-08-01")
    await t.feed(*parted)
    await t.feed(cast.tiers(("2020-01-01", "basic"), member="M-2"), at=D("2020-08-01"))
    rows = {r["member_id"]: decode(r["state"]) for r in await t.pool.fetch("SELECT member_id, state FROM members")}
    assert (rows["M-1"].merged_into, rows["M-2"].merged_into) == (None, None)
    assert any(grant.status == "active" for grant in rows["M-2"].grants.values())
    before = await everything(t)
    await t.feed(*parted)
    assert await everything(t) == before


async def test_the_other_copy_of_an_undoing_does_not_undo_the_merger_that_followed(t):
    for member, no in (("M-1", "P-1"), ("M-2", "P-2")):
        await t.feed(cast.issued(member, no=no, end="2022-01-01"), cast.tiers(("2020-01-01", "basic"), member=member))
    await t.day(D("2020-05-01"))
    await used(t, "M-2.home_safety.20200101", "2020-05-01")
    merged = policy.CustomerMerged(member_id="M-1", merged_id="M-2", effective=D("2020-07-01"))
    first, late = parting("M-1", "M-2", "2020-08-01")
    await t.feed(merged, first, merged)
    before = await everything(t)
    await t.feed(late)
    assert await everything(t) == before
    assert (await home_safety(t, "M-1"))[1] == 1


async def test_who_was_erased_before_the_merger_is_heard_of_gets_no_words_and_no_region(t):
    await t.feed(cast.issued("M-2", no="P-2", end="2022-01-01"), cast.registered("M-2"))
    await t.feed(cast.tiers(("2020-01-01", "basic"), member="M-2"), cast.anniversary("M-2"))
    await t.day(D("2020-05-01"))
    visit = {"grant_id": "M-2.home_safety.20200101", "slot_date": "2020-09-01", "region": "440305"}
    assert (await t.http.post("/v1/appointments", json=visit, headers=t.auth("operator"))).status_code == 201
    await t.feed(policy.CustomerErased(member_id="M-1", effective=D("2020-06-01")), cast.issued("M-1"))
    await t.feed(policy.CustomerErased(member_id="M-1", effective=D("2020-06-02")))
    await t.feed(policy.CustomerMerged(member_id="M-1", merged_id="M-2", effective=D("2020-06-01")))
    kept = decode(await t.pool.fetchval("SELECT state FROM members WHERE member_id = 'M-1'"))
    assert (len(kept.uses), kept.uses[0].slot_region, kept.region) == (1, None, None)
    assert {term.region for term in kept.terms.values()} == {None}
    assert await t.pool.fetchval("SELECT count(*) FROM reports") == 0
    assert await t.pool.fetchval("SELECT region FROM appointments") is None


async def used(t, grant, on):
    return await t.http.post(f"/v1/benefits/{grant}/use", json={"on": on}, headers=t.auth("operator"))


async def home_safety(t, member):
    """(quota, used, remaining) of the member's home-safety services."""
    read = await t.http.get(f"/v1/benefits/{member}", headers=t.auth("operator"))
    grant = next(b for b in read.json()["benefits"] if b["benefit"] == "home_safety")
    return grant["quota"], grant["used"], grant["remaining"]


async def test_parted_members_have_used_what_each_of_them_used_and_nothing_of_the_others(t):
    """M-1 (silver) used both services before the merger, M-9 (basic) none, and its own one while both were one."""
    grant = "M-1.home_safety.20200101"
    await t.feed(cast.issued("M-1", no="P-1", end="2022-01-01"), cast.tiers(("2020-01-01", "silver")))
    await t.feed(cast.issued("M-9", no="P-9", end="2022-01-01"), cast.tiers(("2020-01-01", "basic"), member="M-9"))
    await t.day(D("2020-05-01"))
    assert [(await used(t, grant, "2020-05-01")).status_code for _ in range(2)] == [200, 200]
    await t.feed(policy.CustomerMerged(member_id="M-9", merged_id="M-1", effective=D("2020-07-01")))
    await t.feed(*parting("M-9", "M-1", "2020-08-01"))
    await t.feed(cast.issued("M-1", no="P-1", end="2022-01-01", version=2), cast.tiers(("2020-01-01", "silver")))
    await t.day(D("2020-08-02"))
    assert (await home_safety(t, "M-1"), await home_safety(t, "M-9")) == ((2, 2, 0), (1, 0, 1))
    third = await used(t, grant, "2020-08-02")
    assert (third.status_code, third.json()["code"]) == (409, "quota_used_up")
    assert (await used(t, "M-9.home_safety.20200101", "2020-08-02")).status_code == 200
    assert set((await t.http.get("/v1/benefits/verify", headers=t.auth("operator"))).json().values()) == {True}


async def test_a_number_that_came_by_way_of_another_goes_back_by_the_same_way(t):
    for member, no in (("M-1", "P-1"), ("M-2", "P-2"), ("M-3", "P-3")):
        await t.feed(cast.issued(member, no=no, end="2022-01-01"), cast.tiers(("2020-01-01", "basic"), member=member))
    await t.day(D("2020-05-01"))
    await used(t, "M-1.home_safety.20200101", "2020-05-01")
    for survivor, merged in (("M-2", "M-1"), ("M-3", "M-2")):
        await t.feed(policy.CustomerMerged(member_id=survivor, merged_id=merged, effective=D("2020-07-01")))
    assert (await home_safety(t, "M-3"))[1] == 1
    await t.feed(*parting("M-3", "M-2", "2020-08-01"), cast.tiers(("2020-01-01", "basic"), member="M-2"))
    assert ((await home_safety(t, "M-2"))[1], (await home_safety(t, "M-3"))[1]) == (1, 0)
    await t.feed(*parting("M-2", "M-1", "2020-08-02"), cast.tiers(("2020-01-01", "basic"), member="M-1"))
    assert [(await home_safety(t, m))[1] for m in ("M-1", "M-2", "M-3")] == [1, 0, 0]
    assert set((await t.http.get("/v1/benefits/verify", headers=t.auth("operator"))).json().values()) == {True}


async def test_visits_and_reports_go_with_the_person_and_back(t):
    for member, no in (("M-1", "P-1"), ("M-9", "P-9")):
        await t.feed(cast.issued(member, no=no, end="2022-01-01"), cast.tiers(("2020-01-01", "basic"), member=member))
    await t.feed(cast.anniversary())
    await t.day(D("2021-01-02"))
    visit = {"grant_id": "M-1.home_safety.20210101", "slot_date": "2021-09-01", "region": "440305"}
    assert (await t.http.post("/v1/appointments", json=visit, headers=t.auth("operator"))).status_code == 201
    assert await whose(t) == {"M-1"}
    await t.feed(policy.CustomerMerged(member_id="M-9", merged_id="M-1", effective=D("2021-02-01")))
    assert await whose(t) == {"M-9"}
    await t.feed(*parting("M-9", "M-1", "2021-03-01"))
    assert await whose(t) == {"M-1"}
    await t.emitted()
    await t.feed(cast.anniversary())
    assert not await t.emitted(SafetyReportReady)


async def whose(t):
    """Whose the visits and the reports are."""
    rows = await t.pool.fetch("SELECT member_id FROM appointments UNION SELECT member_id FROM reports")
    return {row["member_id"] for row in rows}


async def test_an_endorsement_goes_back_with_its_member_and_the_other_asks_for_one_of_their_own(t):
    for member, no in (("M-1", "P-1"), ("M-9", "P-9")):
        await t.feed(cast.issued(member, no=no, end="2022-01-01"))
    await t.feed(cast.tiers(("2020-01-01", "silver")))
    await t.feed(cast.confirmed(request_id="M-1.burst_pipe_liability.20200101"), at=D("2020-03-05"))
    await t.feed(policy.CustomerMerged(member_id="M-9", merged_id="M-1", effective=D("2020-07-01")))
    await t.feed(cast.tiers(("2020-01-01", "silver"), member="M-9"), cast.tiers())
    await t.emitted()
    await t.feed(*parting("M-9", "M-1", "2020-08-01"), cast.tiers(("2020-01-01", "silver")))
    asked = await t.emitted(CoverageExtensionRequested)
    assert [(e.member_id, e.request_id) for e in asked] == [("M-9", "M-9.burst_pipe_liability.20200101")]
    states = {r["member_id"]: decode(r["state"]) for r in await t.pool.fetch("SELECT member_id, state FROM members")}
    found = {m: s.grants[f"{m}.burst_pipe_liability.20200101"].status for m, s in states.items()}
    assert found == {"M-1": "active", "M-9": "requested"}
    assert set((await t.http.get("/v1/benefits/verify", headers=t.auth("operator"))).json().values()) == {True}


async def test_verify_finds_uses_that_count_for_a_stranger(t):
    for member, no in (("M-1", "P-1"), ("M-9", "P-9")):
        await t.feed(cast.issued(member, no=no, end="2022-01-01"), cast.tiers(("2020-01-01", "basic"), member=member))
    await t.day(D("2020-05-01"))
    await used(t, "M-9.home_safety.20200101", "2020-05-01")
    raw = (await t.pool.fetchval("SELECT state FROM members WHERE member_id = 'M-9'")).decode()
    moved = raw.replace('"grant_id":"M-9.', '"grant_id":"M-1.').encode()
    await t.pool.execute("UPDATE members SET state = $1 WHERE member_id = 'M-9'", moved)
    verified = await t.http.get("/v1/benefits/verify", headers=t.auth("operator"))
    assert verified.json()["uses_are_of_the_person"] is False


async def test_a_member_merged_with_itself_changes_nothing(t):
    await t.feed(cast.issued(), cast.tiers(("2020-01-01", "basic")))
    before = await everything(t)
    await t.feed(policy.CustomerMerged(member_id="M-1", merged_id="M-1", effective=D("2020-07-01")))
    assert await everything(t) == before
    assert await t.parked() == []
