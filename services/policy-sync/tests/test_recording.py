"""The lanes of an import's chunk: what hangs together stays together, in its order."""

import pytest
from msgspec.structs import replace
from policy_sync import recording, rules
from tenure.contracts.event import Event

from .world import Said, issued, paid


def test_what_touches_a_policy_or_a_customer_in_common_is_in_one_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    """Customers of forty policies, payments that name no customer, and a policy that continues another."""
    monkeypatch.setattr(recording, "LANE_FACTS_MIN", 2)
    events = [e for n in range(30) for e in _sold(f"H-{n}", f"C-{n % 7}", f"H-{n - 8}" if n == 29 else None)]
    lanes = recording.in_lanes(events)
    assert sorted(i for lane in lanes for i in lane) == list(range(60))
    assert all(lane == sorted(lane) for lane in lanes)
    touched = [{key for i in lane for key in rules.keys(events[i])} for lane in lanes]
    assert len(touched) == 2
    assert touched[0].isdisjoint(touched[1])
    assert max(map(len, lanes)) - min(map(len, lanes)) <= 16, "of about one length"
    assert recording.in_lanes(events[:3]) == [[0, 1, 2]], "not worth two"


def _sold(policy_no: str, member_id: str, previous: str | None) -> list[Event]:
    sold = issued(policy_no=policy_no, member_id=member_id, previous_policy_no=previous)
    return [Said(sold).event(), Said(replace(paid("2024-03-01"), policy_no=policy_no)).event()]
