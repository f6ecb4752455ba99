"""No default of the client library reaches production unseen."""

import inspect

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from tenure.spine.kafka_settings import KafkaSettings

NOT_SETTINGS = {"self", "topics", "loop", "api_version", "partitioner"}
SETTINGS = KafkaSettings(bootstrap="broker-1:9092,broker-2:9092")


@pytest.mark.parametrize(
    ("client", "named"),
    [
        (AIOKafkaProducer, SETTINGS.producer()),
        (AIOKafkaConsumer, SETTINGS.consumer("ledger")),
        (AIOKafkaAdminClient, SETTINGS.connection()),
    ],
)
def test_every_parameter_of_the_client_is_named(client, named):
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
        ("h:9092?request_timeout_ms=400", "above fetch_wait_ms"),
        ("h:9092?silence_s_max=0.1", "above fetch_wait_ms"),
    ],
)
def test_an_address_that_makes_no_sense_is_refused(address, complaint):
    with pytest.raises(ValueError, match=complaint):
        KafkaSettings.from_address(address)


def test_encryption_brings_its_context():
    assert KafkaSettings(bootstrap="h:1").connection()["ssl_context"] is None
    assert KafkaSettings(bootstrap="h:1", security_protocol="SASL_SSL").connection()["ssl_context"] is not None
