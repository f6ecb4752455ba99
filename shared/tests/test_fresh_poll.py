"""A poll brings what came since the last one, too, and nothing of partitions that were taken away while it waited for that."""

import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from tenure.spine import kafka_consumer
from tenure.spine.kafka_consumer import KafkaConsumer, Rebalances
from tenure.spine.kafka_settings import KafkaSettings
from tenure.spine.log import WorldDown

PLACE = TopicPartition("policy.v1", 0)


@pytest.fixture(autouse=True)
def _whatever_else_the_machine_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_consumer, "_READY_S_MAX", 10.0)


def record(offset: int) -> Any:
    return SimpleNamespace(
        topic="policy.v1", partition=0, offset=offset, key=b"M-1", value=b"{}", headers=(), timestamp=0
    )


class Client:
    """A library that has `ready` at once and fetches `later` only when that is taken."""

    def __init__(self, ready: Sequence[Any], later: Sequence[Any], meanwhile: Callable[[], None]) -> None:
        self.answers = [list(ready), list(later)]
        self.meanwhile = meanwhile
        self.at = 0
        subscribed = SimpleNamespace(tps={PLACE}, state_value=lambda _: self)
        self._subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=subscribed))

    has_valid_position = True

    @property
    def position(self) -> int:
        return self.at

    def seek(self, _: TopicPartition, offset: int) -> None:
        self.at = offset

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        del timeout_ms
        if not self.answers:
            return {}
        if len(self.answers) == 1:
            self.meanwhile()
        answer = self.answers.pop(0)
        self.at = max([self.at, *(record.offset + 1 for record in answer[:max_records])])
        return {PLACE: answer[:max_records]} if answer else {}

    def assignment(self) -> set[TopicPartition]:
        return {PLACE}

    def last_poll_timestamp(self, _: TopicPartition) -> int:
        return 0


async def polled(later: Sequence[Any], *, records_max: int, taken_away: bool = False) -> list[int]:
    rebalances = Rebalances(None, None)
    rebalances.settled.set()

    def meanwhile() -> None:
        if taken_away:
            rebalances.begun += 1  # and given back, all while the poll waited

    client = Client([record(0), record(1)], later, meanwhile)
    consumer = KafkaConsumer(client, KafkaSettings(bootstrap="localhost:1"), rebalances)
    found = [r.offset for r in await consumer.poll(records_max=records_max, timeout_s=0.5)]
    assert client.at == len(found), "it goes on behind what it handed out"
    return found


async def test_what_came_since_the_last_poll_comes_with_what_lay_ready() -> None:
    assert await polled([record(2), record(3)], records_max=10) == [0, 1, 2, 3]
    assert await polled([record(2), record(3)], records_max=3) == [0, 1, 2]
    assert await polled([], records_max=10) == [0, 1]


async def test_a_full_poll_does_not_wait_for_more() -> None:
    assert await polled([record(2)], records_max=2) == [0, 1]


async def test_what_was_taken_away_while_the_rest_was_waited_for_is_left_to_whoever_has_it() -> None:
    assert await polled([record(2)], records_max=10, taken_away=True) == []


async def test_a_rebalance_that_does_not_end_is_left_for_a_new_client() -> None:
    rebalances = Rebalances(None, None)
    consumer = KafkaConsumer(
        Client([], [], lambda: None), KafkaSettings(bootstrap="localhost:1", rebalance_timeout_ms=1_000), rebalances
    )
    began = time.monotonic()
    with pytest.raises(WorldDown, match="has been rebalancing for"):
        await _poll_until(consumer, began + 30)
    assert time.monotonic() - began > 2
    rebalances.settled.set()
    assert await consumer.poll(records_max=10, timeout_s=0.1) == []
    rebalances.settled.clear()
    assert await consumer.poll(records_max=10, timeout_s=0.1) == [], "it has just begun"


async def _poll_until(consumer: KafkaConsumer, until: float) -> None:
    while time.monotonic() < until:
        assert await consumer.poll(records_max=10, timeout_s=0.1) == []
