"""A disk that is full: what a platform has noted of itself stays readable, and what it cannot note is not left running.

A limit on the size of files stands in for the disk: a write fails half-way, as on a full one.
"""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tenure.embedded.server import Server
from tenure.spine.log import Position
from tenure_local.drained import Targets
from tenure_local.home import Home

PUBLISHED = [Position("core.policy.v1", 0, 7)]


@contextmanager
def room_for(size_bytes: int) -> Iterator[None]:
    """No file may become larger meanwhile."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_was_published_stays_known_when_more_of_it_cannot_be_noted(tmp_path: Path) -> None:
    targets = Targets(tmp_path / "published.json")
    targets.add(PUBLISHED)
    targets.save()
    targets.add([Position("core.claim.v1", partition, 1) for partition in range(100)])
    with room_for(100), pytest.raises(OSError, match=r"published\.json"):
        targets.save()
    assert Targets(tmp_path / "published.json").positions() == PUBLISHED
    assert [path.name for path in tmp_path.iterdir()] == ["published.json"]


@pytest.mark.parametrize("size_bytes", [0, 100, 200, 300])
def test_keys_that_could_not_all_be_written_are_made_at_the_next_start(tmp_path: Path, size_bytes: int) -> None:
    home = Home(tmp_path / "data")
    with room_for(size_bytes), pytest.raises(OSError, match="keys"):
        home.prepare()
    home.prepare()
    keys = (home.private_key, home.contact_key, home.service_token)
    assert all(path.read_text() for path in (*keys, home.public_key))
    assert all(path.stat().st_mode & 0o077 == 0 for path in keys)


class Waiting(Server):
    name = "waiting server"

    def command(self) -> list[str]:
        return [sys.executable, "-c", "import signal; signal.pause()"]

    def is_ready(self) -> bool:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="who works in a folder is read from /proc")
def test_a_server_of_which_nobody_could_note_how_to_stop_it_is_not_left_running(tmp_path: Path) -> None:
    with room_for(20), pytest.raises(OSError, match=r"data\.pid"):
        Waiting(tmp_path / "data", detached=True).start()
    assert not working_in(tmp_path / "data")


def working_in(folder: Path) -> list[int]:
    """The processes whose working directory it is."""
    links = [(int(path.parent.name), path) for path in Path("/proc").glob("[0-9]*/cwd")]
    return [pid for pid, path in links if is_link_to(path, folder)]


def is_link_to(path: Path, folder: Path) -> bool:
    try:
        return path.readlink() == folder
    except OSError:  # it ended meanwhile, or is not ours to look at
        return False
