"""Messages that lie under another number than their person goes by are brought there (`tenure.gathering`)."""

from typing import Any, Final

from tenure.gathering import Gathering, Whose

from notifier.commands import Gather
from notifier.store import book_of

_ASTRAY: Final = """
SELECT member_id FROM member WHERE astray AND member_id <> ALL ($2::text[]) ORDER BY member_id LIMIT $1
"""


async def _whose(pool: Any, number: str) -> Whose:
    book = await book_of(pool, number)
    return Whose(book.merged_into, book.lies_with)


def _command(number: str, through: tuple[str, ...], to_id: str | None) -> Gather:
    return Gather(member_id=number, through=through, to_id=to_id)


TIMER: Final = Gathering(_ASTRAY, _whose, _command)
