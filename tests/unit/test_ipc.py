"""What the caller of a worker's socket is told when nothing good comes back: real sockets."""

import asyncio
from pathlib import Path

import pytest

from ringback import ipc
from ringback.ipc import Link, Message, WorkerAway


async def test_a_worker_that_says_nothing_is_told_in_words(tmp_path: Path) -> None:
    """The error of a time-out has no text of its own."""
    path = tmp_path / "worker.sock"
    silent = asyncio.Event()

    async def handle(message: Message) -> Message | None:
        await silent.wait()
        return None

    server = await ipc.serve(path, handle)
    try:
        with pytest.raises(WorkerAway) as caught:
            await ipc.ask_once(path, {"op": "status"}, 0.05)
    finally:
        await server.close()
    assert str(caught.value) == "the worker did not answer: it said nothing for 0.05 s"


async def test_a_worker_that_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    """Neither without a socket, nor with one that a dead worker has left behind."""
    path = tmp_path / "worker.sock"
    for _ in range(2):
        with pytest.raises(WorkerAway, match="did not answer: nobody listens on its socket$"):
            await ipc.ask_once(path, {"op": "status"}, 1.0)
        server = await asyncio.start_unix_server(lambda *_: None, path)
        server.close()
        await server.wait_closed()
        assert path.exists()


async def test_a_worker_that_hangs_up_is_told_in_words(tmp_path: Path) -> None:
    """It ends while somebody waits for its answer."""
    path = tmp_path / "worker.sock"
    server = await asyncio.start_unix_server(lambda _, writer: writer.close(), path)
    link = Link(path)
    with pytest.raises(WorkerAway, match=r"did not answer: \S+"):
        await link.ask({"op": "status"}, 1.0)
    await link.close()
    server.close()
