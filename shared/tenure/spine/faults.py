"""Named points at which a fault test kills this process; anywhere else they do nothing.

`TENURE_FAULT_POINT=relay.sent:3` ends the process, as a power cut would, the third time it comes there; `relay.sent:3:SIGSTOP` only
stops it, as a machine that hangs would. `POINTS` is the list that the fault tests go through, so a point that is never reached is a
test that fails.
"""

import os
import signal
from typing import Final

VARIABLE: Final = "TENURE_FAULT_POINT"
POINTS: Final = (
    "consumer.polled",
    "transact.begun",
    "transact.claimed",
    "transact.loaded",
    "transact.decided",
    "transact.saved",
    "transact.emitted",
    "transact.before_commit",
    "transact.committed",
    "consumer.before_offsets",
    "consumer.after_offsets",
    "relay.read",
    "relay.sent",
    "relay.marked",
)
_times_left: Final[dict[str, int]] = {}
_signal: list[signal.Signals] = [signal.SIGKILL]


def arm(spec: str) -> None:
    """`point:n[:signal]`: what happens when the point is reached for the n-th time; an empty text disarms."""
    _times_left.clear()
    if spec:
        point, times, name = (*spec.split(":"), "SIGKILL")[:3]
        assert point in POINTS, f"no fault point {point}"
        _times_left[point], _signal[0] = int(times), signal.Signals[name]


def reach(point: str) -> None:
    if _times_left and point in _times_left:
        _times_left[point] -= 1
        if _times_left[point] == 0:
            os.kill(os.getpid(), _signal[0])


arm(os.environ.get(VARIABLE, ""))
