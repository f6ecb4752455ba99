"""What an operator dismisses of the facts that wait: it never counts, whatever is heard later, and it is kept who did it and why."""

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_sync import verify
from policy_sync.rules.fold import fold
from policy_sync.rules.gaps import gaps
from policy_sync.service import SERVICE
from tenure.contracts import core
from tenure.contracts.decision import RefusedError
from tenure.settings import Settings
from tenure.spine.codec import encode, utc_now
from tenure.testing import Under, under_test

from .test_room import DAYS, FACTS, YEAR, waiting
from .world import (
    POLICY,
    Said,
    World,
    cancelled,
    claim,
    covers_of,
    endorsed,
    issued,
    names,
    paid,
    reinstated,
    renewed,
    reversed_,
)

AT = "/v1/reconciliation/gaps"
SOLD_SINCE = [
    issued(),
    Said(cancelled("2024-06-01"), id_="cancelled"),
    Said(renewed("2024-07-01", "2025-07-01"), "2024-06-20"),
]
MISTAKEN = Said(reversed_("2024-06-01"), "2024-08-01", id_="mistaken")


@pytest.mark.parametrize(
    ("what", "facts", "ground"),
    [
        ("a payment before the issue", [Said(paid("2024-03-01"), id_="x")], issued()),
        ("a payment of a term nobody sold", [issued(), Said(paid("2025-03-01", term_no=2), id_="x")], renewed("2025-03-01", "2026-03-01")),
        ("an assessment without a report", [issued(), Said(claim(core.ClaimAssessed, "2024-10-01", amount_fen=1), id_="x")], claim(core.ClaimReported, "2024-09-01")),
        ("a reversal of nothing", [issued(), Said(reversed_("2024-10-01"), "2024-10-02", id_="x")], Said(cancelled("2024-10-01"), "2024-10-01")),
        ("a reinstatement of what never lapsed", [issued(), Said(reinstated("2024-10-01", bridged=True), id_="x")], None),
        ("an end moved to the start", [endorsed("2024-04-01", end="2024-03-01", yuan=10), issued()], None),
    ],
)  # fmt: skip
def test_what_waits_for_whatever_can_be_dismissed_and_never_counts(what: str, facts: list[Any], ground: Any) -> None:
    world = World()
    world.say(*facts)
    ((_, id_),), counting = _names(world), world.states[POLICY].policy
    assert world.dismiss(id_) == []
    assert (world.states[POLICY].policy, waiting(world)) == (counting, [])
    if ground is not None:
        world.say(ground)
        assert world.policy.version == len(world.states[POLICY].facts) - 1
        assert waiting(world) == []


def _names(world: World) -> set[tuple[str, str]]:
    return {(type(gap.fact.data).__name__, gap.fact.id) for gap in gaps(world.states[POLICY].facts)}


def test_a_reversal_said_by_mistake_does_not_bring_cover_back_when_there_is_room_later() -> None:
    world = World()
    world.say(*SOLD_SINCE, MISTAKEN)
    world.dismiss("mistaken")
    told = world.say(Said(cancelled("2024-08-05", "flat", term_no=2), "2024-08-05"))
    assert "policy.cancellation_reversed" not in names(told)
    assert (covers_of(world.policy), covers_of(world.policy, 2)) == (["2024-03-01..2024-06-01"], [])


def test_the_core_may_say_it_again_under_another_id_and_then_means_it() -> None:
    world = World()
    world.say(*SOLD_SINCE, MISTAKEN)
    world.dismiss("mistaken")
    world.say(MISTAKEN)
    assert waiting(world) == [], "delivered again it stays dismissed"
    world.say(Said(cancelled("2024-08-05", "flat", term_no=2), "2024-08-05"))
    world.say(Said(reversed_("2024-06-01"), "2024-08-06", id_="meant"))
    assert covers_of(world.policy) == [YEAR]


def test_an_endorsement_under_the_same_number_may_say_otherwise_once_the_wrong_one_is_dismissed() -> None:
    world = World()
    world.say(Said(endorsed("2024-04-01", end="2024-03-01"), id_="wrong"), issued())
    with pytest.raises(RefusedError, match="contradicts_known_fact"):
        world.say(endorsed("2024-04-01", end="2025-02-01"))
    world.dismiss("wrong")
    world.say(endorsed("2024-04-01", end="2025-02-01"))
    assert covers_of(world.policy) == ["2024-03-01..2025-02-01"]


