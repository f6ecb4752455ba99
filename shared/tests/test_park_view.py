"""What operators see of a parked event: what it is and why it waits, and of nobody a name, a number or an address."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from tenure.spine import park, park_view
from tenure.spine.parking import ParkedEvent

PERSONAL = [
    "13812345678",  # mobile numbers, the oldest and the newest of their ranges
    "19912345678",
    "110101199003078515",  # identity numbers, with each of their ends
    "11010119900307851X",
    "11010119900307851x",
    "110101900307851",  # and those of before 1999
    "li.lei@example.cn",
    "李雷",
]


@pytest.mark.parametrize("personal", PERSONAL)
def test_what_looks_personal_is_covered_wherever_it_stands(personal: str) -> None:
    data = {"policy_no": f"P {personal} 1", "term": [{"policy_no": personal}], personal: 1}
    assert park_view.masked(json.dumps(data).encode()) == {
        "policy_no": "P *** 1",
        "term": [{"policy_no": "***"}],
        "***": "***",
    }
    event = parked(headers=[("ce_id", personal.encode()), ("ce_source", f"/{personal}".encode())], detail=personal)
    shown = park_view.whole_of("mall", event)
    assert (shown.id, personal in shown.source, shown.detail) == ("***", False, "***")
    assert personal not in park_view.row_of("mall", event).detail
    stuck = {"M-1": park.Stuck("M-1", 1, "unlucky", f"for {personal}")}
    assert [s.detail for s in park.replayed(park.Drained(stuck=stuck)).stuck] == ["for ***"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(b'{"policy_no": "3301138123456780001"}', {"policy_no": "3301138123456780001"}, id="a longer number"),
        pytest.param(b'{"policy_no": "12345678901"}', {"policy_no": "12345678901"}, id="no mobile number begins so"),
        pytest.param(b'{"premium_fen": 5, "note": "x"}', {"premium_fen": 5, "note": "***"}, id="no contract declares it"),
        pytest.param(b'[{"note": 1}, "M-1"]', [{"note": "***"}, "M-1"], id="a list"),
        pytest.param(b"{", "1 bytes that are not JSON", id="no JSON"),
        pytest.param(b'"\xff"', "3 bytes that are not JSON", id="no text"),
        pytest.param(b"[" * 9_000, "9000 bytes that are not JSON", id="too deep"),
        pytest.param(b'"%b"' % (b"x" * 20_000), "20002 bytes of JSON, too much to show", id="too large"),
    ],
)  # fmt: skip
def test_of_a_value_only_what_a_contract_declares_is_shown(value: bytes, shown: Any) -> None:
    assert park_view.masked(value) == shown


def test_headers_that_say_nothing_or_are_no_text_are_shown_as_far_as_they_can_be() -> None:
    shown = park_view.whole_of("mall", parked(headers=[("ce_id", None), ("ce_source", b"/a\xff")], detail=""))
    assert (shown.id, shown.type, shown.source) == ("", "?", "/a\ufffd")


def parked(*, headers: list[tuple[str, bytes | None]], detail: str) -> ParkedEvent:
    return ParkedEvent(
        seq=1,
        event_key=UUID(int=0),
        key="M-1",
        topic="points.v1",
        partition=0,
        offset=0,
        headers=headers,
        value=b"{}",
        code="unlucky",
        detail=detail,
        attempts=1,
        parked_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
