"""Events to records and back: CloudEvents attributes in `ce_` headers, data as JSON in the value (DESIGN section 3).

What cannot be understood is a `WrongEventError` with a stable code, never an exception of a parser: the caller parks it.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec
from asyncpg.pgproto.pgproto import UUID

from tenure.calendar import FIRST_DAY, LAST_DAY, SHANGHAI
from tenure.contracts.event import Data, Event, WrongEventError
from tenure.contracts.keys import key_of
from tenure.contracts.topic import OUTSIDE
from tenure.contracts.topics import TOPIC_OF, TYPE_OF, TYPES
from tenure.spine.log import Headers, Outgoing

VALUE_BYTES_MAX: Final = 1_048_576
ID_CHARS_MAX: Final = 256
KEY_CHARS_MAX: Final = 512
TRACEPARENT_CHARS: Final = 55
TIMES_KEPT: Final = 4_096
AHEAD_MAX: Final = timedelta(days=1)
"""How far the clock of whoever tells of something may be before the wall's."""
YEARS: Final = range(FIRST_DAY.year - 1, LAST_DAY.year + 2)
"""A time may lie in these: the years of dates, seen from any offset."""

_decoders: Final[Mapping[str, msgspec.json.Decoder[Any]]] = {
    name: msgspec.json.Decoder(cls) for name, cls in TYPES.items()
}
_encoder: Final = msgspec.json.Encoder()
_SPECVERSION: Final = ("ce_specversion", b"1.0")
_told_as: Final[Mapping[type[Data], tuple[str, tuple[str, bytes]]]] = {
    cls: (TOPIC_OF[name].name, ("ce_type", name.encode())) for cls, name in TYPE_OF.items()
}
_VALUE: Final = re.compile(r"value '.*'", re.DOTALL)
_TYPE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,79}")
_VERSION: Final = re.compile(r"/(v?\d{1,3})(?:\.json)?$")
_begins_as_uuid7: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7").match


class StructuredEvent(msgspec.Struct, kw_only=True):
    """A CloudEvent in structured JSON mode, as REST and files carry it. Unknown attributes are ignored."""

    id: str
    source: str
    type: str
    data: msgspec.Raw
    specversion: str = "1.0"
    time: datetime | None = None
    subject: str = ""
    backfill: bool = False
    dataschema: str = ""
    traceparent: str = ""


def encode(event: Event) -> Outgoing:
    """The record of an event, on the topic its type belongs to."""
    return record_of(
        event.data,
        key=event.key,
        id=event.id,
        source=event.source,
        time=event.time,
        subject=event.subject,
        backfill=event.backfill,
        traceparent=event.traceparent,
    )


def value_of(data: Data) -> bytes:
    """The value of the record that tells this."""
    return _encoder.encode(data)


def record_of(
    data: Data,
    *,
    key: str,
    id: str,  # noqa: A002 - CloudEvents' own word
    source: str,
    time: datetime,
    subject: str = "",
    backfill: bool = False,
    traceparent: str = "",
    value: bytes | None = None,
) -> Outgoing:
    """The record of data of a known type, without the detour over its envelope. `value`: what tells it, if that is known."""
    topic, type_header = _told_as[type(data)]
    key_bytes = key.encode()
    headers = [
        _SPECVERSION,
        ("ce_id", id.encode()),
        ("ce_source", source.encode()),
        type_header,
        ("ce_time", _encoder.encode(time)[1:-1]),
        ("ce_subject", subject.encode()),
        ("ce_partitionkey", key_bytes),
    ]
    if backfill:
        headers.append(("ce_backfill", b"true"))
    if traceparent:
        headers.append(("traceparent", traceparent.encode()))
    return Outgoing(topic, key_bytes, value_of(data) if value is None else value, headers)


def type_of(headers: Headers) -> str:
    """The type a record says it has, whatever else is in it; nothing where it says none."""
    for name, value in headers:
        if name == "ce_type":
            return value.decode(errors="replace") if value else ""
    return ""


def decode(headers: Headers, value: bytes | None) -> Event:
    """The event of a record. Raises WrongEventError: missing_attribute, unknown_type, unknown_version,
    malformed, date_out_of_range, too_large.
    """
    get = _attributes(headers).get
    ce_type = _attribute(get("ce_type", ""), "ce_type")
    data, key = _typed(ce_type, get("ce_dataschema", ""), value or b"")
    return Event(
        id=_attribute(get("ce_id", ""), "ce_id"),
        source=_attribute(get("ce_source", ""), "ce_source"),
        type=ce_type,
        key=key,
        time=parse_time(_attribute(get("ce_time", ""), "ce_time")),
        data=data,
        subject=get("ce_subject", ""),
        backfill=get("ce_backfill") == "true",
        traceparent=_traceparent(get("traceparent", "")),
    )


def _attributes(headers: Headers) -> dict[str, str]:
    """The headers, each of which must be text, whether or not anybody asks for it."""
    attributes: dict[str, str] = {}
    try:
        for name, raw in headers:
            if raw is None:
                raise WrongEventError("malformed", "a header has no value")
            attributes[name] = raw.decode()
    except UnicodeDecodeError as error:
        raise WrongEventError("malformed", f"a header is not UTF-8: {error.reason}") from None
    return attributes


