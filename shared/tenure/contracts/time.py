"""`time.v1`: time is an event. `day.started` is published at 00:00 Asia/Shanghai by one leader, or by a replay."""

from datetime import date

from tenure.contracts.event import Data


class DayStarted(Data, frozen=True, kw_only=True):
    date: date
