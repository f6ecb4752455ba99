"""What member-view asks of itself."""

from tenure.contracts.event import Data


class HandOver(Data, frozen=True, kw_only=True):
    """What arrived under an old id after two members were merged goes to the one who remains."""

    member_id: str
    merged_id: str
