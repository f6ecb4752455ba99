"""Members who turn out to be one person, and two after all: whose the messages are, and that each is told once."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from notifier import sending
from notifier.service import SERVICE
from tenure.contracts.benefit import CoverageExtensionRequested
from tenure.contracts.event import Data
from tenure.contracts.message import MessageRequested, MessageSent
from tenure.contracts.points import PointsExpiring
from tenure.contracts.policy import (
    ConsentChanged,
    CoverageExtensionConfirmed,
    CustomerErased,
    CustomerMerged,
    CustomerUnmerged,
)
from tenure.contracts.tier import TierAtRisk
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .cast import D, M, claim, fulfilled, tier_changed


async def _inbox(t: Under) -> list[dict[str, Any]]:
    return [dict(row) for row in await t.pool.fetch("SELECT * FROM message ORDER BY member_id, dedupe")]


async def test_one_person_has_one_inbox(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(claim())
        await sending.tell(t.door, None)
        await t.feed(fulfilled())
        await t.feed(CustomerMerged(member_id="M-9", merged_id=M, effective=D))
        await sending.tell(t.door, None)
        assert [(m["member_id"], m["dedupe"].partition(":")[0]) for m in await _inbox(t)] == [
            ("M-9", "claim_progress"),
            ("M-9", "order_fulfilled"),
        ]


async def test_parted_again_each_has_their_own_inbox(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(CustomerMerged(member_id="M-9", merged_id=M, effective=D))
        await t.feed(*(CustomerUnmerged(member_id=m, survivor_id="M-9", merged_id=M, effective=D) for m in ("M-9", M)))
        await t.feed(tier_changed("none", "basic"), at=D)
        await t.feed(tier_changed("basic", "none"), at=D)
        await t.feed(fulfilled())
        await sending.tell(t.door, None)
        assert [m["member_id"] for m in await _inbox(t)][-1] == M


def invited(who: str) -> MessageRequested:
    params: dict[str, str | int] = {"on": "2026-03-04", "topic": "t"}
    return MessageRequested(member_id=who, template="class_invitation", dedupe="x", purpose="marketing", params=params)


def parted() -> list[Data]:
    """As it is told to both."""
    return [CustomerUnmerged(member_id=m, survivor_id="M-9", merged_id=M, effective=D) for m in ("M-9", M)]


@pytest.mark.parametrize("told_first", [True, False])
async def test_parted_again_what_was_a_members_is_theirs_and_is_not_told_anew(
    settings: Settings, told_first: bool
) -> None:
    """Told before the merger, planned before it and told during it; then told anew by the others, before or after the parting."""
    async with under_test(SERVICE, settings) as t:
        await t.feed(claim())
        await sending.tell(t.door, None)
        await t.feed(fulfilled())
        await t.feed(CustomerMerged(member_id="M-9", merged_id=M, effective=D))
        await sending.tell(t.door, None)
        await t.feed(replace(claim("assessed"), member_id="M-9"))
        await sending.tell(t.door, None)
        for turn in ([claim(), fulfilled()], parted()) if told_first else (parted(), [claim(), fulfilled()]):
            await t.feed(*turn)
            await sending.tell(t.door, None)
        await t.feed(*parted())
        assert [(m["member_id"], m["dedupe"].split(":")[0]) for m in await _inbox(t)] == [
            (M, "claim_progress"),
            (M, "order_fulfilled"),
            ("M-9", "claim_progress"),
        ]
        announced = Counter(e.message_id for e in await t.emitted(MessageSent))
        assert announced == dict.fromkeys([r["message_id"] for r in await t.pool.fetch("SELECT * FROM message")], 1)


async def test_what_waited_at_the_merger_waits_for_its_member_after_the_parting(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(fulfilled())
        await t.feed(CustomerMerged(member_id="M-9", merged_id=M, effective=D), *parted())
        await sending.tell(t.door, None)
        assert [m["member_id"] for m in await _inbox(t)] == [M]


async def test_two_full_days_of_one_person_keep_the_cap(settings: Settings) -> None:
    """Each was told as much as a day allows, and then they turn out to be one: nobody was told too much by us."""
    async with under_test(SERVICE, settings) as t:
        for n in range(6):
            await t.feed(fulfilled(f"O-{n}"), replace(fulfilled(f"N-{n}"), member_id="M-9"))
        await sending.tell(t.door, None)
        await t.feed(CustomerMerged(member_id="M-9", merged_id=M, effective=D))
        await t.feed(replace(fulfilled("N-7"), member_id="M-9"))
        await sending.tell(t.door, None)
        assert [m["member_id"] for m in await _inbox(t)] == ["M-9"] * 10
        assert (await t.http.get("/v1/messages/verify", headers=t.auth("operator"))).json()["daily_cap_kept"] is True
        await t.pool.execute("UPDATE message SET handed_by = '{}'")
        assert (await t.http.get("/v1/messages/verify", headers=t.auth("operator"))).json()["daily_cap_kept"] is False


async def test_a_message_goes_back_by_the_way_it_came(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(claim())
        await sending.tell(t.door, None)

        async def merged(survivor: str, gone: str) -> str:
            await t.feed(CustomerMerged(member_id=survivor, merged_id=gone, effective=D))
            return str(await t.pool.fetchval("SELECT member_id FROM message"))

        async def parted_from(survivor: str, gone: str) -> str:
            await t.feed(CustomerUnmerged(member_id=survivor, survivor_id=survivor, merged_id=gone, effective=D))
            return str(await t.pool.fetchval("SELECT member_id FROM message"))

        assert [await merged("M-2", M), await merged("M-9", "M-2")] == ["M-2", "M-9"]
        assert [await parted_from("M-9", "M-2"), await parted_from("M-2", M)] == ["M-2", M]
        assert [await merged("M-2", M), await merged(M, "M-2"), await parted_from(M, "M-2")] == ["M-2", M, M]


async def test_the_other_copy_of_an_undoing_does_not_undo_the_merger_that_followed(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        merged, (first, late) = CustomerMerged(member_id="M-9", merged_id=M, effective=D), parted()
        await t.feed(claim())
        await sending.tell(t.door, None)
        await t.feed(merged, first, merged, late)
        assert [m["member_id"] for m in await _inbox(t)] == ["M-9"]


async def test_who_was_erased_before_the_merger_is_heard_of_is_told_and_keeps_nothing(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(claim())
        await sending.tell(t.door, None)
        await t.feed(fulfilled(), CustomerErased(member_id="M-9", effective=D))
        await t.feed(CustomerMerged(member_id="M-9", merged_id=M, effective=D))
        await sending.tell(t.door, None)
        assert await _inbox(t) == []
        assert await t.pool.fetchval("SELECT sum(waiting) FROM member") == 0


async def test_points_of_both_that_expire_on_one_day_are_one_sum(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        for who, amount in ((M, 500), ("M-9", 300)):
            await t.feed(
                PointsExpiring(
                    member_id=who, wallet="points", amount=amount, effective=D, expires_on=D + timedelta(days=30)
                )
            )
        await t.feed(CustomerMerged(member_id="M-9", merged_id=M, effective=D))
        await sending.tell(t.door, None)
        assert [m["text_en"].partition(";")[0] for m in await _inbox(t)] == [
            "800 points expire at the start of 2026-03-31"
        ]


async def test_nobody_is_warned_of_the_tier_of_a_number_they_gave_up(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(
            TierAtRisk(member_id=M, tier="gold", to_tier="silver", effective=D, drops_on=D + timedelta(days=9))
        )
        await t.feed(CustomerMerged(member_id="M-9", merged_id=M, effective=D))
        await sending.tell(t.door, None)
        assert await _inbox(t) == []


@pytest.mark.parametrize(("turns", "who"), [(("merged",), "M-9"), (("merged", "parted"), M)])
async def test_the_cores_answer_names_the_benefit_whoever_had_asked(
    settings: Settings, turns: tuple[str, ...], who: str
) -> None:
    """Asked under one number, answered to the one that the person goes by then: not with the number of the request."""
    request = f"{M}.burst_pipe_liability.20260301"
    asked = CoverageExtensionRequested(
        member_id=M, grant_id=request, benefit="burst_pipe_liability", effective=D, request_id=request, clause="C"
    )
    answered = CoverageExtensionConfirmed(member_id=who, request_id=request, endorsement_no="E-7", start=D, end=D)
    told = {"merged": [CustomerMerged(member_id="M-9", merged_id=M, effective=D)], "parted": parted()}
    async with under_test(SERVICE, settings) as t:
        await t.feed(asked, *(data for turn in turns for data in told[turn]), answered)
        await sending.tell(t.door, None)
        (message,) = await _inbox(t)
        assert (message["member_id"], message["text_en"].partition(" is ")[0]) == (
            who,
            "Your Burst-pipe liability extension",
        )


@pytest.mark.parametrize("tier_first", [True, False])
async def test_nobody_is_told_that_a_membership_ended_because_two_became_one(
    settings: Settings, tier_first: bool
) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(tier_changed("none", "basic"), at=D)
        both = [CustomerMerged(member_id="M-9", merged_id=M, effective=D), tier_changed("basic", "none")]
        for told in reversed(both) if tier_first else both:
            await t.feed(told, at=D)
        await sending.tell(t.door, None)
        assert await _inbox(t) == []


@pytest.mark.parametrize(("said_before", "told"), [(True, True), (False, False)], ids=["before", "after"])
async def test_what_was_said_under_another_number_gives_way_to_a_later_word(
    settings: Settings, said_before: bool, told: bool
) -> None:
    """A refusal that becomes the member's own by a merger, told after their consent: it counts from when it was said."""
    async with under_test(SERVICE, settings) as t:
        agreed = datetime(2024, 3, 5, 9, tzinfo=UTC)
        refused = agreed + timedelta(days=-1 if said_before else 1)
        await t.feed(ConsentChanged(member_id=M, marketing=True, effective=agreed.date()), at=agreed)
        passed_on = ConsentChanged(member_id=M, marketing=False, effective=refused.date(), said_at=refused)
        await t.feed(passed_on, at=agreed + timedelta(days=2))
        assert await t.pool.fetchval("SELECT marketing FROM member WHERE member_id = $1", M) is told


