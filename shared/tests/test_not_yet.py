"""What has not happened is not taken on the wall's clock, whoever tells it over the log; Tenure's own events are its own."""

from datetime import date, timedelta

import pytest
from tenure.contracts import activity, core
from tenure.contracts.event import Data
from tenure.spine.codec import encode, event_of, utc_now
from tenure.spine.intake import Intake
from tenure.spine.log import Record
from tenure.spine.progress import Progress
from tenure.testing import Under

from .toy import grant

DAY = date(2026, 1, 1)
PAID = core.PremiumPaid(policy_no="P-1", term_no=1, amount_fen=1, paid_on=DAY)
STEPS = activity.ActivityCompleted(member_id="M-1", activity_id="A-1", kind="steps", value=1, on=DAY)


@pytest.mark.parametrize(
    ("told", "clock", "ahead", "refused"),
    [
        (PAID, "wall", timedelta(days=13_000), "time_in_future"),
        (STEPS, "wall", timedelta(days=13_000), "time_in_future"),
        (PAID, "wall", timedelta(days=2), "time_in_future"),
        (PAID, "wall", timedelta(hours=23), ""),
        (PAID, "wall", timedelta(days=-400), ""),
        (PAID, "events", timedelta(days=13_000), ""),
        (grant("M-1", 1), "wall", timedelta(days=2), ""),
    ],
)
async def test_a_record_of_the_future_is_parked_where_the_clock_is_the_walls(
    toy: Under, told: Data, clock: str, ahead: timedelta, refused: str
) -> None:
    sent = encode(event_of(told, id="1", source="/core/x", time=utc_now() + ahead))
    record = Record(sent.topic, 0, 0, sent.key, sent.value, tuple(sent.headers), 0)
    ((item,), _) = await Intake(toy.door, Progress(toy.door), clock=clock).items([record])
    assert (item.wrong.code if item.wrong else "") == refused
