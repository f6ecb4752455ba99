"""Control files that are accepted at one instant, by several or while the core speaks: a difference is corrected once."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace
from policy_sync.commands import Correct
from tenure.contracts.decision import RefusedError
from tenure.settings import Settings
from tenure.testing import Under

from .books import DIFFERENCES, OTHERWISE, ask, control, differ, five_policies
from .world import World, endorsed, issued


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with five_policies(settings) as under:
        yield under


async def test_two_files_accepted_at_one_instant_correct_a_difference_once(t: Under) -> None:
    """Two operators accept two nights' files: the premium is lowered by 50 yuan, not by 100."""
    every = [no for no, _ in DIFFERENCES if no != "P-5"]
    ids = [await control(t, OTHERWISE) for _ in range(4)]
    asked = [ask(t, "POST", f"/controls/{id_}/corrections", json={"policy_nos": every}) for id_ in ids]
    answers = await asyncio.gather(*asked)
    for at, (policy_no, _) in enumerate([d for d in DIFFERENCES if d[0] != "P-5"]):
        said = [answer["corrections"][at] for answer in answers]
        assert {fate["policy_no"] for fate in said} == {policy_no}
        assert [fate["status"] for fate in said].count("corrected") == 1, said
        assert {fate["status"] for fate in said} <= {"corrected", "agrees", "changed_since"}
    assert await differ(t, await control(t, OTHERWISE)) == [("P-5", "start")]
    for id_ in ids:
        page = await ask(t, "GET", f"/controls/{id_}/differences")
        if left := [d["policy_no"] for d in page["items"] if d["settled"] is None and d["policy_no"] != "P-5"]:
            again = await ask(t, "POST", f"/controls/{id_}/corrections", json={"policy_nos": left})
            assert {fate["status"] for fate in again["corrections"]} == {"agrees"}
        assert (await ask(t, "GET", f"/controls/{id_}"))["open"] == 1


async def test_one_file_accepted_twice_at_one_instant_is_settled_and_both_are_told_so(t: Under) -> None:
    id_ = await control(t, OTHERWISE)
    bodies = ({"policy_nos": ["P-1", "P-2"]}, {"policy_nos": ["P-2", "P-3"]})
    asked = [ask(t, "POST", f"/controls/{id_}/corrections", json=body) for body in bodies]
    for answer in await asyncio.gather(*asked):
        if isinstance(answer, dict):
            assert {f["status"] for f in answer["corrections"]} <= {"corrected", "agrees", "changed_since"}
        else:
            assert answer == (404, "no_such_difference")
    assert await t.pool.fetchval("SELECT premium_fen FROM terms WHERE policy_no = 'P-2'") == 450_00


async def test_with_a_policy_that_is_settled_nothing_is_corrected(t: Under) -> None:
    id_ = await control(t, OTHERWISE)
    await ask(t, "POST", f"/controls/{id_}/corrections", json={"policy_nos": ["P-1"]})
    before = await t.pool.fetchval("SELECT count(*) FROM facts")
    both = await ask(t, "POST", f"/controls/{id_}/corrections", json={"policy_nos": ["P-1", "P-2"]})
    assert both == (404, "no_such_difference")
    assert await t.pool.fetchval("SELECT count(*) FROM facts") == before


def test_what_is_heard_while_a_difference_is_judged_leaves_it_open() -> None:
    """The core says the same of its own accord, between the look at the policy and the correction."""
    world = World()
    world.say(issued())
    judged = [Correct(control_id="c", fact=endorsed("2024-06-30", yuan=-50, no=no), heard=1) for no in ("c-1", "c-2")]
    world.correct(judged[0], 1)
    world.correct(judged[1], 2)
    assert world.policy.terms[0].premium_fen == 265_00, "two differences of one file are both corrected"
    world.say(replace(endorsed("2024-06-01", yuan=-50), endorsement_no="E-9"))
    late = Correct(control_id="d", fact=endorsed("2024-06-30", yuan=-50, no="d-1"), heard=3)
    with pytest.raises(RefusedError) as refused:
        world.correct(late, 1)
    assert (refused.value.code, world.policy.terms[0].premium_fen) == ("changed_since", 215_00)
