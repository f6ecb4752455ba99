"""`reconciliation.v1`: what policy-sync asks of the insurer's core when their books differ."""

from datetime import date

from tenure.contracts.event import Data


class FactsRequested(Data, frozen=True, kw_only=True):
    """Send every fact of this policy again, under the ids they had or new ones: what is known already has no second effect.

    `on` is the day whose control file differed, `reasons` in which respects.
    """

    policy_no: str
    request_id: str
    on: date
    reasons: tuple[str, ...]
