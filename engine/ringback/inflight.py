"""In-flight register: what a worker is doing right now, in a file that survives a kill -9.

User code that holds the interpreter cannot be asked what it is doing. So before the worker calls
any, it writes the run, the rule and the plugin into a small file that is mapped into memory: no
system call, no fsync, and the pages outlive the process. The supervisor reads the heartbeat from
the same file and kills a worker that has stopped; the next worker reads who was at fault.
"""

import mmap
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from ringback.private_files import make_file

_HEADER = struct.Struct("<d")
_SLOT = struct.Struct("<dd")
_TEXT = 240
_SLOT_SIZE = _SLOT.size + _TEXT
SLOTS = 64
_SIZE = _HEADER.size + SLOTS * _SLOT_SIZE

STALE_SECONDS = 1.0
"""A heart that has not beaten for so long belongs to a worker that is blocked, not busy."""
GRACE_SECONDS = 0.5
FROZEN_SECONDS = 15.0
"""A worker that shows no sign of life for so long is killed even outside user code."""


@dataclass(frozen=True, slots=True)
class UserCall:
    """One piece of user code that was being called: since when (monotonic seconds), how long it
    may take, and for which run, rule and plugin."""

    started: float
    limit: float
    run_uid: str
    rule: str
    plugin: str


class InFlight:
    """The mapped file. One process writes it, another may read it at the same time."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._free = list(range(SLOTS - 1, -1, -1))

    @classmethod
    def create(cls, path: Path) -> "InFlight":
        """Open the file for a new worker and wipe it. Read `held` of the old one before."""
        fresh = path.with_name(path.name + ".new")
        make_file(fresh)
        with fresh.open("r+b") as file:
            file.truncate(_SIZE)
            in_flight = cls(mmap.mmap(file.fileno(), _SIZE))
        # The old file may be mapped by the supervisor: it is replaced, never cut.
        fresh.replace(path)
        return in_flight

    @classmethod
    def open(cls, path: Path) -> "InFlight | None":
        """Open the file for reading; None when no worker has made it yet."""
        try:
            with path.open("rb") as file:
                if path.stat().st_size < _SIZE:
                    return None
                return cls(mmap.mmap(file.fileno(), _SIZE, access=mmap.ACCESS_READ))
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Let the mapping go. The file stays, for whoever comes next."""
        self._memory.close()

    def beat(self) -> None:
        """Say that the worker's loop is alive."""
        _HEADER.pack_into(self._memory, 0, time.monotonic())

    def heartbeat(self) -> float:
        """When the worker's loop was last alive, in monotonic seconds; 0 before the first beat."""
        beat: float = _HEADER.unpack_from(self._memory, 0)[0]
        return beat

    def begin(self, run_uid: str, rule: str, plugin: str, limit: float) -> int:
        """Note that user code is about to be called; -1 when every slot is taken."""
        if not self._free:
            return -1
        slot = self._free.pop()
        offset = _HEADER.size + slot * _SLOT_SIZE
        text = "\x1f".join((run_uid, rule, plugin)).encode()[:_TEXT]
        self._memory[offset + _SLOT.size : offset + _SLOT_SIZE] = text.ljust(_TEXT, b"\0")
        _SLOT.pack_into(self._memory, offset, time.monotonic(), limit)
        return slot

    def end(self, slot: int) -> None:
        """Note that the call came back."""
        if slot >= 0:
            _SLOT.pack_into(self._memory, _HEADER.size + slot * _SLOT_SIZE, 0.0, 0.0)
            self._free.append(slot)

    def calls(self) -> list[UserCall]:
        """Everything that was being called when the file was last written, longest first."""
        found = []
        for slot in range(SLOTS):
            offset = _HEADER.size + slot * _SLOT_SIZE
            started, limit = _SLOT.unpack_from(self._memory, offset)
            if started:
                raw = self._memory[offset + _SLOT.size : offset + _SLOT_SIZE].rstrip(b"\0")
                run_uid, rule, plugin, *_ = [*raw.decode(errors="replace").split("\x1f"), "", ""]
                found.append(UserCall(started, limit, run_uid, rule, plugin))
        return sorted(found, key=lambda item: item.started)

    def verdict(self, now: float) -> str:
        """Why the worker must be killed, or an empty text while it may live. `now` is monotonic."""
        beat = self.heartbeat()
        if not beat or now - beat < STALE_SECONDS:
            return ""
        for item in self.calls():
            if now - item.started > item.limit + GRACE_SECONDS:
                who = f"plugin {item.plugin}, " if item.plugin else ""
                return (
                    f"{who}rule {item.rule}, has blocked the worker for {now - item.started:.1f} s"
                )
        if now - beat > FROZEN_SECONDS:
            return f"the worker has not moved for {now - beat:.1f} s"
        return ""
