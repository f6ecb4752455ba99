"""`tenure demo`: real policies and a small cast through the whole platform, every invariant checked, the summary printed."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any, Final

import msgspec
from policy_sync.sources import motor_portfolio, motor_rows
from rich.table import Table
from tenure.contracts.event import Event
from tenure.spine.codec import StructuredEvent, decode_structured, utc_now

from tenure_local.api import Api
from tenure_local.console import out, tell
from tenure_local.home import ROOT, Home
from tenure_local.invariants import verified
from tenure_local.moving import drain, replay_events
from tenure_local.platform import Platform
from tenure_local.playback import in_order
from tenure_local.stories import STORIES, Asking, redeem, use_a_benefit

SINCE: Final = date(2015, 11, 1)
UNTIL: Final = date(2018, 12, 31)
EXAMPLES: Final = ROOT / "examples"
TIERS: Final = ("diamond", "gold", "silver", "basic", "none")
DRAIN_WITHIN_S: Final = 900
Say = Callable[[str], None]


@dataclass
class Summary:
    """What the demo came to."""

    members: int
    tiers: dict[str, int]
    points: dict[str, int]
    benefits: dict[str, int]
    messages: dict[str, int]
    orders: dict[str, int]
    invariants: dict[str, bool]
    stories: dict[str, bool]
    seen: dict[str, str] = field(repr=False)
    facts: int
    seconds: float

    @property
    def holds(self) -> bool:
        return all(self.invariants.values()) and all(self.stories.values())

    def as_dict(self) -> dict[str, Any]:
        return {k: v for k, v in asdict(self).items() if k != "seen"}


def run(platform: Platform, say: Say) -> Summary:
    """Start clean, replay, redeem, drain, ask. The platform is left up."""
    home = platform.home
    platform.start(say, clean=True)
    begun = time.monotonic()
    events = cast_and_portfolio()
    say(f"replaying {len(events):,} facts from {SINCE} to {UNTIL}, with every day's start between them")
    asyncio.run(replay_events(home, events, SINCE, UNTIL))
    say("waiting until every service has read everything")
    asyncio.run(drain(home, within_s=DRAIN_WITHIN_S))
    say("H-08 redeems points in the mall, H-04 has a home-safety check done")
    with Asking(home) as ask:
        redeem(ask)
        use_a_benefit(ask)
    asyncio.run(drain(home, within_s=DRAIN_WITHIN_S))
    say("checking every invariant and every story")
    return summarise(home, facts=len(events), seconds=time.monotonic() - begun)


def cast_and_portfolio() -> list[Event]:
    """The examples' facts, in order of time."""
    motor = motor_portfolio.facts(motor_rows.read(EXAMPLES / "motor-portfolio" / "policies.csv.gz"))
    lines = (EXAMPLES / "home-cast" / "facts.ndjson").read_bytes().splitlines()
    cast = (msgspec.json.decode(line, type=StructuredEvent) for line in lines)
    return in_order([*motor, *(decode_structured(event, received=utc_now()) for event in cast)])


def summarise(home: Home, *, facts: int, seconds: float) -> Summary:
    """Ask every service for its totals, and check invariants and stories."""
    with Api(home, "demo", "operator") as api:
        held = Counter(row["tier"] for row in api.rows("/v1/tiers"))
        tiers = {tier: held[tier] for tier in TIERS if held[tier]}
        points = api.get("/v1/ledger/totals")["points"]
        by_tier = api.get("/v1/benefits/totals")["by_tier"]
        messages = api.get("/v1/messages/totals")
        orders = api.get("/v1/mall/totals")
    with Asking(home) as ask:
        stories = [tell(ask) for tell in STORIES]
    return Summary(
        members=sum(tiers.values()),
        tiers=tiers,
        points=points,
        benefits={part: sum(row[part] for row in by_tier) for part in ("active_grants", "used")},
        messages={"sent": messages["sent"], **messages["by_template"]},
        orders=orders,
        invariants=verified(home),
        stories={story.name: story.true for story in stories},
        seen={story.name: story.seen for story in stories},
        facts=facts,
        seconds=round(seconds, 1),
    )


def show(summary: Summary) -> None:
    """The summary for people."""
    table = Table(
        title=f"{summary.members:,} members, {summary.facts:,} facts, {summary.seconds:.0f} seconds",
        title_justify="left",
    )
    table.add_column("what")
    table.add_column("how much", justify="right")
    for name in ("tiers", "points", "benefits", "messages", "orders"):
        for what, count in getattr(summary, name).items():
            table.add_row(f"{name}: {what}", f"{count:,}" if isinstance(count, int) else str(count))
    out.print(table)
    for name, true in summary.stories.items():
        tell(true, name if true else f"{name}\n    seen: {summary.seen[name]}")
    broken = [name for name, true in summary.invariants.items() if not true]
    tell(
        not broken,
        f"{len(summary.invariants)} invariants checked" + "".join(f"\n    broken: {name}" for name in broken),
    )


def invite(home: Home) -> None:
    """Where to look next, with commands that work as they stand."""
    url = home.addresses().url
    out.print(
        f"\nThe platform stays up at {url}; its calendar stands at {UNTIL}. Press Ctrl-C to stop it. Try, from another shell:"
    )
    out.print(f"  .venv/bin/tenure status H-04\n  {url}/docs in a browser")
    out.print(
        f'  curl -s -H "Authorization: Bearer $(.venv/bin/tenure token --role member --subject H-08)" {url}/v1/me'
        f'\n  curl -s -H "Authorization: Bearer $(.venv/bin/tenure token --role agent --subject A-01 --book H-04)" '
        f"{url}/v1/claims/C-H-04/entitlements"
    )
