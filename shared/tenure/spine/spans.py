"""What a transaction and the relay tell of themselves as spans, while somebody collects them.

One span for each event decided, in the trace of what caused it; what the event causes carries that span's context on. The relay
sends many traces' records at once, so its span stands alone and is linked to them.
"""

from collections.abc import Iterable

from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from tenure.contracts.event import Event
from tenure.spine.item import Item, Outcome
from tenure.spine.log import Outgoing
from tenure.telemetry.traces import begin


def processing(service: str, item: Item, event: Event) -> Span | None:
    """The span of one event that is decided: a record of a topic, or a command of a caller or timer."""
    if item.record is None:
        return begin(f"decide {event.type}", kind=SpanKind.INTERNAL, parent=event.traceparent, tenure__service=service)
    return begin(
        f"process {item.record.topic}",
        kind=SpanKind.CONSUMER,
        parent=event.traceparent,
        tenure__service=service,
        messaging__system="kafka",
        messaging__operation__name="process",
        messaging__operation__type="process",
        messaging__destination__name=item.record.topic,
        messaging__destination__partition__id=str(item.record.partition),
        messaging__kafka__offset=item.record.offset,
        messaging__consumer__group__name=f"tenure.{service}",
        messaging__message__id=event.id,
        cloudevents__event_type=event.type,
    )


def creating(service: str, topic: str, parent: str) -> Span | None:
    """The span of an effect that waited in the state for its time: it belongs to the trace that put it there."""
    return begin(
        f"create {topic}",
        kind=SpanKind.PRODUCER,
        parent=parent,
        tenure__service=service,
        messaging__system="kafka",
        messaging__operation__name="create",
        messaging__operation__type="create",
        messaging__destination__name=topic,
    )


def sending(service: str, records: Iterable[Outgoing]) -> Span | None:
    """The span of one publication, linked to the traces whose records go out."""
    return begin(
        "send",
        kind=SpanKind.PRODUCER,
        links=(value.decode() for record in records for name, value in record.headers if name == "traceparent"),
        tenure__service=service,
        messaging__system="kafka",
        messaging__operation__name="send",
        messaging__operation__type="send",
    )


def end(span: Span, outcome: Outcome) -> None:
    """The transaction committed; what was refused says why, by its code."""
    if outcome.wrong is not None:
        span.set_attribute("error.type", outcome.wrong.code)
        span.set_status(Status(StatusCode.ERROR, outcome.wrong.code))
    span.end()
