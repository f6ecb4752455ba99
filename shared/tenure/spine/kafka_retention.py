"""How long Kafka keeps a topic: as the table of topics declares, from its creation on.

A topic that is there already and is kept otherwise is left alone, since an operator may have wanted it; but it is said, once in a
process: what is kept for less is lost to whoever is away for longer, and what is kept for longer than the inbox remembers could
have its effects twice.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from tenure.contracts.topic import Topic
from tenure.contracts.topics import TOPICS

log: Final = structlog.get_logger(__name__)
RETENTION: Final = "retention.ms"
_DAY_MS: Final = 86_400_000


def _retention_ms(topic: Topic) -> str:
    return "-1" if topic.retention_days is None else str(topic.retention_days * _DAY_MS)


DECLARED: Final = {topic.name: {RETENTION: _retention_ms(topic)} for topic in TOPICS}
"""What a topic of the table is created with."""


async def tell_what_is_kept_otherwise(admin: AIOKafkaAdminClient, names: Iterable[str]) -> None:
    """Of these topics. A broker that does not tell its settings, or not to us, is not asked again."""
    asked = [ConfigResource(ConfigResourceType.TOPIC, name, {RETENTION: None}) for name in names if name in DECLARED]
    if not asked:
        return
    with suppress(KafkaError):
        for answer in await admin.describe_configs(asked):
            for _, _, _, name, entries, *_ in answer.resources:
                _compare(name, entries)


def _compare(name: str, entries: Iterable[Any]) -> None:
    declared = DECLARED[name][RETENTION]
    for setting, value, *_ in entries:
        if setting == RETENTION and value != declared:
            log.warning("topic_kept_otherwise", topic=name, retention_ms=value, declared_ms=declared)
