"""Forkserver that is a fork of this process, in place of a program that is started.

The engine is imported once for both. It is for a process that has nothing yet which two cannot
share: no thread, no loop, no open file of the node.
"""

import contextlib
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable

from ringback.worker.hosts.marks import Marks
from ringback.worker.hosts.server_link import Command, Launched

Main = Callable[[int, int], None]
"""The life of a forkserver, from the descriptors of its connection and of the shared marks."""


class Branch:
    """A process that was forked from this one, with the words of `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """The code that it ended with; None while it runs."""
        return self._look(os.WNOHANG)

    def wait(self) -> int:
        """The code that it ends with."""
        code = self._look(0)
        assert code is not None
        return code

    def kill(self) -> None:
        """End it now."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _look(self, flags: int) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, flags)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code


def branch(command: Command, main: Main) -> Launched:
    """Fork a forkserver. It has the environment of the command, and what it prints goes where ours
    does."""
    shared, marks = Marks.create()
    ours, theirs = socket.socketpair()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        ours.close()
        _be_forkserver(command, main, theirs.detach(), marks)
    theirs.close()
    os.close(marks)
    ours.setblocking(False)
    return Launched(Branch(pid), ours, shared)


def _be_forkserver(command: Command, main: Main, control: int, marks: int) -> None:
    """The life of the forked process, which ends here."""
    code = 1
    try:
        os.setpgid(0, 0)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.environ.clear()
        os.environ.update(command.environ)
        main(control, marks)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
