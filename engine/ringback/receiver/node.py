"""Node: one data folder's lock and log, the intake over them, and the worker process.

A node knows nothing of HTTP. `ringback serve` puts it behind uvicorn (`receiver.server`), and the
ASGI application (`receiver.app`) puts it behind any other server.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from ringback import heartbeat, log_lines
from ringback.config import FIXED, Settings
from ringback.console_settings import ConsoleSettings
from ringback.disk_space import free_bytes, nearly_full
from ringback.errors import ConfigError, RingbackError, StorageError
from ringback.ipc import Link, Message, WorkerAway, socket_path
from ringback.ipc import serve as open_socket
from ringback.receiver.append_socket import AppendSocket
from ringback.receiver.companion import companion_of, is_wanted
from ringback.receiver.database_probe import Probe
from ringback.receiver.health import Health, health_of
from ringback.receiver.intake import Intake
from ringback.receiver.metrics import Counts
from ringback.receiver.requirements import require_serving
from ringback.receiver.retention import daily
from ringback.receiver.supervisor import Begun, Supervisor, worker_command
from ringback.store.log import Log
from ringback.store.migrations import refuse_unfit
from ringback.store.upkeep.locks import hold
from ringback.store.upkeep.restore import has_begun
from ringback.tracing import spans as tracing
from ringback.version import own_version

MOST_CONNECTIONS = 1024
WATCH_SECONDS = 0.5
LEAST_FREE_BYTES = 1024 * 1024

_logger = logging.getLogger("ringback.receiver")


@contextlib.contextmanager
def owned(settings: Settings, *, worker: bool) -> Iterator[Log]:
    """Take what a node owns, in order: the data folder, the log. Both are given back at the end.

    Raises HeldError when another receiver has the folder, StorageError or DataError when its files
    or its database cannot be used, by this node or by its worker, and ConfigError for a database
    that was not prepared.
    """
    with hold(settings.data, "receiver"), contextlib.closing(_log_of(settings)) as log:
        if worker and not settings.database_url:
            # The worker would find out only when this node has said that it serves.
            refuse_unfit(settings.data / "journal.db")
        yield log


def _log_of(settings: Settings) -> Log:
    # Every connection that may be open can wait for the disk: what is refused then is what the
    # disk cannot keep up with, and not what merely came at the same time.
    if not settings.database_url:
        return Log.open(settings.data / "log.db", limit=MOST_CONNECTIONS)
    from ringback.store.postgres import server_fitness, server_log  # of the extra `postgres`

    server_fitness.refuse_unfit(settings.database_url)
    return server_log.open_log(settings.database_url, limit=MOST_CONNECTIONS)


class Node:
    """A receiver without its server. `base_url` is the address that Twilio calls when the settings
    do not say it; `on_failed` is called once when this node can do no more: its log is broken, or
    its worker cannot start. `begun` is its worker where that has begun already. With `console` the
    node has one when anybody may use it."""

    def __init__(
        self,
        settings: Settings,
        log: Log,
        *,
        worker: bool,
        base_url: str = "",
        on_failed: Callable[[], object] = lambda: None,
        begun: Begun | None = None,
        console: bool = False,
    ) -> None:
        self.settings = settings
        self.log = log
        self.counts = Counts()
        self.link = Link(socket_path(settings.data))
        self.intake = Intake(settings, log, self.link, self.counts, base_url)
        self._probe = Probe(log) if settings.database_url else None
        self.supervisor: Supervisor | None = None
        if worker:
            self.supervisor = Supervisor(
                worker_command(settings),
                settings.child_environ(os.environ),
                settings.data / heartbeat.NAME,
                lambda: self.counts.add("worker_restarts"),
                begun,
            )
        self.companion = companion_of(settings) if console and is_wanted(settings) else None
        self._on_failed = on_failed

    @contextlib.asynccontextmanager
    async def working(self, *, checking: bool = False) -> AsyncIterator[None]:
        """Take what the worker sends, keep the worker alive and the log small. At the end, which
        must come after the last request, the worker finishes what it is sending. With `checking`
        the worker checks the rules first, and `good` says what came of it."""
        append = AppendSocket(self.log, self.intake.wake).handle

        async def heard(message: Message) -> Message | None:
            if message.get("op") == "logs":
                return log_lines.told(message)
            if message.get("op") == "health":
                return await self._shown()
            if message.get("op") != "checked":
                return await append(message)
            if self.supervisor is not None:
                self.supervisor.checked()
            return {}

        socket = await open_socket(socket_path(self.settings.data, "receiver"), heard)
        tasks: list[asyncio.Task[None]] = []
        try:
            if self.supervisor is not None:
                await self.supervisor.start(checking=checking)
            tracing.begin(os.environ, "receiver")
            tasks.append(asyncio.create_task(self._watch()))
            tasks.append(asyncio.create_task(daily(self.settings, self.log)))
            yield
        finally:
            for task in tasks:
                task.cancel()
            self.intake.close()
            traced = asyncio.ensure_future(asyncio.to_thread(tracing.end))
            if self.companion is not None:
                await self.companion.stop()
            if self.supervisor is not None:
                await self.supervisor.stop()
            await traced
            await socket.close()
            await self.link.close()

    @property
    def console_place(self) -> Path | None:
        """The socket to which requests for the console go on; None when this port has none."""
        if self.companion is None or self.settings.console_port:
            return None
        return socket_path(self.settings.data, "console")

    async def good(self) -> bool:
        """Wait until the worker has checked the rules. Whether this node can begin to receive."""
        good = self.supervisor is None or await self.supervisor.good()
        self.intake.look()
        return good

    @property
    def failure(self) -> str:
        """Why this node can do no more, until it is started anew; empty while it can."""
        if self.log.broken is not None:
            return f"the log is broken: {self.log.broken}"
        if self.supervisor is not None and self.supervisor.refused:
            return f"the worker cannot start: it ended with exit {self.supervisor.refused}"
        return ""

    @property
    def exit_code(self) -> int:
        """What a process should end with whose node stops as it is now."""
        if self.log.broken is not None:
            return self.log.broken.exit_code
        return (self.supervisor.refused if self.supervisor is not None else None) or 0

    def reload(self, again: Callable[[], Settings]) -> None:
        """Read the settings once more: judge by them from now on, and let the worker do the same.

        When they are wrong, everything stays as it is. What only a restart can change is named.
        """
        try:
            fresh = again()
            require_serving(fresh)
        except ConfigError as error:
            problems = "; ".join(error.problems)
            _logger.error("the new settings are wrong, the last good ones stay: %s", problems)
            return
        changed = fresh.differing(self.settings)
        old = self.settings
        self.settings = fresh.keeping(self.settings)
        self.intake.reload(self.settings)
        if self.supervisor is not None:
            self.supervisor.environ = self.settings.child_environ(os.environ)
            self.supervisor.reload()
        if self.companion is not None and any(
            getattr(old, each.name) != getattr(fresh, each.name) for each in fields(ConsoleSettings)
        ):
            self.companion.renew(self.settings.child_environ(os.environ))
        for note in fresh.notes:
            _logger.warning("%s", note)
        live = ", ".join(name for name in changed if name not in FIXED)
        _logger.warning("the settings were read again; changed: %s", live or "nothing")
        fixed = ", ".join(name for name in changed if name in FIXED)
        if fixed:
            _logger.warning("restart the node to use the new %s", fixed)

    async def health(self) -> Health:
        """What keeps this node from recording and working, and what does not work beside that."""
        problems: dict[str, str] = {}
        disk = ""
        if self.log.broken is not None:
            problems["log"] = str(self.log.broken)
        else:
            try:
                if free_bytes(self.settings.data) < LEAST_FREE_BYTES:
                    problems["log"] = f"{self.settings.data}: the disk is full"
                disk = nearly_full(self.settings.data)
            except StorageError as error:  # the folder was removed, or its disk is gone
                problems["log"] = str(error)
        if self._probe is not None and (trouble := await self._probe.trouble()):
            problems["database"] = trouble
        restarts = self.supervisor.restarts if self.supervisor is not None else ""
        worker: dict[str, Any] = {}
        try:
            worker = await self.link.ask({"op": "status"}, 1.0)
        except WorkerAway as error:
            problems["worker"] = self.failure or restarts or str(error)
        console = self.companion.trouble if self.companion is not None else ""
        return health_of(problems, worker, restarts, disk, console)

    async def _shown(self) -> dict[str, Any]:
        """The health as the console shows it, with how it stands with the disk."""
        writer = self.log.writer
        return {
            **(await self.health()).shown(), "version": own_version(),
            "in_flight": writer.in_flight, "commit_seconds": writer.commit_seconds,
        }  # fmt: skip

    async def _watch(self) -> None:
        """Now and then: set the gauges, and say once when this node can do no more."""
        noted = False
        while not self.failure:
            noted = noted or await note_journal(self.log, self.settings.data)
            writer = self.log.writer
            self.counts.gauge("log_in_flight", "Webhooks waiting for the disk.", writer.in_flight)
            self.counts.gauge(
                "commit_seconds", "How long the last commit took.", writer.commit_seconds
            )
            await asyncio.sleep(WATCH_SECONDS)
        _logger.error("this node can do no more: %s", self.failure)
        self._on_failed()


async def note_journal(log: Log, data: Path) -> bool:
    """Note in the log that a journal follows it, once there is one: should the journal get lost,
    the next one knows that it is not the first. Whether that is noted now."""
    try:
        if has_begun(data):
            await log.note_journal()
            return True
    except RingbackError as error:
        _logger.debug("%s", error)
    return False
