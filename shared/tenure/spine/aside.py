"""Keys that cannot be served now are left alone for a while: they neither spin nor keep the others waiting, and are tried again."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

ASIDE_S: Final = 300.0


@dataclass(slots=True)
class Aside:
    """Of one timer of one process; another process tries the same keys for itself."""

    for_s: float = ASIDE_S
    _until: dict[str, float] = field(default_factory=dict)

    def keys(self) -> frozenset[str]:
        """Those that are still to be left alone."""
        now = time.monotonic()
        self._until = {key: until for key, until in self._until.items() if until > now}
        return frozenset(self._until)

    def put(self, keys: Iterable[str]) -> None:
        self._until.update(dict.fromkeys(keys, time.monotonic() + self.for_s))

    def __len__(self) -> int:
        return len(self._until)
