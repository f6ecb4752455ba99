"""What the mall refuses, and how it says so: code -> (status, English, Chinese). A code is stable for ever."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PROBLEMS: Final[Mapping[str, tuple[int, str, str]]] = MappingProxyType(
    {
        "unknown_sku": (404, "The catalogue has no such item.", "商品目录中没有该商品。"),
        "tier_too_low": (403, "Your tier does not open this item yet.", "当前等级尚不能兑换该商品。"),
        "limit_reached": (409, "One member may not have so many of this item.", "超出该商品的个人兑换上限。"),
        "quote_expired": (409, "The quoted price is no longer valid; ask for a new quote.", "报价已过期，请重新询价。"),
        "out_of_stock": (409, "Fewer units are left than you asked for.", "库存不足。"),
        "not_a_code": (409, "This item has no codes.", "该商品没有兑换码。"),
        "code_not_ready": (409, "The code is not there yet.", "兑换码尚未就绪。"),
        "code_gone": (
            409,
            "There is no code: the points went back, or are going back.",
            "积分已退回或正在退回，无兑换码。",
        ),
        "code_viewed": (409, "A code that was viewed cannot be given back.", "兑换码已查看，不能退还。"),
        "already_shipped": (409, "The goods have left already.", "商品已发货。"),
        "already_delivered": (409, "It was delivered already.", "商品已送达。"),
        "nothing_to_refund": (409, "No points were taken for this order.", "该订单未扣除积分，无可退还。"),
        "refund_refused": (
            409,
            "The time in which this order's points can be given back is over; the order stands.",
            "该订单已超过可退还积分的期限，订单保持不变。",
        ),
        "order_in_progress": (
            409,
            "The order is still being worked on; ask again shortly.",
            "订单处理中，请稍后再试。",
        ),
        "member_merged": (
            409,
            "This number was merged into another: use that one.",
            "该编号已并入另一客户编号，请使用合并后的编号。",
        ),
        "not_shippable": (409, "This order cannot be shipped now.", "该订单当前不能发货。"),
        "not_deliverable": (409, "This order cannot be delivered now.", "该订单当前不能签收。"),
        "stock_is_codes": (409, "The stock of this item is its codes.", "该商品的库存由兑换码决定。"),
        "stock_too_high": (409, "More units would be stocked than a shelf may ever hold.", "库存总量超过上限。"),
        "stock_below_zero": (409, "Fewer units are on the shelf than would be taken.", "库存不足以扣减。"),
    }
)
