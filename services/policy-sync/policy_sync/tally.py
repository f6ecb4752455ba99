"""What a stretch of an import came to: rows, facts by fate, and findings, each with its row."""

from collections.abc import Sequence
from typing import Final

from policy_sync.sources.mapped import Mapped

Fate = str | tuple[str, str]
_FATES: Final = {"accepted": "accepted", "waiting": "waiting", "duplicate": "known"}


class Tally:
    """Counts one chunk; `position` ends as that of its last row."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.findings: list[tuple[int, str, str, str]] = []
        self._counts = dict.fromkeys(("rows", "rows_wrong", "facts", "accepted", "waiting", "known", "refused"), 0)

    def add_rows(self, chunk: Sequence[Mapped]) -> None:
        for mapped in chunk:
            self._counts["rows"] += 1
            self._counts["rows_wrong"] += bool(mapped.wrong)
            self.findings += [(f.row, f.place, f.code, f.detail) for f in mapped.wrong]
            self.position = max(self.position, mapped.position)

    def add_facts(self, chunk: Sequence[Mapped], fates: Sequence[Fate]) -> None:
        rows = ((mapped.row, event) for mapped in chunk for event in mapped.events)
        for (row, event), fate in zip(rows, fates, strict=True):
            self._counts["facts"] += 1
            if isinstance(fate, str):
                self._counts[_FATES[fate]] += 1
            else:
                self._counts["refused"] += 1
                self.findings.append((row, event.type, *fate))

    def counts(self) -> dict[str, int]:
        return dict(self._counts)
