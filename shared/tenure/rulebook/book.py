"""The programme of one process as it stands now: the files, and what was published since.

The invariant: whoever asks inside a transaction is given every version whose approval (or, for rules of another service, whose
arrival) was committed before; all replicas ask the same tables, so they judge a day by the same versions, without a restart. What
was published is read again only when it changed, or when the database was put back to where less had been published.
"""

from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from tenure.contracts.programme import Programme
from tenure.rulebook import tables
from tenure.rulebook.kinds import merged

_ASK: Final = {
    (False, False): (tables.NO_REVISION, tables.PUBLISHED),
    (True, False): (tables.REVISION, tables.PUBLISHED),
    (False, True): (tables.REVISION_HEARD, tables.PUBLISHED_HEARD),
    (True, True): (tables.REVISION_BOTH, tables.PUBLISHED_BOTH),
}
READ_AGE_S_MAX: Final = 1.0
"""How old a read's knowledge of another service's rules may be: they were published a day ahead."""


@dataclass(slots=True)
class Rulebook:
    """`base` is the programme of the files; `programme` what is known by revision `revision` of the tables.

    `owns`: two persons publish here; `follows`: what others publish is kept here. Neither: the files are all there is.
    """

    base: Programme
    owns: bool = True
    follows: bool = False
    programme: Programme = field(init=False)
    revision: int = 0
    asked_at: float = float("-inf")

    def __post_init__(self) -> None:
        self.programme = self.base

    @property
    def asks(self) -> str:
        """The statement that answers the newest revision, for whoever has another to send it along with."""
        return _ASK[self.owns, self.follows][0]

    async def newest(self, reader: Any) -> Programme:
        """The programme by now. Raises tenure.programme.ProgrammeError when the files contradict what was published."""
        if not (self.owns or self.follows):
            return self.programme
        asked_at = monotonic()
        return await self.of_revision(reader, int(await reader.fetchval(self.asks)), asked_at=asked_at)

    async def of_revision(self, reader: Any, revision: int, *, asked_at: float) -> Programme:
        """The programme by the revision that was answered to whoever asked at that time."""
        known = self.revision
        if revision != known:
            programme = merged(self.base, await tables.published(reader, _ASK[self.owns, self.follows][1]))
            if revision > self.revision or self.revision == known:  # another task may have been quicker
                self.programme, self.revision = programme, revision
        self.asked_at = asked_at
        return self.programme

    async def recent(self, reader: Any) -> Programme:
        """For reads: the newest where the rules are this service's own, else what was known a second ago at the earliest."""
        if self.owns or monotonic() - self.asked_at > READ_AGE_S_MAX:
            return await self.newest(reader)
        return self.programme
