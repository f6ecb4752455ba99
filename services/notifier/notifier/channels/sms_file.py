"""Text messages of the embedded default: a line of JSON for each, appended to a file and flushed to the disk.

No provider, no phone number: the line names the member's id. Where an append fails half-way nobody knows what reached the file,
so those messages are `unknown`, as with a provider that timed out.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from notifier.channels import Result, TextMessage

_encode: Final = msgspec.json.Encoder().encode


class SmsFile:
    """Appends to `path`; several processes may, because each batch is one write."""

    name = "sms_file"

    def __init__(self, path: Path) -> None:
        self.path = path

    async def send(self, messages: Sequence[TextMessage]) -> list[Result]:
        lines = b"".join(_line(m) for m in messages)
        try:
            await asyncio.to_thread(self._append, lines)
        except OSError as error:
            return [Result("unknown", type(error).__name__)] * len(messages)
        return [Result("sent")] * len(messages)

    def _append(self, lines: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab", buffering=0) as file:
            written = file.write(lines)
            os.fsync(file.fileno())
        if written != len(lines):
            raise OSError("a part of the lines was written")


def _line(m: TextMessage) -> bytes:
    return _encode({"at": m.at, "member_id": m.member_id, "text": m.text, "message_id": m.message_id}) + b"\n"
