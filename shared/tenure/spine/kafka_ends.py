"""Where partitions end, asked by reading: the one answer that every broker gives alike.

The invariant: the answer comes from a fetch made after the question. ListOffsets would do for Apache Kafka, but the wheel broker
answers it with the start of the last batch, which looks like a log that went backwards.
"""

from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from tenure.spine.kafka_closing import put_away
from tenure.spine.kafka_deadline import within
from tenure.spine.kafka_settings import KafkaSettings
from tenure.spine.log import TopicPartition as Place

_GROUP = "tenure.ends"


async def ends(settings: KafkaSettings, known: Mapping[Place, int]) -> dict[Place, int]:
    """Fetch at the known end: nothing comes if the log still ends there. Raises WorldDown."""
    if not known:
        return {}
    client = AIOKafkaConsumer(**settings.consumer(_GROUP) | {"group_id": None})
    try:
        async with within(settings.topics_deadline_s, "asking where partitions end"):
            async with within(settings.connect_deadline_s, "connecting"):
                await client.start()
            partitions = {TopicPartition(*place): offset for place, offset in known.items()}
            client.assign(list(partitions))
            for partition, offset in partitions.items():
                client.seek(partition, offset)
            while any(client.highwater(partition) is None for partition in partitions):
                await client.getmany(timeout_ms=settings.fetch_wait_ms, max_records=1)
            return {(tp.topic, tp.partition): client.highwater(tp) for tp in partitions}
    finally:
        await put_away(client, settings.close_deadline_s)
