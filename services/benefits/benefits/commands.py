"""What callers ask for over HTTP, and benefits of itself. `today` is the business date the edge filled in; the dates decide, never
the arrival.
"""

from datetime import date

from tenure.contracts.event import Data


class UseBenefit(Data, frozen=True, kw_only=True):
    """Use a grant on a day: today's, an earlier one, or, for an appointment, a later one."""

    member_id: str
    grant_id: str
    reference: str
    on: date
    today: date
    is_appointment: bool = False
    slot_region: str | None = None


class ReleaseUse(Data, frozen=True, kw_only=True):
    """Give a use back. `is_by_member`: nobody but the member says so."""

    member_id: str
    use_id: str
    today: date
    grant_id: str | None = None
    is_by_member: bool = False


class Gather(Data, frozen=True, kw_only=True):
    """What `member_id` had brought comes back by way of those it went through, and all it has goes to `to_id`; None: is its own."""

    member_id: str
    through: tuple[str, ...] = ()
    to_id: str | None = None

    @property
    def numbers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(n for n in (self.member_id, *self.through, self.to_id) if n is not None))
