"""What is in hand when partitions are taken away: it is finished, or abandoned, in a bounded time.

The invariant: while partitions are being handed over, this member takes nothing new; what it had begun either committed before they
moved, or was rolled back, or is left to the inbox, which lets each event's effect happen once whoever is quicker.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

FINISH_WITHIN_S: Final = 4.0
ABANDON_WITHIN_S: Final = 1.0


@dataclass(slots=True)
class InHand:
    """One piece of work at a time, which somebody else may wait for or end."""

    task: "asyncio.Task[None] | None" = None
    abandoned: bool = False
    finish_within_s: float = FINISH_WITHIN_S
    abandon_within_s: float = ABANDON_WITHIN_S

    async def do(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do it. False if it was abandoned on the way; raises what it raises."""
        self.abandoned = False
        self.task = asyncio.create_task(work)
        try:
            await self.task
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if not self.abandoned or (me is not None and me.cancelling()):
                raise
            return False
        else:
            return True
        finally:
            self.task = None

    async def let_go(self) -> bool:
        """Wait until what is in hand has ended, and end it if that takes too long. Whether it was left to finish."""
        task = self.task
        if task is None or task.done():
            return True
        _, late = await asyncio.wait([task], timeout=self.finish_within_s)
        if late:
            self.abandoned = True
            task.cancel()
            await asyncio.wait([task], timeout=self.abandon_within_s)
        return not late
