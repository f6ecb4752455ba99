"""What contradicts the domain, or what is known, and is therefore refused. What is merely early, late or repeated is not."""

from collections.abc import Iterable, Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

from tenure.calendar import DAY, FIRST_DAY, LAST_DAY
from tenure.contracts import core
from tenure.contracts.decision import RefusedError
from tenure.contracts.event import Data

from policy_sync.rules.facts import Fact, Opening, business_key, says_the_same
from policy_sync.rules.fold import NO_SURVIVORS, Policy

FACTS_MAX: Final = 5_000
EARLIEST: Final = FIRST_DAY
LATEST: Final = LAST_DAY + DAY

PROBLEMS: Final = MappingProxyType(
    {
        "end_before_start": (422, "The end must be after the start.", "结束日期必须晚于开始日期。"),
        "term_overlaps": (
            422,
            "The term overlaps another term of the same policy.",
            "该保险期间与同一保单的其他保险期间重叠。",
        ),
        "contradicts_known_fact": (
            409,
            "Another fact under the same business number says something else.",
            "同一业务编号下已有内容不同的记录。",
        ),
        "date_out_of_range": (422, "A date lies outside the years 1900 to 2199.", "日期超出 1900 至 2199 年的范围。"),
        "too_many_facts": (409, "The policy has more facts than are kept.", "该保单的记录数量超过上限。"),
        "no_such_gap": (
            404,
            "No fact of this policy waits under this id, or several do: name its source.",
            "该保单下没有此编号的待处理记录，或有多条：请指明来源。",
        ),
        "merge_into_itself": (422, "A customer cannot be merged into itself.", "客户不能与自身合并。"),
        "survivor_merged": (
            409,
            "Who took this customer over has been merged into another since: undo the later merger first.",
            "该客户的合并方此后又被并入其他客户，请先撤销后一次合并。",
        ),
    }
)


def duplicate_of(fact: Fact, known: Iterable[Fact], persons: Mapping[str, str] = NO_SURVIVORS) -> Fact | None:
    """The same business fact under another id. Raises RefusedError contradicts_known_fact for another content.

    What was dismissed stays so when it is only delivered again; under another id the core means it.
    `persons`: customer numbers given up, and whose they are now.
    """
    key = business_key(fact)
    for other in known:
        if other.dismissed_after:
            if (other.source, other.id) == (fact.source, fact.id):
                return other
        elif business_key(other) == key:
            if not says_the_same(fact, other, persons):
                raise RefusedError("contradicts_known_fact", f"{other.id} said otherwise under the same number")
            return other
    return None


def check(fact: Fact, known: int, policy: Policy | None) -> None:
    """Raises RefusedError for a fact that cannot be true. `known` is how many facts its policy or customer has."""
    if known >= FACTS_MAX:
        raise RefusedError("too_many_facts", f"{FACTS_MAX} facts are kept at most")
    data = fact.data
    if isinstance(data, Opening) and policy is not None:
        _check_overlap(policy, data.term_no, data.start, data.end)
    if isinstance(data, core.PolicyEndorsed) and data.end is not None and policy is not None:
        _check_endorsed_end(policy, data.term_no, data.end)
    if isinstance(data, (core.CustomerMerged, core.CustomerUnmerged)) and data.merged_id == data.member_id:
        raise RefusedError("merge_into_itself", "member_id and merged_id are the same")


def check_dates(fact: Fact) -> None:
    """Raises RefusedError for dates that no fact can have, whatever else is known."""
    data: Data = fact.data
    dates = [d for name in data.__struct_fields__ if isinstance(d := getattr(data, name), date)]
    for day in (*dates, fact.day):
        if not EARLIEST <= day < LATEST:
            raise RefusedError("date_out_of_range", f"{day} is before {EARLIEST} or not before {LATEST}")
    start, end = getattr(data, "start", None), getattr(data, "end", None)
    if start is not None and end is not None and end <= start:
        raise RefusedError("end_before_start", f"the end {end} is not after the start {start}")


def _check_overlap(policy: Policy, term_no: int, start: date, end: date) -> None:
    for term in policy.terms:
        if term.term_no != term_no and term.covers and term.start < end and start < term.end:
            raise RefusedError(
                "term_overlaps", f"[{start}, {end}) overlaps term {term.term_no} [{term.start}, {term.end})"
            )


def _check_endorsed_end(policy: Policy, term_no: int, end: date) -> None:
    own = next((t for t in policy.terms if t.term_no == term_no), None)
    if own is None:
        return
    if end <= own.start:
        raise RefusedError("end_before_start", f"the new end {end} is not after the term's start {own.start}")
    _check_overlap(policy, term_no, own.start, end)
