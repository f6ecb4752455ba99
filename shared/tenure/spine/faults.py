"""Named points at which a fault test kills this process; anywhere else they do nothing.

`TENURE_FAULT_POINT=relay.sent:3` ends the process, as a power cut would, the third time it comes there; `relay.sent:3:SIGSTOP` only
stops it, as a machine that hangs would; `relay.sent:3:5s` blocks its event loop for so long, as a mistake in a rule would.
`POINTS` is the list that the fault tests go through, so a point that is never reached is a test that fails.
"""

import os
import signal
import time
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
SAGA_STEPS: Final = ("hold", "supply", "capture", "release", "refund")
SAGA_POINTS: Final = (
    "saga.quoting",
    "saga.quoted",
    "saga.placing",
    "saga.placed",
    "saga.claiming",
    "saga.claimed",
    *(f"saga.{step}.{when}" for step in SAGA_STEPS for when in ("asking", "asked", "told")),
    "saga.codes_taking",
    "saga.codes_taken",
    "saga.codes_returning",
    "saga.codes_returned",
    "saga.viewing",
    "saga.viewed",
    "saga.delivering",
    "saga.delivered",
)
"""The mall's: before and after each step of an order. They stand here so that one list names every point there is."""
SEAL_POINTS: Final = ("sealer.read", "sealer.sealed", "sealer.rooted", "sealer.published")
"""The ledger's: before and after each row of a seal and of a published root."""
_times_left: Final[dict[str, int]] = {}
_happens: list[str] = ["SIGKILL"]


def arm(spec: str) -> None:
    """`point:n[:signal or seconds]`: what happens when the point is reached for the n-th time; an empty text disarms."""
    _times_left.clear()
    if spec:
        point, times, name = (*spec.split(":"), "SIGKILL")[:3]
        assert point in POINTS + SAGA_POINTS + SEAL_POINTS, f"no fault point {point}"
        _times_left[point], _happens[0] = int(times), name


def reach(point: str) -> None:
    if _times_left and point in _times_left:
        _times_left[point] -= 1
        if _times_left[point] == 0:
            _happen(_happens[0])


def _happen(what: str) -> None:
    if what.endswith("s"):
        time.sleep(float(what.removesuffix("s")))
    else:
        os.kill(os.getpid(), signal.Signals[what])


arm(os.environ.get(VARIABLE, ""))
