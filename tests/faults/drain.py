"""A replay of everything parked in one database, as a process that can be killed: `drain.py <database url> <database>`."""

import asyncio
import sys
from pathlib import Path

from points_ledger.service import SERVICE
from tenure import database, programme
from tenure.settings import Settings
from tenure.spine import park
from tenure.spine.transact import Door

PROGRAMME = Path(__file__).resolve().parents[2] / "programme"


async def main(url: str, name: str) -> None:
    settings = Settings(database_url=url, programme_dir=PROGRAMME)
    async with await database.open_pool(settings, name, size_max=2) as pool:
        await park.drain(Door(SERVICE, pool, programme.load(PROGRAMME)), by="drain.py")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
