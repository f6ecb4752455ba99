"""`tenure wait` waits for a worker that is too busy to answer, and gives up on one that ended."""

import asyncio

import pytest
from tenure.embedded.server import free_port
from tenure_local import drained
from tenure_local.drained import Backlog, Watch, WorkerGoneError
from tenure_local.moving import left


async def test_a_worker_too_busy_to_answer_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drained, "WORKER_ANSWER_TIMEOUT_S", 0.05)
    answered = asyncio.Event()

    async def busy(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answered.wait()
        writer.close()

    server = await asyncio.start_server(busy, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await Watch({}, f"http://127.0.0.1:{port}").worker_is_there()
    answered.set()
    server.close()
    await server.wait_closed()


async def test_a_worker_that_ended_is_not_waited_for() -> None:
    with pytest.raises(WorkerGoneError):
        await Watch({}, f"http://127.0.0.1:{free_port()}").worker_is_there()


def test_work_that_is_due_is_not_counted_as_one_key() -> None:
    backlog = Backlog(unread={"benefits": 1_253}, due={"policy-sync": 1, "notifier": 0})
    assert left(backlog) == "benefits has 1,253 to read, policy-sync has work due"
