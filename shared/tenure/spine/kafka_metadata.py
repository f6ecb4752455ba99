"""A client that asks about a topic must not create it.

The invariant: topics come into being by `ensure_topics` alone, with the partitions the contract says. The library
asks with "create it if it is not there", so a consumer that reconnects to a broker that lost its topics (or to a
cluster that allows it) would create them with the count the broker likes, and the events of a member would not meet.
"""

import aiokafka.admin.client
import aiokafka.client
from aiokafka.protocol.metadata import MetadataRequest


class _JustAsk(MetadataRequest):  # type: ignore[misc]
    def __init__(self, topics: list[str] | None = None, allow_auto_topic_creation: bool | None = False) -> None:
        super().__init__(topics, bool(allow_auto_topic_creation))


def never_create_by_asking() -> None:
    """The library has no setting for it; the name it builds its requests from is the one place to say so."""
    aiokafka.client.MetadataRequest = _JustAsk
    aiokafka.admin.client.MetadataRequest = _JustAsk
