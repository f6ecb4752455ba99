"""Tier rules published by two persons: who may, what is refused, and how what is published reaches everybody who judges."""

import asyncio
from types import SimpleNamespace

import asyncpg
import msgspec
import pytest
from tenure.contracts.policy import PolicyIssued
from tenure.contracts.programme import Programme, Versions
from tenure.contracts.publication import RulesPublished, RulesWithdrawn
from tenure.contracts.tier import TierChanged
from tenure.programme import ProgrammeError
from tenure.rulebook.following import digest_of
from tenure.spine.transact import Door
from tenure.testing import under_test
from tier_engine.review import review_all
from tier_engine.service import SERVICE

from .cases import day, stricter, term

TODAY = "2018-06-15"
AT = "/v1/rules/tiers/drafts"


def issued(t):
    return PolicyIssued(member_id=t.member_id, term=t, effective=t.start)


def document(**changes):
    """A draft that differs from the house's rules: silver over CNY 100, gold over 800, diamond over 1,500."""
    rules = msgspec.to_builtins(stricter("2018-07-01", silver=(1, 100), gold=(5, 800), diamond=(8, 1500)))
    rules.pop("version")
    rules.pop("effective")
    return {**rules, **changes}


@pytest.fixture
async def t(settings):
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as t:
        await t.feed(issued(term("2018-01-01", premium=200)))
        await t.feed(issued(term("2018-02-01", premium=301, member="M-2", policy="P-2")))
        await t.day(day(TODAY))
        await t.emitted()
        yield t


async def post(t, path, body, *, who="op-1", key=None, role="operator"):
    return await t.http.post(path, json=body, headers=t.auth(role, subject=who, key=key))


async def propose(t, effective="2018-07-01", *, who="op-1", rules=None, **more):
    body = {"rules": rules or document(), "effective": effective, "reason": "a milder silver"}
    return await post(t, AT, body, who=who, **more)


async def approve(t, draft_id, *, who="op-2"):
    return await post(t, f"{AT}/{draft_id}/approve", {"reason": "read and simulated"}, who=who)


async def publish(t, effective="2018-07-01", **more):
    draft_id = (await propose(t, effective, **more)).json()["draft_id"]
    answer = await approve(t, draft_id)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def rules_now(t):
    return (await t.http.get("/v1/rules/tiers", headers=t.auth("operator"))).json()


def worker(t, door=None):
    return SimpleNamespace(door=door or t.door, stopping=asyncio.Event(), wake_relay=asyncio.Event())


async def test_two_persons_publish_and_the_members_follow_on_its_day(t):
    draft = (await propose(t)).json()
    assert (draft["state"], draft["version"], draft["proposed_by"]) == ("proposed", None, "op-1")
    assert [v["version"] for v in (await rules_now(t))["versions"]] == [1]
    published = (await approve(t, draft["draft_id"])).json()
    assert (published["state"], published["version"], published["approved_by"]) == ("approved", 2, "op-2")
    known = await rules_now(t)
    assert [(v["version"], v["in_force"], v["draft_id"]) for v in known["versions"]] == [
        (1, True, None),
        (2, False, draft["draft_id"]),
    ]
    assert await review_all(worker(t)) == 2
    (told,) = await t.emitted()
    assert (type(told), told.version, str(told.effective)) == (RulesPublished, 2, "2018-07-01")
    assert told.digest == digest_of(document(), version=2, effective=day("2018-07-01"))
    await t.day(day("2018-07-01"))
    (change,) = await t.emitted(TierChanged)
    assert (change.member_id, change.to_tier, str(change.effective), change.rules_version, change.retroactive) == (
        "M-1",
        "silver",
        "2018-07-01",
        2,
        False,
    )
    assert [v["in_force"] for v in (await rules_now(t))["versions"]] == [False, True]


async def test_a_running_replica_judges_by_them_without_a_restart(t):
    """Two processes on one database; the second never heard of the publication but for its next transaction."""
    other = Door(SERVICE, t.pool, t.door.programme)
    await publish(t)
    t.door = other
    await t.feed(issued(term("2018-07-02", premium=200, member="M-3", policy="P-3")))
    (change,) = await t.emitted(TierChanged)
    assert (change.member_id, change.to_tier, change.rules_version) == ("M-3", "silver", 2)
    starting = Door(SERVICE, t.pool, t.door.rulebook.base)
    assert [v.version for v in (await starting.follow_rules(t.pool)).tiers.all] == [1, 2]


