"""Worker's end of a forkserver: starts it, watches what it imports, asks it for hosts."""

import asyncio
import contextlib
import logging
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol

from ringback.config import Settings
from ringback.errors import PluginError, Problem
from ringback.plugins.finder import plugin_files
from ringback.worker.hosts.control import Control, Message
from ringback.worker.hosts.marks import SLOTS, Marks

if TYPE_CHECKING:
    from ringback.plugins.manifest import Manifest

log = logging.getLogger(__name__)

IMPORT_SECONDS = 5.0
"""How long a plugin may take until it is imported."""
PLUGIN_SECONDS = 2.0
"""How long all plugins together may take before a node listens, or `check` judges the rules,
without knowing what they bring."""
START_SECONDS = 30.0
"""How long the engine itself may take, before the first plugin and behind the last one."""


@dataclass(frozen=True, slots=True)
class Command:
    """How a forkserver is started: a command that takes `--control FD --marks FD`, and the
    environment that it sees. `memory` is what a host may take beyond its start, in bytes. While it
    is not `wanted` it would find no plugin, and is not started."""

    words: Sequence[str]
    environ: Mapping[str, str]
    memory: int
    import_seconds: float = IMPORT_SECONDS
    wanted: Callable[[], bool] = lambda: True
    priority: int | None = None
    """Its nice value, when it is not ours."""


def command_for(settings: Settings, environ: Mapping[str, str]) -> Command:
    """How the forkserver of a project is started, so that it has these same settings."""
    words = [sys.executable, "-m", "ringback.cli.main", "-C", str(settings.project), "plugin-hosts"]

    def wanted() -> bool:
        folder = settings.project / "plugins"
        named = settings.entry_points or settings.plugin_config
        return bool(named or (folder.is_dir() and plugin_files(folder)))

    memory = settings.host_memory << 20
    return Command(words, settings.child_environ(environ), memory, wanted=wanted)


class Process(Protocol):
    """A child process, with the words of `subprocess.Popen`."""

    pid: int

    def poll(self) -> int | None:
        """The code that it ended with; None while it runs."""

    def wait(self) -> int:
        """The code that it ends with."""

    def kill(self) -> None:
        """End it now."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A forkserver whose process has been started, and that nobody has spoken with yet."""

    process: Process
    sock: socket.socket
    marks: Marks

    def close(self) -> None:
        """End it: nobody will speak with it."""
        self.process.kill()
        self.process.wait()
        self.sock.close()
        self.marks.close()


def launch(command: Command) -> Launched:
    """Start a forkserver. It begins at once with what it has to import, and so may we."""
    shared, marks = Marks.create()
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(
            [*command.words, "--control", str(theirs.fileno()), "--marks", str(marks)],
            env=dict(command.environ), pass_fds=(theirs.fileno(), marks),
            stdin=subprocess.DEVNULL, process_group=0,
        )  # fmt: skip
    finally:
        theirs.close()
        os.close(marks)
    ours.setblocking(False)
    return Launched(process, ours, shared)


class Spare:
    """A process that a forkserver has forked before it imported a plugin, with the words of
    `subprocess.Popen`. Nobody here is its parent: how it ended is not known."""

    def __init__(self, forked: "Forked") -> None:
        self.pid = forked.pid
        self._forked = forked

    def poll(self) -> int | None:
        """1 when it has ended."""
        return self._ended(0)

    def wait(self) -> int:
        """1, when it has ended."""
        return self._ended(None) or 1

    def kill(self) -> None:
        """End it now."""
        if self._forked.descriptor >= 0:
            self._forked.kill()

    def _ended(self, patience: int | None) -> int | None:
        if self._forked.descriptor >= 0:
            poll = select.poll()
            poll.register(self._forked.descriptor, select.POLLIN)
            if not poll.poll(patience):
                return None
            self._forked.close()
        return 1


