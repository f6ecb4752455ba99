"""The real platform under fire: seven services, each a process of its own, killed at points drawn from a seed while customers go on.

One of them loses its wire to the broker now and then, another its wire to the database.

Afterwards everything is drained, without help, and `verify` (the same as `tenure verify`) is asked; every generation of the cast
has come to what the first came to, which lived before anything broke; every buyer who insisted got one order for one quote.
TENURE_FAULT_SEED repeats a run.
"""

import asyncio
import os
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx
import msgspec
import pytest
import pytest_asyncio
from points_ledger.proof import check
from tenure import database
from tenure.embedded.choose import Chosen
from tenure.embedded.kafka import Kafka
from tenure.embedded.postgres import Postgres
from tenure.spine.faults import POINTS, SAGA_POINTS, SEAL_POINTS
from tenure.spine.log import open_log
from tenure_local.api import ApiError
from tenure_local.drained import watch
from tenure_local.home import Addresses, Home
from tenure_local.invariants import verified
from tenure_local.platform import migrate_and_resume
from tenure_local.services import SERVICES

from .conftest import LONG
from .customers import Feeder, Shop, name_of
from .network import Network
from .tampering import TAMPERS, put_back, tamper, unguarded

KAFKA = "?session_timeout_ms=2500&heartbeat_interval_ms=800&fetch_wait_ms=100&silence_s_max=6&send_deadline_s=8&join_deadline_s=20"
FLEET = Path(__file__).with_name("fleet.py")
GATEWAY = "gateway"
SEED = int(os.environ.get("TENURE_FAULT_SEED", "0")) or random.randrange(1, 1_000_000)
ROUNDS = 2
MALLS = ("mall", "mall.2")
LIFE_S_MAX, FIRE_S_MAX = (60, 1_200) if LONG else (15, 30)
DRAIN_WITHIN_S, STOP_WITHIN_S = 300, 60
RECOVERS_WITHIN_S = 270
"""After the last break and death all is read: sooner than the watch for a consumer that hangs could help."""
CI_POINTS = 2
TAMPERS_MAX = 10
TELLS_NOTHING = ("relay.sent", "relay.marked", "transact.emitted")
SEALING = SEAL_POINTS[:2]  # no day is over while these die, so none is published
NEEDS_A_LOST_HOLD = ("saga.release.asking", "saga.release.asked", "saga.release.told")
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(7_200 if LONG else 900)]


def deaths(seed: int) -> dict[str, list[str]]:
    """For each process, what its lives die of: in the long run every point, several times; else some, drawn."""
    chance = random.Random(seed)
    return {service.name: some(chance, points_of(service.name)) for service in SERVICES if service.name != "mall"} | {
        mall: [*lost_holds(), *some(chance, (*POINTS, *SAGA_POINTS), rounds=1)] if LONG else some(chance, SAGA_POINTS)
        for mall in MALLS
    }


def points_of(service: str) -> list[str]:
    if service == "points-ledger":
        return [*POINTS, *SEALING]
    return [point for point in POINTS if service != "member-view" or point not in TELLS_NOTHING]


def some(chance: random.Random, points: Sequence[str], *, rounds: int = ROUNDS) -> list[str]:
    drawn = list(points) * rounds if LONG else chance.sample(list(points), CI_POINTS)
    chance.shuffle(drawn)
    return [
        f"{point}:{chance.randint(1, 2) if LONG and point in POINTS else 1}"
        for point in drawn
        if point not in NEEDS_A_LOST_HOLD
    ]


def lost_holds() -> list[str]:
    """A hold is released only for an order that stood still until its hold timed out: somebody must die in the middle before."""
    return [death for point in NEEDS_A_LOST_HOLD for death in ("saga.hold.told:1", f"{point}:1")]


class Life(NamedTuple):
    """How one ended."""

    service: str
    death: str
    how: str
    seconds: float
    cpu_s: float

    @property
    def point(self) -> str:
        return self.death.partition(":")[0]


