"""What the legs are fed: policy events as policy-sync tells them, and facts as a core sends them, the same for every leg of a run.

Two payments a member, shuffled, so that half of them meet an account that is there already. Ids are UUIDv7, as the spine gives
them.
"""

import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Final

from tenure.calendar import SHANGHAI
from tenure.contracts import core, policy
from tenure.contracts.event import Data
from tenure.spine.codec import encode, event_of
from tenure.spine.log import Outgoing
from uuid_utils import uuid7

DAY: Final = date(2026, 3, 2)
AT: Final = datetime(2026, 3, 2, 10, 0, tzinfo=SHANGHAI)
COOLING_OFF_DAYS: Final = 15
TERM: Final = timedelta(365)
PREMIUMS_FEN: Final = (36_800, 120_000, 85_050, 249_900)


def premiums(members: range, *, prefix: str = "M", instalments: int = 2, seed: int = 1) -> list[Outgoing]:
    """So many payments for each member, in a random order that keeps each member's own."""
    order = [n for n in members for _ in range(instalments)]
    random.Random(seed).shuffle(order)
    paid: dict[int, int] = {}
    out = []
    for n in order:
        paid[n] = paid.get(n, 0) + 1
        out.append(record(premium(f"{prefix}-{n:07d}", n, paid[n]), "/tenure/policy-sync"))
    return out


def renewal_days(members: range, *, prefix: str = "R", seed: int = 1) -> list[Outgoing]:
    """The day of the year on which most happens to a member, four events of it: the policy year ends without a claim, on its
    anniversary it is renewed, and the new premium is paid. Members are shuffled into one another, each in its own order.
    """
    order = [n for n in members for _ in range(4)]
    random.Random(seed).shuffle(order)
    days: dict[int, Iterator[Data]] = {n: _renewal_day(f"{prefix}-{n:07d}", n) for n in members}
    return [record(next(days[n]), "/tenure/policy-sync") for n in order]


def _renewal_day(member_id: str, n: int) -> Iterator[Data]:
    years, policy_no = 1 + n % 12, f"P-{member_id}"
    yield policy.NoClaimYearCompleted(
        member_id=member_id,
        policy_no=policy_no,
        product_line="home",
        policy_year=years,
        start=DAY - TERM,
        effective=DAY,
    )
    yield policy.PolicyAnniversary(
        member_id=member_id, policy_no=policy_no, term_no=0, product_line="home", years=years, effective=DAY
    )
    yield policy.PolicyRenewed(
        member_id=member_id,
        term=term(member_id, n, version=1),
        effective=DAY,
        renewed_on=DAY,
        gap_days=0,
        days_early=0,
    )
    yield premium(member_id, n, 1)


LOTS_OF_A_RENEWAL_DAY: Final = 6


def premium(member_id: str, n: int, instalment_no: int) -> policy.PremiumPaid:
    return policy.PremiumPaid(
        member_id=member_id,
        term=term(member_id, n, version=1 + instalment_no),
        effective=DAY,
        amount_fen=PREMIUMS_FEN[n % len(PREMIUMS_FEN)],
        instalment_no=instalment_no,
        payer_id=member_id,
    )


def term(member_id: str, n: int, *, version: int) -> policy.Term:
    return policy.Term(
        policy_no=f"P-{member_id}",
        term_no=1,
        member_id=member_id,
        product_line="home",
        start=DAY,
        end=DAY + TERM,
        written_end=DAY + TERM,
        premium_fen=2 * PREMIUMS_FEN[n % len(PREMIUMS_FEN)],
        status="in_force",
        version=version,
        covers=((DAY, DAY + TERM),),
        cooling_off_end=DAY + timedelta(COOLING_OFF_DAYS),
        inception=DAY,
        agent_id=f"A-{n % 500:04d}",
        region="440300",
    )


def core_facts(members: range, *, prefix: str) -> list[Outgoing]:
    """A policy sold and paid for each member: two facts each, all policies first, then all payments."""
    return [
        *(record(fact, "/core/bench") for fact in _sold(members, prefix)),
        *(record(fact, "/core/bench") for fact in _paid(members, prefix)),
    ]


def _sold(members: range, prefix: str) -> Iterator[Data]:
    for n in members:
        yield core.PolicyIssued(
            policy_no=f"P-{prefix}-{n:07d}",
            member_id=f"{prefix}-{n:07d}",
            product_line="home",
            start=DAY,
            end=DAY + TERM,
            premium_fen=PREMIUMS_FEN[n % len(PREMIUMS_FEN)],
            cooling_off_days=COOLING_OFF_DAYS,
            region="440300",
        )


def _paid(members: range, prefix: str) -> Iterator[Data]:
    for n in members:
        yield core.PremiumPaid(
            policy_no=f"P-{prefix}-{n:07d}", amount_fen=PREMIUMS_FEN[n % len(PREMIUMS_FEN)], paid_on=DAY
        )


def record(data: Data, source: str) -> Outgoing:
    return encode(event_of(data, id=str(uuid7()), source=source, time=AT))
