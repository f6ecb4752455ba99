"""The refusals of this service's rules and routes, as callers read them: code to (HTTP status, English, Chinese)."""

from collections.abc import Mapping
from typing import Final

PROBLEMS: Final[Mapping[str, tuple[int, str, str]]] = {
    "unknown_template": (422, "No such message can be asked for.", "没有可供请求的该消息模板。"),
    "missing_params": (422, "The message lacks values its text needs.", "消息缺少模板所需的参数。"),
    "wrong_params": (422, "The message has values its text cannot be written with.", "消息参数的类型不符合模板要求。"),
}
