"""What the spine's tests stand on: the toy service on an empty database of its own."""

from collections.abc import AsyncIterator

import pytest
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .toy import TOY


@pytest.fixture
async def toy(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(TOY, settings) as t:
        yield t
