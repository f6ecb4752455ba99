"""What arrives under the old id of a merged member is handed over, soon and by itself."""

from typing import TYPE_CHECKING, Final

import structlog
from tenure.contracts.event import Event
from tenure.spine.codec import utc_now
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.spine.transact import Door, Item
from uuid_utils import uuid7

from member_view.commands import HandOver

if TYPE_CHECKING:
    from tenure.spine.runtime import Worker

log: Final = structlog.get_logger(__name__)
LOOK_EVERY_S: Final = 1.0
MEMBERS_MAX: Final = 500
SOURCE: Final = "/tenure/member-view/timer"
_LEFT_OVER: Final = """
SELECT member_id, hand_over_to FROM member_view WHERE hand_over_to IS NOT NULL ORDER BY member_id LIMIT $1
"""


async def hand_over(worker: "Worker") -> None:
    backoff = Backoff(stopping=worker.stopping, of=(worker.door.service.name, "hand_over"))
    while not worker.stopping.is_set():
        try:
            if not await hand_over_once(worker.door):
                await wait_or(worker.stopping, LOOK_EVERY_S)
            backoff.succeeded()
        except WORLD_DOWN as error:
            log.warning("handing_over_waits", reason=str(error)[:200])
            await backoff.wait(error)


async def hand_over_once(door: Door, *, members_max: int = MEMBERS_MAX) -> int:
    """Hand over what is left under old ids. Returns how many ids had something."""
    rows = await door.pool.fetch(_LEFT_OVER, members_max)
    if rows:
        await door.transact([_item(row["hand_over_to"], row["member_id"]) for row in rows])
    return len(rows)


def _item(member_id: str, merged_id: str) -> Item:
    command = HandOver(member_id=member_id, merged_id=merged_id)
    return Item(Event(id=str(uuid7()), source=SOURCE, type="HandOver", key=member_id, time=utc_now(), data=command))
