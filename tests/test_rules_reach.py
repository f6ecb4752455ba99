"""Tier rules that two persons publish reach every service that goes by them: before their day all is as it was, from it on nothing is.

Five services at work on databases of their own, asked over HTTP. The draft of 15 June: from 1 July silver costs over CNY 400 a year
(it was 300), gold over 500 (it was 800), and both have other names.
"""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any, Final

import msgspec
import pytest
from tenure.calendar import start_of
from tenure.contracts.policy import ClaimChanged, PolicyIssued, Term
from tenure.embedded.server import free_port
from tenure.settings import Settings

from .running import Running, eventually, running

TODAY: Final = date(2026, 6, 15)
EVE, DAY, LATER = date(2026, 6, 30), date(2026, 7, 1), date(2026, 8, 1)
SERVICES: Final = ("tier-engine", "benefits", "mall", "notifier", "member-view")
Named = dict[str, tuple[str, str]]
NAMES: Final[Named] = {"silver": ("白银卡", "Silver Card"), "gold": ("黄金卡", "Gold Card")}
OVER_FEN: Final[dict[str, int]] = {"silver": 40_000, "gold": 50_000}


def issued(member: str, premium_fen: int) -> PolicyIssued:
    start, end = date(2026, 1, 1), date(2027, 1, 1)
    term = Term(
        policy_no=f"P-{member}",
        term_no=1,
        member_id=member,
        product_line="home",
        start=start,
        end=end,
        written_end=end,
        premium_fen=premium_fen,
        status="in_force",
        version=1,
        covers=((start, end),),
        natural_person=True,
        inception=start,
    )
    return PolicyIssued(member_id=member, term=term, effective=start)


def claim(number: int, on: date) -> ClaimChanged:
    return ClaimChanged(
        member_id="M-350",
        claim_no=f"C-{number}",
        policy_no="P-M-350",
        product_line="home",
        loss_date=on,
        status="reported",
        amount_fen=100_000,
        effective=on,
    )


def draft(here: Running, names: Named, over_fen: dict[str, int]) -> dict[str, Any]:
    """The newest rules with other words and other premiums."""
    rules = msgspec.to_builtins(here.services["tier-engine"].door.programme.tiers.newest)
    for tier in rules["tiers"]:
        if tier["name"] in names:
            tier["label_zh"], tier["label_en"] = names[tier["name"]]
            tier["any_of"] = [
                {**c, "threshold": over_fen[tier["name"]]} if c["measure"] == "annual_premium_fen" else c
                for c in tier["any_of"]
            ]
    return {name: rules[name] for name in rules if name not in ("version", "effective")}


class House:
    """The five services, and whoever asks them."""

    def __init__(self, here: Running) -> None:
        self.here = here

    async def get(self, path: str, role: str = "operator") -> Any:
        answer = await self.here.ask("GET", path, role)
        assert answer.status_code == 200, (path, answer.text)
        return answer.json()

    async def step(self, path: str, who: str, body: dict[str, Any]) -> dict[str, Any]:
        t = self.here.services["tier-engine"]
        answer = await t.http.post(path, json=body, headers=t.auth("operator", subject=who))
        assert answer.is_success, answer.text
        return dict(answer.json())

    async def publish(self, effective: date, names: Named = NAMES, over_fen: dict[str, int] = OVER_FEN) -> str:
        """Two persons; returns the draft's id when every service knows of it."""
        body = {
            "rules": draft(self.here, names, over_fen),
            "effective": effective.isoformat(),
            "reason": "board of 15 June",
        }
        draft_id: str = (await self.step("/v1/rules/tiers/drafts", "li", body))["draft_id"]
        await self.step(f"/v1/rules/tiers/drafts/{draft_id}/approve", "wang", {"reason": "read"})
        await self.all_heard(draft_id, "document IS NOT NULL")
        return draft_id

    async def all_heard(self, draft_id: str, that: str) -> None:
        asked = f"SELECT count(*) FROM rules_heard WHERE draft_id = $1 AND {that}"
        for name in SERVICES[1:]:
            pool = self.here.services[name].pool
            await eventually(lambda pool=pool: pool.fetchval(asked, draft_id), f"{name} heard of it")

    async def day(self, day: date) -> None:
        await self.here.day(day)
        for name, t in self.here.services.items():
            await eventually(lambda t=t: _reached(t.pool, day), f"{name} reached {day}")
        pool = self.here.services["tier-engine"].pool
        due = "SELECT NOT EXISTS (SELECT FROM members WHERE due_on <= $1)"
        await eventually(lambda: pool.fetchval(due, day), "nothing is due any more")

    async def status(self, member: str) -> dict[str, Any]:
        return dict(await self.get(f"/v1/members/{member}/status"))

    async def told(self, member: str) -> list[str]:
        """The messages about the tier, newest first, in English."""
        pool = self.here.services["notifier"].pool
        rows = await pool.fetch(
            "SELECT * FROM message WHERE member_id = $1 AND template LIKE 'tier_%' ORDER BY asked_at DESC", member
        )
        return [f"{row['text_zh']} / {row['text_en']}" for row in rows]


