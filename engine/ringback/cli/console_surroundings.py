"""Surroundings of a console: the sockets of its node, and commands of the shell as children."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ringback.config import Settings

if TYPE_CHECKING:
    from ringback.console.surroundings import Surroundings

_SECONDS = 15.0
_RECEIVER_SECONDS = 3.0
RELOAD_SECONDS = 55.0
"""Within the minute that a request may take."""
CHILD_SECONDS = 50.0
MOST_BYTES = 4 << 20
LONG_SECONDS = 3600.0
MOST_LONG_BYTES = 32 << 20
LOWEST = 15
"""The niceness of what takes long."""


def surroundings_of(settings: Settings) -> "Surroundings":
    """What the console of this data folder may ask for."""
    from ringback.cli.http import ask
    from ringback.console.surroundings import Surroundings
    from ringback.ipc import Link, socket_path

    worker, receiver = (
        Link(socket_path(settings.data)),
        Link(socket_path(settings.data, "receiver")),
    )

    async def operate(message: Mapping[str, Any]) -> Mapping[str, Any]:
        slow = message.get("op") == "reload"
        return await worker.ask(message, RELOAD_SECONDS if slow else _SECONDS)

    async def ask_receiver(message: Mapping[str, Any]) -> Mapping[str, Any]:
        return await receiver.ask(message, _RECEIVER_SECONDS)

    async def run(words: Sequence[str]) -> tuple[int, str]:
        return await run_child(settings, words)

    async def run_long(words: Sequence[str]) -> tuple[int, str]:
        return await run_child(settings, words, LONG_SECONDS, MOST_LONG_BYTES, lowest=True)

    async def phone(method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        return await asyncio.to_thread(ask, settings.gateway_url, path, body, method)

    simulated = settings.simulated and settings.gateway_url
    return Surroundings(
        operate, ask_receiver, run, phone=phone if simulated else None, run_long=run_long
    )


async def run_child(
    settings: Settings, words: Sequence[str], seconds: float = CHILD_SECONDS,
    most: int = MOST_BYTES, *, lowest: bool = False,
) -> tuple[int, str]:  # fmt: skip
    """Run a command of ringback with these settings; its exit code, and what it printed, complaints
    too. Raises TimeoutError when it takes too long. It ends with whoever waits for it; with
    `lowest` everything else on the machine comes first."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ringback.cli.main", "-C", str(settings.project), *words,
        env=settings.child_environ(os.environ), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    if lowest:
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, LOWEST)
    try:
        async with asyncio.timeout(seconds):
            printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, printed[:most].decode("utf-8", "replace")
