"""Service manager's side of a node: readiness, the watchdog, and a socket that outlives restarts.

What systemd hands to a service is in its environment; without it nothing here does anything.
https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
"""

import contextlib
import os
import socket
from collections.abc import Mapping, MutableMapping

from ringback.errors import StorageError

FIRST_DESCRIPTOR = 3
_SOCKET = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class ServiceManager:
    """What the service manager has asked for. `watchdog` is how often it wants to hear that all is
    well, in seconds, 0 for never."""

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        self._address = address
        self.watchdog = watchdog

    @classmethod
    def of(cls, environ: MutableMapping[str, str]) -> "ServiceManager":
        """From its variables, which are taken out: no process that we start is meant by them."""
        address = environ.pop("NOTIFY_SOCKET", "")
        usec, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        ours = usec.isdigit() and pid in ("", str(os.getpid()))
        return cls(address, int(usec) / 2_000_000 if ours and address else 0.0)

    def tell(self, *states: str) -> None:
        """Say how this node is: `READY=1`, `STOPPING=1`, `WATCHDOG=1`. Never raises: a manager that
        does not listen is no reason to stop."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            out.sendto("\n".join(states).encode(), address)


def without_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that is started before this one has asked for its own."""
    left = dict(environ)
    ServiceManager.of(left)
    for name in _SOCKET:
        left.pop(name, None)
    return left


def inherited(environ: MutableMapping[str, str]) -> socket.socket | None:
    """The listening socket that the service manager has opened for this process; None without one.

    Connections that come while the node restarts wait in it. Raises StorageError when it is of a
    kind that a node cannot serve, or one of several.
    """
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdigit() or count == "0":
        return None
    if count != "1":
        raise StorageError(f"the service manager hands over {count} sockets: a node has one")
    os.set_inheritable(FIRST_DESCRIPTOR, False)
    listener = socket.socket(fileno=FIRST_DESCRIPTOR)
    if listener.family not in (socket.AF_INET, socket.AF_INET6) or (
        listener.type != socket.SOCK_STREAM
    ):
        listener.close()
        raise StorageError(
            "the service manager's socket is no TCP socket: write ListenStream=127.0.0.1:8080"
        )
    return listener
