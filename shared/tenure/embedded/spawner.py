"""The thread that starts every server of a process.

The invariant: it lives as long as the process. The kernel sends the death signal when the *thread* that started a child ends, not
the process: a server started from a worker thread would be killed when its pool shrinks.
"""

import queue
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future


class _Spawner(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="embedded-servers", daemon=True)
        self.jobs: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]]
        self.jobs = queue.SimpleQueue()

    def run(self) -> None:
        while True:
            job, result = self.jobs.get()
            try:
                result.set_result(job())
            except BaseException as error:  # noqa: BLE001 - it is raised where the server is started
                result.set_exception(error)


_spawner: _Spawner | None = None
_spawner_lock = threading.Lock()


def on_spawner(job: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    global _spawner  # noqa: PLW0603 - one per process is the point
    with _spawner_lock:
        if _spawner is None or not _spawner.is_alive():
            _spawner = _Spawner()
            _spawner.start()
    result: Future[subprocess.Popen[bytes]] = Future()
    _spawner.jobs.put((job, result))
    return result.result()
