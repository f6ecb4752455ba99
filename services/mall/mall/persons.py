"""All numbers of a person, found from any of them: who was merged into whom, up and down, as it stands in `members`."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from mall.rules.members import Tie, goes_by
from mall.states import Person

_taken: Final = msgspec.json.Decoder(dict[str, int])

# A number that others were merged into needs no row of its own. A ring ends because a number that was found is not found again.
_NUMBERS: Final = """
WITH RECURSIVE person (asked, number) AS (
  SELECT n COLLATE "C", n COLLATE "C" FROM unnest($1::text[]) AS n
  UNION
  SELECT p.asked, tied.number
  FROM person p CROSS JOIN LATERAL (
    SELECT merged_into AS number FROM members WHERE member_id = p.number AND merged_into IS NOT NULL
    UNION ALL
    SELECT member_id FROM members WHERE merged_into = p.number) AS tied)
SELECT p.asked, p.number, m.merged_into, m.tied_at, m.taken
FROM person p LEFT JOIN members m ON m.member_id = p.number
"""


async def persons(conn: Any, numbers: Iterable[str]) -> dict[str, Person]:
    """The person of each of these numbers. Without locks: `conn` is a connection or a pool."""
    of: defaultdict[str, list[Any]] = defaultdict(list)
    for row in await conn.fetch(_NUMBERS, sorted(set(numbers))):
        of[row["asked"]].append(row)
    return {asked: _person(asked, rows) for asked, rows in of.items()}


def _person(asked: str, rows: list[Any]) -> Person:
    ties = {r["number"]: Tie(r["merged_into"], r["tied_at"]) for r in rows if r["merged_into"] is not None}
    beside: Counter[str] = Counter()
    for row in rows:
        if row["number"] != asked and row["taken"]:
            beside.update(_taken.decode(row["taken"]))
    numbers = tuple(sorted(row["number"] for row in rows))
    return Person(member_id=asked, goes_by=goes_by(asked, ties), numbers=numbers, beside=dict(beside))
