"""Kafka behind the log port, by aiokafka directly (docs/decisions/0001).

The invariant: no call waits longer than its deadline, and whatever the client library raises about the broker comes out
as WorldDown. A producer that missed a deadline is thrown away, since an idempotent one would hold its batches for ever;
a consumer that raised is to be closed and created anew by the one who owns it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from tenure.spine.kafka_closing import ended
from tenure.spine.kafka_consumer import KafkaConsumer, Rebalances, fetch_only_when_all_is_taken
from tenure.spine.kafka_deadline import within
from tenure.spine.kafka_ends import ends
from tenure.spine.kafka_metadata import never_create_by_asking
from tenure.spine.kafka_producer import KafkaProducer
from tenure.spine.kafka_records import read_whatever_names_headers_have
from tenure.spine.kafka_retention import DECLARED, tell_what_is_kept_otherwise
from tenure.spine.kafka_settings import KafkaSettings
from tenure.spine.log import OnPartitions, TopicPartition, WorldDown, check_counts

_METADATA_RETRY_S = 0.05


class KafkaLog:
    """A `Log` on one cluster. It holds no connection of its own; producers and consumers do."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._told = False
        self._declared: dict[str, int] = {}
        never_create_by_asking()
        read_whatever_names_headers_have()

    async def producer(self) -> KafkaProducer:
        """Connects on the first send, and again after each failure, so it never raises here."""
        return KafkaProducer(self._settings, self._declared)

    async def consumer(
        self,
        group: str,
        topics: Sequence[str],
        *,
        on_assigned: OnPartitions | None = None,
        on_revoked: OnPartitions | None = None,
    ) -> KafkaConsumer:
        client = AIOKafkaConsumer(**self._settings.consumer(group))
        rebalances = Rebalances(on_assigned, on_revoked)
        client.subscribe(topics=list(topics), listener=rebalances)
        consumer = KafkaConsumer(client, self._settings, rebalances)
        try:
            async with within(self._settings.join_deadline_s, f"joining group {group}"):
                await client.start()
                fetch_only_when_all_is_taken(client)
                await rebalances.settled.wait()
        except BaseException:
            await consumer.close()
            raise
        return consumer

    async def ensure_topics(self, topics: Mapping[str, int]) -> None:
        self._declared.update(topics)
        async with within(self._settings.topics_deadline_s, "creating topics"), self._admin() as admin:
            existing = await _partition_counts(admin, topics)
            if not self._told:
                self._told = True
                await tell_what_is_kept_otherwise(admin, existing)
            missing = [
                NewTopic(name, partitions, self._settings.replicas, topic_configs=DECLARED.get(name))
                for name, partitions in topics.items()
                if name not in existing
            ]
            if missing:
                _check_created(await admin.create_topics(missing))
            while topics.keys() - existing.keys():
                existing = await _partition_counts(admin, topics)
                if topics.keys() - existing.keys():
                    await asyncio.sleep(_METADATA_RETRY_S)
        check_counts(topics, existing)

    async def ends(self, known: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        return await ends(self._settings, known)

    async def close(self) -> None:
        """Producers and consumers are closed by who opened them."""

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**self._settings.connection())
        try:
            async with within(self._settings.connect_deadline_s, "connecting"):
                await admin.start()
            yield admin
        finally:
            await ended(admin.close, self._settings.close_deadline_s)


async def _partition_counts(admin: AIOKafkaAdminClient, topics: Mapping[str, int]) -> dict[str, int]:
    """Topics that exist and have a leader everywhere; one still being created is not there yet."""
    described = await admin.describe_topics(list(topics))
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in described
        if topic["error_code"] == 0 and all(part["error_code"] == 0 for part in topic["partitions"])
    }


def _check_created(response: object) -> None:
    """Another process may have been quicker; everything else is an error of the broker."""
    for name, code, *_ in response.topic_errors:  # type: ignore[attr-defined]
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise WorldDown(f"creating topic {name}: {error.__name__}")
