"""Nobody refers or corrects themselves, under whichever of their numbers, also where one was given up; and no longer than they are one."""

import pytest
from msgspec.structs import replace
from points_ledger.commands import LinkMembership, ProposeAdjustment
from tenure.contracts.activity import ReferralConverted
from tenure.contracts.decision import RefusedError
from tenure.contracts.policy import CustomerMerged

from .test_unmerger import OTHER, one, parted
from .world import D, M, World, served

AGENT = "A-7"


def linked(world: World, member: str, on: str) -> None:
    world.hear(served("revisit", "2026-01-02"))
    world.hear(LinkMembership(agent_id=AGENT, member_id=member, actor="op-1"), on, key=AGENT)


def refers(world: World, member: str, on: str) -> None:
    world.hear(ReferralConverted(member_id=AGENT, referee_id=member, policy_no="P-7", on=D(on)))


def test_an_agents_own_number_after_a_merger_is_their_own(world: World) -> None:
    """The agent was linked with the number given up; the survivor is the same person."""
    linked(world, OTHER, "2026-01-03")
    one(world)
    with pytest.raises(RefusedError, match="self_referral"):
        refers(world, M, "2026-06-02")


def test_what_was_one_person_by_mistake_is_not_when_that_is_undone(world: World) -> None:
    linked(world, OTHER, "2026-01-03")
    one(world)
    parted(world, "2026-07-01")
    refers(world, M, "2026-07-02")
    with pytest.raises(RefusedError, match="self_referral"):
        refers(world, OTHER, "2026-07-02")


def test_who_was_linked_before_stays_linked(world: World) -> None:
    linked(world, OTHER, "2026-01-03")
    linked(world, M, "2026-01-03")
    one(world)
    parted(world, "2026-07-01")
    for member in (M, OTHER):
        with pytest.raises(RefusedError, match="self_referral"):
            refers(world, member, "2026-07-02")


def test_nobody_corrects_their_own_points_by_a_number_they_gave_up(world: World) -> None:
    one(world)
    world.hear(CustomerMerged(member_id="M-3", merged_id=M, effective=D("2026-06-02")))
    asked = ProposeAdjustment(
        adjustment_id="J-1", member_id="M-3", wallet="points", points=70, reason="r", ticket="T", proposed_by=OTHER
    )
    for own in (OTHER, M, "M-3"):
        with pytest.raises(RefusedError, match="own_account"):
            world.hear(replace(asked, proposed_by=own), "2026-06-03", key="M-3")
