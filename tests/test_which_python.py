"""`make` takes the first python3 on the PATH that will do, and another only for a clear reason."""

import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]
NEEDED = ("bash", "awk")
TOO_OLD = "exit 1"


def says_us(us: int) -> str:
    """An interpreter that needs so many microseconds for the loop."""
    return f"echo {us}"


@pytest.fixture
def asked(tmp_path: Path):
    """Runs the script where nothing is on the PATH but these `name -> what it does when run`, in this order."""

    def ask(*pythons: tuple[str, str], args: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        folders = [tmp_path / "tools", *(tmp_path / str(n) for n in range(len(pythons)))]
        for folder in folders:
            folder.mkdir()
        for needed in NEEDED:
            found = next(p for d in os.get_exec_path() if (p := Path(d) / needed).exists())
            (folders[0] / needed).symlink_to(found)
        for folder, (name, does) in zip(folders[1:], pythons, strict=True):
            (folder / name).write_text(f"#!{folders[0]}/bash\n{does}\n")
            (folder / name).chmod(0o755)
        path = os.pathsep.join(map(str, folders))
        command = [folders[0] / "bash", HERE / "tools" / "python.sh", *args]
        return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, check=False)

    return ask


@pytest.mark.parametrize(
    ("which", "pythons", "taken"),
    [
        ("the only one", [("python3", says_us(30_000))], 0),
        ("the first of two alike", [("python3", says_us(30_000)), ("python3", says_us(29_000))], 0),
        ("the first, when it is faster", [("python3", says_us(20_000)), ("python3", says_us(30_000))], 0),
        ("the second, when it is clearly faster", [("python3", says_us(30_000)), ("python3", says_us(22_000))], 1),
        ("the first that is new enough", [("python3", TOO_OLD), ("python3", says_us(30_000))], 1),
        ("one with a number in its name, for want of better", [("python3", TOO_OLD), ("python3.12", says_us(9))], 1),
    ],
)
def test_which_python_is_taken(asked, tmp_path, which, pythons, taken):
    done = asked(*pythons)
    name = pythons[taken][0]
    assert done.stdout.strip() == (str(tmp_path / str(taken) / name) if name == "python3" else name), which


def test_without_one_that_will_do_it_says_what_is_missing(asked):
    done = asked(("python3", TOO_OLD))
    assert (done.returncode, done.stdout) == (1, "")
    assert "needs Python 3.11 or newer that can make virtual environments" in done.stderr


def test_one_that_was_asked_for_and_will_not_do_is_named(asked):
    done = asked(("python3.9", TOO_OLD), args=("--check", "python3.9"))
    assert done.returncode == 1
    assert "python3.9 is not" in done.stderr


def test_one_that_was_asked_for_is_taken_however_slow(asked):
    done = asked(("python3.12", says_us(10**9)), args=("--check", "python3.12"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
