"""The refusals of this service's rules and routes, as callers read them: code to (HTTP status, English, Chinese)."""

from collections.abc import Mapping
from typing import Final

PROBLEMS: Final[Mapping[str, tuple[int, str, str]]] = {
    "grant_unknown": (404, "There is no such benefit grant.", "没有该权益。"),
    "use_unknown": (404, "There is no such use.", "没有该使用记录。"),
    "use_is_over": (
        409,
        "Its day is over: a member can give a use back until then, an agent or an operator also later.",
        "使用日期已过，会员本人不能再撤销；如未实际使用，请联系代理人或客服。",
    ),
    "quota_used_up": (409, "The benefit is used up for this period.", "本周期的权益次数已用完。"),
    "not_in_force": (409, "No policy is in force on that day.", "当日没有有效保单，暂不能使用权益。"),
    "benefit_revoked": (409, "The benefit is no longer granted.", "该权益已收回。"),
    "outside_period": (409, "The day lies outside the benefit's period.", "该日期不在权益有效期内。"),
    "extension_not_active": (
        409,
        "The coverage extension is not in force; it needs the insurer's endorsement.",
        "扩展保障尚未生效，须以保险公司批单为准。",
    ),
    "use_in_future": (422, "A use cannot lie in the future; make an appointment.", "不能登记未来的使用，请改为预约。"),
    "reference_not_a_code": (
        422,
        "A reference is a code of letters, digits and . _ : / # -, such as WO-88231; it must not say anything about a person.",
        "参考号只能是由字母、数字和 . _ : / # - 组成的编号（如 WO-88231），不得填写个人信息。",
    ),
    "slot_in_past": (422, "An appointment cannot lie in the past.", "预约日期不能早于今天。"),
    "not_bookable": (422, "This benefit is not one to make an appointment for.", "该权益无需预约。"),
    "tier_engine_unreachable": (
        503,
        "The renewal preview cannot be computed now; ask again shortly.",
        "暂时无法计算续保预览，请稍后重试。",
    ),
}
