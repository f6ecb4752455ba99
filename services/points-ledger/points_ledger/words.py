"""An entry, or why there is none, in a sentence or two, in Chinese and in English, for whoever has the customer on the phone.

The invariant: nothing is said that the entry's own figures and the memory of its term do not say.
"""

from datetime import date
from typing import Any, Final, NamedTuple

from tenure.contracts.programme import Programme

from points_ledger.rules.account import ADJUSTMENT, GRACE, Reason
from points_ledger.rules.added_cover import added_by
from points_ledger.rules.caps import BUDGET, CAMPAIGN, CUT, CUT_AGAIN, WAITS
from points_ledger.rules.memory import Memory
from points_ledger.rules.term_memory import TermMemory

FULL: Final = 100
FEN_PER_CNY: Final = 100


class Said(NamedTuple):
    zh: str
    en: str


OWN_LABELS: Final = {
    ADJUSTMENT: Said("人工调整", "Correction by hand"),
    GRACE: Said("退还积分（原积分已过期）", "Refund of expired points"),
}
"""What earns without a rule of the programme."""
UNITS: Final = {"growth": Said("成长值", "growth point"), "agent": Said("代理人积分", "agent point")}
"""What is counted in the wallets that are not the member's to spend; everything else is points."""
POINTS: Final = Said("分", "point")
RANKS_ZH: Final = {"trainee": "见习", "agent": "代理人", "senior": "资深代理人", "manager": "主管"}
LIMITS_ZH: Final = (
    (CUT_AGAIN, "重新计算时的上限"), (f"{CUT} ", "上限 "), (WAITS, "等待活动预算 "), (BUDGET, "活动预算 "), (CAMPAIGN, "活动 "),
)  # fmt: skip
"""How what limits an entry begins, and that in Chinese; the rest is a code of the programme."""
PERIODS_ZH: Final = {"day": "每天", "year": "每年"}
NOTHING: Final[dict[Reason, Said]] = {
    "too_late": Said("上报时已超过活动日后{0}天，不再计分", "it was reported more than {0} days after its day"),
    "heard_late": Said("到达积分系统时已过可计分的时限", "it reached the ledger too long after its day to count"),
    "below": Said("上报数值未达到{0:,}", "what was reported stays below {0:,}"),
    "no_rule": Said("此类活动当日不计积分", "nothing is earned for this on that day"),
    "not_then": Said("仅{0}起、{1}前的活动计分", "it counts from {0} until before {1} only"),
    "not_for_line": Said("仅适用于险种{0}", "it counts for the product line {0} only"),
    "agent_left": Said(
        "代理人已于{0}离职，此后的服务不计分", "the agent left on {0}, and services from that day on do not count"
    ),
    "backfill": Said("补录的历史活动不计分", "activities entered afterwards as history earn nothing"),
    "rated": Said("按当日倍数计算后不足1分", "the multipliers of that day leave less than a point of it"),
}
"""Why an activity came to nothing, where it needs no more than what limits it."""
REVOKED: Final = {
    "policy.anniversary": Said("该周年不再成立", "that anniversary no longer stands"),
    "no_claim_year.completed": Said("该年度不再计为无理赔年度", "that year no longer counts as one without a claim"),
    "referral.converted": Said("所推荐的保单自始无效", "the policy that was referred never was"),
}
"""What was taken back, by what it was; a year may go for a claim, for cover that ended, or to another holder."""


def label_of(rule: Any, code: str) -> Said:
    """What an entry was for: by its rule, or by what the ledger itself calls it."""
    return Said(rule.label_zh, rule.label_en) if rule is not None else OWN_LABELS.get(code, Said(code, code))


def status_of(programme: Programme, why: Any) -> Said:
    """The tier or rank whose percent counted, as it is called."""
    status: str = why.tier_or_rank
    tier = next((one for one in programme.tiers.at(why.earned_on).tiers if one.name == status), None)
    return Said(tier.label_zh, tier.label_en) if tier else Said(RANKS_ZH.get(status, status), status)


def of_entry(why: Any, memory: Memory, status: Said) -> Said:
    """What it was for, how much, until when, and what became of it. `why` is a `reads.Why` or looks like one."""
    parts = [_earned(why, status), _limited(why), _dates(why), _taken_back(why, memory), _became(why)]
    said = [part for part in parts if part is not None]
    return Said("；".join(part.zh for part in said) + "。", "; ".join(part.en for part in said) + ".")


def of_nothing(on: date, label: Said, activity_id: str, reason: Reason, limited_by: str) -> Said:
    """Why an activity earned nothing."""
    why = _why_nothing(reason, limited_by)
    return Said(
        f"{on}，{label.zh}（{activity_id}）：未获得积分，{why.zh}。",
        f"{on}, {label.en}, {activity_id}: no points, for {why.en}.",
    )


