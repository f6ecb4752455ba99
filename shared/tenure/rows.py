"""A table with one row for each state: created with the first change of a state, updated with every later one.

The invariant: nobody's change is written over. A state that was loaded is locked, so its row is updated; one that was not there is
inserted, and where a row is there by now, somebody else decided without knowing of this: the whole transaction is done again.
"""

from collections.abc import Container, Mapping, Sequence
from typing import Any, Final

import asyncpg
from asyncpg.connection import Connection

Row = tuple[Any, ...]


class Rows:
    """`columns` are names and types, the key first. `blank` says of a row (`kept`) that it holds nothing yet, as those do that were
    only inserted to be locked. `touched` is what every update sets besides.
    """

    def __init__(self, table: str, columns: Mapping[str, str], *, blank: str, touched: str = "") -> None:
        key, *others = columns
        arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(columns.values(), 1))
        listed = ", ".join(columns)
        excluded, given = (", ".join(f"{name} = {of}.{name}" for name in others) for of in ("excluded", "t"))
        also = f", {touched}" if touched else ""
        self.create: Final = (
            f"INSERT INTO {table} AS kept ({listed}) SELECT * FROM unnest({arrays}) "
            f"ON CONFLICT ({key}) DO UPDATE SET {excluded}{also} WHERE {blank}"
        )
        self.update: Final = (
            f"UPDATE {table} AS kept SET {given}{also} FROM unnest({arrays}) AS t ({listed}) WHERE kept.{key} = t.{key}"
        )

    async def write(self, conn: Connection, rows: Sequence[Row], *, known: Container[str]) -> None:
        """One statement for the new, in the order of their keys, and one for the `known`. Raises SerializationError."""
        new = sorted((row for row in rows if row[0] not in known), key=lambda row: str(row[0]))
        old = [row for row in rows if row[0] in known]
        if new:
            done = await conn.execute(self.create, *map(list, zip(*new, strict=True)))
            if int(done.rpartition(" ")[2]) < len(new):
                raise asyncpg.SerializationError("a state was created meanwhile")
        if old:
            await conn.execute(self.update, *map(list, zip(*old, strict=True)))
