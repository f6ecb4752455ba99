"""What the core said of a coverage extension, and how long it holds: a clause stands no longer than the cover it was added to.

The invariant: nobody is told of cover that ended with its policy, whatever days the endorsement names. What follows on that policy
without a gap, such as its renewal under a new number, carries the clause on; what is bought later does not.
"""

from datetime import date

from msgspec.structs import replace

from benefits.state import Answer, Grant, State


def answer_of(grant: Grant, state: State) -> Answer | None:
    """The core's answer, an endorsement with the day on which the last cover for it ends, if that is before its own."""
    answer = state.answers.get(grant.request_id) if grant.request_id else None
    if answer is None or answer.start is None or answer.end is None:
        return answer
    end = _covered_to(grant, state, answer.start, answer.end)
    return answer if end == answer.end else replace(answer, end=end)


def _covered_to(grant: Grant, state: State, start: date, end: date) -> date:
    """The end itself where the policy is not known. Without a day of cover: the start."""
    bearing = [term for term in state.terms.values() if term.policy_no == (grant.asked or grant.policy_no)]
    if not bearing:
        return end
    to = max((e for term in bearing for s, e in term.covers if s < end and start < e), default=start)
    lines = {term.product_line for term in bearing}
    for since, until in sorted(c for term in state.terms.values() if term.product_line in lines for c in term.covers):
        to = max(to, until) if start < to and since <= to else to
    return min(to, end)
