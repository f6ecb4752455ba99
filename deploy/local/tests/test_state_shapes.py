"""What a service's own SQL saves and loads, the simulation's model keeps alike: the same life through both, compared key by key.

The life is a simulated one, every record of every topic the service reads, dealt in a random order between topics; then what the
simulation does not bring: two members become one, one member brings another, points are held, captured, given back.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest
from notifier.commands import SendDue
from points_ledger.commands import CaptureHold, PlaceHold, RefundHold, ReleaseHold
from tenure.calendar import start_of
from tenure.contracts import activity, policy
from tenure.contracts.event import Data, Event
from tenure.contracts.keys import key_of
from tenure.contracts.programme import Programme
from tenure.contracts.topics import TYPE_OF
from tenure.service import Service
from tenure.settings import Settings
from tenure.simulation import loop
from tenure.simulation.connection import Pool
from tenure.simulation.process import ids_of
from tenure.simulation.states import modelled
from tenure.simulation.tables import Store
from tenure.spine.codec import decode
from tenure.spine.log import Record
from tenure.spine.outbox import unpack
from tenure.spine.transact import Door, Item
from tenure.testing import under_test
from tenure_local.simulation.facts import FIRST_DAY, Sizes
from tenure_local.simulation.shapes import SHAPES
from tenure_local.simulation.world import SERVICES, World

SIZES = Sizes(members=12, insured=12, days=420, activities_a_day=1, poison_one_in=0)
BATCH_ITEMS = 40
LAST_DAY = FIRST_DAY + timedelta(SIZES.days + 400)


@pytest.fixture(scope="module")
def spoken(rules_of_house: Programme) -> dict[str, list[list[Record]]]:
    """Every partition of every topic of one simulated life."""
    world = World(11, SIZES, rules_of_house, calm=True, processes_each=1)
    loop.run(world.run(), seed=11)
    return world.log._broker.topics


@pytest.fixture(scope="module")
def rules_of_house() -> Programme:
    from tenure import programme
    from tenure.testing import PROGRAMME_DIR

    return programme.load(PROGRAMME_DIR)


def dealt(service: Service[Any], spoken: dict[str, list[list[Record]]]) -> Iterator[Item]:
    """The partitions' records, each in its order, mixed at random."""
    random = Random(service.name)
    piles = [iter(records) for topic in service.reads for records in spoken[topic.name] if topic.name != "time.v1"]
    while piles:
        pile = random.choice(piles)
        record = next(pile, None)
        if record is None:
            piles.remove(pile)
            continue
        event = decode(record.headers, record.value)
        if event.type not in service.ignores:
            yield Item(event, record)


def beyond(service: Service[Any]) -> Iterator[Item]:
    """What comes after the simulated life, where the service hears of it."""
    on, wall = FIRST_DAY + timedelta(SIZES.days), datetime(2030, 1, 1, tzinfo=UTC)
    said: list[Data] = [
        activity.ReferralConverted(member_id="M-3", referee_id="M-4", policy_no="P-4", on=on),
        policy.CustomerMerged(member_id="M-1", merged_id="M-2", effective=on),
        *[
            PlaceHold(hold_id=f"H-{n}", member_id="M-5", wallet="points", points=5, reference="", expires_at=wall)
            for n in range(3)
        ],
        CaptureHold(hold_id="H-0"),
        CaptureHold(hold_id="H-1"),
        RefundHold(hold_id="H-1"),
        ReleaseHold(hold_id="H-2"),
        *[SendDue(member_id=f"M-{n}") for n in range(SIZES.members)],
        policy.CustomerErased(member_id="M-7", effective=on),
    ]
    for n, data in enumerate(said):
        if type(data) in service.rules:
            key = "M-5" if "Hold" in type(data).__name__ else key_of(data)
            kind = TYPE_OF.get(type(data), type(data).__name__)
            yield Item(Event(id=f"x-{n}", source="/x", type=kind, key=key, time=start_of(on), data=data), once=True)


async def loaded(door: Door, keys: list[str]) -> dict[str, Any]:
    async with door.pool.acquire() as conn, conn.transaction():
        states: dict[str, Any] = await door.service.load(conn, keys)
    return states


async def live(door: Door, day: date) -> list[Any]:
    """The day comes, and everything due is done, a few keys at a time."""
    await door.transact([], day=day)
    done = []
    while (due := await door.fall_due(day, keys_max=5)).done:
        done.append(due)
    return done


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
async def test_a_life_is_kept_alike(
    service: Service[Any], settings: Settings, rules: Programme, spoken: dict[str, list[list[Record]]]
) -> None:
    store = Store(service.name)
    model = Door(modelled(service, SHAPES[service.name]), Pool(store), rules)  # type: ignore[arg-type]
    async with under_test(service, settings, rules) as real:
        doors = (real.door, model)
        for door in doors:
            door.new_id = ids_of(service.name)
        items, day = [*dealt(service, spoken), *beyond(service)], FIRST_DAY
        for at in range(0, len(items), BATCH_ITEMS):
            batch = items[at : at + BATCH_ITEMS]
            outcomes = [[(o.body, o.wrong and o.wrong.code) for o in await door.transact(batch)] for door in doors]
            assert outcomes[0] == outcomes[1]
            keys = sorted({key for item in batch if item.event for key in service.keys(item.event)})
            assert await loaded(real.door, keys) == await loaded(model, keys)
            day += timedelta(20)
            if service.due is not None:
                assert await live(real.door, day) == await live(model, day)
        everyone = sorted(store.tables["states"])
        if service.due is not None:
            assert await live(real.door, LAST_DAY) == await live(model, LAST_DAY)
        assert await loaded(real.door, everyone) == await loaded(model, everyone)
        rows = await real.pool.fetch("SELECT records FROM outbox ORDER BY seq")
        assert told(rows) == told([row for _, row in sorted(store.tables["outbox"].items())])
        assert len(everyone) >= SIZES.members


def told(rows: Iterable[Any]) -> dict[bytes, list[Any]]:
    """What was told of each key, in order; between keys due work has none. An instant is the same in any zone."""
    found: dict[bytes, list[Any]] = {}
    for row in rows:
        for record in unpack(row["records"]):
            found.setdefault(record.key, []).append(decode(record.headers, record.value).data)
    return found
