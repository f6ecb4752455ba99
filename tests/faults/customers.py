"""What the platform is fed while its processes die: a cast of customers again and again, and buyers who insist.

The invariant: every generation of the cast is the same but for its names, so whatever happened meanwhile, each must come to the same
balances, tiers and benefits as the first, which lived before anything broke.
"""

import asyncio
import itertools
import random
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import msgspec
from tenure.calendar import DAY
from tenure.contracts.event import Event
from tenure.spine.clock import tick
from tenure.spine.codec import StructuredEvent, decode_structured, encode, utc_now
from tenure.spine.log import Log, Outgoing, Position, Producer, TopicPartition, WorldDown
from tenure_local.home import Home
from tenure_local.playback import in_order

CAST = Path(__file__).parents[2] / "examples" / "home-cast" / "facts.ndjson"
NAMES = re.compile(r'"((?:[A-Z]-)*[HA]-\d\d[^"]*|home-\d+|[a-z]+-\d+[^" ]*)"')
FIRST_DAY = date(2018, 12, 31)
BUYERS = 6
POINTS_BY_HAND_MAX = 10_000
INSIST_S_MAX = 120.0
GOODS, CODE = "water-leak-sensor", "video-month"


def generation(number: int) -> list[Event]:
    """The cast under other names, in order of time."""
    text = NAMES.sub(rf'"\1.g{number}"', CAST.read_text()) if number else CAST.read_text()
    lines = (msgspec.json.decode(line, type=StructuredEvent) for line in text.encode().splitlines())
    return in_order(decode_structured(event, received=utc_now()) for event in lines)


def insured_buyers(count: int) -> list[Event]:
    """People with a policy, who may go shopping: B-0, B-1, ... They are what H-02 is."""
    lines = [line for line in CAST.read_text().splitlines() if '"H-02"' in line or '"P-H-02"' in line]
    texts = (NAMES.sub(rf'"\1.b{n}"', line).replace(f"H-02.b{n}", f"B-{n}") for n in range(count) for line in lines)
    return [decode_structured(msgspec.json.decode(t, type=StructuredEvent), received=utc_now()) for t in texts]


def name_of(member: str) -> tuple[str, int]:
    """Who of the cast, in which generation."""
    cast, _, number = member.partition(".g")
    return cast, int(number or 0)


@dataclass
class Feeder:
    """Publishes facts as a core system would: in order, now and then again, waiting for a broker that is away."""

    log: Log
    seed: int
    sent: int = 0
    generations: int = 1
    day: date = FIRST_DAY
    targets: dict[TopicPartition, Position] = field(default_factory=dict)
    _again: list[Outgoing] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    async def first(self) -> None:
        """The generation that knows no faults, and the calendar."""
        producer = await self.log.producer()
        await self._send(producer, [encode(event) for event in [*insured_buyers(BUYERS), *generation(0)]])
        await self._send(producer, [tick(self.day)])
        await producer.close()

    async def run(self, until: asyncio.Event, *, every_s: float, at_once: int) -> None:
        """One generation after another; a generation that was begun is ended. A day comes after each."""
        producer = await self.log.producer()
        while not until.is_set():
            number, self.generations = self.generations, self.generations + 1
            records = [encode(event) for event in generation(number)]
            while records:
                batch, records = records[:at_once], records[at_once:]
                again = [r for r in self._again if self.random.random() < 0.1]
                await self._send(producer, [*batch, *again])
                self._again = [*self._again, *batch][-30:]
                if not until.is_set():
                    await asyncio.sleep(every_s)
            self.day += DAY
            await self._send(producer, [tick(self.day)])
        await producer.close()

    async def _send(self, producer: Producer, batch: list[Outgoing]) -> None:
        while True:
            try:
                acked = await producer.send(batch)
            except WorldDown:
                await asyncio.sleep(0.2)
            else:
                self.sent += len(batch)
                self.targets |= {(p.topic, p.partition): p for p in acked}
                return


class RefusedError(Exception):
    """A clear no, with its code."""


