"""The one place where the client library's errors become ours.

The invariant: inside `within`, a late or refused answer of the broker leaves as WorldDown and as nothing else.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.errors import KafkaError

from tenure.spine.log import WorldDown


@asynccontextmanager
async def within(deadline_s: float, doing: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(deadline_s):
            yield
    except TimeoutError as error:
        raise WorldDown(f"{doing}: no answer in {deadline_s:g} s") from error
    except (KafkaError, OSError) as error:
        raise WorldDown(f"{doing}: {error!r}") from error
