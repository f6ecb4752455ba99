"""The wires of a platform under fire: one service reaches the broker through a proxy, another its database, and both wires break.

Which services, when and how is drawn from the run's seed. A break lasts longer than a session of the group; whoever is cut off is
killed like the others meanwhile, and may come to life with nobody to talk to.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import NamedTuple, Self, get_args

from tenure.embedded.kafka import Kafka
from tenure.embedded.postgres import Postgres
from tenure.embedded.server import free_port

from .conftest import LONG
from .proxy import Mode, Proxy

BROKEN_S, SOUND_S = (6.0, 12.0) if LONG else (3.0, 1.0)
KINDS: tuple[Mode, ...] = tuple(mode for mode in get_args(Mode) if mode != "sound")


class Break(NamedTuple):
    """Who was cut off from what, how, and how many connections it had opened by then."""

    service: str
    side: str
    mode: Mode
    connections: int


@dataclass
class Network:
    """`cut_off`: by side, the service whose wire to it goes through a proxy."""

    broker: Kafka
    server: Postgres
    seed: int
    cut_off: dict[str, str] = field(default_factory=dict)
    breaks: list[Break] = field(default_factory=list)
    wires: dict[str, Proxy] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        assert self.broker.proxy_port is not None
        self._open = AsyncExitStack()
        for side, target, port in (
            ("kafka", self.broker.behind_port, self.broker.proxy_port),
            ("postgres", self.server.port, free_port()),
        ):
            self.wires[side] = await self._open.enter_async_context(Proxy(target, port=port))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    def lay(self, environments: dict[str, dict[str, str]], among: Sequence[str]) -> None:
        """Two of these services are led through a proxy, each to one side."""
        services = random.Random(self.seed).sample(list(among), 2)
        self.cut_off = dict(zip(self.wires, services, strict=True))
        kafka, postgres = (environments[service] for service in services)
        kafka["TENURE_KAFKA"] = kafka["TENURE_KAFKA"].replace(f":{self.broker.port}", f":{self.wires['kafka'].port}")
        postgres["TENURE_DATABASE_URL"] = postgres["TENURE_DATABASE_URL"].replace(
            f":{self.server.port}", f":{self.wires['postgres'].port}"
        )

    async def break_now_and_then(self, over: asyncio.Event) -> None:
        """Each wire once; in the long run in every way there is, as often as there is time until it is over. Sound in the end."""
        chance = random.Random(self.seed)
        ways = [(side, mode) for side in self.wires for mode in KINDS]
        chance.shuffle(ways)
        ways = [next(way for way in ways if way[0] == side) for side in self.wires] + ways
        while len(self.breaks) < len(self.wires) or (LONG and not over.is_set()):
            side, mode = ways[len(self.breaks) % len(ways)]
            wire = self.wires[side]
            await asyncio.sleep(SOUND_S)
            self.breaks.append(Break(self.cut_off[side], side, mode, wire.connections))
            wire.breaks(mode)
            await asyncio.sleep(BROKEN_S)
            wire.heal()
        # TCP gives up on what was swallowed for good: a server would wait for the rest of a question for ever.
        for wire in self.wires.values():
            wire.breaks("cut")
            wire.heal()
