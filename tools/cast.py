"""Writes the home-insurance cast: `examples/home-cast/facts.ndjson`, CloudEvents in order of time (`make cast`).

Each person tells one story of the programme; `STORIES` says which. The facts are what a core, an app and an agent platform
would send: nothing in them says tier, points or benefit.
"""

import json
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

STORIES = {
    "H-01": "silver on the second anniversary, without applying (premium 200.00)",
    "H-02": "silver at once: premium 300.01 is over 300.00",
    "H-03": "not silver: premium 300.00 is not over 300.00",
    "H-04": "gold at once (900.00); a claim of exactly 5,000.00 needs no on-site survey",
    "H-05": "cancels in the cooling-off period: the points go back",
    "H-06": "is reminded one month before expiry, with what renewing unlocks",
    "H-07": "walks 10,000 steps on 30 days in a row",
    "H-08": "redeems points in the mall",
    "H-09": "was referred by H-08",
    "H-10": "has just paid: the points are pending until the cooling-off ends",
    "A-01": "an agent, with points of their own",
}
SOURCE = "/core/home"


class Cast:
    """Facts with running ids, at 09:00 local time of their day."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def say(self, day: date, kind: str, source: str = SOURCE, /, **data: Any) -> None:
        subject = data.get("policy_no") or data.get("member_id") or data.get("agent_id")
        plain = {k: v.isoformat() if isinstance(v, date) else v for k, v in data.items()}
        self.events.append(
            {
                "specversion": "1.0",
                "id": f"home-{len(self.events) + 1:04}",
                "source": source,
                "type": kind,
                "subject": subject,
                "time": f"{day.isoformat()}T09:00:00+08:00",
                "data": plain,
            }
        )

    def issue(self, member: str, day: date, premium_fen: int, **more: Any) -> str:
        policy_no = f"P-{member}"
        self.say(day, "CustomerRegistered", member_id=member, registered_on=day, region=more.pop("region", "440300"))
        self.say(
            day,
            "PolicyIssued",
            policy_no=policy_no,
            member_id=member,
            product_line="home",
            start=day,
            end=_year_on(day, 1),
            premium_fen=premium_fen,
            **more,
        )
        self.say(day, "PremiumPaid", policy_no=policy_no, amount_fen=premium_fen, paid_on=day)
        return policy_no

    def renew(self, member: str, start: date, term_no: int, premium_fen: int, *, days_early: int = 0) -> None:
        on, policy_no = start - timedelta(days=days_early), f"P-{member}"
        self.say(
            on,
            "PolicyRenewed",
            policy_no=policy_no,
            term_no=term_no,
            start=start,
            end=_year_on(start, 1),
            premium_fen=premium_fen,
            renewed_on=on,
        )
        self.say(on, "PremiumPaid", policy_no=policy_no, term_no=term_no, amount_fen=premium_fen, paid_on=on)


def _year_on(day: date, years: int) -> date:
    return day.replace(year=day.year + years)


def tell(cast: Cast) -> None:
    """Every story, person by person; they are sorted by time at the end."""
    cast.issue("H-01", date(2016, 6, 1), 20_000)
    cast.renew("H-01", date(2017, 6, 1), 2, 20_000, days_early=10)
    cast.renew("H-01", date(2018, 6, 1), 3, 20_000)
    cast.issue("H-02", date(2018, 3, 1), 30_001)
    cast.issue("H-03", date(2018, 3, 1), 30_000)
    _gold_with_a_claim(cast)
    cast.issue("H-05", date(2018, 9, 3), 120_000, cooling_off_days=15)
    cast.say(date(2018, 9, 10), "PolicyCancelled", policy_no="P-H-05", effective=date(2018, 9, 10), kind="cooling_off")
    cast.say(
        date(2018, 9, 10), "PremiumRefunded", policy_no="P-H-05", amount_fen=120_000, refunded_on=date(2018, 9, 10)
    )
    cast.issue("H-06", date(2017, 1, 20), 26_000)
    cast.renew("H-06", date(2018, 1, 20), 2, 26_000)
    cast.issue("H-07", date(2018, 5, 2), 24_000)
    for n in range(30):
        day = date(2018, 11, 1) + timedelta(days=n)
        cast.say(
            day + timedelta(days=1),
            "activity.completed",
            "/app",
            member_id="H-07",
            activity_id=f"steps-{day.isoformat()}",
            kind="steps",
            on=day,
            value=10_000 + 137 * n,
        )
    cast.issue("H-08", date(2017, 4, 5), 140_000)
    cast.renew("H-08", date(2018, 4, 5), 2, 140_000, days_early=12)
    _referral(cast)
    _agent(cast)
    cast.issue("H-10", date(2018, 12, 28), 45_000, cooling_off_days=15)


def _gold_with_a_claim(cast: Cast) -> None:
    cast.issue("H-04", date(2018, 2, 1), 90_000, agent_id="A-01", channel="agent")
    day = date(2018, 12, 20)
    claim = {"policy_no": "P-H-04", "claim_no": "C-H-04"}
    cast.say(
        day, "ClaimReported", **claim, loss_date=date(2018, 12, 19), reported_on=day, estimate_fen=500_000, kind="water"
    )
    cast.say(day + timedelta(days=1), "ClaimRegistered", **claim, on=day + timedelta(days=1))
    cast.say(day + timedelta(days=4), "ClaimAssessed", **claim, on=day + timedelta(days=4), amount_fen=500_000)


def _referral(cast: Cast) -> None:
    day = date(2018, 7, 9)
    cast.issue("H-09", day, 28_000, cooling_off_days=15)
    cast.say(
        day,
        "referral.converted",
        "/app",
        member_id="H-08",
        referee_id="H-09",
        policy_no="P-H-09",
        on=day,
        cooling_off_end=date(2018, 7, 24),
    )


def _agent(cast: Cast) -> None:
    services = ["revisit", "policy_report", "claim_assist", "good_review", "sharing"]
    for n, kind in enumerate(services):
        day = date(2018, 12, 3) + timedelta(days=n)
        cast.say(
            day,
            "agent_service.recorded",
            "/agents",
            agent_id="A-01",
            activity_id=f"A-01-{n}",
            kind=kind,
            on=day,
            rank="senior",
            member_id="H-04",
        )


def lines() -> Iterator[str]:
    cast = Cast()
    tell(cast)
    for event in sorted(cast.events, key=lambda e: e["time"]):
        yield json.dumps(event, ensure_ascii=False)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text("\n".join(lines()) + "\n", encoding="utf-8")
