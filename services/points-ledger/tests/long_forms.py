"""Which form of a test that can be long runs: `TENURE_LEDGER_LONG=1` asks for the whole one, whose figures README quotes."""

import os
from typing import Final, TypeVar

T = TypeVar("T")
LONG: Final = bool(os.environ.get("TENURE_LEDGER_LONG"))


def sized(short: T, long: T) -> T:
    return long if LONG else short
