"""One platform per folder: whoever holds it is known, is asked to let go, and lets go by ending, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tenure_local.holding import HeldError, held, holder, make_let_go
from tenure_local.home import Home

HOLD = """
import sys, time
from pathlib import Path
from tenure_local.holding import held
from tenure_local.home import Home
with held(Home(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


def someone_holding(home: Home) -> "subprocess.Popen[str]":
    someone = subprocess.Popen([sys.executable, "-c", HOLD, home.folder], stdout=subprocess.PIPE, text=True)
    assert someone.stdout is not None
    assert someone.stdout.readline() == "held\n"
    return someone


def test_a_folder_is_held_by_one_at_a_time(home: Home) -> None:
    assert holder(home) is None
    with held(home):
        assert holder(home) == os.getpid()
        with pytest.raises(HeldError, match=f"process {os.getpid()}"), held(home):
            pass
    assert holder(home) is None
    with held(home):
        pass


def test_whoever_holds_it_is_asked_to_end(home: Home) -> None:
    with someone_holding(home) as someone:
        assert holder(home) == someone.pid
        assert make_let_go(home)
        assert holder(home) is None
        assert someone.wait(10) == -signal.SIGTERM
    assert not make_let_go(home)


def test_a_killed_holder_holds_nothing(home: Home) -> None:
    with someone_holding(home) as someone:
        someone.kill()
        someone.wait(10)
        assert holder(home) is None
        with held(home):
            assert holder(home) == os.getpid()