def _why_nothing(reason: Reason, by: str) -> Said:
    match reason:
        case "limit":
            times, _, period = by.partition(" a ")
            if not period:
                return Said("该项只计一次，此前已计分", "it counts once, and had counted before")
            zh = f"该项{PERIODS_ZH.get(period, period)}最多计{times}次，此前已计满"
            return Said(zh, f"at most {times} a {period} counts, and that had been reached")
        case "capped":
            return Said(f"受限于：{_limit_zh(by)}", f"nothing was left of what limits it: {by}")
        case "below":
            return Said(*(text.format(int(by)) for text in NOTHING[reason]))
        case "not_then":
            return Said(*(text.format(*by.split("/")) for text in NOTHING[reason]))
    return Said(*(text.format(by) for text in NOTHING[reason]))


def _earned(why: Any, status: Said) -> Said:
    sum_ = _sum(why, status)
    about = f"{why.label_en}, {why.reference}"
    earned_zh = _unit_zh(why, why.granted)
    if why.tops_up:
        in_all = Said(f"，合计{sum_.zh}", f", in all{sum_.en}") if sum_.en else sum_
        return Said(
            f"{why.earned_on}，{why.label_zh}（{why.reference}）：在明细{why.tops_up}之外补发{earned_zh}{in_all.zh}",
            f"{why.earned_on}, {about}: {_counted(why)} on top of entry {why.tops_up}{in_all.en}",
        )
    return Said(
        f"{why.earned_on}，{why.label_zh}（{why.reference}）：获得{earned_zh}{sum_.zh}",
        f"{why.earned_on}, {about}: {_counted(why)}{sum_.en}",
    )


def _unit_zh(why: Any, number: int) -> str:
    return f"{number:,}{UNITS.get(why.wallet, POINTS).zh}"


def _counted(why: Any) -> str:
    return f"{why.granted:,} {UNITS.get(why.wallet, POINTS).en}" + ("" if why.granted == 1 else "s")


def _sum(why: Any, status: Said) -> Said:
    """The base by the percents that made it more or less; nothing where none did."""
    percents = [
        (why.status_percent, status),
        (why.product_line_percent, Said("险种", "product line")),
        (why.campaign_percent, Said(f"活动 {why.campaign}", why.campaign)),
    ]
    factors = [(percent, of) for percent, of in percents if percent != FULL]
    if not factors:
        return Said("", "")
    zh = "".join(f" x {percent} %（{of.zh}）" for percent, of in factors)
    en = "".join(f" x {percent} % ({of.en})" for percent, of in factors)
    return Said(f"（{why.base:,}{zh}）", f" ({why.base:,}{en})")


def _limited(why: Any) -> Said | None:
    by: str = why.capped_by
    if not by:
        return None
    return Said(f"受限于：{_limit_zh(by)}", f"limited by: {by}")


def _limit_zh(by: str) -> str:
    return next((text + by.removeprefix(begin) for begin, text in LIMITS_ZH if by.startswith(begin)), by)


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
    reason, others = _reason(why, memory), _not_its_own(why)
    return Said(
        f"冲回{_unit_zh(why, why.taken_back)}：{reason.zh}{others.zh}",
        f"{why.taken_back:,} {'was' if why.taken_back == 1 else 'were'} taken back: {reason.en}{others.en}",
    )


def _not_its_own(why: Any) -> Said:
    """What of the points taken back had been used: other entries gave them, or they are owed."""
    found = (
        (why.from_others, "取自其他明细", "of them from other entries"),
        (why.as_debt, "记为欠额", "of them as a debt"),
    )
    there = [one for one in found if one[0]]
    if not there:
        return Said("", "")
    zh = "，".join(f"{_unit_zh(why, points)}{zh}" for points, zh, _ in there)
    en = ", ".join(f"{points:,} {en}" for points, _, en in there)
    return Said(f"（其中{zh}）", f" ({en})")


def _reason(why: Any, memory: Memory) -> Said:
    if why.policy_no in memory.rescinded:
        return Said("保单已解除", "the policy was rescinded")
    if why.revoked:
        return REVOKED.get(why.source_type, Said("该事项已撤销", "what had earned it was taken back"))
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
    """What of it was used, is reserved, went elsewhere, or is over."""
    found = (
        ("已兑换", "spent", why.spent),
        ("预留中", "reserved", why.held),
        ("已过期", "expired", why.expired),
        ("抵扣欠额", "repaid a debt", why.repaid),
        ("人工扣减", "deducted by hand", why.deducted),
        ("为其他明细冲抵", "taken for other entries", why.for_others),
        ("剩余", "left", why.remaining),
    )
    there = [(zh, en, points) for zh, en, points in found if points]
    if not there:
        return None
    return Said(
        "，".join(f"{zh}{_unit_zh(why, points)}" for zh, _, points in there),
        ", ".join(f"{points:,} {en}" for _, en, points in there),
    )
