"""What `tenure doctor` makes of what processes and servers say; tests/test_platform.py asks it on a platform that runs."""

from typing import Any

import asyncpg
import pytest
from tenure_local.doctor import _postgres, what_waits

WELL = {"failures": 0, "reason": ""}


def tried(times: int) -> dict[str, Any]:
    return {"failures": times, "reason": "DiskFullError: could not extend file: No space left on device"}


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ({"mall": {"consumer": WELL, "relay": WELL, "due": WELL, "failed": False}}, []),
        ({"mall": {"consumer": tried(2), "relay": WELL, "due": WELL, "failed": False}}, []),
        ({"mall": {"consumer": WELL, "relay": tried(3), "failed": False}}, ["mall's relay"]),
        ({"mall": {"due": tried(9)}, "notifier": {"consumer": tried(4)}}, ["mall's due", "notifier's consumer"]),
        ({"mall.database": {"ok": True}}, []),
    ],
)
def test_what_was_refused_again_and_again_is_said_with_its_words(checks: dict[str, Any], said: list[str]) -> None:
    assert what_waits(checks) == [f"{task}, {tried(0)['reason']}" for task in said]


async def test_a_server_that_takes_no_writes_is_not_well(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await _postgres(postgres)).ok
    connect = asyncpg.connect

    async def to_a_standby(url: str, **how: Any) -> Any:
        return await connect(url, **how, server_settings={"default_transaction_read_only": "on"})

    monkeypatch.setattr(asyncpg, "connect", to_a_standby)
    found = await _postgres(postgres)
    assert not found.ok
    assert found.found.endswith("takes no writes")
