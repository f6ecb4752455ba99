"""What a simulation came to, as operators read it: who moves where, who gains and loses, what it costs, and how that is computed.

The invariant: every figure is a sum over all members, or such a sum times a reference value of the programme's files.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import msgspec
from tenure.contracts.programme import BenefitRules, TierRules

from tier_engine.rules.compare import Question, Side, Weighed
from tier_engine.rules.value import FEN_PER_CNY, PERCENT, once_fen, yearly_fen

MONTHS_PER_YEAR: Final = 12
HOW: Final = (
    "Members are counted by the tier that their whole history gives under the rules that stand (current) and under the draft, "
    "on as_of and the same day of each month after it. {renewals} "
    "benefits_fen: for each month and each member with cover, a twelfth of what the tier's benefits cost in a year if all are used "
    "as often as they may be (reference_fen and quotas of benefits.yaml). "
    "once_fen: what is granted once in a life, for each member who comes to its tier between as_of and the last day and never had "
    "been there under the rules that stood until as_of. "
    "points_fen: for each month and each member with cover, a twelfth of the points that renewing every policy in force once and "
    "its next anniversary bring with the tier's multiplier (earning.yaml), at {points_per_cny} points for CNY 1. "
    "Benefits of a tier follow its rank: a tier that only the draft has brings what is granted from the tiers up to it. "
    "All members are those of one instant, when the simulation began."
)
GO_ON: Final = "Every policy in force on {day} is taken to go on for its premium."
END: Final = "No renewal is assumed: cover ends where it ends today."


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """So many members have one tier under the rules that stand and another (or the same) under the draft."""

    current: str
    draft: str
    members: int


class OnDay(msgspec.Struct, frozen=True, kw_only=True):
    """Members by tier on a day."""

    day: date
    current: Mapping[str, int]
    draft: Mapping[str, int]


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Over all months of the projection; `once_fen` is not part of `benefits_fen`."""

    benefits_fen: int
    points_fen: int
    once_fen: int


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """`more` is what the draft costs more (negative: less) than the rules that stand."""

    current: Cost
    draft: Cost
    more: Cost


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """`helped` and `harmed`: the first day from as_of on with another tier has a higher, or a lower one."""

    members: int
    helped: int
    harmed: int
    listed: int
    moves_on_first_day: Sequence[Move]
    moves_on_last_day: Sequence[Move]
    by_month: Sequence[OnDay]
    costs: Costs
    how: str


def result(question: Question, sums: Weighed, benefits: BenefitRules, *, listed: int) -> Result:
    current = _cost(question, sums.current, question.current, benefits)
    draft = _cost(question, sums.draft, question.draft, benefits)
    more = Cost(
        benefits_fen=draft.benefits_fen - current.benefits_fen,
        points_fen=draft.points_fen - current.points_fen,
        once_fen=draft.once_fen - current.once_fen,
    )
    return Result(
        members=sums.members,
        helped=sums.helped,
        harmed=sums.harmed,
        listed=listed,
        moves_on_first_day=_moves(sums.moves_first),
        moves_on_last_day=_moves(sums.moves_last),
        by_month=[
            OnDay(day=day, current=now, draft=then)
            for day, now, then in zip(question.days, sums.current.members, sums.draft.members, strict=True)
        ],
        costs=Costs(current=current, draft=draft, more=more),
        how=HOW.format(
            renewals=GO_ON.format(day=question.renewed_from) if question.renewals else END,
            points_per_cny=question.points.points_per_cny,
        ),
    )


def _moves(counts: Mapping[str, int]) -> list[Move]:
    return [
        Move(current=current, draft=draft, members=count)
        for (current, _, draft), count in sorted((key.partition(">"), count) for key, count in counts.items())
    ]


def _cost(question: Question, side: Side, versions: Sequence[TierRules], benefits: BenefitRules) -> Cost:
    benefits_fen = 0
    for day, covered in zip(question.days[:-1], side.covered, strict=False):
        rules = _at(versions, day)
        benefits_fen += sum(yearly_fen(benefits, rules, tier) * count for tier, count in covered.items())
    points = side.points_percent // (PERCENT * MONTHS_PER_YEAR)
    return Cost(
        benefits_fen=benefits_fen // MONTHS_PER_YEAR,
        points_fen=points * FEN_PER_CNY // question.points.points_per_cny,
        once_fen=once_fen(benefits, side.reached),
    )


def _at(versions: Sequence[TierRules], day: date) -> TierRules:
    begun = [rules for rules in versions if rules.effective <= day]
    return max(begun, key=lambda r: r.effective) if begun else min(versions, key=lambda r: r.effective)
