"""`ledger.v1`: what the points ledger publishes about its own books, for whoever keeps it elsewhere."""

from datetime import date

from tenure.contracts.event import Data


class RootPublished(Data, frozen=True, kw_only=True):
    """The root over every entry sealed up to the end of `day`, in hex: keep it where nobody who runs the ledger can change it.

    `day_no` counts published days from 1 without a gap, `entries` all entries sealed so far. A day on which nothing was sealed has
    no root.
    """

    day: date
    day_no: int
    entries: int
    root: str