async def test_a_day_is_lived_through_by_them_in_a_replica_that_was_told_nothing_since(t):
    other = Door(SERVICE, t.pool, t.door.programme)
    await publish(t)
    await review_all(worker(t))
    await t.door.transact([], day=day("2018-07-01"))
    assert (await other.fall_due(day("2018-07-01"), keys_max=10)).done == 2
    (change,) = await t.emitted(TierChanged)
    assert (change.member_id, change.to_tier, change.rules_version) == ("M-1", "silver", 2)


async def test_reads_know_what_is_published_and_what_it_will_bring(t):
    await publish(t)
    answer = (await t.http.get("/v1/tiers/M-1", headers=t.auth("operator"))).json()
    assert [(s["effective"], s["tier"]) for s in answer["upcoming"]] == [("2018-07-01", "silver")]
    why = (await t.http.get("/v1/tiers/M-1/why?as_of=2018-07-01", headers=t.auth("operator"))).json()
    assert [c["rules_version"] for c in why["changes"]] == [1, 2]


async def test_members_keep_their_tier_under_the_old_rules_until_its_protection_ends(t):
    """M-2 is silver by premium until 2019-02-01. Dearer silver from July: confirmed last on 30 June, kept a year."""
    dear = msgspec.to_builtins(stricter("2018-07-01", silver=(2, 400), gold=(5, 800), diamond=(8, 1500)))
    rules = {k: v for k, v in dear.items() if k not in ("version", "effective")} | {"protection_months": 3}
    await publish(t, rules=rules)
    await review_all(worker(t))
    for when in ("2018-07-01", "2019-06-29", "2019-06-30"):
        await t.day(day(when))
    told = await t.emitted(TierChanged)
    assert [(c.member_id, c.from_tier, c.to_tier, str(c.effective)) for c in told] == [
        ("M-2", "silver", "basic", "2019-06-30"),  # the year it was promised, not the new rules' three months
    ]


async def test_withdrawn_before_its_day_it_never_was(t):
    published = await publish(t)
    await review_all(worker(t))
    answer = await post(t, f"{AT}/{published['draft_id']}/withdraw", {"reason": "too mild"}, who="op-1")
    assert (answer.json()["state"], answer.json()["withdrawn_by"]) == ("withdrawn", "op-1")
    assert await review_all(worker(t)) == 2
    await t.day(day("2018-07-01"))
    told = await t.emitted()
    assert [(type(e), e.draft_id) for e in told] == [
        (kind, published["draft_id"]) for kind in (RulesPublished, RulesWithdrawn)
    ]
    again = await publish(t, "2018-08-01")
    assert again["version"] == 3, "a number once given is never given again"
    log = (await t.http.get(f"{AT}/{published['draft_id']}", headers=t.auth("sre"))).json()["log"]
    assert [(e["action"], e["actor"], e["reason"]) for e in log] == [
        ("proposed", "op-1", "a milder silver"),
        ("approved", "op-2", "read and simulated"),
        ("withdrawn", "op-1", "too mild"),
    ]


async def test_in_force_it_stays(t):
    published = await publish(t)
    await t.day(day("2018-07-01"))
    answer = await post(t, f"{AT}/{published['draft_id']}/withdraw", {"reason": "too late"})
    assert (answer.status_code, answer.json()["code"]) == (409, "rules_in_force")


async def test_nobody_approves_their_own(t):
    draft_id = (await propose(t, who="op-1")).json()["draft_id"]
    answer = await approve(t, draft_id, who="op-1")
    assert (answer.status_code, answer.json()["code"]) == (409, "same_person")
    assert [v["version"] for v in (await rules_now(t))["versions"]] == [1]


async def test_only_operators_propose_and_approve(t):
    for role in ("member", "agent", "core", "sre", "service"):
        assert (await propose(t, role=role)).status_code == 403
        assert (await post(t, f"{AT}/R-1/approve", {"reason": "x"}, role=role)).status_code == 403


async def test_rules_come_into_force_on_a_day_to_come(t):
    for effective, code in (
        (TODAY, "effective_passed"),
        ("2017-01-01", "effective_passed"),
        ("2099-01-01", "effective_far"),
    ):
        assert (await propose(t, effective)).json()["code"] == code


async def test_a_proposal_whose_day_passed_is_not_approved(t):
    draft_id = (await propose(t)).json()["draft_id"]
    await t.day(day("2018-07-01"))
    assert (await approve(t, draft_id)).json()["code"] == "effective_passed"


async def test_one_version_a_day(t):
    first, second = [(await propose(t)).json()["draft_id"] for _ in range(2)]
    await approve(t, first)
    answer = await approve(t, second)
    assert (answer.status_code, answer.json()["code"]) == (409, "effective_taken")
    assert (await propose(t)).json()["code"] == "effective_taken"


