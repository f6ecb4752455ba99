"""The refusals of this service's rules and routes, as callers read them: code to (HTTP status, English, Chinese)."""

from collections.abc import Mapping
from typing import Final

from tier_engine.whatif import store

PROBLEMS: Final[Mapping[str, tuple[int, str, str]]] = {
    "not_renewable": (
        404,
        "This member has no term of that policy that could be renewed.",
        "该会员没有可续保的该保单。",
    ),
    "too_many_terms": (
        422,
        "A member cannot have that many policy terms.",
        "单个会员的保单期数超过上限。",
    ),
    "too_many_simulations": (
        409,
        f"At most {store.WAITING_MAX} simulations wait or run at a time.",
        f"同时等待或运行的模拟最多 {store.WAITING_MAX} 个。",
    ),
    "simulated_day_out_of_range": (422, "That day is too far away to simulate.", "该日期超出可模拟的范围。"),
}
