"""Heartbeat of a worker, in a small mapped file: the supervisor reads there when its loop last ran.

Neither side makes a system call for it, and the pages outlive the process.
"""

import mmap
import struct
import time
from pathlib import Path

from ringback.errors import StorageError
from ringback.private_files import make_file

_BEAT = struct.Struct("<d")
NAME = "worker.heartbeat"

FROZEN_SECONDS = 15.0
"""A worker that shows no sign of life for so long is killed."""


class Heartbeat:
    """The mapped file. One process writes it, another may read it at the same time."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory

    @classmethod
    def create(cls, path: Path) -> "Heartbeat":
        """A new file for a new worker, with its first beat. Raises StorageError."""
        fresh = path.with_name(path.name + ".new")
        try:
            make_file(fresh)
            with fresh.open("w+b") as file:
                # Written, not only made so long: a page that a full disk has no place for kills
                # who writes to it by its mapping (SIGBUS), and nobody would know why.
                file.write(bytes(_BEAT.size))
                file.flush()
                heartbeat = cls(mmap.mmap(file.fileno(), _BEAT.size))
            heartbeat.beat()
            # The old file may be mapped by the supervisor: it is replaced, never cut.
            fresh.replace(path)
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror or error}") from error
        return heartbeat

    @classmethod
    def read(cls, path: Path) -> float:
        """When the loop of the worker last ran, in monotonic seconds; 0 before the first beat."""
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return 0.0
        beat: float = _BEAT.unpack(raw)[0] if len(raw) == _BEAT.size else 0.0
        return beat

    def beat(self) -> None:
        """Say that the worker's loop runs."""
        _BEAT.pack_into(self._memory, 0, time.monotonic())