async def test_two_who_approve_at_once_make_one_version(t):
    draft_id = (await propose(t)).json()["draft_id"]
    answers = await asyncio.gather(*(approve(t, draft_id, who=f"op-{n}") for n in range(2, 6)))
    assert sorted(a.status_code for a in answers) == [200, 409, 409, 409]
    assert await t.pool.fetchval("SELECT count(*) FROM rule_log WHERE action = 'approved'") == 1


@pytest.mark.parametrize("sql", ["UPDATE rule_log SET actor = 'op-9'", "DELETE FROM rule_log", "TRUNCATE rule_log"])
async def test_who_did_what_to_which_draft_is_never_edited(t, sql):
    await publish(t)
    with pytest.raises(asyncpg.CheckViolationError, match="append-only"):
        await t.pool.execute(sql)


async def test_asked_twice_it_is_proposed_once(t):
    one, two = await propose(t, key="k-1"), await propose(t, key="k-1")
    assert one.json() == two.json()
    assert two.headers["Idempotency-Replayed"] == "true"
    assert await t.pool.fetchval("SELECT count(*) FROM rule_drafts") == 1


def without(path):
    rules = document()
    *way, last = path
    at = rules
    for step in way:
        at = at[step]
    del at[last]
    return rules


WRONG = (
    (document(colour="red"), "unknown field `colour`"),
    (document(protection_months=0), "$.protection_months"),
    (document(protection_months="12"), "$.protection_months"),
    (without(["tiers", 1, "any_of", 0, "threshold"]), "missing required field `threshold` - at `$.tiers[1].any_of[0]`"),
    (document(tiers=[]), "$.tiers"),
    (document(tiers=[{"name": "basic", "label_zh": "基础", "label_en": "Basic"}] * 2), "different names"),
    (
        document(tiers=[*document()["tiers"], {**document()["tiers"][3], "name": "platinum"}]),
        "a new tier comes with the files",
    ),
    (document(tiers=[document()["tiers"][n] for n in (0, 2, 1)]), "in that order"),
    (document(version=7), "$.version"),
    (document(effective="2018-07-01"), "$.effective"),
)


async def test_a_document_that_does_not_fit_is_refused_with_the_place(t):
    for rules, place in WRONG:
        answer = await propose(t, rules=rules)
        assert (answer.status_code, answer.json()["code"]) == (422, "rules_invalid")
        assert place in answer.json()["detail"]
    unstorable = document()
    unstorable["tiers"][0]["label_zh"] = "基\x00础"
    assert (await propose(t, rules=unstorable)).status_code == 422
    assert await t.pool.fetchval("SELECT count(*) FROM rule_drafts") == 0


async def test_files_that_contradict_what_was_published_do_not_start(t, rules):
    await publish(t)

    async def starting(effective):
        of_file = stricter(effective, silver=(1, 100), gold=(5, 800), diamond=(8, 1500))
        programme = Programme(**{**vars(rules), "tiers": Versions([rules.tiers.newest, of_file])})
        return await Door(SERVICE, t.pool, programme).follow_rules(t.pool)

    assert len((await starting("2018-07-01")).tiers.all) == 2, "by now it stands in the files, too, and alike"
    with pytest.raises(ProgrammeError, match="another version 2"):
        await starting("2018-09-01")


async def test_a_look_for_members_judged_by_other_rules_is_two_probes_of_an_index(t):
    await t.pool.execute(
        "INSERT INTO members (member_id, state, lived_to, judged_by) SELECT 'X-' || n, '\\x90', '2018-01-01', $1 FROM generate_series(1, 5000) n",
        t.door.programme.tiers.digest,
    )
    await t.pool.execute("ANALYZE members")
    from tier_engine.store import _WAITING

    for side in ("<", ">"):
        args = f"(-1, '', {t.door.programme.tiers.digest}, 500)"
        async with t.pool.acquire() as conn:
            await conn.execute(f"PREPARE look{len(side)}{ord(side)} AS {_WAITING.format(side)}")
            plan = "\n".join(
                r[0]
                for r in await conn.fetch(
                    f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE look{len(side)}{ord(side)}{args}"
                )
            )
        assert "members_judged_by" in plan, plan
        assert "Seq Scan" not in plan, plan


async def test_listed_page_by_page(t):
    made = [(await propose(t, f"2018-07-0{n}")).json()["draft_id"] for n in range(1, 4)]
    found, cursor = [], ""
    while cursor is not None:
        page = (
            await t.http.get(f"{AT}?limit=2" + (f"&cursor={cursor}" if cursor else ""), headers=t.auth("sre"))
        ).json()
        found, cursor = found + [d["draft_id"] for d in page["items"]], page["next_cursor"]
    assert found == made[::-1]
    assert (await t.http.get(f"{AT}/R-none", headers=t.auth("sre"))).status_code == 404
