"""The seven services, in the order an event meets them."""

from typing import Any, Final

from benefits.service import SERVICE as BENEFITS
from mall.service import SERVICE as MALL
from member_view.service import SERVICE as MEMBER_VIEW
from notifier.service import SERVICE as NOTIFIER
from points_ledger.service import SERVICE as POINTS_LEDGER
from policy_sync.service import SERVICE as POLICY_SYNC
from tenure.service import Service
from tier_engine.service import SERVICE as TIER_ENGINE

SERVICES: Final[tuple[Service[Any], ...]] = (
    POLICY_SYNC,
    TIER_ENGINE,
    POINTS_LEDGER,
    BENEFITS,
    MALL,
    NOTIFIER,
    MEMBER_VIEW,
)
