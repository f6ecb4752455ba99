"""What a request's body may be: unknown fields are refused, and an integer is an integer, not "5", 5.0 or true.

JSON has no dates, so those come as ISO strings, and only as strings: a number is not taken for a day since 1970.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_NUMBERS: Final = ("int", "float", "bool")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:", re.ASCII)
_OPAQUE: Final = ("metadata", "default", "cls", "expected")

Id = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\s\x00-\x1f\x7f-\x9f/]+$")]
MemberId = Id
"""A member's number as the core writes it: 1 to 64 characters, no spaces, no slash."""
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")]
"""One line of free text: no control characters, of which a database refuses some. Give it a length."""
Words = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$")]
"""A line of text that says something, as a reason must: not blanks alone. Give it a length, too."""
After = Annotated[Text, Query(max_length=64, description="`next_after` of the page before")]
"""Where a list of all members goes on."""


def _iso_date(value: Any) -> Any:
    if isinstance(value, date) or (isinstance(value, str) and _DATE.fullmatch(value)):
        return value
    raise PydanticCustomError("date_type", "Input should be a date such as 2026-01-31")


def _iso_time(value: Any) -> Any:
    if isinstance(value, datetime) or (isinstance(value, str) and _TIME.match(value)):
        return value
    raise PydanticCustomError("datetime_type", "Input should be a time such as 2026-01-31T09:00:00+08:00")


Day = Annotated[date, BeforeValidator(_iso_date)]
"""A date in a query: only as `2026-01-31`. (In a body every `date` is one.)"""

Instant = Annotated[AwareDatetime, BeforeValidator(_iso_time)]
"""An instant in a query: with its offset, never as a number."""

_ISO: Final[Mapping[Any, Callable[[Any], Any]]] = {"date": _iso_date, "datetime": _iso_time}


def _exact(node: Any) -> Any:
    """The same schema, in which numbers are strict and dates are strings."""
    if isinstance(node, (list, tuple)):
        return type(node)(_exact(item) for item in node)
    if not isinstance(node, dict):
        return node
    exact = {key: value if key in _OPAQUE else _exact(value) for key, value in node.items()}
    if exact.get("type") in _NUMBERS:
        exact["strict"] = True
    if exact.get("type") in ("date", "datetime"):
        return core_schema.no_info_before_validator_function(_ISO[exact["type"]], exact)
    return exact


class Body(BaseModel):
    """The base of every request body."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: CoreSchema = _exact(handler(source))
        return schema
