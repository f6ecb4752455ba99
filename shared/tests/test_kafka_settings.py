"""No default of the client library reaches production unseen."""

import ast
import inspect
import socket
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from tenure.spine.kafka_settings import KafkaSettings
from tenure.spine.log import Outgoing, WorldDown, open_log

ROOT = Path(__file__).resolve().parents[2]
NOT_SETTINGS = {"self", "topics", "loop", "api_version", "partitioner"}
"""What to read, the loop it runs in, a version the library asks the broker for, and a partitioner: ours is `partition_of`."""
MAY_BE_NONE = {
    "ssl_context",
    "sasl_plain_username",
    "sasl_plain_password",
    "sasl_kerberos_domain_name",
    "sasl_oauth_token_provider",
    "transactional_id",
    "key_serializer",
    "value_serializer",
    "key_deserializer",
    "value_deserializer",
    "compression_type",
    "group_instance_id",
    "client_rack",
}
"""Where nothing is a decision: not encrypted, not transactional, bytes as they are, no static member, no rack."""
SETTINGS = KafkaSettings(bootstrap="broker-1:9092,broker-2:9092")
CLIENTS = [
    (AIOKafkaProducer, SETTINGS.producer()),
    (AIOKafkaConsumer, SETTINGS.consumer("ledger")),
    (AIOKafkaAdminClient, SETTINGS.connection()),
]


def undecided(client, named):
    """Parameters of a client, its bases' among them, that nobody here has decided on."""
    parameters = {p for cls in client.__mro__ if cls is not object for p in inspect.signature(cls.__init__).parameters}
    return parameters - NOT_SETTINGS - {"known"} - set(named)


@pytest.mark.parametrize(("client", "named"), CLIENTS)
def test_every_parameter_of_the_client_is_named(client, named):
    assert undecided(client, named) == set()
    assert set(inspect.signature(client.__init__).parameters) - NOT_SETTINGS == set(named)


async def test_the_consumer_is_built_as_we_say():
    consumer = AIOKafkaConsumer(**SETTINGS.consumer("ledger"))
    built = {name.removeprefix("_"): value for name, value in vars(consumer).items()}
    assert built["group_id"] == "ledger"
    assert built["enable_auto_commit"] is False
    assert built["auto_offset_reset"] == "earliest"
    assert built["isolation_level"] == "read_committed"
    assert built["partition_assignment_strategy"] == (RangePartitionAssignor,)
    assert (built["session_timeout_ms"], built["heartbeat_interval_ms"]) == (10_000, 1_000)
    assert (built["max_poll_interval_ms"], built["rebalance_timeout_ms"]) == (300_000, 30_000)
    assert consumer._client._bootstrap_servers == ["broker-1:9092", "broker-2:9092"]
    await consumer.stop()


async def test_the_producer_is_built_as_we_say():
    producer = AIOKafkaProducer(**SETTINGS.producer())
    assert producer._sender._acks == -1
    assert producer._txn_manager is not None
    assert producer._txn_manager.transactional_id is None
    assert producer._message_accumulator._batch_size == 900_000
    assert producer._compression_type is None
    await producer.stop()


async def test_a_broker_without_idempotence_can_be_named():
    settings = KafkaSettings.from_address("127.0.0.1:9092?idempotent=false&fetch_wait_ms=100")
    producer = AIOKafkaProducer(**settings.producer())
    assert producer._txn_manager is None
    assert producer._sender._acks == -1
    await producer.stop()
    assert (settings.bootstrap, settings.fetch_wait_ms) == ("127.0.0.1:9092", 100)


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("h:9092?acks=1", "unknown Kafka settings: acks"),
        ("h:9092?fetch_wait_ms=soon", "int"),
        ("h:9092?session_timeout_ms=2000", "three times heartbeat_interval_ms"),
        ("h:9092?request_timeout_ms=400&session_timeout_ms=300&heartbeat_interval_ms=100", "above fetch_wait_ms"),
        ("h:9092?request_timeout_ms=10000", "above session_timeout_ms"),
        ("h:9092?silence_s_max=0.1", "above fetch_wait_ms"),
    ],
)
def test_an_address_that_makes_no_sense_is_refused(address, complaint):
    with pytest.raises(ValueError, match=complaint):
        KafkaSettings.from_address(address)


