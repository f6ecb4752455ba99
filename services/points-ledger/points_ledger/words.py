"""An entry explained in a sentence or two, in Chinese and in English, for whoever has the customer on the phone.

The invariant: nothing is said that the entry's own figures and the memory of its term do not say.
"""

from typing import Any, Final, NamedTuple

from points_ledger.rules.added_cover import added_by
from points_ledger.rules.memory import Memory
from points_ledger.rules.term_memory import TermMemory

FULL: Final = 100
FEN_PER_CNY: Final = 100


class Said(NamedTuple):
    zh: str
    en: str


def of_entry(why: Any, memory: Memory) -> Said:
    """What it was for, how much, until when, and what became of it. `why` is a `reads.Why` or looks like one."""
    parts = [_earned(why), _limited(why), _dates(why), _taken_back(why, memory), _became(why)]
    said = [part for part in parts if part is not None]
    return Said("；".join(part.zh for part in said) + "。", "; ".join(part.en for part in said) + ".")


def _earned(why: Any) -> Said:
    percents = [
        (why.status_percent, why.tier_or_rank),
        (why.product_line_percent, "product line"),
        (why.campaign_percent, why.campaign),
    ]
    factors = "".join(f" x {percent} % ({of})" for percent, of in percents if percent != FULL)
    sum_ = f" ({why.base}{factors})" if factors else ""
    about = f"{why.label_en}, {why.reference}"
    if why.tops_up:
        return Said(
            f"{why.earned_on}，{why.label_zh}（{why.reference}）：在明细{why.tops_up}之外补发{why.granted}分，合计{sum_}",
            f"{why.earned_on}, {about}: {why.granted} points more than entry {why.tops_up} had, in all{sum_}",
        )
    return Said(
        f"{why.earned_on}，{why.label_zh}（{why.reference}）：获得{why.granted}分{sum_}",
        f"{why.earned_on}, {about}: {why.granted} points{sum_}",
    )


def _limited(why: Any) -> Said | None:
    return Said(f"受限于：{why.capped_by}", f"limited by: {why.capped_by}") if why.capped_by else None


def _dates(why: Any) -> Said:
    ends_on = why.cut_on or why.expires_on
    starts = why.activates_on > why.earned_on
    zh, en = (f"{why.activates_on}起可用，", f"usable from {why.activates_on}, ") if starts else ("", "")
    if ends_on is None:
        return Said(f"{zh}长期有效", f"{en}never expiring")
    return Said(f"{zh}{ends_on}零时失效", f"{en}expiring at the start of {ends_on}")


def _taken_back(why: Any, memory: Memory) -> Said | None:
    if not why.taken_back:
        return None
    reason = _reason(why, memory)
    return Said(f"冲回{why.taken_back}分：{reason.zh}", f"{why.taken_back} were taken back: {reason.en}")


def _reason(why: Any, memory: Memory) -> Said:
    if why.policy_no in memory.rescinded:
        return Said("保单已解除", "the policy was rescinded")
    if why.revoked:
        return Said("该事项已撤销", "what they were for was taken back")
    term = memory.term_of(why.policy_no, why.term_no, why.earned_on) if why.policy_no else None
    return (
        _of_term(why, term) if term is not None else Said("按更正后的情况重新计算", "counted again after a correction")
    )


def _of_term(why: Any, term: TermMemory) -> Said:
    if term.void:
        return Said("该期保险自始无效", "the policy term never was")
    added = added_by(why.reference, f"{why.policy_no}/{why.term_no}", term)
    if added is not None and added.gone_fen:
        gone, of = f"{added.gone_fen / FEN_PER_CNY:,.2f}", f"{added.fen / FEN_PER_CNY:,.2f}"
        return Said(f"加保{of}元，其中{gone}元已减保", f"of the cover added for CNY {of}, CNY {gone} was taken away")
    if term.refunded_fen:
        back, paid = f"{term.refunded_fen / FEN_PER_CNY:,.2f}", f"{term.paid_fen / FEN_PER_CNY:,.2f}"
        return Said(f"保费{paid}元已退{back}元", f"CNY {back} of the premium of CNY {paid} was refunded")
    if term.ended is not None and why.earned_on > term.ended:
        return Said(f"保险已于{term.ended}终止", f"the cover had ended on {term.ended}")
    return Said("按更正后的情况重新计算", "counted again after a correction")


def _became(why: Any) -> Said | None:
    """What of it was used, is reserved, or is over."""
    found = (
        ("已兑换", "spent", why.spent),
        ("预留中", "reserved", why.held),
        ("已过期", "expired", why.expired),
        ("剩余", "left", why.remaining),
    )
    there = [(zh, en, points) for zh, en, points in found if points]
    if not there:
        return None
    return Said(
        "，".join(f"{zh}{points}分" for zh, _, points in there), ", ".join(f"{points} {en}" for _, en, points in there)
    )
