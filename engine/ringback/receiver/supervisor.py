"""Supervisor of the worker process: starts it, watches it, kills it when it hangs, starts it again.

The worker runs no code of plugins. Should it freeze all the same, its heartbeat shows it. The first
one may have begun before: it imports what it needs while the receiver does, then waits for a word
on its standard input until the receiver owns the data folder and the port.
"""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ringback.config import Settings
from ringback.heartbeat import FROZEN_SECONDS, Heartbeat
from ringback.ipc import REFUSED
from ringback.receiver.service_manager import without_variables
from ringback.runtime import iso

LOOK_SECONDS = 0.25
STARTUP_SECONDS = 60.0
"""How long a fresh worker may take until its first heartbeat."""
STEADY_SECONDS = 10.0
"""A worker that lived for so long is started again at once, the next ones after a growing pause."""
LONGEST_PAUSE = 2.0
DRAIN_SECONDS = 40.0
ORDERLY_SECONDS = 0.5

TROUBLE = "RINGBACK_WORKER_TROUBLE"
"""The variable that says to a worker that those before it kept ending, or that the last one hung:
since when (seconds), and in words."""
DISK_REFUSES = 74
CHECKING = ("--checking",)
"""What is added to the command of a worker that checks the rules before this node listens."""
GO = b"\n"
"""What such a worker reads from its standard input before it touches anything."""

_FINAL = {2, 65, 75, 78}
"""Exit codes of a worker that cannot start as things are: only a person can mend that. Code 74, a
disk that refuses, is none of them: it may pass."""

_logger = logging.getLogger("ringback.receiver")


