"""Limits of a host process, and what a call has left behind in it.

Linux has all of them. Elsewhere those that are missing are left out: a host then outlives its
parent until it looks at its connection, and orphans are not found.
"""

import _thread
import contextlib
import ctypes
import fcntl
import os
import resource
import signal
import socket
import sys

_PDEATHSIG = 1
_SUBREAPER = 36
_PAGE = resource.getpagesize()

NICE = 5
OPEN_FILES = 256
KEPT_FILES = 8
"""So many more open files than at the start are no leak yet."""


def _prctl(option: int, value: int) -> None:
    """Set an attribute of this process. https://man7.org/linux/man-pages/man2/prctl.2.html."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def end_with_parent(on: bool = True) -> None:
    """Ask the system for SIGKILL when the parent process ends."""
    _prctl(_PDEATHSIG, signal.SIGKILL if on else 0)


def end_with_connection(sock: socket.socket, on: bool = True) -> None:
    """Have the system end this process when anything comes over a connection, its end above all:
    while code runs that may never come back to read it."""
    flags = fcntl.fcntl(sock, fcntl.F_GETFL)
    if on:
        signal.signal(signal.SIGIO, signal.SIG_DFL)
        fcntl.fcntl(sock, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(sock, fcntl.F_SETFL, flags | os.O_ASYNC if on else flags & ~os.O_ASYNC)


def adopt_orphans() -> None:
    """Become the parent of every process whose parent below this one ends."""
    _prctl(_SUBREAPER, 1)


def limit_host(memory: int) -> None:
    """Put this process into a group of its own, behind others, with bounded means.

    `memory` is how many bytes of address space it may take beyond those that it has now, and how
    large a file may get that it writes to. It stays
    in the session of the worker: where sessions share the processor (autogroup), an answer would
    else wait for its turn among those of the whole machine.
    """
    os.setpgid(0, 0)
    os.nice(NICE)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    _lower(resource.RLIMIT_FSIZE, memory)
    size, _ = Memory().sizes()
    if size:
        _lower(resource.RLIMIT_AS, size + memory)


def _lower(what: int, value: int) -> None:
    with contextlib.suppress(ValueError, OSError):
        hard = resource.getrlimit(what)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (most, most))


class Memory:
    """The memory of this process, as the system tells it."""

    def __init__(self) -> None:
        self._file = -1
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                self._file = os.open("/proc/self/statm", os.O_RDONLY)

    def sizes(self) -> tuple[int, int]:
        """Bytes of address space and of memory in use; zeros where the system does not tell."""
        if self._file < 0:
            return 0, 0
        size, used, *_ = os.pread(self._file, 128, 0).split()
        return int(size) * _PAGE, int(used) * _PAGE


class Residue:
    """What a call left behind in its process that could hurt the next one."""

    def __init__(self, allowance: int) -> None:
        """Take this moment for clean. Of `allowance` bytes a quarter may stay in use."""
        self._most = allowance // 4
        self._threads = _thread._count()
        self._children = _has_children()
        self._memory = Memory()
        self._files = _lowest_free()
        self._limits = _limits()
        self._depth = sys.getrecursionlimit()
        self._size, self._used = self._memory.sizes()

    def found(self, threads: int = 0, *, quick: bool = False) -> str:
        """What there is now and was not before, in words; empty when nothing. So many `threads`
        more than at the start are none. What grows slowly is not looked for when it must be
        `quick`."""
        more = _thread._count() - self._threads
        if more > threads:
            return f"{more} threads"
        if not self._children and _has_children():
            return "child processes"
        for timer in _TIMERS:
            if signal.getitimer(timer)[0]:
                signal.setitimer(timer, 0)
                return "an alarm"
        if sys.getrecursionlimit() != self._depth:
            return "another limit of recursion"
        if _lowest_free() > self._files + KEPT_FILES:
            return "open files"
        if quick:
            return ""
        if _limits() != self._limits:
            return "other limits of its process"
        try:
            size, used = self._memory.sizes()
        except (OSError, ValueError):  # it was closed, or another file stands in its place
            return "a closed file"
        grown = max(size - self._size, used - self._used)
        if grown > self._most:
            return f"{grown >> 20} MB of memory"
        return ""


_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE)


def _limits() -> list[tuple[int, int]]:
    return [resource.getrlimit(each) for each in _LIMITS]


def _has_children() -> bool:
    if not hasattr(os, "waitid"):
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _lowest_free() -> int:
    """The lowest number that a new open file would get."""
    try:
        number = os.dup(0)
    except OSError:
        return OPEN_FILES
    os.close(number)
    return number
