"""What the mall reads: twice is once, halves are the whole, a wrong event blocks its own key only."""

from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tenure.contracts
from mall.service import SERVICE
from tenure.contracts.event import WrongEventError
from tenure.contracts.points import PointsReleased
from tenure.contracts.tier import Step, TierChanged
from tenure.spine.codec import StructuredEvent, decode_structured, encode, utc_now
from tenure.spine.log import Record
from tenure.spine.transact import Item

EXAMPLES = Path(tenure.contracts.__file__).parent / "examples"
READ = {name for topic in SERVICE.reads for name in topic.types} - {
    "day.started"
}  # ticks move the calendar, no rule sees them


def tier_of(member: str, tier: str, since: date) -> TierChanged:
    return TierChanged(
        member_id=member,
        from_tier="none",
        to_tier=tier,
        effective=since,
        retroactive=False,
        reasons=(),
        nearest=None,
        policies=(),
        insured_days=0,
        annual_premium_fen=0,
        rules_version=1,
        timeline=(Step(effective=since, tier=tier, cause="upgrade"),),
    )


def typical() -> list[Any]:
    day = date(2026, 3, 9)
    released = PointsReleased(
        member_id="M-1", wallet="points", amount=5, effective=day, hold_id="O-x", reason="timed_out"
    )
    return [tier_of("M-1", "silver", day), tier_of("M-2", "gold", day), released, tier_of("M-1", "gold", day)]


async def rows(mall: Any) -> list[Any]:
    tables = ("members", "orders", "shelves")
    found = [await mall.t.pool.fetch(f"SELECT * FROM {table} ORDER BY 1") for table in tables]
    return [[tuple(row.values()) for row in table] for table in found]


async def test_twice_and_in_halves_is_once(mall: Any) -> None:
    records = mall.t.records(*typical())
    await mall.t.deliver(records)
    once = await rows(mall)
    await mall.t.deliver(records)
    for half in (records[:2], records[2:]):
        await mall.t.deliver(half)
    assert await rows(mall) == once
    assert await mall.t.emitted() == []
    tiers = {row[0]: msgspec.json.decode(row[1], type=tuple[Step, ...])[-1].tier for row in once[0]}
    assert tiers == {"M-1": "gold", "M-2": "gold"}


async def test_every_example_is_accepted_twice(mall: Any) -> None:
    structured = [msgspec.json.decode(f.read_bytes(), type=StructuredEvent) for f in sorted(EXAMPLES.glob("*.json"))]
    events = [decode_structured(s, received=utc_now()) for s in structured if s.type in READ]
    records = [mall.t.as_record(encode(event)) for event in events]
    outcomes = [o for _ in range(2) for o in await mall.t.deliver(records)]
    assert [o.wrong for o in outcomes] == [None] * len(outcomes)
    assert await mall.t.parked() == []


async def test_a_wrong_event_blocks_its_member_only(mall: Any) -> None:
    good = mall.t.records(tier_of("M-1", "gold", date(2026, 3, 9)), tier_of("M-2", "gold", date(2026, 3, 9)))
    wrong = Record(
        topic="tier.v1", partition=0, offset=900, key=b"M-1", value=b"{", headers=good[0].headers, timestamp_ms=0
    )
    await mall.t.door.transact([Item(None, wrong, WrongEventError("malformed", "not JSON"))])
    await mall.t.deliver(good)
    assert await mall.t.parked() == [("M-1", "malformed"), ("M-1", "behind")]
    known = {row[0]: bool(msgspec.json.decode(row[1])) for row in (await rows(mall))[0]}
    assert (known.get("M-1", False), known["M-2"]) == (False, True)


async def test_a_corrected_tier_counts_for_the_next_quote(mall: Any) -> None:
    await mall.t.feed(tier_of("M-1", "gold", date(2026, 3, 10)))
    assert (await mall.quote("M-1", "dental-cleaning")).json()["code"] == "tier_too_low"  # gold only from tomorrow
    await mall.t.feed(tier_of("M-1", "gold", date(2026, 3, 9)))
    assert (await mall.quote("M-1", "dental-cleaning")).status_code == 201


@pytest.mark.parametrize("name", sorted(SERVICE.ignores))
def test_what_is_ignored_is_read_by_the_mall(name: str) -> None:
    assert name in READ
