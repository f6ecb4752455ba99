"""Freezes of one account, for whatever reasons and in whatever order: none hides another, and none is ended by what ends another."""

from typing import Any

import msgspec
import pytest
from points_ledger.commands import ApproveAdjustment, ProposeAdjustment, ReturnAgent
from points_ledger.rules.memory import Memory
from points_ledger.rules.standing import LEFT
from tenure.contracts.decision import RefusedError
from tenure.contracts.policy import PolicyRescinded

from .test_standing import AGENT, audit, hold, leave
from .world import D, World, served, term, void

FREEZES = {
    "left, then fraud": (["left", "fraud"], ["fraud case 77"]),
    "fraud, then left": (["fraud", "left"], ["fraud case 77"]),
    "left, then rescinded": (["left", "rescinded"], ["policy P-1 rescinded"]),
    "two cases": (["fraud", "left", "rescinded"], ["fraud case 77", "policy P-1 rescinded"]),
    "persons who wrote the same words": (["same words", "left"], [LEFT]),
    "left, and left again on another day": (["left", "left earlier"], []),
}


def befalls(world: World, what: str) -> None:
    policy = void(term(member_id=AGENT))
    match what:
        case "left":
            leave(world, "2026-06-01")
        case "left earlier":
            leave(world, "2026-05-31", "2026-06-01")
        case "rescinded":
            world.hear(PolicyRescinded(member_id=AGENT, term=policy, effective=D("2026-06-01")), "2026-06-01")
        case _:
            two_persons(world, "freeze", "fraud case 77" if what == "fraud" else LEFT)


def two_persons(world: World, purpose: Any, reason: str, member_id: str = AGENT) -> None:
    command = ProposeAdjustment(
        adjustment_id=f"J-{purpose}-{member_id}", member_id=member_id, wallet="points", points=0, reason=reason, ticket="T-1",
        proposed_by="op-1", purpose=purpose,
    )  # fmt: skip
    world.hear(command, "2026-06-01", key=member_id)
    approved = ApproveAdjustment(adjustment_id=command.adjustment_id, approved_by="op-2")
    world.hear(approved, "2026-06-01", key=member_id)


@pytest.mark.parametrize(("befell", "left"), FREEZES.values(), ids=FREEZES)
def test_a_return_ends_no_freeze_but_that_of_leaving(world: World, befell: list[str], left: list[str]) -> None:
    world.hear(served("mentoring", "2026-05-01"))
    for what in befell:
        befalls(world, what)
    noted = [reason for what, reason, _ in audit(world) if what == "frozen"]
    assert sorted(noted) == sorted([*left, LEFT]), "each freeze is in the audit"
    back = world.hear(ReturnAgent(agent_id=AGENT, on=D("2026-06-02"), actor="hr"), "2026-06-02", key=AGENT)
    assert (back.frozen, list(world.accounts[AGENT].memory.freezes)) == (left[0] if left else "", left)
    if left:
        with pytest.raises(RefusedError, match="account_frozen"):
            world.hear(hold(10, "agent", AGENT), "2026-06-02", key=AGENT)
        two_persons(world, "unfreeze", "cleared")
    world.hear(hold(10, "agent", AGENT), "2026-06-02", key=AGENT)
    assert [row[:2] for row in audit(world) if row[0] == "unfrozen"] == [("unfrozen", "cleared" if left else LEFT)]


@pytest.mark.parametrize("freezes", [(), ("fraud case 77",)])
def test_an_account_stored_before_it_could_have_two_freezes_is_read(freezes: tuple[str, ...]) -> None:
    fields = msgspec.structs.astuple(Memory().frozen_for(freezes))
    packed = msgspec.msgpack.encode(fields[: Memory.__struct_fields__.index("frozen_also")])
    assert msgspec.msgpack.decode(packed, type=Memory).freezes == freezes