async def _reached(pool: Any, day: date) -> bool:
    return bool(await pool.fetchval("SELECT day >= $1 FROM calendar", day))


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    port = free_port()
    more = {"clock": "events", "service_url": f"http://127.0.0.1:{port}"}
    async with running(SERVICES, settings.model_copy(update=more), port=port) as here:
        house = House(here)
        await here.publish(issued("M-350", 35_000), issued("M-600", 60_000), at=start_of(date(2026, 1, 1)))
        await house.day(TODAY)
        yield house


async def test_a_publication_changes_nothing_before_its_day_and_everything_from_it_on(house: House) -> None:
    here = house.here
    await eventually(lambda: _is(house, "M-600", "silver"), "both are silver")
    preview = await house.get("/v1/members/M-600/renewal-preview?policy_no=P-M-600")
    assert (preview["renewal"]["tier_at_start"], preview["adds_at_start"]) == ("silver", [])

    await house.publish(DAY)
    # A renewal in January will be judged by the rules of January: what it unlocks is shown from the publication on.
    preview = await house.get("/v1/members/M-600/renewal-preview?policy_no=P-M-600")
    assert preview["renewal"]["tier_at_start"] == "gold"
    assert "no_on_site_survey" in {benefit["benefit"] for benefit in preview["adds_at_start"]}

    await house.day(EVE)
    await here.publish(claim(1, EVE), at=start_of(EVE))
    await eventually(lambda: _said(house, 1), "the claim is known")
    reasons = await _said(house, 1)
    assert "需黄金及以上等级，报案日为白银" in reasons
    seen = await house.status("M-350")
    assert (seen["tier"]["label_en"], seen["progress"]["label_en"], seen["progress"]["threshold"]) == (
        "Silver",
        "Gold",
        80_000,
    )
    assert await _goods(house, "M-600") >= {"fuel-voucher-100"}
    assert "dental-cleaning" not in await _goods(house, "M-600")

    await house.day(DAY)
    await here.publish(claim(2, DAY), at=start_of(DAY) + timedelta(hours=9))
    await eventually(lambda: _is(house, "M-600", "gold"), "who pays over CNY 500 is gold")
    await eventually(lambda: _said(house, 2), "the second claim is known")
    assert "需黄金卡及以上等级，报案日为白银卡" in await _said(house, 2)
    assert await _said(house, 1) == reasons, "a claim keeps the words of its day"

    await eventually(lambda: _threshold(house, "M-350", 50_000), "what is missing is told anew")
    seen = await house.status("M-350")
    assert (seen["tier"]["code"], seen["tier"]["label_zh"], seen["progress"]["label_zh"]) == (
        "silver",  # it costs over CNY 400 now; what was promised under the old rules is kept
        "白银卡",
        "黄金卡",
    )
    assert seen["progress"]["missing"] == 50_001 - 35_000
    assert seen["summary_en"].startswith("Silver Card since 2026-01-01")
    assert "dental-cleaning" in await _goods(house, "M-600")
    await eventually(lambda: _told_of(house, "M-600", DAY), "the new tier is told")
    (text,) = await _told_of(house, "M-600", DAY)
    assert "黄金卡会员" in text
    assert "Gold Card" in text
    await _a_version_withdrawn_on_its_eve_never_was(house)


async def _a_version_withdrawn_on_its_eve_never_was(house: House) -> None:
    again = await house.publish(LATER, {"silver": ("银", "Argent"), "gold": ("金", "Or")}, {"silver": 1, "gold": 2})
    await house.day(LATER - timedelta(days=1))
    await house.step(f"/v1/rules/tiers/drafts/{again}/withdraw", "zhao", {"reason": "too mild"})
    await house.all_heard(again, "document IS NULL")
    await house.day(LATER)
    seen = await house.status("M-350")
    assert (seen["tier"]["code"], seen["tier"]["label_en"]) == ("silver", "Silver Card")
    assert seen["progress"]["threshold"] == 50_000


async def _is(house: House, member: str, tier: str) -> bool:
    """As every service that keeps the tier sees it."""
    pools = {name: house.here.services[name].pool for name in ("benefits", "member-view")}
    asked = {"benefits": "members", "member-view": "member_view"}
    held = [
        await pool.fetchval(f"SELECT tier FROM {asked[name]} WHERE member_id = $1", member)
        for name, pool in pools.items()
    ]
    return held == [tier, tier] and tier in str(
        await house.here.services["mall"].pool.fetchval("SELECT timeline FROM members WHERE member_id = $1", member)
    )


async def _threshold(house: House, member: str, fen: int) -> bool:
    return bool((await house.status(member))["progress"]["threshold"] == fen)


async def _told_of(house: House, member: str, day: date) -> list[str]:
    return [text for text in await house.told(member) if day.isoformat() in text]


async def _said(house: House, number: int) -> str:
    answer = await house.here.ask("GET", f"/v1/claims/C-{number}/entitlements", "operator")
    return answer.text if answer.status_code == 200 else ""


async def _goods(house: House, member: str) -> set[str]:
    return {item["sku"] for item in (await house.get(f"/v1/catalogue?member_id={member}"))["items"]}
