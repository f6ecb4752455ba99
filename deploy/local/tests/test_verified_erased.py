"""`tenure verify` of a platform on which somebody was erased: the ledger keeps its rows, and nobody else anything to hold them against."""

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from notifier import sending
from notifier.channels.sms_file import SmsFile
from notifier.service import SERVICE as NOTIFIER
from tenure.contracts.benefit import ClaimAdvised
from tenure.contracts.policy import CustomerErased
from tenure.settings import Settings
from tenure.testing import under_test
from tenure_local.between import Retained, messages_hold
from tenure_local.invariants import views_agree

D = date(2026, 3, 1)


class Books:
    """What the ledger, tier-engine and member-view answer of the members that are shown."""

    def __init__(self, *shown: str, tier: str = "gold") -> None:
        self.shown, self.tier = shown, tier

    def rows(self, path: str) -> list[dict[str, Any]]:
        balance = {"available": 900, "pending": 0, "held": 0, "debt": 0}
        return {
            "/v1/members": [
                {"member_id": m, "points": {"points": balance}, "tier": {"code": self.tier}} for m in self.shown
            ],
            "/v1/wallets": [{"member_id": m, "wallet": "points", **balance} for m in ("M-1", "M-2")],
            "/v1/tiers": [{"member_id": m, "told": "gold"} for m in ("M-1", "M-2")],
        }[path]


@pytest.mark.parametrize(
    ("books", "erased", "balances", "tiers"),
    [
        (Books("M-1", "M-2"), set(), True, True),
        (Books("M-1"), {"M-2"}, True, True),
        (Books("M-1"), set(), False, False),  # a row is missing, and nobody was erased
        (Books("M-1", "M-2"), {"M-2"}, False, True),  # shown though erased
        (Books("M-1", tier="silver"), {"M-2"}, True, False),
    ],
)
def test_of_the_erased_no_row_is_shown_and_of_all_others_one(
    books: Books, erased: set[str], balances: bool, tiers: bool
) -> None:
    found = views_agree(books, erased)  # type: ignore[arg-type]
    assert found == {"views_show_the_ledgers_balances": balances, "views_show_the_tiers": tiers}


async def test_texts_that_the_erased_had_been_sent_are_nobodys_message(settings: Settings, tmp_path: Path) -> None:
    advised = ClaimAdvised(
        member_id="M-1", claim_no="C-1", tier="gold", fast_track=True, on_site_survey_waived=True, effective=D
    )
    file = tmp_path / "sms.ndjson"
    async with under_test(NOTIFIER, settings) as t:
        await t.feed(advised)
        await sending.tell(t.door, None)
        assert await sending.deliver(t.door, SmsFile(file), None) == 1
        announced = await t.pool.fetchval("SELECT message_id FROM message")
        told = Retained({}, Counter({(announced, "in_app"): 1}), 0)
        for erased in (CustomerErased(member_id="M-9", effective=D), CustomerErased(member_id="M-1", effective=D)):
            await t.feed(erased)
            async with t.pool.acquire() as conn:
                assert all((await messages_hold(conn, told, file)).values()), erased
        await t.pool.execute("UPDATE member SET erased = false")
        async with t.pool.acquire() as conn:
            assert not (await messages_hold(conn, told, file))["texts_sent_are_those_of_messages"]
