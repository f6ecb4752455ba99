"""Benefits that lie under another number than their person goes by are brought there (`tenure.gathering`)."""

from typing import Any, Final

from tenure.gathering import Gathering, Whose

from benefits.commands import Gather
from benefits.store import state_of

_ASTRAY: Final = """
SELECT member_id FROM members WHERE astray AND member_id <> ALL ($2::text[]) ORDER BY member_id LIMIT $1
"""


async def _whose(pool: Any, number: str) -> Whose:
    state = await state_of(pool, number)
    return Whose(state.merged_into, state.lies_with) if state else Whose()


def _command(number: str, through: tuple[str, ...], to_id: str | None) -> Gather:
    return Gather(member_id=number, through=through, to_id=to_id)


TIMER: Final = Gathering(_ASTRAY, _whose, _command)