@dataclass(eq=False)
class Forked:
    """A process that was forked: its number, and a descriptor of it (-1 where there are none)."""

    pid: int
    descriptor: int

    def kill(self) -> None:
        """End it now. What it has started ends when the forkserver sees this."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.descriptor >= 0:
                signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)
            else:
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of the descriptor."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class ServerLink:
    """One forkserver, from its start to its end.

    `on_forked` and `on_ended` get the slot of a host; `on_gone` is called once when the process is
    no more, with every host that it had.
    """

    def __init__(self, command: Command, launched: Launched | None = None) -> None:
        self.on_forked: Callable[[int, Forked], None] = lambda _slot, forked: forked.close()
        self.on_ended: Callable[[int, int], None] = lambda _slot, _status: None
        self.on_gone: Callable[[], None] = lambda: None
        self.command = command
        self.gone = False
        self.at = ""
        """The plugin that is being imported, and its file."""
        self.file = ""
        self._loop = asyncio.get_running_loop()
        self._loaded: asyncio.Future[Manifest] = self._loop.create_future()
        self._deadline: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None
        self._slots = list(range(SLOTS - 1, -1, -1))
        self._spare: Launched | None = None
        self._coming: tuple[socket.socket, Marks] | None = None
        launched = launched or launch(command)
        self._process, self.marks = launched.process, launched.marks
        if command.priority is not None:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._process.pid, command.priority)
        self._control = Control(launched.sock)
        self._loop.add_reader(launched.sock, self._readable)

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    async def manifest(self, without: Mapping[str, Problem]) -> "Manifest":
        """What the plugins bring, but for those that are left out with a problem.

        Raises PluginError when a plugin took too long or ended the process; it then names the
        plugin, which is empty when it was none.
        """
        first = {
            "without": {name: asdict(each) for name, each in without.items()},
            "memory": self.command.memory,
        }
        if hasattr(os, "pidfd_open"):
            self._send_with_spare(first)
        else:
            self._send(first)
        self._wait(START_SECONDS)
        try:
            return await self._loaded
        finally:
            if self._deadline is not None:
                self._deadline.cancel()

    def fork(self, kind: str, silent: Sequence[str], theirs: socket.socket) -> int:
        """Ask for a host, whose connection is `theirs`. Its slot, or -1 when there is none now."""
        if not self._slots:
            return -1
        slot = self._slots.pop()
        self.marks.end(slot)  # what the host before it there was at
        self._send({"fork": slot, "kind": kind, "silent": list(silent)}, theirs.fileno())
        return slot

    def _send_with_spare(self, first: Message) -> None:
        shared, marks = Marks.create()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._coming = (ours, shared)
        try:
            self._send(first, theirs.fileno(), marks)
        finally:
            theirs.close()
            os.close(marks)

    def take_spare(self) -> Launched | None:
        """The process that can take its place; None when there is none. It is the taker's."""
        spare, self._spare = self._spare, None
        return spare

    def kill(self) -> None:
        """End it now, and so every host."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def close(self) -> "asyncio.Task[None]":
        """Let it end: it does when it sees that nobody is there any more. The wait for its end."""
        if self._ending is None:
            self._loop.remove_reader(self._control.sock)
            self._control.close()
            self.marks.close()
            self._let_spare_go()
            if self._deadline is not None:
                self._deadline.cancel()
            self._ending = self._loop.create_task(_reaped(self._process))
            # The loop may end before it has: a task that is cancelled at once does not even begin.
            self._ending.add_done_callback(lambda _: _reap(self._process))
        return self._ending

    def _let_spare_go(self) -> None:
        if self._coming is not None:
            self._coming[0].close()
            self._coming[1].close()
            self._coming = None
        spare = self.take_spare()
        if spare is not None:
            spare.close()

    def _send(self, message: Message, *descriptors: int) -> None:
        try:
            self._control.send(message, *descriptors)
        except OSError as error:  # it is gone, which is read next, or it does not read any more
            log.error("the process of the plugins does not listen: %s", error)
            self.kill()

    def _readable(self) -> None:
        try:
            for message in self._control.receive():
                self._take(message)
        except BlockingIOError:
            return
        except (EOFError, OSError):
            self._gone()

    def _take(self, message: Message) -> None:
        if "spare" in message:
            coming, self._coming = self._coming, None
            forked = Forked(message["spare"], self._control.descriptors.popleft())
            assert coming is not None
            self._spare = Launched(Spare(forked), *coming)
        elif "forked" in message:
            taken = self._control.descriptors
            self.on_forked(
                message["forked"], Forked(message["pid"], taken.popleft() if taken else -1)
            )
        elif "ended" in message:
            self._slots.append(message["ended"])
            self.on_ended(message["ended"], message["status"])
        elif "log" in message:
            to_log(*message["log"])
        elif "at" in message:
            self.at, self.file = message["at"], message["file"]
            self._wait(self.command.import_seconds if self.at else START_SECONDS)
        elif "loaded" in message and not self._loaded.done():
            # As heavy as what the forkserver imports, and so not before that is under way.
            from ringback.plugins.manifest import read_manifest

            self._loaded.set_result(read_manifest(message["loaded"]))

    def _wait(self, seconds: float) -> None:
        """Expect the next news within so many seconds."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._loop.call_later(seconds, self._late, seconds)

    def _late(self, seconds: float) -> None:
        due = self._deadline
        self._readable()  # it may be this process that was late
        if self._deadline is not due:  # there was news, and more is expected
            return
        if not self._loaded.done():
            what = "took longer than {:g} s to be imported" if self.at else "{:g} s were not enough"
            self._loaded.set_exception(PluginError(self.at, what.format(seconds)))
        self.kill()

    def _gone(self) -> None:
        self._loop.remove_reader(self._control.sock)
        self.kill()
        self.gone = True
        if not self._loaded.done():
            code = self._process.wait()
            how = f", with signal {-code}" if code < 0 else f", with exit code {code}"
            how = "" if isinstance(self._process, Spare) else how  # nobody here is told
            self._loaded.set_exception(
                PluginError(self.at, f"ended the process that imported it{how}")
            )
        self.on_gone()


