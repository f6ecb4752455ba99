"""The refusals of this service's rules and routes, as callers read them: code to (HTTP status, English, Chinese)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from policy_sync.rules import PROBLEMS as OF_FACTS
from policy_sync.rules import controls, imports

PROBLEMS: Final[Mapping[str, tuple[int, str, str]]] = MappingProxyType(
    {
        **OF_FACTS,
        **imports.PROBLEMS,
        **controls.PROBLEMS,
        "recorded_invalid": (
            422,
            "recorded must be a day, or an instant with its offset.",
            "recorded 必须为日期或带时区的时刻。",
        ),
        "phone_invalid": (422, "This is not a phone number that can be reached.", "手机号码无效。"),
        "contact_unavailable": (503, "Contact data cannot be read or kept here now.", "联系方式暂时无法读取或保存。"),
        "customer_erased": (409, "This customer was erased.", "该客户的个人信息已删除。"),
        "source_unusable": (
            422,
            "No such source is declared, or its declaration is wrong.",
            "数据源未声明或声明有误。",
        ),
        "part_empty": (422, "A part of a file must hold something.", "文件分段不能为空。"),
        "control_day_out_of_range": (
            422,
            "The day lies outside the years 1900 to 2199.",
            "日期超出 1900 至 2199 年的范围。",
        ),
        "nothing_to_compare": (422, "A control file holds counts, terms or both.", "对账文件必须包含汇总或明细。"),
    }
)
