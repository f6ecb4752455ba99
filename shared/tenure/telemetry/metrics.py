"""Every metric of Tenure, declared here, once, with a sentence that says what it counts or measures.

The invariants: base units with the unit last in the name (seconds, rows, keys), `_total` for what only grows; labels come from
closed sets (services, topics, types, codes, routes), never from an id. All metrics live in one registry of this module and carry
the service as a label, so that seven services in one process can be told apart.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

REGISTRY: Final = CollectorRegistry()
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ITEMS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class _Declares:
    """Counters, gauges and histograms with the prefix `tenure_`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(name, says, labels, namespace="tenure", registry=self._registry)

    def _gauge(self, name: str, says: str, *labels: str) -> Gauge:
        return Gauge(name, says, labels, namespace="tenure", registry=self._registry)

    def _histogram(self, name: str, says: str, *labels: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
        return Histogram(name, says, labels, namespace="tenure", registry=self._registry, buckets=buckets)


class Metrics(_Declares):
    """All metrics of Tenure. Counters get `_total` appended by the client."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._of_the_consumer()
        self._of_the_outbox()
        self._of_days()
        self._of_the_database()
        self._of_the_process()
        self._of_the_edge()
        self._of_the_business()

    def _of_the_consumer(self) -> None:
        counter, gauge = self._counter, self._gauge
        self.events_consumed = counter("events_consumed", "Events whose effect committed.", "service", "topic")
        self.events_parked = counter("events_parked", "Events set aside because they are wrong.", "service", "code")
        self.parked_events = gauge("parked_events", "Events that are parked now, by why.", "service", "code")
        self.parked_oldest_age_seconds = gauge(
            "parked_oldest_age_seconds", "How long the longest parked event has waited; 0 when none is.", "service"
        )
        self.batch_seconds = self._histogram(
            "batch_seconds", "How long one transaction over a poll's records took.", "service"
        )
        self.batches_halved = counter(
            "batches_halved", "Batches the database refused or had no time for, and which were halved.", "service"
        )
        self.consumer_last_poll_timestamp_seconds = gauge(
            "consumer_last_poll_timestamp_seconds", "When the last poll succeeded; 0 before the first.", "service"
        )
        self.consumer_position = gauge(
            "consumer_position", "Offset of the next record to read.", "service", "topic", "partition"
        )
        self.consumer_lag_records = gauge(
            "consumer_lag_records", "Records written and not yet read.", "service", "topic", "partition"
        )
        self.consumer_partitions = gauge("consumer_partitions", "Partitions this process reads.", "service")
        self.consumer_halted = gauge(
            "consumer_halted", "1 while a run of parked events keeps the consumer from going on.", "service"
        )
        self.consumer_joins = counter("consumer_joins", "Times the consumer joined its group anew.", "service")
        self.consumer_revocations = counter(
            "consumer_revocations",
            "Times partitions were taken away, and whether the batch in hand was finished or abandoned.",
            "service",
            "outcome",
        )
        self.log_went_backwards = counter(
            "log_went_backwards", "Partitions that ended before what was known.", "service", "topic"
        )
        self.log_gaps = counter("log_gaps", "Records the log had lost before they were read.", "service", "topic")

    def _of_the_outbox(self) -> None:
        self.outbox_waiting_rows = self._gauge(
            "outbox_waiting_rows", "Outbox rows not yet acknowledged by the log.", "service"
        )
        self.outbox_oldest_waiting_age_seconds = self._gauge(
            "outbox_oldest_waiting_age_seconds", "Age of the oldest outbox row that waits; 0 when none does.", "service"
        )
        self.relay_published = self._counter("relay_published", "Records the log acknowledged.", "service")
        self.relay_publish_seconds = self._histogram(
            "relay_publish_seconds", "From the transaction that told an event to the log's acknowledgement.", "service"
        )
        self.leading = self._gauge(
            "leading", "1 while this process leads a task that one process of the platform does.", "service", "task"
        )

    def _of_days(self) -> None:
        self.calendar_behind_days = self._gauge(
            "calendar_behind_days",
            "Days that came by the wall's clock and have not started; 0 where only events move the calendar.",
            "service",
        )
        self.due_keys = self._counter("due_keys", "Keys that lived through a day that came.", "service")
        self.due_refused = self._counter(
            "due_refused", "Keys that could not live through a day and wait a while.", "service"
        )
        self.due_aside_keys = self._gauge(
            "due_aside_keys", "Keys put aside because they cannot live through their day.", "service"
        )
        self.due_done_timestamp_seconds = self._gauge(
            "due_done_timestamp_seconds", "When nothing due was last left to do.", "service"
        )

    def _of_the_database(self) -> None:
        counter, gauge = self._counter, self._gauge
        self.database_up = gauge("database_up", "1 if the last look at the service's database succeeded.", "service")
        self.pool_connections = gauge(
            "pool_connections", "Connections to the database, in use or idle.", "service", "state"
        )
        self.pool_connections_max = gauge(
            "pool_connections_max", "Connections to the database this process may open.", "service"
        )
        self.pool_waiting_callers = gauge(
            "pool_waiting_callers", "Callers that wait for a connection to the database.", "service"
        )
        self.pool_acquire_seconds = self._histogram(
            "pool_acquire_seconds", "How long a caller waited for a connection it got.", "service"
        )
        self.pool_acquire_timeouts = counter(
            "pool_acquire_timeouts", "Callers that got no connection in their time.", "service"
        )
        self.transactions_retried = counter(
            "transactions_retried", "Transactions that met another one and were done again, whole.", "service", "reason"
        )
        self.waits = counter(
            "waits", "Times a task waited because the broker or the database was down.", "service", "task", "world"
        )
        self.swept_rows = counter("swept_rows", "Rows past their retention that were deleted.", "service", "table")
        self.swept_timestamp_seconds = gauge(
            "swept_timestamp_seconds", "When retention was last gone through to its end.", "service"
        )
        self.invariant_holds = gauge(
            "invariant_holds", "1 if an invariant held when the books were last verified.", "service", "invariant"
        )
        self.invariants_checked_timestamp_seconds = gauge(
            "invariants_checked_timestamp_seconds", "When a service's books were last verified here.", "service"
        )

    def _of_the_process(self) -> None:
        self.task_failures = self._counter(
            "task_failures", "Tasks that ended on an error nobody foresaw.", "service", "task"
        )
        self.loop_blocked_seconds = self._histogram("loop_blocked_seconds", "How long something held the event loop.")
        self.loop_blocked_max_seconds = self._gauge(
            "loop_blocked_max_seconds", "The longest that something held the event loop within the last minute."
        )

    def _of_the_edge(self) -> None:
        self.http_request_seconds = self._histogram(
            "http_request_seconds", "Time until a response began.", "service", "route", "status"
        )
        self.http_requests_in_flight = self._gauge(
            "http_requests_in_flight", "Requests that came and have not been answered to their end."
        )
        self.gathered_items = self._histogram(
            "gathered_items", "Writes over HTTP that shared one transaction.", "service", buckets=_ITEMS
        )
        self.gather_waiting_items = self._gauge(
            "gather_waiting_items", "Writes over HTTP that wait for the next transaction.", "service"
        )

    def _of_the_business(self) -> None:
        counter = self._counter
        self.events_told = counter("events_told", "Events that committed transactions told.", "service", "type")
        self.points_moved = counter("points_moved", "Points told, by wallet and movement.", "wallet", "movement")
        self.tier_changes = counter("tier_changes", "Changes of tier told.", "from_tier", "to_tier")
        self.holds_open = self._gauge("holds_open", "Reservations of points that are neither captured nor released.")
        self.journal_unsealed_rows = self._gauge(
            "journal_unsealed_rows", "Entries of the points ledger's journal that no seal holds yet."
        )
        self.journal_oldest_unsealed_age_seconds = self._gauge(
            "journal_oldest_unsealed_age_seconds",
            "Age of the oldest entry that no seal holds yet; 0 when all are sealed.",
        )
        self.holds_released = counter("holds_released", "Reservations of points that were given back.", "reason")
        self.gap_oldest_age_seconds = self._gauge(
            "gap_oldest_age_seconds",
            "Age of the oldest fact of the core that waits for an earlier one; 0 when none does.",
        )
        self.messages_suppressed = counter("messages_suppressed", "Messages not told, and why.", "reason")
        self.messages_waiting = self._gauge("messages_waiting", "Text messages that wait for their channel.")
        self.messages_oldest_waiting_age_seconds = self._gauge(
            "messages_oldest_waiting_age_seconds", "Age of the oldest text message that waits; 0 when none does."
        )


metrics: Final = Metrics(REGISTRY)
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)


def start_at_zero(service: str, *, topics: Iterable[str], types: Iterable[str], tasks: Iterable[str]) -> None:
    """Let counters that alerts watch exist before they first count: a series that begins at 1 never rises."""
    for topic in topics:
        metrics.log_went_backwards.labels(service, topic)
        metrics.log_gaps.labels(service, topic)
    for kind in types:
        metrics.events_told.labels(service, kind)
    for task in tasks:
        metrics.task_failures.labels(service, task)
        for world in ("broker", "database"):
            metrics.waits.labels(service, task, world)
    for reason in ("deadlock", "serialization"):
        metrics.transactions_retried.labels(service, reason)
    for counter in (
        metrics.batches_halved,
        metrics.consumer_joins,
        metrics.relay_published,
        metrics.due_keys,
        metrics.due_refused,
    ):
        counter.labels(service)
    for outcome in ("finished", "abandoned"):
        metrics.consumer_revocations.labels(service, outcome)
    metrics.consumer_halted.labels(service).set(0)
    metrics.leading.labels(service, "relay").set(0)


def tell_verified(service: str, found: Mapping[str, bool]) -> None:
    """What an audit of a service's books found."""
    for invariant, holds in found.items():
        metrics.invariant_holds.labels(service, invariant).set(holds)
    metrics.invariants_checked_timestamp_seconds.labels(service).set_to_current_time()
