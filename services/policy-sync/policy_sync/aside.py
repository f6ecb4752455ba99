"""What a dry run knows and is not looking at now: states and ids in a file of its own, which goes when the run ends.

The invariant: what is taken back is what was put aside, so memory has a bound and what is said of a fact has none.
"""

import pickle
import sqlite3
import tempfile
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from policy_sync.rules.fold import Ties
from policy_sync.rules.policies import PolicyState

ASKED_AT_ONCE: Final = 500
_CREATE: Final = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
CREATE TABLE states (key TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE seen (name BLOB PRIMARY KEY) WITHOUT ROWID;
"""


class Aside:
    """Called from one thread at a time."""

    def __init__(self) -> None:
        self._file = tempfile.NamedTemporaryFile(prefix="tenure-dry-run-")  # noqa: SIM115 - it is closed by `close`
        self._db = sqlite3.connect(self._file.name, check_same_thread=False, isolation_level=None)
        self._db.executescript(_CREATE)

    def close(self) -> None:
        self._db.close()
        self._file.close()

    def put(self, states: Mapping[str, Any]) -> None:
        self._write(
            "INSERT OR REPLACE INTO states VALUES (?, ?)", ((k, pickle.dumps(_plain(s))) for k, s in states.items())
        )

    def take(self, keys: Sequence[str]) -> dict[str, Any]:
        """Those of the states that were put aside."""
        rows = self._asked("SELECT key, state FROM states WHERE key", keys)
        return {key: pickle.loads(state) for key, state in rows}  # noqa: S301 - written by this very run

    def see(self, names: Iterable[uuid.UUID]) -> None:
        self._write("INSERT OR IGNORE INTO seen VALUES (?)", ((name.bytes,) for name in names))

    def seen(self, names: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        rows = self._asked("SELECT name FROM seen WHERE name", [name.bytes for name in names])
        return {uuid.UUID(bytes=name) for (name,) in rows}

    def _write(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(statement, rows)
        self._db.execute("END")

    def _asked(self, question: str, about: Sequence[Any]) -> Iterable[tuple[Any, ...]]:
        for at in range(0, len(about), ASKED_AT_ONCE):
            some = about[at : at + ASKED_AT_ONCE]
            yield from self._db.execute(f"{question} IN ({','.join('?' * len(some))})", some)


def _plain(state: Any) -> Any:
    """A state without what cannot be written: its read-only views become dicts."""
    if not isinstance(state, PolicyState):
        return state
    return replace(state, told=dict(state.told), ties=_own(state.ties), news=state.news and _own(state.news))


def _own(ties: Ties) -> Ties:
    return replace(ties, survivors=dict(ties.survivors))
