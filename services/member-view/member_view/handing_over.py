"""What arrives under the old id of a merged member is handed over, soon and by itself."""

from typing import TYPE_CHECKING, Final

import structlog
from tenure.contracts.event import Event
from tenure.spine.aside import ASIDE_S, Aside
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
SELECT member_id, hand_over_to FROM member_view WHERE hand_over_to IS NOT NULL AND member_id <> ALL ($2::text[])
ORDER BY member_id LIMIT $1
"""


async def hand_over(worker: "Worker") -> None:
    """What cannot be handed over is left alone for a while."""
    backoff, aside = Backoff(stopping=worker.stopping, of=(worker.door.service.name, "hand_over")), Aside()
    while not worker.stopping.is_set():
        try:
            if not await hand_over_once(worker.door, aside=aside):
                await wait_or(worker.stopping, LOOK_EVERY_S)
            backoff.succeeded()
        except WORLD_DOWN as error:
            log.warning("handing_over_waits", reason=str(error)[:200])
            await backoff.wait(error)


async def hand_over_once(door: Door, *, members_max: int = MEMBERS_MAX, aside: Aside | None = None) -> int:
    """Hand over what is left under old ids, none of those `aside`. Returns how many ids were served."""
    aside = Aside() if aside is None else aside
    rows = await door.pool.fetch(_LEFT_OVER, members_max, list(aside.keys()))
    outcomes = await door.transact([_item(row["hand_over_to"], row["member_id"]) for row in rows]) if rows else []
    refused = [(row["member_id"], o.wrong) for row, o in zip(rows, outcomes, strict=True) if o.wrong is not None]
    for member_id, wrong in refused:
        log.error("not_handed_over", member=member_id, reason=str(wrong), tries_again_in_s=ASIDE_S)
    aside.put(member_id for member_id, _ in refused)
    return len(rows) - len(refused)


def _item(member_id: str, merged_id: str) -> Item:
    command = HandOver(member_id=member_id, merged_id=merged_id)
    return Item(Event(id=str(uuid7()), source=SOURCE, type="HandOver", key=member_id, time=utc_now(), data=command))