@dataclass
class Fired:
    """A platform that was under fire and is drained: its home, what fed it, and how its processes ended."""

    home: Home
    feeder: Feeder
    shop: Shop
    urls: list[str]
    network: Network
    lives: list[Life] = field(default_factory=list)

    async def connect(self, service: str) -> asyncpg.Connection:
        name = next(s.database for s in SERVICES if s.name == service)
        return await asyncpg.connect(database.url_of(self.home.settings(), name), timeout=10)

    async def fetch(self, service: str, sql: str) -> list[asyncpg.Record]:
        conn = await self.connect(service)
        try:
            rows: list[asyncpg.Record] = await conn.fetch(sql)
            return rows
        finally:
            await conn.close()


def lasting_ports() -> Iterator[int]:
    """Ports that are still free when a killed process comes back: none of those that the system gives to outgoing connections."""
    for port in random.sample(range(20_000, 32_000), 1_000):
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            yield port


async def prepared(home: Home, broker: Kafka, server: Postgres) -> dict[str, dict[str, str]]:
    """Databases and topics, and for each process what it is started with. The mall asks the ledger's own process."""
    home.prepare()
    ports = dict(zip([*(s.name for s in SERVICES), *MALLS, GATEWAY], lasting_ports(), strict=False))
    url = f"http://127.0.0.1:{ports[GATEWAY]}"
    addresses = Addresses(
        url=url,
        worker_url=url,
        database_url=server.url,
        kafka=broker.address + KAFKA,
        broker="configured",
        clock="events",
    )
    home.note.write_bytes(msgspec.json.encode(addresses))
    chosen = Chosen(broker.bootstrap, broker.address, durable=True, kind="configured", why="the faults' own")
    await migrate_and_resume(home, home.settings(), chosen)
    asked = {**dict.fromkeys(MALLS, "points-ledger"), "benefits": "tier-engine"}
    return {
        name: home.environment(addresses, port=port)
        | LIMITS
        | {"TENURE_SERVICE_URL": f"http://127.0.0.1:{ports[asked.get(name, name)]}"}
        for name, port in ports.items()
    }


