"""Lets the tests of benefits share `benefits_cast` and `benefits_life`, names no other service's tests have."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from benefits_life import Life
from tenure.contracts.programme import Programme


@pytest.fixture
def life(rules: Programme) -> Life:
    """One member under the programme's rules."""
    return Life(rules)
