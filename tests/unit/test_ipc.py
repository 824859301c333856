"""Errors for the caller of a worker's socket when nothing good comes back: real sockets."""

import asyncio
import socket
from pathlib import Path

import pytest

from ringback import ipc
from ringback.errors import (
    ConfigError,
    DataError,
    HeldError,
    RingbackError,
    StorageError,
    UsageError,
)
from ringback.ipc import Link, Message, WorkerAway


async def test_a_worker_that_says_nothing_is_reported_in_words(tmp_path: Path) -> None:
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


async def test_a_worker_that_is_not_there_is_reported_in_words(tmp_path: Path) -> None:
    """Neither without a socket, nor with one that a dead worker has left behind."""
    path = tmp_path / "worker.sock"
    for _ in range(2):
        with pytest.raises(WorkerAway, match=r"did not answer: nobody listens on its socket$"):
            await ipc.ask_once(path, {"op": "status"}, 1.0)
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as left:  # as a process that was killed leaves it
            left.bind(str(path))
        assert path.exists()


async def test_a_worker_that_hangs_up_is_reported_in_words(tmp_path: Path) -> None:
    """It ends while somebody waits for its answer."""
    path = tmp_path / "worker.sock"
    server = await asyncio.start_unix_server(lambda _, writer: writer.close(), path)
    link = Link(path)
    with pytest.raises(WorkerAway, match=r"did not answer: \S+"):
        await link.ask({"op": "status"}, 1.0)
    await link.close()
    server.close()


@pytest.mark.parametrize(
    "raised",
    [
        UsageError("there is no action 'x'"),
        DataError("journal.db: damaged"),
        StorageError("journal.db: the disk is full"),
        HeldError("held by another"),
        ConfigError(["one", "two"]),
        RingbackError("something"),
    ],
)
async def test_an_error_keeps_its_kind_over_the_socket(
    tmp_path: Path, raised: RingbackError
) -> None:
    """A full disk is no wrong command: the shell ends with the code of what really happened."""

    async def handle(message: Message) -> Message | None:
        raise raised

    path = tmp_path / "worker.sock"
    server = await ipc.serve(path, handle)
    try:
        answer = await ipc.ask_once(path, {"op": "pause"}, 5.0)
    finally:
        await server.close()
    with pytest.raises(RingbackError) as caught:
        ipc.require_good(answer)
    assert (str(caught.value), caught.value.exit_code) == (str(raised), raised.exit_code)
    if not isinstance(raised, ConfigError):  # it would want its problems as a list
        assert type(caught.value) is type(raised)


def test_a_good_answer_is_let_through() -> None:
    """Nothing is raised for what is no error."""
    ipc.require_good({"ok": True, "state": "paused"})