class Begun:
    """A worker that was begun before there was a loop, with the words of asyncio's processes."""

    def __init__(self, settings: Settings) -> None:
        environ = settings.child_environ(without_variables(os.environ))
        self._process = subprocess.Popen(
            [*worker_command(settings), *CHECKING], bufsize=0, stdin=subprocess.PIPE, env=environ
        )
        assert self._process.stdin is not None
        self.stdin = self._process.stdin
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The code that it ended with; None before somebody has waited for that."""
        return self._process.returncode

    async def wait(self) -> int:
        """The code that it ends with."""
        return await asyncio.to_thread(self._process.wait)

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def close(self) -> None:
        """End one that still lives: nobody wants it."""
        self._process.kill()
        self._process.wait()
        self.stdin.close()


def worker_command(settings: Settings) -> list[str]:
    """How the worker of a node is started."""
    main = [sys.executable, "-m", "ringback.cli.main"]
    return [*main, "worker", "--supervised", str(settings.project)]


class Supervisor:
    """Keeps one worker process alive until it is stopped.

    `command` starts the worker; its standard input is a pipe that closes when this process dies.
    `environ` is what the next one gets. `on_restart` is called each time a worker had to be started
    again. `begun` is the first one where it was begun already, to check the rules.
    """

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        heartbeat: Path,
        on_restart: Callable[[], object] = lambda: None,
        begun: Begun | None = None,
    ) -> None:
        self._command = command
        self.environ = environ
        self._heartbeat = heartbeat
        self._on_restart = on_restart
        self._begun = begun
        self._process: Process | Begun | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._stopping = False
        self._ends = 0
        self._first_end = 0.0
        self._last_end = ""
        self._hung: tuple[float, str] | None = None
        self.refused: int | None = None
        self._checked = asyncio.Event()
        self._checked.set()

    @property
    def pid(self) -> int | None:
        """The worker's process id, None while there is none."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    @property
    def restarts(self) -> str:
        """That the worker keeps ending, how often, since when and how; empty while it does not."""
        steady = self.pid is not None and time.monotonic() - self._started > STEADY_SECONDS
        if steady or self._ends < 2:
            return ""
        since = iso(datetime.fromtimestamp(self._first_end, UTC))
        return (
            f"the worker has ended {self._ends} times since {since}, the last time with "
            f"{self._last_end}"
        )

    async def start(self, *, checking: bool = False) -> None:
        """Start the worker and keep it alive from now on. With `checking` it checks the rules
        first; see `good`."""
        if checking:
            self._checked.clear()
        await self._spawn()
        self._keeping = asyncio.create_task(self._keep())

    def checked(self) -> None:
        """The worker has found the rules good."""
        self._checked.set()

    async def good(self) -> bool:
        """Wait until the worker has checked the rules; False when it will not be started again."""
        assert self._keeping is not None
        waiting = asyncio.ensure_future(self._checked.wait())
        await asyncio.wait((waiting, self._keeping), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        return self._checked.is_set()

    async def stop(self, patience: float = DRAIN_SECONDS) -> None:
        """Ask the worker to finish (SIGTERM) and wait for it; after `patience` seconds, kill it."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            _send(process, signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), patience)
            except TimeoutError:
                _logger.error("the worker did not finish within %.0f s: killed", patience)
                _send(process, signal.SIGKILL)
                await process.wait()
        if self._keeping is not None:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping

    def reload(self) -> None:
        """Let the worker read its files again (SIGHUP); one that is still starting does so as soon
        as it is up."""
        if self._process is not None and self._process.returncode is None:
            _send(self._process, signal.SIGHUP)

    def kill(self) -> None:
        """End the worker now, without asking."""
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            _send(self._process, signal.SIGKILL)

    async def _spawn(self) -> None:
        environ = {name: self.environ[name] for name in self.environ if name != TROUBLE}
        since, trouble = (self._first_end, self.restarts) if self._ends > 1 else (0.0, "")
        if self._hung is not None:
            still, reason = self._hung
            words = f"the worker hung ({reason}) and was killed; another was started"
            since, trouble = since or still, "; ".join(filter(None, (trouble, words)))
            self._hung = None
        if trouble:
            environ[TROUBLE] = f"{since} {trouble}"
        self._started = time.monotonic()
        checking = not self._checked.is_set()
        if self._begun is not None and checking:
            self._process, self._begun = self._begun, None
        else:
            command = [*self._command, *(CHECKING if checking else ())]
            self._process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, env=environ)
        if checking and self._process.stdin is not None:
            with contextlib.suppress(OSError):  # it has ended, which is seen in a moment
                self._process.stdin.write(GO)

    async def _keep(self) -> None:
        pause = 0.0
        starting = True
        while not self._stopping:
            process = self._process
            if process is None:
                return
            looking = asyncio.create_task(self._look(process))
            code = await process.wait()
            looking.cancel()
            lived = time.monotonic() - self._started
            if self._stopping:
                return
            starting = starting and lived < STEADY_SECONDS
            # One that checks the rules starts until it has said that they are good, however long a
            # slow or busy machine makes that.
            if (starting or not self._checked.is_set()) and self._refuses(code):
                self.refused = code
                return
            pause = 0.0 if lived > STEADY_SECONDS else min(LONGEST_PAUSE, pause * 2 + 0.1)
            # A worker that ended in order was asked to, perhaps with its whole process group: then
            # this process hears of it in a moment too.
            await asyncio.sleep(max(pause, ORDERLY_SECONDS) if code == 0 else pause)
            if self._stopping:
                return
            _logger.error(
                "the worker (pid %d) ended with %s after %.1f s; starting another",
                process.pid, _describe(code), lived,
            )  # fmt: skip
            self._on_restart()
            self._count(code, lived)
            await self._spawn()

    def _refuses(self, code: int) -> bool:
        """Whether a worker that starts cannot, as things are. One that had to check the rules first
        also ends with two other codes then: its node has to say so in place of serving."""
        checks = not self._checked.is_set()
        return code in _FINAL or (checks and code in (REFUSED, DISK_REFUSES))

    def _count(self, code: int, lived: float) -> None:
        """Note an end of the worker, as one of a series when it had not lived for long."""
        if lived > STEADY_SECONDS or not self._ends:
            self._ends, self._first_end = 0, time.time()
        self._ends += 1
        disk = " (the disk refuses what it writes)" if code == DISK_REFUSES else ""
        self._last_end = f"{_describe(code)}{disk}"

    async def _look(self, process: Process | Begun) -> None:
        """Watch one worker; kill it when it freezes."""
        while process.returncode is None:
            await asyncio.sleep(LOOK_SECONDS)
            reason = self._verdict(time.monotonic())
            if reason:
                _logger.error("killing the worker (pid %d): %s", process.pid, reason)
                still = time.monotonic() - max(Heartbeat.read(self._heartbeat), self._started)
                self._hung = time.time() - still, reason
                _send(process, signal.SIGKILL)
                return

    def _verdict(self, now: float) -> str:
        beat = Heartbeat.read(self._heartbeat)
        if beat < self._started:
            waited = now - self._started
            return f"no sign of life for {waited:.0f} s" if waited > STARTUP_SECONDS else ""
        still = now - beat
        return f"it has not moved for {still:.1f} s" if still > FROZEN_SECONDS else ""


def _send(process: Process | Begun, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _describe(code: int) -> str:
    return f"exit {code}" if code >= 0 else f"signal {-code}"
