"""Forkserver: the process that imports the plugins, and from which every host is forked.

Before the first plugin it may fork a spare: the same process without any code of plugins, which
takes its place at once when it is killed. It tells the worker of each plugin before it imports it,
then what all of them bring. From then on it runs no code of plugins: it forks hosts when it is
asked to, and clears away what ended ones have left behind. It ends with the worker, and every host
ends with it.
"""

import contextlib
import gc
import logging
import os
import select
import signal
import socket
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from ringback.errors import Problem
from ringback.plugins.manifest import manifest_of
from ringback.plugins.perform import Loaded
from ringback.rules.language.scope import Facts
from ringback.worker.hosts.control import Control, Message
from ringback.worker.hosts.marks import Marks
from ringback.worker.hosts.process import async_host, host_limits, sync_host
from ringback.worker.hosts.process.plugin_output import Budget, Output
from ringback.worker.hosts.process.sync_host import Work
from ringback.worker.hosts.process.temporary_files import Folders, use

SWEEP_SECONDS = 5.0
"""How often processes are looked for that a host has let go of while it lives."""
LOOK_SECONDS = 1.0
"""How often the temporary files of the hosts are measured."""


class Project(Loaded, Protocol):
    """A project, with what is wrong in its files."""

    @property
    def problems(self) -> list[Problem]:
        """What is wrong; empty when all is well."""


class Load(Protocol):
    """What loads the project; see `ringback.project.Project.load`."""

    def __call__(
        self, *, before: Callable[[str, Path], None], without: Mapping[str, Problem]
    ) -> Project: ...


@dataclass(frozen=True, slots=True)
class Start:
    """With what a forkserver begins: the descriptors that it inherits, and its two sources."""

    control: int
    marks: int
    load: Load
    facts: Callable[[], Facts]
    spare: bool = False
    """Whether it was forked as a spare: the worker is not its parent."""


def run(start: Start) -> None:
    """Be the forkserver until the worker ends."""
    if not start.spare:
        host_limits.end_with_parent()
    host_limits.adopt_orphans()
    os.set_inheritable(start.control, False)
    os.set_inheritable(start.marks, False)
    control = Control(socket.socket(fileno=start.control))
    with contextlib.suppress(EOFError, OSError):
        server = _Server(control, Marks.open(start.marks), start.facts)
        os.close(start.marks)
        first = server.first()
        if control.descriptors:
            server.fork_spare(start)
        if start.spare:
            host_limits.end_with_connection(control.sock)
        server.load(start.load, first)
        server.serve()
    os._exit(0)


