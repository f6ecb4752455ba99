"""What callers ask of policy-sync over HTTP, apart from the core's facts."""

from tenure.contracts.event import Data


class KeepContact(Data, frozen=True, kw_only=True):
    """Keep a member's contact data. It is sealed at the edge: no rule, log or event ever sees what is in it."""

    member_id: str
    sealed: bytes
    key_id: str
