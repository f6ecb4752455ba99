"""A record whose header has a name that is no UTF-8 is read like any other: its name is written out in escapes.

The invariant: no record that a broker took stops whoever reads its partition. Kafka's protocol says that names are UTF-8, and its
brokers do not look; the library raises at such a record, each time it comes to it, and has no setting for that. So a batch it
cannot read is read on, from where it stopped, by the library's own reader in Python, over bytes that decode whatever they are. What
such a record means is then judged as everything is: by the headers an event must have.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import aiokafka.consumer.fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy


class _Escaping(bytearray):
    """Bytes of which every piece is text."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Escaping(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


class _EscapingBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer: Any = _Escaping(self._buffer)


class _Batch:
    """One batch, as the library reads it as long as it can."""

    def __init__(self, batch: Any, piece: memoryview) -> None:
        self._batch, self._piece = batch, piece

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        read = 0
        try:
            for record in self._batch:
                yield record
                read += 1
        except (UnicodeDecodeError, CorruptRecordException):
            yield from islice(_EscapingBatch(self._piece), read, None)


class _Records(_MemoryRecordsPy):  # type: ignore[misc]
    def next_batch(self) -> Any:
        piece, batch = self._next_slice, super().next_batch()
        return _Batch(batch, piece) if isinstance(batch, DefaultRecordBatch) else batch


def read_whatever_names_headers_have() -> None:
    """The name its fetcher takes fetched bytes apart by is the one place to say so."""
    aiokafka.consumer.fetcher.MemoryRecords = _Records