def decode_structured(structured: StructuredEvent, *, received: datetime) -> Event:
    """The event of a structured CloudEvent; without a `time` it happened when it was received."""
    event_id, source = _attribute(structured.id, "id"), _attribute(structured.source, "source")
    when = _placed(structured.time or received)
    data, key = _typed(structured.type, structured.dataschema, bytes(structured.data))
    return Event(
        id=event_id,
        source=source,
        type=structured.type,
        key=key,
        time=when,
        data=data,
        subject=structured.subject,
        backfill=structured.backfill,
        traceparent=_traceparent(structured.traceparent),
    )


def latest_of(clock: str, now: datetime) -> datetime | None:
    """The last instant at which anything can have happened; None where the calendar stands where its days put it."""
    return now + AHEAD_MAX if clock == "wall" else None


def check_happened(event: Event, latest: datetime | None) -> None:
    """What Tenure did not tell itself must have happened: a fact ahead would let a member live up to it, for good.

    Raises WrongEventError time_in_future.
    """
    if latest is not None and event.time > latest and TOPIC_OF[event.type].producer.startswith(OUTSIDE):
        raise WrongEventError("time_in_future", f"{event.time.isoformat()} lies ahead, and counts once it has come")


def event_of(
    data: Data,
    *,
    id: str,  # noqa: A002 - CloudEvents' own word
    source: str,
    time: datetime,
    backfill: bool = False,
    traceparent: str = "",
) -> Event:
    """The envelope for data of a known type; its key and type come from the table of topics."""
    return Event(
        id=id,
        source=source,
        type=TYPE_OF[type(data)],
        key=key_of(data),
        time=time,
        data=data,
        backfill=backfill,
        traceparent=traceparent,
    )


@lru_cache(maxsize=TIMES_KEPT)
def parse_time(text: str) -> datetime:
    """An RFC 3339 time with its offset: kept, for all effects of a cause carry its time. Raises as `_placed`."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise WrongEventError("malformed", "time is not RFC 3339, like 2026-01-31T09:00:00+08:00") from None
    _placed(when)
    return when.replace(tzinfo=SHANGHAI) if when.tzinfo == SHANGHAI else when


def _placed(when: datetime) -> datetime:
    """A time that names its offset and has a day in the calendar. Raises WrongEventError malformed, date_out_of_range."""
    if when.tzinfo is None:
        raise WrongEventError("malformed", "time must name its offset, like 2026-01-31T09:00:00+08:00")
    if when.year not in YEARS:
        raise WrongEventError("date_out_of_range", f"time: the year {when.year} lies outside 1900 to 2199")
    return when


def event_key(source: str, event_id: str) -> UUID:
    """Sixteen bytes that stand for (source, id) in the inbox.

    A time-ordered UUID keeps its leading half, so that the inbox's index grows at its right edge whatever its size.
    """
    digest = hashlib.blake2b(f"{source}\0{event_id}".encode(), digest_size=16).digest()
    if len(event_id) == 36 and event_id[14] == "7":  # noqa: PLR2004 - the text form of a UUIDv7
        try:
            return UUID(bytes.fromhex(event_id[:8] + event_id[9:13] + event_id[14:18]) + digest[:8])
        except ValueError:
            pass
    return UUID(digest)


def beginning(event_id: str) -> str:
    """The time with which a UUIDv7 begins, up to the dash before its version; nothing of any other id."""
    return event_id[:14] if _begins_as_uuid7(event_id) else ""


def ordering_key(key: str) -> str:
    """A key as PostgreSQL takes it: what blocks its own kind, whatever bytes a producer put there."""
    if key.isascii() and len(key) <= KEY_CHARS_MAX and "\0" not in key:
        return key
    return key.replace("\0", "").encode(errors="replace").decode()[:KEY_CHARS_MAX]


def utc_now() -> datetime:
    """The edge's clock. Rules never call it."""
    return datetime.now(UTC)


def _traceparent(text: str) -> str:
    """It goes on to every effect, so it is a trace's context or nothing."""
    return text if len(text) == TRACEPARENT_CHARS else ""


def _attribute(value: str, name: str) -> str:
    if not value or len(value) > ID_CHARS_MAX:
        raise WrongEventError("missing_attribute", f"{name} must have 1 to {ID_CHARS_MAX} characters")
    return value


def _typed(ce_type: str, dataschema: str, value: bytes) -> tuple[Data, str]:
    """The data of an event, and its key."""
    decoder = _decoders.get(ce_type)
    if decoder is None:
        raise WrongEventError("unknown_type", f"no event type {type_name(ce_type)} is known here")
    if dataschema and not dataschema.removesuffix(".json").endswith("/1"):
        raise WrongEventError("unknown_version", f"{ce_type} has version 1 here, not {_version(dataschema)}")
    if len(value) > VALUE_BYTES_MAX:
        raise WrongEventError("too_large", f"{len(value)} bytes; at most {VALUE_BYTES_MAX}")
    try:
        data: Data = decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WrongEventError("malformed", without_values(error)) from None
    return data, key_of(data)


def without_values(error: Exception) -> str:
    """What a decoder says of what it was given, but for the value itself, which may be anybody's name."""
    return _VALUE.sub("value", str(error))[:300]


def type_name(ce_type: str) -> str:
    """A type as it was given, if it is a name; somebody may have put anything there."""
    return repr(ce_type) if _TYPE.fullmatch(ce_type) else "of that name"


def _version(dataschema: str) -> str:
    named = _VERSION.search(dataschema)
    return named[1] if named else "that of its dataschema"
