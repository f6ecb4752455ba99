"""What arrives under the old id of a merged member is handed over, soon and by itself (`tenure.gathering`)."""

from typing import Any, Final

from tenure.gathering import Gathering, Whose

from member_view.commands import HandOver
from member_view.store import decode

_LEFT_OVER: Final = """
SELECT member_id FROM member_view WHERE hand_over_to IS NOT NULL AND member_id <> ALL ($2::text[]) ORDER BY member_id LIMIT $1
"""


async def _whose(pool: Any, member_id: str) -> Whose:
    state = await pool.fetchval("SELECT state FROM member_view WHERE member_id = $1", member_id)
    return Whose(decode(state).merged_into) if state else Whose()


def _command(member_id: str, _: tuple[str, ...], to_id: str | None) -> HandOver:
    return HandOver(member_id=to_id or member_id, merged_id=member_id)


TIMER: Final = Gathering(_LEFT_OVER, _whose, _command)
