"""Which days somebody may name: what is reckoned from a day, years on, must be a day too.

The invariant: a day that is kept, or from which another is reckoned, lies in the years 1900 to 2199.
"""

from datetime import date

from tenure.calendar import FIRST_DAY, LAST_DAY
from tenure.contracts.decision import RefusedError


def must_lie_in_range(*days: date) -> None:
    """Raises RefusedError date_out_of_range."""
    for day in days:
        if not FIRST_DAY <= day <= LAST_DAY:
            raise RefusedError("date_out_of_range", f"{day} lies outside the years 1900 to 2199")