BETWEEN = (
    "benefits_follow_the_tiers",
    "benefits_know_who_is_covered",
    "views_show_who_has_lapsed",
    "views_show_tiers_at_risk",
)
LIMITS = {
    "TENURE_BATCH_RECORDS_MAX": "50",
    "TENURE_POLL_TIMEOUT_S": "0.1",
    "TENURE_POOL_SIZE_MAX": "6",
    "TENURE_LOCK_TIMEOUT_MS": "1000",
    "TENURE_STATEMENT_TIMEOUT_MS": "8000",
    "TENURE_IDLE_IN_TRANSACTION_TIMEOUT_MS": "8000",
    "TENURE_HOLD_TTL_S": "5",
    "TENURE_LOG_LEVEL": "warning",
    "TENURE_PARKED_RUN_MAX": "1000",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fired(broker: Kafka, server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fired]:
    sys.stdout.write(f"TENURE_FAULT_SEED={SEED}\n")
    folder = tmp_path_factory.mktemp("fire")
    async with Network(broker, server, SEED) as network, platform_of(network, folder) as found:
        yield found


@asynccontextmanager
async def platform_of(network: Network, folder: Path) -> AsyncIterator[Fired]:
    home = Home(folder / "home")
    environments = await prepared(home, network.broker, network.server)
    network.lay(environments, [service.name for service in SERVICES if service.name != "mall"])
    url = {name: f"http://127.0.0.1:{e['TENURE_PORT']}" for name, e in environments.items()}
    found = Fired(
        home,
        Feeder(open_log(network.broker.address), SEED),
        Shop(home, [url[mall] for mall in MALLS], url["points-ledger"]),
        list(url.values()),
        network,
    )
    plan = {"environments": environments, "deaths": deaths(SEED), "life_s_max": LIFE_S_MAX, "fire_s_max": FIRE_S_MAX}
    with (folder / "stderr").open("wb") as stderr:
        pipe = asyncio.subprocess.PIPE
        fleet = await asyncio.create_subprocess_exec(
            sys.executable, str(FLEET), msgspec.json.encode(plan), stdin=pipe, stdout=pipe, stderr=stderr
        )
    try:
        await under_fire(found, fleet)
        yield found
    finally:
        assert fleet.stdin is not None
        fleet.stdin.write(b"stop\n")
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await fleet.communicate()
        except TimeoutError:
            fleet.kill()  # and all it started, with it
            raise


async def under_fire(found: Fired, fleet: asyncio.subprocess.Process) -> None:
    over = asyncio.Event()
    assert fleet.stdin is not None
    await all_answer(found)
    await found.feeder.first()
    await drained(found)
    await found.shop.open()
    await drained(found)
    fleet.stdin.write(b"peace is over\n")
    began = time.monotonic()
    async with asyncio.TaskGroup() as customers:  # one that hears a clear no ends the run at once
        customers.create_task(found.feeder.run(over, every_s=0.4, at_once=4))
        customers.create_task(found.shop.run(over))
        customers.create_task(found.network.break_now_and_then(over))
        assert fleet.stdout is not None
        while (line := await fleet.stdout.readline()) not in (b'"done"\n', b""):
            found.lives.append(msgspec.json.decode(line, type=Life))
        sys.stdout.write(f"{len(found.lives)} deaths in {time.monotonic() - began:.0f} s\n")
        over.set()
    await drained(found, within_s=RECOVERS_WITHIN_S)
    sys.stdout.write(f"drained after {time.monotonic() - began:.0f} s, {found.feeder.generations} generations\n")


async def all_answer(found: Fired) -> None:
    async with asyncio.timeout(DRAIN_WITHIN_S), httpx.AsyncClient(trust_env=False) as http:
        for url in found.urls:
            while True:
                with suppress(httpx.HTTPError):
                    if (await http.get(f"{url}/health/live")).is_success:
                        break
                await asyncio.sleep(0.1)


async def drained(found: Fired, *, within_s: float = DRAIN_WITHIN_S) -> None:
    async with asyncio.timeout(within_s), watch(found.home.settings(), found.home.addresses().url) as services:
        await services.until_drained(found.feeder.targets.values())


@pytest.mark.asyncio(loop_scope="module")
async def test_processes_died_where_they_were_meant_to(fired: Fired) -> None:
    killed = [life for life in fired.lives if life.how == "SIGKILL"]
    missed = [life for life in fired.lives if life not in killed]
    sys.stdout.write(f"{len(killed)} kills, by point {dict(Counter(life.point or 'anywhere' for life in killed))}\n")
    sys.stdout.write(f"by service {dict(Counter(life.service for life in killed))}; not at their point: {missed}\n")
    assert {life.how for life in missed} <= {"SIGALRM"}, "nobody ended by itself"
    never = {*POINTS, *SAGA_POINTS} - {life.point for life in killed}
    sys.stdout.write(f"nobody died at {sorted(never)}\n")
    if LONG:
        assert not never & set(POINTS)
        assert len(never) <= len(SAGA_POINTS) / 4, "a busy machine may keep some from their point, not most"
    assert {life.service for life in killed} == {*MALLS, *(service.name for service in SERVICES)}


@pytest.mark.asyncio(loop_scope="module")
async def test_services_were_cut_off_from_their_broker_and_their_database(fired: Fired) -> None:
    breaks = Counter((b.service, b.side, b.mode) for b in fired.network.breaks)
    sys.stdout.write(f"{len(fired.network.breaks)} breaks of the network: {dict(breaks)}\n")
    assert {b.side for b in fired.network.breaks} == {"kafka", "postgres"}
    assert all(b.connections for b in fired.network.breaks), "they are reached through the wires that broke"


@pytest.mark.asyncio(loop_scope="module")
async def test_every_invariant_of_every_service_holds(fired: Fired) -> None:
    assert await broken(fired) == set()


@pytest.mark.asyncio(loop_scope="module")
async def test_every_entry_of_the_ledger_is_what_was_sealed(fired: Fired) -> None:
    conn = await fired.connect("points-ledger")
    report = await check.examine(conn)
    await conn.close()
    assert report.wrong == []
    assert report.sealed > 0


async def broken(fired: Fired, only: str = "") -> set[str]:
    return {name for name, holds in (await asked(fired, only)).items() if not holds}


async def asked(fired: Fired, only: str = "") -> dict[str, bool]:
    """Ask `verify`, and again where a busy machine did not answer in time."""
    async with asyncio.timeout(DRAIN_WITHIN_S):
        while True:
            try:
                return await asyncio.to_thread(verified, fired.home, only=only)
            except ApiError as error:
                if error.status != httpx.codes.SERVICE_UNAVAILABLE:
                    raise
            await asyncio.sleep(1)


@pytest.mark.asyncio(loop_scope="module")
async def test_each_generation_came_to_what_the_first_came_to(fired: Fired) -> None:
    wallets = await fired.fetch("points-ledger", "SELECT * FROM accounts WHERE member_id ~ '^[HA]-'")
    parts = [f"{w}_{b}" for w in ("points", "growth", "agent") for b in ("pending", "available", "held", "debt")]
    alike("wallets", {r["member_id"]: [r[part] for part in parts] for r in wallets}, fired)
    tiers = await fired.fetch("tier-engine", "SELECT member_id, tier, tier_since FROM members WHERE member_id ~ '^H-'")
    alike("tiers", {r["member_id"]: (r["tier"], r["tier_since"]) for r in tiers}, fired)
    grants = await fired.fetch("benefits", "SELECT member_id, tier, open_grants FROM members WHERE member_id ~ '^H-'")
    alike("grants", {r["member_id"]: (r["tier"], r["open_grants"]) for r in grants}, fired)
    claims = await fired.fetch("policy-sync", "SELECT member_id, status, paid_fen FROM claims")
    alike("claims", {r["member_id"]: (r["status"], r["paid_fen"]) for r in claims}, fired)


def alike(what: str, by_member: dict[str, Any], fired: Fired) -> None:
    cast = {member: state for member, state in by_member.items() if name_of(member)[1] == 0}
    assert cast
    assert len(by_member) == len(cast) * fired.feeder.generations, what
    differ = {m: (state, cast[name_of(m)[0]]) for m, state in by_member.items() if state != cast[name_of(m)[0]]}
    assert not differ, f"{what}: {differ}"


@pytest.mark.asyncio(loop_scope="module")
async def test_every_buyer_who_insisted_has_one_order_for_a_quote(fired: Fired) -> None:
    orders = await fired.fetch("mall", "SELECT order_id, status FROM orders")
    assert {r["order_id"] for r in orders} == set(fired.shop.orders.values())
    assert len(orders) == len(fired.shop.orders) > 0
    assert {r["status"] for r in orders} <= {"fulfilled", "shipped", "closed", "refunded", "failed"}
    sys.stdout.write(f"{Counter(r['status'] for r in orders)}, {fired.shop.repeats} repeated questions\n")


@pytest.mark.asyncio(loop_scope="module")
async def test_verify_names_each_invariant_that_is_broken(fired: Fired) -> None:
    """The last of all: what refuses wrong rows is taken away for it."""
    unseen = []
    for service in SERVICES:
        conn = await fired.connect(service.name)
        await unguarded(conn)
        for name, what in TAMPERS.items():
            if what.service == service.name and not await is_named(fired, conn, name):
                unseen.append(name)
        await conn.close()
    lines = fired.home.sms.read_bytes().splitlines()
    fired.home.sms.write_bytes(b"\n".join([*lines, lines[0], b""]))
    assert "no_text_is_sent_twice" in await broken(fired, only="between")
    fired.home.sms.write_bytes(b"\n".join([*lines, b""]))
    assert unseen == []
    assert await broken(fired) == set(), "everything was put back"
    assert TAMPERS.keys() | {"no_text_is_sent_twice"} == set(await asked(fired))


async def is_named(fired: Fired, conn: asyncpg.Connection, invariant: str) -> bool:
    """The services are at work: what is made due may be done before anybody looks. Then once more."""
    for _ in range(TAMPERS_MAX):
        await tamper(conn, TAMPERS[invariant])
        named = invariant in await broken(fired, only=part_of(invariant))
        await put_back(conn, TAMPERS[invariant])
        if named:
            return True
    return False


def part_of(invariant: str) -> str:
    first = invariant.partition("_")[0]
    return (
        first
        if first in ("facts", "tiers", "ledger", "benefits", "mall", "messages", "views") and (invariant not in BETWEEN)
        else "between"
    )