@dataclass
class _Server:
    control: Control
    marks: Marks
    facts: Callable[[], Facts]
    hosts: dict[int, int] = field(default_factory=dict)
    """The slot of each host that lives, by its process."""
    spared: set[int] = field(default_factory=set)
    """Children that plugins have started when they were imported."""
    memory: int = 0
    loaded: Loaded | None = None
    folders: Folders | None = None
    swept_at: float = 0.0
    looked_at: float = 0.0
    """When the sizes of the folders were looked at the last time."""

    def fork_spare(self, start: Start) -> None:
        """Fork the spare, while no code of plugins is here. It waits for its first message."""
        control, marks = self.control.descriptors.popleft(), self.control.descriptors.popleft()
        gc.collect()
        gc.freeze()  # a later collection would write to what both have, and copy it
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            self.control.close()
            self.marks.close()
            run(replace(start, control=control, marks=marks, spare=True))
        os.close(control)
        os.close(marks)
        descriptor = os.pidfd_open(pid)
        self.control.send({"spare": pid}, descriptor)
        os.close(descriptor)

    def load(self, load: Load, first: Message) -> None:
        """Import the plugins and send what they bring."""
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(name, _ignored)  # they end with the worker, which is told to
        self.memory = int(first["memory"])
        without = {name: Problem(**each) for name, each in first["without"].items()}
        budget = Budget("")

        def send(level: int, plugin: str, text: str) -> None:
            with contextlib.suppress(OSError):
                self.control.send({"log": [level, plugin, text]})

        output = Output(send, lambda: budget)
        output.take_over()
        os.register_at_fork(after_in_child=self._forked)
        watched = _Watched()

        def before(name: str, file: Path) -> None:
            nonlocal budget
            output.end(budget)
            budget = Budget(name)
            watched.before(name)
            self.control.send({"at": name, "file": str(file)})

        self.folders = Folders(self.memory)
        loaded = load(before=before, without=without)
        self.loaded = loaded
        manifest = manifest_of(
            loaded.plugins, loaded.ruleset.by_name, loaded.problems, watched.warnings
        )
        gc.collect()
        gc.freeze()
        self.spared = set(children())
        host_limits.end_with_parent(False)
        host_limits.end_with_connection(self.control.sock, False)
        self.control.send({"loaded": manifest})

    def first(self) -> Message:
        """The first message of the worker. Raises EOFError when it is gone."""
        while True:
            for message in self.control.receive():
                return message

    def _forked(self) -> None:
        """In every process that is forked from here; our own hosts have taken what they need."""
        self.control.close()

    def serve(self) -> None:
        """Fork hosts and clear away. Raises EOFError when the worker is gone."""
        news, wakeup = socket.socketpair()
        for end in (news, wakeup):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, _ignored)
        signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self.control.sock, select.POLLIN)
        poll.register(news, select.POLLIN)
        self._reap()
        try:
            while True:
                ready = dict(poll.poll(LOOK_SECONDS * 1000))
                if news.fileno() in ready:
                    with contextlib.suppress(BlockingIOError):
                        news.recv(4096)
                    self._reap()
                elif not ready and time.monotonic() - self.swept_at > SWEEP_SECONDS:
                    self._sweep()
                self._bound_folders()
                if self.control.sock.fileno() in ready:
                    for message in self.control.receive():
                        self._fork(message)
        finally:
            for pid in self.hosts:
                _kill_group(pid)
            self._sweep()
            if self.folders is not None:
                self.folders.close()

    def _fork(self, message: Message) -> None:
        slot = int(message["fork"])
        connection = socket.socket(fileno=self.control.descriptors.popleft())
        assert self.loaded is not None
        assert self.folders is not None
        folder = self.folders.make(slot)
        work = Work(
            self.loaded, self.facts, self.marks, slot, self.memory, frozenset(message["silent"])
        )
        serve = async_host.serve if message["kind"] == "async" else sync_host.serve
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of threads that a plugin has left here: told before
            pid = os.fork()
        if pid == 0:
            if folder is not None:
                use(folder)
            _be_host(serve, work, connection)
        connection.close()
        self.hosts[pid] = slot
        forked: Message = {"forked": slot, "pid": pid}
        if not hasattr(os, "pidfd_open"):
            self.control.send(forked)
            return
        descriptor = os.pidfd_open(pid)
        self.control.send(forked, descriptor)
        os.close(descriptor)

    def _reap(self) -> None:
        """Tell of each host that has ended, and end with it all that it has started."""
        while True:
            try:
                pid, status = self._next_ended()
            except ChildProcessError:
                return
            if not pid:
                break
            slot = self.hosts.pop(pid, None)
            if slot is not None:
                if self.folders is not None:
                    self.folders.delete(slot)
                self.control.send({"ended": slot, "status": status})
        self._sweep()

    def _bound_folders(self) -> None:
        """End each host that has filled its folder; what is in there goes with it."""
        now = time.monotonic()
        if self.folders is None or now - self.looked_at < LOOK_SECONDS:
            return
        self.looked_at = now
        slots = self.folders.too_large()
        for pid in [pid for pid, slot in self.hosts.items() if slot in slots]:
            most = f"{self.memory >> 20} MiB"
            text = f"a process of the plugins has put more than {most} into temporary files"
            self.control.send({"log": [logging.ERROR, "", f"{text}: it is ended"]})
            _kill_group(pid)

    def _next_ended(self) -> tuple[int, int]:
        """A child that has ended, with its wait status; 0 when there is none. Its group is ended
        before the wait for it sets its number free, where the system can tell so early."""
        if not hasattr(os, "waitid"):
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in self.hosts:
                _kill_group(pid)
            return pid, status
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return 0, 0
        if found.si_pid in self.hosts:
            _kill_group(found.si_pid)
        return os.waitpid(found.si_pid, 0)

    def _sweep(self) -> None:
        """End the processes that have become ours because those that started them are gone."""
        self.swept_at = time.monotonic()
        if self.hosts or self.spared:
            for pid in children():
                if pid not in self.hosts and pid not in self.spared:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)


class _Watched:
    """What the import of each plugin changes in this process."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._name = ""
        self._threads = 0

    def before(self, name: str) -> None:
        """The plugin before is there; `name` is next."""
        threads = threading.active_count()
        if self._name and threads > self._threads:
            self.warnings.append(
                f"plugin {self._name} starts a thread when it is imported, which no handler has: "
                "start it in `startup`"
            )
        self._name, self._threads = name, threads


def children() -> list[int]:
    """The processes whose parent this one is; none where the system does not tell."""
    own, found = os.getpid(), []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int(entry.read_text().rpartition(")")[2].split()[1]) == own:
                found.append(int(entry.parent.name))
    return found


def _be_host(serve: Callable[[Work, socket.socket], None], work: Work, sock: socket.socket) -> None:
    """The life of a forked process, which ends here."""
    code = 70
    try:
        host_limits.end_with_parent()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        host_limits.limit_host(work.memory)
        serve(work, sock)
        code = 0
    except OSError:
        code = 71  # the connection is closed
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _ignored(*_: object) -> None:
    """A signal that ends nothing. Programs that are started from here have the usual ones."""
