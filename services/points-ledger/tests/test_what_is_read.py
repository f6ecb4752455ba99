"""Which lots and reservations are read with an account: what has points, or may still matter to another fact; the rest is history.

The account has lived to 15 June 2028. Each lot was granted 100 points, and has none of them left but where it says so.
"""

from collections.abc import AsyncIterator

import pytest
from points_ledger import store
from points_ledger.service import SERVICE
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .world import D, M

LIVED_TO = D("2028-06-15")
LOTS: list[tuple[str, dict[str, object], bool]] = [
    ("spent, remembered until that day", {"remembered_until": D("2028-06-15")}, True),
    ("spent, remembered until the day before", {}, False),
    ("something is left of it", {"spent": 90, "remaining": 10}, True),
    ("expired unused 91 days ago", {"spent": 90, "expired": 10, "expires_on": D("2028-03-16")}, True),
    ("expired unused 92 days ago", {"spent": 90, "expired": 10, "expires_on": D("2028-03-15")}, False),
    (
        "expired 91 days ago, when its agent had left",
        {"spent": 90, "expired": 10, "cut_on": D("2028-03-16"), "expires_on": D("2029-01-01")},
        True,
    ),
    ("spent, and an order of it may be given back", {}, True),
    ("spent, and its order's time to be given back is over", {}, False),
    ("spent, and the first lost five of it", {}, True),
]
COLUMNS = """member_id, lot_no, wallet, rule, fact, granted, remaining, earned_on, activates_on, expires_on, rules_version, source_type,
    source_id, remembered_until, base, held, spent, reversed, expired, status, status_percent, line_percent, campaign_percent, revoked,
    taken, origin, cut_on"""


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings) as under:
        account = "INSERT INTO accounts (member_id, lived_to, lots_no, transfers_no) VALUES ($1, $2, $3, 0)"
        await under.pool.execute(account, M, LIVED_TO, len(LOTS))
        for no, (_, changes, _) in enumerate(LOTS, 1):
            one = {"remaining": 0, "spent": 100, "expired": 0, "expires_on": D("2027-01-01"), "cut_on": None, **changes}
            await under.pool.execute(
                f"""INSERT INTO lots ({COLUMNS}) VALUES ($1, $2, 'points', 'quiz', 'q-' || $2::int, 100, $3, '2026-01-01', '2026-01-01',
                    $4, 1, 'activity.completed', 'e-' || $2::int, $5, 100, 0, $6, 0, $7, '', 100, 100, 100, false, $8, '', $9)""",
                *(
                    M,
                    no,
                    one["remaining"],
                    one["expires_on"],
                    one.get("remembered_until", D("2028-06-14")),
                    one["spent"],
                ),
                *(one["expired"], "[[9, 5]]" if no == 1 else "[]", one["cut_on"]),
            )
        for lot_no, until in ((7, D("2028-06-15")), (8, D("2028-06-14"))):
            await under.pool.execute(
                """INSERT INTO holds (hold_id, member_id, wallet, points, reference, state, parts, placed_on, expires_at,
                                      refundable_until, captured, refunded)
                   VALUES ('H-' || $1::text, $2, 'points', 100, '', 'captured', $3, '2027-06-15', '2027-06-15', $4, 100, 0)""",
                *(str(lot_no), M, f"[[{lot_no}, 100]]", until),
            )
        yield under


async def test_what_may_still_matter_is_read_and_nothing_else(t: Under) -> None:
    async with t.pool.acquire() as conn, conn.transaction():
        account = (await store.load(conn, [M]))[M]
    assert {LOTS[no - 1][0] for no in account.lots} == {what for what, _, is_read in LOTS if is_read}
    assert list(account.holds) == ["H-7"]
