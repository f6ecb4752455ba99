"""Agents' numbers that are merged and parted: which of them left is remembered, and a return is one for the person."""

from collections.abc import Iterable
from typing import Any

import pytest
from msgspec.structs import replace
from points_ledger.commands import LeaveAgent, LinkMembership, ReturnAgent
from tenure.contracts.decision import RefusedError
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged

from .test_against_the_model import assert_books
from .test_freezes import two_persons
from .test_standing import AGENT, hold
from .world import D, World, served

NEW = "A-8"
"""The number that goes on; `A-7` is merged into it."""
WHOLE, CUT = "2028-06-01", "2026-08-30"
"""The last day of points of May, and that of points of who left on 1 June."""


@pytest.fixture
def agents(world: World) -> World:
    for number in (AGENT, NEW):
        world.hear(replace(served("mentoring", "2026-05-01"), agent_id=number))
    return world


def befall(world: World, story: Iterable[str]) -> None:
    """On one day after another of June."""
    for n, what in enumerate(story):
        on = D(f"2026-06-{n + 2:02}")
        name, _, number = what.partition(" ")
        command: Any
        match name:
            case "leaves":
                command = LeaveAgent(agent_id=number, on=D("2026-06-01"), actor="hr")
            case "returns":
                command = ReturnAgent(agent_id=number, on=on, actor="hr")
            case "merged":
                command = CustomerMerged(member_id=NEW, merged_id=AGENT, effective=on)
            case _:
                command = CustomerUnmerged(member_id=NEW, survivor_id=NEW, merged_id=AGENT, effective=on)
        world.hear(command, on, key=number or NEW)


def found(world: World, number: str) -> tuple[list[str], bool]:
    """The last days of its lots, and whether it is frozen."""
    account = world.accounts[number]
    return sorted(str(lot.ends_on) for lot in account.lots.values()), bool(account.memory.frozen)


STORIES: dict[str, tuple[list[str], tuple[list[str], bool], tuple[list[str], bool]]] = {
    "who left comes along, frozen, and the lots keep their dates": (
        ["leaves A-7", "merged"], ([], False), ([CUT, WHOLE], True)),
    "the return of one who left before the merger": (
        ["leaves A-7", "merged", "returns A-8"], ([], False), ([WHOLE, WHOLE], False)),
    "and who returned has returned when it is undone": (
        ["leaves A-7", "merged", "returns A-8", "parted"], ([WHOLE], False), ([WHOLE], False)),
    "both had left, and one return is the person's": (
        ["leaves A-7", "leaves A-8", "merged", "returns A-8"], ([], False), ([WHOLE, WHOLE], False)),
    "both had left, and still have when it is undone": (
        ["leaves A-7", "leaves A-8", "merged", "parted"], ([CUT], True), ([CUT], True)),
    "only the one had left": (
        ["leaves A-7", "merged", "parted"], ([CUT], True), ([WHOLE], False)),
    "the leaving of both as one cuts what both have": (
        ["merged", "leaves A-8"], ([], False), ([CUT, CUT], True)),
    "undone, it was that of the number it was told of": (
        ["merged", "leaves A-8", "parted"], ([WHOLE], False), ([CUT], True)),
    "a return, and a leaving after that": (
        ["leaves A-7", "merged", "returns A-8", "leaves A-8", "parted"], ([WHOLE], False), ([CUT], True)),
}  # fmt: skip


@pytest.mark.parametrize(("story", "old", "new"), STORIES.values(), ids=STORIES)
def test_whose_leaving_it_was_is_remembered(
    agents: World, story: list[str], old: tuple[list[str], bool], new: tuple[list[str], bool]
) -> None:
    befall(agents, story)
    assert (found(agents, AGENT), found(agents, NEW)) == (old, new)
    for number in (AGENT, NEW):
        _, frozen = found(agents, number)
        if frozen:
            with pytest.raises(RefusedError, match="account_frozen"):
                agents.hear(hold(10, "agent", number), "2026-06-20", key=number)
    assert_books(agents, told_all=False)


def test_a_return_ends_no_other_freeze_of_the_merged_number(agents: World) -> None:
    two_persons(agents, "freeze", "fraud case 77")
    befall(agents, ["leaves A-7", "merged", "returns A-8"])
    assert agents.accounts[NEW].memory.freezes == ("fraud case 77",)
    befall(agents, ["parted"])
    assert (agents.accounts[NEW].memory.freezes, agents.accounts[AGENT].memory.freezes) == ((), ("fraud case 77",))


@pytest.mark.parametrize(
    "command",
    [
        LeaveAgent(agent_id=AGENT, on=D("2026-06-01"), actor="hr"),
        ReturnAgent(agent_id=AGENT, on=D("2026-06-01"), actor="hr"),
        LinkMembership(agent_id=AGENT, member_id="M-3", actor="hr"),
        LinkMembership(agent_id="A-9", member_id=AGENT, actor="hr"),
    ],
)
def test_nobody_leaves_returns_or_is_linked_under_a_number_given_up(agents: World, command: Any) -> None:
    """It would be kept beside the account it is about."""
    befall(agents, ["merged"])
    with pytest.raises(RefusedError, match="member_merged"):
        agents.hear(command, "2026-06-10", key=AGENT)
