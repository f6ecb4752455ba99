"""Named points at which a fault test kills this process; anywhere else they do nothing.

`TENURE_FAULT_POINT=relay.sent:3` ends the process, as a power cut would, the third time it comes there. `POINTS` is the list that
the fault tests go through, so a point that is never reached is a test that fails.
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
_armed: list[int | str] = []


def arm(spec: str) -> None:
    """`point:n`: the n-th time the point is reached is the last thing this process does; an empty text disarms."""
    _armed.clear()
    if spec:
        point, _, times = spec.partition(":")
        assert point in POINTS, f"no fault point {point}"
        _armed.extend((point, int(times or 1)))


def reach(point: str) -> None:
    if _armed and _armed[0] == point:
        _armed[1] = int(_armed[1]) - 1
        if _armed[1] == 0:
            os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get(VARIABLE, ""))
