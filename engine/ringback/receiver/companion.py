"""Companion process of a node: the console, started, watched, and started again.

Whatever becomes of it, the node goes on, and its exit code and readiness stay the same.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from ringback.config import Settings
from ringback.errors import RingbackError
from ringback.runtime import iso
from ringback.store.console.access import has_access

STEADY_SECONDS = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0
DRAIN_SECONDS = 5.0

_logger = logging.getLogger("ringback.receiver")


def is_wanted(settings: Settings) -> bool:
    """Whether anybody may use the console of these settings; with `ringback dev` always."""
    given = (settings.console_password, settings.api_token, settings.console_user_header)
    if settings.simulated or any(given):
        return True
    try:
        return has_access(settings.data)
    except RingbackError as error:
        _logger.error("there is no console: %s", error)
        return False


def console_command(settings: Settings) -> list[str]:
    """How the console of a node is started."""
    main = [sys.executable, "-m", "ringback.cli.main"]
    return [*main, "console", "--supervised", str(settings.project)]


class Companion:
    """Keeps one process alive until it is stopped. Its standard input is a pipe that closes when
    this process dies."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self._command = command
        self._environ = environ
        self._process: Process | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._stopping = False
        self._pause = 0.0
        self._ends = 0
        self._since = ""
        self._last = ""

    @property
    def pid(self) -> int | None:
        """Its process id, None while there is none."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    @property
    def trouble(self) -> str:
        """That it keeps ending, how often, since when and how; empty while it does not."""
        if not self._ends or (self.pid is not None and self._steady()):
            return ""
        return f"has ended {self._ends} times since {self._since}, the last time with {self._last}"

    def start(self) -> None:
        """Start it, and keep it alive from now on."""
        self._keeping = asyncio.create_task(self._keep())

    def renew(self, environ: Mapping[str, str]) -> None:
        """Let it start anew with this environment."""
        self._environ = environ
        self._pause = 0.0
        self._send(signal.SIGTERM)

    def leave(self) -> None:
        """Let it end: its streams do, which else hold up whoever waits for all connections."""
        self._stopping = True
        self._send(signal.SIGTERM)

    async def stop(self) -> None:
        """Let it end, and wait for that; kill it when it takes too long."""
        self.leave()
        if self._process is not None:
            try:
                await asyncio.wait_for(self._process.wait(), DRAIN_SECONDS)
            except TimeoutError:
                self._send(signal.SIGKILL)
                await self._process.wait()
        if self._keeping is not None:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping

    async def _keep(self) -> None:
        while not self._stopping:
            self._started = time.monotonic()
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command, stdin=PIPE, env=dict(self._environ)
                )
                code = await self._process.wait()
            except OSError as error:  # no memory, no processes left
                self._process, code = None, error.errno or 1
            if self._stopping:
                return
            self._note(code)
            await asyncio.sleep(self._pause)

    def _note(self, code: int) -> None:
        if self._steady():
            self._ends, self._pause = 0, 0.0
        if not self._ends:
            self._since = iso(datetime.now(UTC))
        self._ends += 1
        self._last = f"exit {code}" if code >= 0 else f"signal {-code}"
        self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, self._pause * 2))
        _logger.warning("the console ended with %s; it is started again", self._last)

    def _steady(self) -> bool:
        return time.monotonic() - self._started > STEADY_SECONDS

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


def companion_of(settings: Settings) -> Companion:
    """The console of a node with these settings."""
    return Companion(console_command(settings), settings.child_environ(os.environ))
