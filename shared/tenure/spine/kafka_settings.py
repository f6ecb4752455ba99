"""Every setting of the Kafka clients, explicit.

The invariant: no default of the client library reaches production unseen. aiokafka's own are unsafe for us (acks=1,
auto commit, latest, round robin), so each of the three dicts below names every parameter its client has, and a test
fails when a new version of the library brings one that is not named here.
"""

import ssl
from typing import Any, Self
from urllib.parse import parse_qsl

import msgspec
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from tenure.spine.log import RECORD_BYTES_MAX


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How one cluster is reached and how long we wait for it. Times are upper limits, not expectations."""

    bootstrap: str
    idempotent: bool = True
    replicas: int = 1
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    sasl_username: str | None = None
    sasl_password: str | None = None
    ca_file: str | None = None
    connect_deadline_s: float = 5.0
    send_deadline_s: float = 30.0
    commit_deadline_s: float = 3.0
    join_deadline_s: float = 60.0
    topics_deadline_s: float = 30.0
    close_deadline_s: float = 5.0
    silence_s_max: float = 15.0
    """A broker that answers no fetch for so long, while we ask, is down."""
    request_timeout_ms: int = 12_000
    """What was sent into a network that swallowed it is waited for so long, also when the network is whole again."""
    fetch_wait_ms: int = 500
    session_timeout_ms: int = 10_000
    heartbeat_interval_ms: int = 1_000
    poll_interval_ms_max: int = 300_000
    rebalance_timeout_ms: int = 30_000
    retry_backoff_ms: int = 100
    linger_ms: int = 0
    batch_bytes_max: int = 900_000

    def __post_init__(self) -> None:
        """Limits that only make sense together are checked together, at start."""
        if self.heartbeat_interval_ms * 3 > self.session_timeout_ms:
            raise ValueError("session_timeout_ms must be at least three times heartbeat_interval_ms")
        if self.session_timeout_ms >= self.request_timeout_ms:
            raise ValueError(
                "request_timeout_ms must be above session_timeout_ms, or a join that waits for a dead member fails"
            )
        if self.fetch_wait_ms >= self.request_timeout_ms:
            raise ValueError("request_timeout_ms must be above fetch_wait_ms, or an idle broker looks dead")
        if self.fetch_wait_ms >= self.silence_s_max * 1000:
            raise ValueError("silence_s_max must be above fetch_wait_ms, or an idle broker looks dead")

    @classmethod
    def from_address(cls, address: str) -> Self:
        """`host:port,host:port`, with any setting of this class after it: `?idempotent=false&replicas=3`."""
        bootstrap, _, query = address.removeprefix("kafka://").partition("?")
        named: dict[str, str] = dict(parse_qsl(query, strict_parsing=bool(query)))
        if unknown := named.keys() - set(cls.__struct_fields__):
            raise ValueError(f"unknown Kafka settings: {', '.join(sorted(unknown))}")
        return msgspec.convert(named | {"bootstrap": bootstrap}, cls, strict=False)

    def connection(self) -> dict[str, Any]:
        """What producer, consumer and admin client have in common."""
        encrypted = self.security_protocol.endswith("SSL")
        return {
            "bootstrap_servers": self.bootstrap.split(","),
            "client_id": "tenure",
            "request_timeout_ms": self.request_timeout_ms,
            "retry_backoff_ms": self.retry_backoff_ms,
            "metadata_max_age_ms": 60_000,
            "connections_max_idle_ms": 540_000,
            "security_protocol": self.security_protocol,
            "ssl_context": ssl.create_default_context(cafile=self.ca_file) if encrypted else None,
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.sasl_username,
            "sasl_plain_password": self.sasl_password,
            "sasl_kerberos_service_name": "kafka",
            "sasl_kerberos_domain_name": None,
            "sasl_oauth_token_provider": None,
        }

    def producer(self) -> dict[str, Any]:
        return self.connection() | {
            "acks": "all",
            "enable_idempotence": self.idempotent,
            "transactional_id": None,
            "transaction_timeout_ms": 60_000,
            "key_serializer": None,
            "value_serializer": None,
            "compression_type": None,
            "max_batch_size": self.batch_bytes_max,
            "max_request_size": RECORD_BYTES_MAX + 100_000,
            "linger_ms": self.linger_ms,
        }

    def consumer(self, group: str) -> dict[str, Any]:
        return self.connection() | {
            "group_id": group,
            "group_instance_id": None,
            "key_deserializer": None,
            "value_deserializer": None,
            "enable_auto_commit": False,
            "auto_commit_interval_ms": 5_000,
            "auto_offset_reset": "earliest",
            "isolation_level": "read_committed",
            "check_crcs": True,
            "exclude_internal_topics": True,
            "partition_assignment_strategy": (RangePartitionAssignor,),
            "session_timeout_ms": self.session_timeout_ms,
            "heartbeat_interval_ms": self.heartbeat_interval_ms,
            "max_poll_interval_ms": self.poll_interval_ms_max,
            "rebalance_timeout_ms": self.rebalance_timeout_ms,
            "max_poll_records": 10_000,
            "fetch_min_bytes": 1,
            "fetch_max_bytes": 16 * 1024 * 1024,
            "max_partition_fetch_bytes": 2 * 1024 * 1024,
            "fetch_max_wait_ms": self.fetch_wait_ms,
            "consumer_timeout_ms": 200,
            "client_rack": None,
        }
