"""Which field is wrong, and why, in English and Chinese: pydantic's findings without the values that were sent."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

ERRORS_MAX: Final = 50

_CHINESE: Final[Mapping[str, str]] = {
    "missing": "缺少必填字段",
    "extra_forbidden": "不允许的字段",
    "int_type": "必须为整数",
    "int_parsing": "必须为整数",
    "int_from_float": "必须为整数，不能带小数",
    "int_parsing_size": "整数过大",
    "float_type": "必须为数字",
    "bool_type": "必须为 true 或 false",
    "bool_parsing": "必须为 true 或 false",
    "string_type": "必须为字符串",
    "string_too_short": "长度过短",
    "string_too_long": "长度过长",
    "string_pattern_mismatch": "格式不正确",
    "literal_error": "不是允许的取值",
    "enum": "不是允许的取值",
    "list_type": "必须为数组",
    "dict_type": "必须为对象",
    "model_attributes_type": "必须为对象",
    "model_type": "必须为对象",
    "too_short": "条目过少",
    "too_long": "条目过多",
    "greater_than": "数值过小",
    "greater_than_equal": "数值过小",
    "less_than": "数值过大",
    "less_than_equal": "数值过大",
    "date_type": "必须为 YYYY-MM-DD 格式的日期",
    "date_parsing": "必须为 YYYY-MM-DD 格式的日期",
    "date_from_datetime_parsing": "必须为 YYYY-MM-DD 格式的日期",
    "date_from_datetime_inexact": "必须为 YYYY-MM-DD 格式的日期",
    "datetime_type": "必须为 RFC 3339 格式的时间",
    "datetime_parsing": "必须为 RFC 3339 格式的时间",
    "datetime_from_date_parsing": "必须为 RFC 3339 格式的时间",
    "timezone_aware": "时间必须带时区",
}
_ELSE: Final = "不符合要求"


class FieldError(msgspec.Struct, frozen=True):
    """One finding. `pointer` is a JSON pointer into the body (`#/lines/0/quantity`), or like `query/limit`."""

    pointer: str
    message: str
    message_zh: str


def field_errors(found: Sequence[Any], body: Any) -> list[FieldError]:
    """At most ERRORS_MAX findings; what was sent is never echoed."""
    return [
        FieldError(pointer(_place(e, body)), _english(e), _CHINESE.get(e["type"], _ELSE)) for e in found[:ERRORS_MAX]
    ]


def _place(error: Mapping[str, Any], body: Any) -> list[int | str]:
    """Where in what was sent: pydantic also names which of several shapes it tried, and that is no place in the body."""
    first, *steps = error["loc"]
    if first != "body":
        return [first, *steps]
    place, here = [first], body
    for step in steps:
        if (isinstance(here, dict) and step in here) or (
            isinstance(here, list) and isinstance(step, int) and step < len(here)
        ):
            place.append(step)
            here = here[step]
    return [*place, steps[-1]] if error["type"] == "missing" and steps else place


def pointer(loc: Sequence[int | str]) -> str:
    """Where in the request: RFC 6901 within the body, `place/name` elsewhere."""
    place, *steps = [str(step).replace("~", "~0").replace("/", "~1") for step in loc]
    return "/".join(["#" if place == "body" else place, *steps])


def _english(error: Mapping[str, Any]) -> str:
    """Pydantic's sentence; our own validators' without its prefix. None of the ones in use quotes the input."""
    return str(error["msg"]).removeprefix("Value error, ")
