"""What the tests of points-ledger share."""

import pytest
from tenure.contracts.programme import Programme

from .world import World


@pytest.fixture
def world(rules: Programme) -> World:
    """An empty ledger under the programme of the repository."""
    return World(rules)
