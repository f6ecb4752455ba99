"""The log has the topics of the table, with their partitions."""

from tenure.contracts.topics import TOPICS
from tenure.spine.log import Log


async def ensure_topics(log: Log) -> None:
    """Create what is missing; a broker that forgot its topics gets them again. Raises WorldDown, PartitionsDiffer."""
    await log.ensure_topics({t.name: t.partitions for t in TOPICS})