def test_encryption_brings_its_context():
    assert KafkaSettings(bootstrap="h:1").connection()["ssl_context"] is None
    assert KafkaSettings(bootstrap="h:1", security_protocol="SASL_SSL").connection()["ssl_context"] is not None


@pytest.mark.parametrize(("client", "named"), CLIENTS)
def test_a_parameter_that_a_new_version_brings_must_be_decided(client, named):
    """The test above is only worth something if it fails on the day the library changes."""

    class OfTomorrow(client):
        def __init__(self, *topics, an_unbounded_buffer=None, **known):  # noqa: ARG002
            super().__init__(*topics, **known)

    assert undecided(OfTomorrow, named) == {"an_unbounded_buffer"}
    assert undecided(client, {name: value for name, value in named.items() if name != "request_timeout_ms"}) == {
        "request_timeout_ms"
    }


@pytest.mark.parametrize(("client", "named"), CLIENTS)
def test_every_limit_is_one(client, named):
    """Sizes, counts and times are above nought and below what a process can bear: none is unlimited."""
    limits = {n: v for n, v in named.items() if n.endswith(("_ms", "_bytes", "_size", "_records"))}
    assert {n for n, v in limits.items() if not isinstance(v, int) or v < 0} == set()
    assert {n for n, v in limits.items() if v == 0} <= {"linger_ms"}
    assert all(v <= 10 * 60_000 for n, v in limits.items() if n.endswith("_ms")), (
        "nothing waits longer than ten minutes"
    )
    assert all(v <= 64 * 1024 * 1024 for n, v in limits.items() if not n.endswith("_ms"))
    defaults = inspect.signature(client.__init__).parameters
    unset = {n for n, v in named.items() if v is None} - MAY_BE_NONE
    assert unset == set(), f"{unset} of {client.__name__} say nothing"
    assert set(named) <= set(defaults), "none is a name the client does not know"


def test_no_client_is_built_but_from_these_settings():
    """`AIOKafkaConsumer(**settings...)` and nothing else, in everything that is shipped."""
    built = []
    for path in [p for folder in ("shared", "services", "deploy") for p in (ROOT / folder).rglob("*.py")]:
        if "tests" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "").startswith("AIOKafka"):
                built.append((path.name, node.func.id, [k.arg for k in node.keywords], len(node.args)))
    assert {(name, client) for name, client, _, _ in built} == {
        ("kafka.py", "AIOKafkaConsumer"),
        ("kafka.py", "AIOKafkaAdminClient"),
        ("kafka_ends.py", "AIOKafkaConsumer"),
        ("kafka_producer.py", "AIOKafkaProducer"),
    }
    assert all(keywords == [None] and not args for _, _, keywords, args in built), "one ** and nothing beside it"


async def test_a_broker_that_takes_connections_and_says_nothing_is_down_after_the_deadline_of_each_call():
    """A send without a deadline of ours would hold its batch for ever: an idempotent producer never lets one expire."""
    deadlines = "send_deadline_s=1&join_deadline_s=1&topics_deadline_s=1&close_deadline_s=0.5"

    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen(64)
    port = silent.getsockname()[1]
    log = open_log(f"127.0.0.1:{port}?{deadlines}")
    producer = await log.producer()
    for call in (
        lambda: producer.send([Outgoing("policy.v1", b"member-1", b"x", [])]),
        lambda: log.consumer("g", ["policy.v1"]),
        lambda: log.ensure_topics({"policy.v1": 1}),
        lambda: log.ends({("policy.v1", 0): 0}),
    ):
        began = time.monotonic()
        with pytest.raises(WorldDown):
            await call()
        assert time.monotonic() - began < 10
    await producer.close()
    silent.close()