def test_what_has_no_room_beside_it_counts_once_it_is_dismissed() -> None:
    """A term sold over another and never taken up have room together, but not with an end that leaves the first no day."""
    world = World()
    world.say(
        Said(endorsed("2024-04-01", end="2024-03-01"), id_="wrong"),
        Said(renewed("2024-07-01", "2025-07-01"), "2024-06-20", backfill=True),
        Said(cancelled("2024-07-01", "not_taken_up", term_no=2), "2024-07-05"),
        issued(),
    )
    assert [missing for _, missing in waiting(world)] == ["room", "room", "term"]
    before = len(world.told)
    assert names(world.dismiss("wrong"))[:2] == ["policy.renewed", "policy.cancelled"]
    assert world.history[before:][:2] == [True, False]
    assert (covers_of(world.policy), covers_of(world.policy, 2), waiting(world)) == ([YEAR], [], [])


@pytest.mark.parametrize("id_", ["cancelled", "nobody"])
def test_only_what_waits_can_be_dismissed(id_: str) -> None:
    world = World()
    world.say(*SOLD_SINCE, MISTAKEN)
    with pytest.raises(RefusedError, match="no_such_gap"):
        world.dismiss(id_)
    world.dismiss("mistaken")
    with pytest.raises(RefusedError, match="no_such_gap"):
        world.dismiss("mistaken")


STEPS = st.one_of(st.tuples(FACTS, st.sampled_from(DAYS), st.integers(0, 23)), st.integers(0, 3))


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=16))
def test_whatever_is_dismissed_in_between_what_counts_counts_for_ever(steps: list[Any]) -> None:
    """And it is what the facts come to when they are read anew; what is left waiting is all that is listed."""
    world, counted = World(), 0
    for n, step in enumerate(steps):
        state = world.states.get(POLICY)
        if isinstance(step, int):
            listed = sorted(_names(world)) if state else []
            if len(listed) > step:
                world.dismiss(listed[step][1])
        else:
            data, on, hour = step
            try:
                world.say(Said(data, on, hour=hour, id_=f"{n}"))
            except RefusedError:
                continue
        if (state := world.states.get(POLICY)) is None or state.policy is None:
            continue
        assert state.policy == fold(POLICY, state.facts)
        assert counted <= state.policy.version
        counted = state.policy.version
        covering = [t for t in state.policy.terms if t.covers]
        assert all(t.end <= later.start for t, later in pairwise(covering))


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings) as under:
        yield under


async def say(t: Under, *facts: Any) -> None:
    for one in facts:
        said = one if isinstance(one, Said) else Said(one)
        await t.deliver([t.as_record(encode(said.event()))])


async def dismiss(t: Under, id_: str, *, role: str = "operator", key: str | None = None, **more: Any) -> Any:
    body = {"policy_no": POLICY, "id": id_, "reason": "TICKET-1", **more}
    return await t.http.post(f"{AT}/dismissals", json=body, headers=t.auth(role, subject="li", key=key))


async def test_an_operator_dismisses_a_gap_with_a_reason_that_is_kept(t: Under) -> None:
    await say(t, *SOLD_SINCE, MISTAKEN)
    before = utc_now()
    for _ in range(2):
        answer = await dismiss(t, "mistaken", key="once")
        assert (answer.status_code, answer.json()) == (200, {"status": "dismissed"})
    assert (await t.http.get(AT, headers=t.auth("operator"))).json()["items"] == []
    assert await t.pool.fetchval("SELECT waiting_since FROM policies WHERE policy_no = 'P-1'") is None
    (kept,) = (await t.http.get(f"{AT}/dismissals", headers=t.auth("sre"))).json()["items"]
    assert (kept["policy_no"], kept["type"], kept["id"]) == (POLICY, "CancellationReversed", "mistaken")
    assert (kept["by"], kept["reason"]) == ("li", "TICKET-1")
    await say(t, Said(cancelled("2024-08-05", "flat", term_no=2), "2024-08-05"))
    assert all((await verify.verify(t.pool)).values())
    for recorded, still in ((before, 1), (utc_now(), 0)):
        asked = {"recorded": recorded.isoformat()}
        belief = await t.http.get("/v1/policies/P-1/belief", headers=t.auth("operator"), params=asked)
        assert belief.json()["waiting"] == still


@pytest.mark.parametrize(
    ("more", "role", "status", "code"),
    [
        ({"id": "nobody"}, "operator", 404, "no_such_gap"),
        ({"source": "/core/other"}, "operator", 404, "no_such_gap"),
        ({"reason": ""}, "operator", 422, "validation_failed"),
        ({}, "core", 403, "forbidden"),
        ({}, "member", 403, "forbidden"),
    ],
)
async def test_a_dismissal_that_is_refused(t: Under, more: dict[str, Any], role: str, status: int, code: str) -> None:
    await say(t, *SOLD_SINCE, MISTAKEN)
    answer = await dismiss(t, **{"id_": "mistaken", "role": role, **more})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
