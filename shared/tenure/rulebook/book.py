"""The programme of one process as it stands now: the files, and what was published since.

The invariant: whoever asks inside a transaction is given every version whose approval was committed before; all replicas ask the
same table, so they judge a day by the same versions, without a restart. What was published is read again only when it changed.
"""

from dataclasses import dataclass, field
from typing import Any

from tenure.contracts.programme import Programme
from tenure.rulebook import tables
from tenure.rulebook.kinds import merged


@dataclass(slots=True)
class Rulebook:
    """`base` is the programme of the files; `programme` what is known by revision `revision` of the log."""

    base: Programme
    programme: Programme = field(init=False)
    revision: int = 0

    def __post_init__(self) -> None:
        self.programme = self.base

    async def newest(self, reader: Any) -> Programme:
        """The programme by now. Raises tenure.programme.ProgrammeError when the files contradict what was published."""
        revision: int = await reader.fetchval(tables.REVISION)
        if revision > self.revision:
            programme = merged(self.base, await tables.published(reader))
            if revision > self.revision:  # another task may have been quicker
                self.programme, self.revision = programme, revision
        return self.programme