def to_log(level: int, plugin: str, text: str) -> None:
    """Write a line of plugin code to our log, under the plugin's name."""
    name = f"ringback.plugin.{plugin}" if plugin else "ringback.plugin"
    logging.getLogger(name).log(level, "%s", text)


async def _reaped(process: Process) -> None:
    """Wait for the end of a process that has been told to end; one that does not is killed."""
    for number in range(sys.maxsize):
        if process.poll() is not None:
            return
        if number == _PATIENCE:
            process.kill()
        await asyncio.sleep(_LOOK_SECONDS)


def _reap(process: Process) -> None:
    """End a process that has not ended by itself: nobody will wait for it any more."""
    if process.poll() is None:
        process.kill()
        process.wait()


_LOOK_SECONDS = 0.02
_PATIENCE = 100


async def start_server(
    command: Command, launched: Launched | None = None
) -> "tuple[ServerLink, Manifest]":
    """A forkserver with all plugins that can be imported in time, and what they bring.

    Each plugin that hangs or ends the process costs one start, and becomes a problem of the
    manifest. Raises PluginError, of no plugin, when the process cannot be started at all. The first
    start is the one that was `launched`, if any was.
    """
    without: dict[str, Problem] = {}
    while True:
        link, launched = ServerLink(command, launched), None
        try:
            return link, await link.manifest(without)
        except PluginError as error:
            name = error.plugin
            await link.close()
            if not name or name in without:
                raise
            reason = str(error).removeprefix(f"plugin {name}: ")
            log.error("plugin %s is left out: it %s", name, reason)
            without[name] = Problem(link.file, 0, 0, "plugin", f"it {reason}")
        except BaseException:
            link.kill()
            await link.close()
            raise
