"""What may be proposed by hand in a day: by one maker, and for one member.

The invariant: neither limit is ever exceeded; a constraint of the table holds it, however many ask at once. What is read before
only says so in words. Up or down counts alike, and what was rejected has been proposed all the same.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final

from tenure.contracts.programme import EarningRules

from points_ledger.columns import USE, arrays, unnested
from points_ledger.commands import ProposeAdjustment
from points_ledger.rules.account import AdjustmentUse

USED: Final = "SELECT role, who, points FROM adjustment_days WHERE day = $1 AND who = ANY ($2)"
KNOWN: Final = "SELECT adjustment_id FROM adjustments WHERE adjustment_id = ANY ($1)"
COUNT: Final = f"""
    INSERT INTO adjustment_days SELECT * FROM {unnested(USE)} ORDER BY day, role, who
    ON CONFLICT (day, role, who) DO UPDATE
    SET points = adjustment_days.points + excluded.points, points_max = excluded.points_max"""
"""In one order, so that two transactions that count for the same persons cannot wait for one another in a ring."""


async def count(conn: Any, uses: Iterable[AdjustmentUse]) -> None:
    """Count what was proposed, inside the caller's transaction. PostgreSQL raises when a limit is exceeded."""
    points: Counter[tuple[date, str, str, int]] = Counter()
    for use in uses:
        points[use.day, use.role, use.who, use.points_max] += use.points
    if points:
        rows = [(day, role, who, n, most) for (day, role, who, most), n in points.items()]
        await conn.execute(COUNT, *arrays(rows))


async def exceeding(conn: Any, day: date, rules: EarningRules, proposed: Sequence[ProposeAdjustment]) -> dict[str, str]:
    """Of these, in their order, those that no longer fit into the day: adjustment id to why. What is there already fits."""
    known = {row[0] for row in await conn.fetch(KNOWN, [one.adjustment_id for one in proposed])}
    people = sorted({name for one in proposed for name in (one.proposed_by, one.member_id)})
    used = Counter({(row["role"], row["who"]): row["points"] for row in await conn.fetch(USED, day, people)})
    wrong: dict[str, str] = {}
    for one in proposed:
        points, maker, member = abs(one.points), ("maker", one.proposed_by), ("member", one.member_id)
        if one.adjustment_id in known:
            continue
        if used[maker] + points > rules.adjustment_maker_day_points_max:
            wrong[one.adjustment_id] = (
                f"one person proposes at most {rules.adjustment_maker_day_points_max} points a day"
            )
        elif used[member] + points > rules.adjustment_member_day_points_max:
            wrong[one.adjustment_id] = f"at most {rules.adjustment_member_day_points_max} points a day for one member"
        else:
            used[maker] += points
            used[member] += points
    return wrong