@dataclass
class Shop:
    """Buyers who insist: every write is repeated under its key until it is answered, whoever dies meanwhile."""

    home: Home
    malls: list[str]
    ledger: str
    orders: dict[str, str] = field(default_factory=dict)
    answers: int = 0
    repeats: int = 0
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def mall(self) -> str:
        """One of the mall's processes; all say the same."""
        return random.choice(self.malls)

    async def open(self) -> None:
        """Stock the shelves, and do everything once in peace."""
        async with httpx.AsyncClient(timeout=8, trust_env=False) as self.http:
            await self._stock()
            await self._credit("B-0")
            for sku, then in itertools.product((CODE, GOODS), ("refund", "receive")):
                await self._buy("B-0", sku, then=then)

    async def run(self, until: asyncio.Event) -> None:
        async with httpx.AsyncClient(timeout=8, trust_env=False) as self.http:
            await asyncio.gather(*(self._buyer(until) for _ in range(BUYERS)))

    async def _buyer(self, until: asyncio.Event) -> None:
        me = f"B-{next(self._numbers)}"
        for turn in itertools.count():
            if until.is_set():
                return
            if turn % 2 == 0:
                await self._credit(me)
            await self._buy(me, (CODE, GOODS)[turn % 2], then=("refund", "receive")[turn // 2 % 2])

    async def _stock(self) -> None:
        codes = [f"X-{n:05}" for n in range(1000)]
        await self.insist("POST", f"{self.mall}/v1/catalogue/{CODE}/codes", {"codes": codes}, who=("op-1", "operator"))
        more = {"delta": 10_000, "reason": "for a long run"}
        await self.insist("POST", f"{self.mall}/v1/catalogue/{GOODS}/stock", more, who=("op-1", "operator"))

    async def _credit(self, member: str) -> None:
        body = {"member_id": member, "points": POINTS_BY_HAND_MAX, "reason": "to go shopping", "ticket": "T-1"}
        asked = await self.insist("POST", f"{self.ledger}/v1/adjustments", body, who=(f"op-of-{member}", "operator"))
        url = f"{self.ledger}/v1/adjustments/{asked['adjustment_id']}/approve"
        await self.insist("POST", url, {}, who=("op-2", "operator"))

    async def _buy(self, member: str, sku: str, *, then: str) -> None:
        who = (member, "member")
        quote = await self.insist("POST", f"{self.mall}/v1/quotes", {"sku": sku}, who=who)
        order = await self.insist("POST", f"{self.mall}/v1/orders", {"quote_id": quote["quote_id"]}, who=who)
        assert self.orders.setdefault(quote["quote_id"], order["order_id"]) == order["order_id"]
        path = f"/v1/orders/{order['order_id']}"
        while order["status"] in ("placed", "held", "supplied", "releasing"):
            await asyncio.sleep(0.3)
            order = await self.insist("GET", f"{self.mall}{path}", None, who=who)
        if order["status"] != "fulfilled":
            return
        if then == "refund":
            body = {"kind": "refund", "reason": "changed_mind"}
            await self.insist("POST", f"{self.mall}{path}/after-sales", body, who=who)
        elif sku == CODE:
            await self.insist("GET", f"{self.mall}{path}/code", None, who=who)
        else:
            if sku == GOODS:
                await self.insist("POST", f"{self.mall}{path}/ship", {}, who=("op-1", "operator"))
            await self.insist("POST", f"{self.mall}{path}/deliver", {}, who=("op-1", "operator"))

    async def insist(self, method: str, url: str, body: Any, *, who: tuple[str, str]) -> Any:
        """Ask until there is an answer: a repetition has the same key. Raises RefusedError for a clear no."""
        headers = {"Authorization": f"Bearer {self.home.token(*who)}", "Idempotency-Key": uuid.uuid4().hex}
        until = time.monotonic() + INSIST_S_MAX
        while True:
            try:
                answer = await self.http.request(method, url, json=body, headers=headers)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.is_success:
                self.answers += 1
                return answer.json()
            if answer is not None and answer.status_code < 500 and answer.status_code not in (409, 429):
                raise RefusedError(f"{method} {url}: {answer.status_code} {answer.text[:300]}")
            assert time.monotonic() < until, f"{method} {url}: no answer; the last was {answer and answer.text[:300]}"
            self.repeats += 1
            await asyncio.sleep(0.2)
