"""Loaded once, before any leg is forked, so that no leg pays for imports."""

import aiokafka  # noqa: F401
import asyncpg  # noqa: F401
import sqlalchemy.ext.asyncio  # noqa: F401
from tenure.spine import kafka, runtime  # noqa: F401
from tenure_local.services import SERVICES  # noqa: F401
