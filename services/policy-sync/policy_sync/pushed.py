"""Facts pushed over REST: an array of CloudEvents, each standing or falling alone, each answered.

An event's own id and source make it safe to push again: it is answered `duplicate` and has no second effect; `refused` if it says
otherwise than it did. One that is refused is told why and is not kept, so that it can be corrected and pushed under the same id.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import msgspec
from tenure.contracts.event import Event, WrongEventError
from tenure.contracts.topics import TOPIC_OF
from tenure.edge.catalogue import REFUSED, Catalogue
from tenure.edge.problems import Problem
from tenure.edge.whole import given_twice
from tenure.spine.codec import StructuredEvent, check_happened, decode_structured, type_name, without_values
from tenure.spine.transact import Outcome

FACTS_MAX: Final = 1_000
PLACES_MAX: Final = 5
PLACE_CHARS_MAX: Final = 80

Status = Literal["accepted", "duplicate", "waiting", "refused"]

# What can be wrong with one event of an array; the array itself is answered 200.
_WRONG: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "malformed": ("The event is not a CloudEvent of this type.", "该事件不符合其类型的格式要求。"),
        "missing_attribute": ("An attribute of the event is missing.", "事件缺少必要属性。"),
        "unknown_type": ("There is no fact of this type.", "没有该类型的业务事实。"),
        "unknown_version": ("This version of the type is not known.", "不支持该类型的此版本。"),
        "same_id": ("An id is one event for ever: this one was another's.", "同一事件编号不可用于不同内容的事件。"),
        "too_large": ("The event is too large.", "事件过大。"),
        "time_in_future": (
            "The event's time lies more than one day ahead.",
            "事件时间比当前时间晚一天以上。",
        ),
        "behind": (
            "An earlier event of the same policy or customer is parked.",
            "同一保单或客户的先前事件已被搁置，请等待处理。",
        ),
    }
)


class Wrong(NamedTuple):
    """An element that is no fact, with what could be read of its name."""

    id: str
    source: str
    wrong: WrongEventError


class Refusal(msgspec.Struct, frozen=True):
    code: str
    title: str
    title_zh: str
    detail: str


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one pushed event."""

    id: str
    source: str
    status: Status
    problem: Refusal | None = None


class Results(msgspec.Struct, frozen=True):
    results: Sequence[Result]


class _Answer(msgspec.Struct):
    status: Status


_answers: Final = msgspec.json.Decoder(_Answer)


def split(body: bytes) -> list[msgspec.Raw]:
    """The array's elements. Raises Problem malformed_json, validation_failed."""
    try:
        elements = msgspec.json.decode(body, type=list[msgspec.Raw])
    except msgspec.ValidationError:
        raise Problem(
            "validation_failed", "The body must be an array of events.", detail_zh="请求体必须为事件数组。"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem("malformed_json") from None
    if not 1 <= len(elements) <= FACTS_MAX:
        detail, zh = f"Push 1 to {FACTS_MAX} events at once.", f"每次须提交 1 至 {FACTS_MAX} 个事件。"
        raise Problem("validation_failed", detail, detail_zh=zh)
    return elements


def read(raw: msgspec.Raw, *, moment: datetime, latest: datetime | None, traceparent: str = "") -> Event | Wrong:
    """The fact in one element. Without a time of its own it happened at `moment`; after `latest` is the future, if any is.

    Without a trace of its own it belongs to the request's. One that gives a name twice is none: its sender may mean either.
    """
    try:
        structured = msgspec.json.decode(raw, type=StructuredEvent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Wrong("", "", WrongEventError("malformed", without_values(error)))
    try:
        check_whole(bytes(raw))
        event = _fact(structured, moment, latest)
    except WrongEventError as wrong:
        return Wrong(structured.id, structured.source, wrong)
    return event if event.traceparent else msgspec.structs.replace(event, traceparent=traceparent)


def check_whole(text: bytes) -> None:
    """Raises WrongEventError malformed, with the place of each name that an event gives more than once."""
    try:
        places = given_twice(text)
    except (ValueError, RecursionError):
        raise WrongEventError("malformed", "the event is no JSON that can be read") from None
    if places:
        names = ", ".join("/".join(map(str, place))[:PLACE_CHARS_MAX] for place in places[:PLACES_MAX])
        raise WrongEventError("malformed", f"given more than once: {names}")


def _fact(structured: StructuredEvent, moment: datetime, latest: datetime | None) -> Event:
    topic = TOPIC_OF.get(structured.type)
    if topic is None or not topic.name.startswith("core."):
        raise WrongEventError("unknown_type", f"{type_name(structured.type)} is not a fact of the core")
    event = decode_structured(structured, received=moment)
    check_happened(event, latest)
    return event


def results(read_: Sequence[Event | Wrong], outcomes: Sequence[Outcome], catalogue: Catalogue) -> Results:
    """One result per element, in order. `outcomes` are those of the elements that could be read."""
    done = iter(outcomes)
    return Results(
        [_refused(r, catalogue) if isinstance(r, Wrong) else _result(r, next(done), catalogue) for r in read_]
    )


def _result(event: Event, outcome: Outcome, catalogue: Catalogue) -> Result:
    if outcome.wrong is not None:
        return _refused(Wrong(event.id, event.source, outcome.wrong), catalogue)
    status: Status = "duplicate" if outcome.seen else _answers.decode(outcome.body).status
    return Result(event.id, event.source, status)


def _refused(found: Wrong, catalogue: Catalogue) -> Result:
    code, detail = found.wrong.code, found.wrong.detail
    title, title_zh = _WRONG.get(code) or catalogue.get(code, catalogue[REFUSED])[1:]
    return Result(found.id, found.source, "refused", Refusal(code, title, title_zh, detail))
