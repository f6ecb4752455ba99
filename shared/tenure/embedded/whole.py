"""Small files that are read again: notes of what runs where, keys, positions.

The invariant: such a file is there as it was written, or as it was before. It is written aside and renamed, so that neither a full
disk nor a crash leaves half of one, which whoever starts next could not read.
"""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Raises OSError, which names the file; it is then as it was."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        aside.touch(mode)
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