@pytest.mark.parametrize(
    ("first", "then", "told"),
    [
        ("M-9 agrees", "M-1 refuses", 0),  # the newest word, under the number that is given up
        ("M-1 refuses", "M-9 agrees", 1),
        ("M-9 refuses", "M-1 agrees", 0),  # nobody is told on a word that was said under another number alone
    ],
)
async def test_what_a_person_refuses_in_the_app_outlasts_the_number_they_said_it_under(
    settings: Settings, first: str, then: str, told: int
) -> None:
    async with under_test(SERVICE, settings) as t:
        for who, says in (first.split(" "), then.split(" ")):
            own = t.auth("member", subject=who)
            answer = await t.http.put("/v1/preferences", json={"marketing": says == "agrees"}, headers=own)
            assert answer.status_code == 200
        await t.feed(CustomerMerged(member_id="M-9", merged_id=M, effective=D))
        await t.feed(invited("M-9"), at=D)
        await sending.tell(t.door, None)
        assert len(await _inbox(t)) == told
        await t.feed(*parted())
        assert await t.pool.fetchval("SELECT marketing FROM member WHERE member_id = $1", M) is (then == "M-1 agrees")


async def test_preferences_are_not_kept_where_nobody_goes_by_them(settings: Settings) -> None:
    """An app that still knows the old number is told so, as /me does, instead of `marketing: false` without effect."""
    async with under_test(SERVICE, settings) as t:
        await t.feed(CustomerMerged(member_id="M-9", merged_id=M, effective=D))
        own = t.auth("member", subject=M)
        said = await t.http.put("/v1/preferences", json={"marketing": False}, headers=own)
        assert (said.status_code, said.json()["code"]) == (404, "not_found")
        assert (await t.http.get("/v1/preferences", headers=own)).status_code == 404
        await t.feed(*parted())
        again = t.auth("member", subject=M)
        assert (await t.http.put("/v1/preferences", json={"marketing": False}, headers=again)).status_code == 200
