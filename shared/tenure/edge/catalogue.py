"""The catalogue of problems every service can answer with: code -> (status, English title, Chinese title).

A code is stable for ever: apps branch on it. A service adds its own in `Service.problems`, by the same shape.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

Entry = tuple[int, str, str]
Catalogue = Mapping[str, Entry]

REFUSED: Final = "refused"

CATALOGUE: Final[Catalogue] = MappingProxyType(
    {
        # The request itself.
        "malformed_json": (400, "The body is not valid JSON.", "请求体不是有效的 JSON。"),
        "bad_request": (400, "The request cannot be understood.", "无法理解该请求。"),
        "cursor_invalid": (400, "The cursor is not one we gave out.", "分页游标无效。"),
        "idempotency_key_required": (
            400,
            "A write needs an Idempotency-Key header.",
            "写操作必须带 Idempotency-Key 请求头。",
        ),
        "idempotency_key_invalid": (
            400,
            "The Idempotency-Key must have 1 to 128 visible ASCII characters.",
            "Idempotency-Key 必须为 1 至 128 个可见 ASCII 字符。",
        ),
        "validation_failed": (422, "Some fields are not acceptable.", "部分字段不符合要求。"),
        "unsupported_media_type": (415, "The body must be application/json.", "请求体必须为 application/json。"),
        "body_too_large": (413, "The body is larger than allowed.", "请求体超过允许的大小。"),
        "method_not_allowed": (405, "This resource does not take that method.", "该资源不支持此请求方法。"),
        "not_acceptable": (406, "This resource has no such representation.", "该资源没有所要求的表示形式。"),
        # Who may.
        "unauthenticated": (401, "A valid token is needed.", "需要有效的访问令牌。"),
        "forbidden": (403, "This role may not do that.", "当前角色无权执行此操作。"),
        "not_found": (404, "There is nothing here.", "未找到该资源。"),
        # Writes.
        "idempotency_key_reused": (
            422,
            "This Idempotency-Key was used before with another request.",
            "该 Idempotency-Key 已用于另一个请求。",
        ),
        "idempotency_key_in_flight": (
            409,
            "The same request is being worked on; ask again.",
            "相同的请求正在处理中，请稍后重试。",
        ),
        "conflict": (409, "This does not fit the present state.", "与当前状态冲突。"),
        "data_refused": (422, "A value is not one that can be stored or looked up.", "存在无法保存或查询的数据。"),
        "rule_failed": (500, "A rule failed on this request; it was logged.", "业务规则执行出错，已记录。"),
        REFUSED: (422, "A rule refuses this.", "业务规则拒绝了该请求。"),
        # Rules published by two persons.
        "rules_invalid": (422, "These rules do not fit their schema.", "规则内容不符合格式要求。"),
        "effective_passed": (409, "Rules come into force on a day to come.", "规则的生效日必须晚于今天。"),
        "effective_taken": (409, "Another version comes into force on that day.", "该日期已有其他版本生效。"),
        "effective_far": (422, "That day is too far away.", "生效日过远。"),
        "too_many_drafts": (409, "Too many drafts wait for approval.", "待审批的规则草案过多。"),
        "draft_resolved": (409, "This draft does not wait any more.", "该草案已处理完毕。"),
        "rules_in_force": (409, "Rules in force are not withdrawn.", "规则已生效，不能撤回。"),
        "same_person": (409, "A second person must approve.", "须由另一人审批。"),
        # Ourselves.
        "rate_limited": (429, "Too many requests; slow down.", "请求过于频繁，请稍后再试。"),
        "overloaded": (503, "Too much work waits; ask again shortly.", "系统繁忙，请稍后重试。"),
        "unavailable": (503, "The service cannot answer now; ask again shortly.", "服务暂时不可用，请稍后重试。"),
        "not_ready": (503, "The service is not ready.", "服务尚未就绪。"),
        "internal": (500, "Something went wrong on our side; it was logged.", "服务内部错误，已记录。"),
    }
)


def merged(parts: Iterable[Catalogue]) -> Catalogue:
    """One catalogue of several. Two services that say one code differently are a fault of wiring and fail here."""
    whole: dict[str, Entry] = dict(CATALOGUE)
    for part in parts:
        for code, entry in part.items():
            assert whole.setdefault(code, entry) == entry, f"problem {code!r} is declared twice, and differently"
    return MappingProxyType(whole)
