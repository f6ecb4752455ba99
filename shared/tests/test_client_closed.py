"""A Kafka client that fails, hangs or lets its own cancellation out while it is closed does not take its owner along."""

import asyncio
from types import SimpleNamespace

import pytest
from tenure.spine.kafka_closing import ended
from tenure.spine.kafka_consumer import KafkaConsumer, Rebalances
from tenure.spine.kafka_settings import KafkaSettings

SETTINGS = KafkaSettings(bootstrap="localhost:1", close_deadline_s=0.05)


async def _well() -> None:
    await asyncio.sleep(0)


async def _fails() -> None:
    raise RuntimeError("nobody foresaw this")


async def _hangs() -> None:
    await asyncio.sleep(60)


async def _hangs_whatever_is_said() -> None:
    for _ in range(20):
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            continue


async def _lets_its_own_cancellation_out() -> None:
    """As the library does that closes while a fetch of its pauses after a failure."""
    pausing = asyncio.create_task(asyncio.sleep(60))
    pausing.cancel()
    await pausing


@pytest.mark.parametrize("ending", [_fails, _hangs, _hangs_whatever_is_said, _lets_its_own_cancellation_out])
async def test_its_owner_goes_on_and_the_connections_are_closed(ending: object) -> None:
    closed: list[str] = []

    async def close() -> None:
        closed.append("connections")

    client = SimpleNamespace(stop=ending, _client=SimpleNamespace(close=close))
    await KafkaConsumer(client, SETTINGS, Rebalances(None, None)).close()
    assert closed == ["connections"]
    me = asyncio.current_task()
    assert me is not None
    assert me.cancelling() == 0


async def test_one_that_ended_well_is_left_alone_and_its_owner_can_still_be_ended() -> None:
    assert await ended(_well, 1)
    waits = asyncio.create_task(ended(_hangs, 60))
    await asyncio.sleep(0.01)
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
