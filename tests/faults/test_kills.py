"""kill -9 at every named point of transact, relay and consumer, on real Kafka and PostgreSQL, while events keep coming.

Each lane is a service of its own; its lives end one after another, each at a point drawn from a seed. Afterwards every event has had
one effect, the journal is that of a run without faults, and the world heard it in order. TENURE_FAULT_KILLS says how many
(default: each point four times and more), TENURE_FAULT_SEED repeats a run.
"""

import asyncio
import os
import random
import sys
import time
from pathlib import Path

import msgspec
import pytest
from tenure.spine.faults import POINTS

from .conftest import NewLane
from .load import Load, feed, verify

KILLS = int(os.environ.get("TENURE_FAULT_KILLS", "60"))
SEED = int(os.environ.get("TENURE_FAULT_SEED", "0")) or random.randrange(1, 1_000_000)
LANES = 6
NODE = Path(__file__).with_name("node.py")


def deaths(seed: int) -> list[list[str]]:
    """For each lane, what its lives die of: every point equally often, in random order, on its first to third occasion."""
    chance = random.Random(seed)
    drawn = [POINTS[n % len(POINTS)] for n in range(KILLS)]
    chance.shuffle(drawn)
    lives = [f"{point}:{chance.randint(1, 3)}" for point in drawn]
    return [lives[n::LANES] for n in range(LANES)]


@pytest.mark.kafka
@pytest.mark.timeout(300 + 10 * KILLS)
async def test_processes_killed_at_every_point_lose_and_double_nothing(new_lane: NewLane, tmp_path: Path) -> None:
    print(f"TENURE_FAULT_SEED={SEED}")
    loads = [Load(await new_lane(), SEED + n) for n in range(LANES)]
    plan = msgspec.json.encode({"lanes": [load.lane for load in loads], "deaths": deaths(SEED)})
    began = time.monotonic()
    lives, over = [], asyncio.Event()
    with (tmp_path / "stderr").open("wb") as stderr:
        tormentor = await asyncio.create_subprocess_exec(
            sys.executable,
            str(NODE),
            "torment",
            plan,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    feeding = asyncio.create_task(feed(loads, over))
    try:
        assert tormentor.stdout is not None
        while (line := await tormentor.stdout.readline()) not in (b"done\n", b""):
            lives.append(msgspec.json.decode(line))
        over.set()
        await feeding
        await tormentor.communicate(msgspec.json.encode([load.events for load in loads]) + b"\n")
    finally:
        if tormentor.returncode is None:
            tormentor.kill()
        sys.stdout.write(f"{len(lives)} lives ended in {time.monotonic() - began:.0f} s\n")
    (tmp_path / "lives").write_text(repr(lives))
    said = (tmp_path / "stderr").read_text()[-5_000:]
    assert [life for life in lives if life[2] != "SIGKILL"] == [], said
    assert {life[1].split(":")[0] for life in lives} == set(POINTS)
    assert len(lives) == KILLS
    repeats = await asyncio.gather(*(verify(load) for load in loads))
    events = sum(load.events for load in loads)
    print(f"{KILLS} kills, {events} events, {sum(repeats)} records repeated, {time.monotonic() - began:.0f} s")
