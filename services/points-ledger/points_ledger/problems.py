"""The refusals of this service's rules, as callers read them: code to (HTTP status, English, Chinese)."""

from collections.abc import Mapping
from typing import Final

PROBLEMS: Final[Mapping[str, tuple[int, str, str]]] = {
    "insufficient_points": (409, "There are not enough points available.", "可用积分不足。"),
    "debt_outstanding": (
        409,
        "Points taken back after they were spent are still owed; redemption waits until they are earned.",
        "存在尚未抵扣的积分欠额，暂不能兑换。",
    ),
    "hold_exists": (409, "A hold with this id was placed before.", "该预留编号已存在。"),
    "hold_resolved": (
        409,
        "The hold was captured, released or timed out before.",
        "该预留已被扣减、释放或超时。",
    ),
    "hold_too_small": (422, "The hold has fewer points.", "预留的积分少于所要扣减的积分。"),
    "hold_too_large": (422, "A hold cannot have so many points.", "单次预留的积分超过上限。"),
    "hold_not_captured": (409, "Only a captured hold can be refunded.", "只有已扣减的预留才能退还。"),
    "refund_too_large": (409, "Fewer points of this hold are left to refund.", "可退还的积分少于所要退还的积分。"),
    "activity_in_future": (422, "The activity lies in the future.", "活动日期晚于今天。"),
    "too_many_waiting": (
        409,
        "Too much waits under a number that was given up for whoever the person is now.",
        "该编号已并入其他客户，等待转交的事项过多。",
    ),
    "date_out_of_range": (422, "A date lies outside the years 1900 to 2199.", "日期超出 1900 至 2199 年的范围。"),
    "activity_too_late": (422, "The activity is reported too late to count.", "活动上报过晚，不再计分。"),
    "no_session": (422, "This activity counts once a session: name the session.", "该活动按场次计分，请提供场次编号。"),
    "not_by_oneself": (
        403,
        "Whoever saw this activity reports it, not the one who did it.",
        "该活动须由见证方上报，不能由本人上报。",
    ),
    "self_referral": (422, "Nobody refers themselves.", "不能推荐本人。"),
    "hold_open": (409, "Points that go back are reserved for an order.", "相关积分已被预留，暂不能拆分。"),
    "account_frozen": (
        409,
        "This account is frozen: nothing can be redeemed until two persons release it.",
        "账户已冻结，须经双人复核解冻后方可兑换。",
    ),
    "member_merged": (
        409,
        "This number was merged into another: use that one.",
        "该编号已并入另一客户编号，请使用合并后的编号。",
    ),
    "unknown_member": (422, "Nothing was ever heard of this member.", "未知的会员编号。"),
    "adjustment_points_unwanted": (422, "Freezing and unfreezing move no points.", "冻结与解冻不涉及积分。"),
    "debt_too_small": (422, "A write-off is at most what is owed.", "核销的积分不得超过欠额。"),
    "agent_left": (409, "Services after an agent has left do not count.", "代理人离职后的服务不计分。"),
    "agent_not_left": (409, "This agent has not left.", "该代理人未离职。"),
    "same_account": (422, "An agent's and a member's number differ.", "代理人编号与会员编号不能相同。"),
    "file_refused": (422, "The file cannot be read; nothing was taken from it.", "文件无法读取，未作任何处理。"),
    "statement_too_long": (
        422,
        "The statement has too many lines for one file: name dates.",
        "对账单行数过多，请指定日期范围。",
    ),
    "same_person": (409, "A second person must approve.", "须由另一人审批。"),
    "own_account": (403, "Nobody adjusts an account of their own.", "不得调整本人账户。"),
    "adjustment_exists": (409, "This adjustment was proposed before.", "该调整已提交过。"),
    "adjustment_resolved": (409, "This adjustment does not wait for approval.", "该调整不在待审批状态。"),
    "adjustment_too_large": (422, "An adjustment has a limit.", "调整的积分超过上限。"),
    "adjustment_day_limit": (
        409,
        "The day's limit for adjustments by one person, or for one member, is reached.",
        "当日调整额度（单人或单个会员）已用完。",
    ),
    "no_root": (404, "No root was published for this day.", "该日没有已发布的账本摘要。"),
    "entry_changed": (
        409,
        "An entry is not what was sealed: the ledger must be examined.",
        "账目与封存记录不一致，须核查账本。",
    ),
}
