"""Marks: which call a host is at, in memory that it shares with the worker.

The note outlives the host, costs no system call, and can be read while the host does not answer.
"""

import mmap
import os
import struct
import tempfile
import time
from typing import NamedTuple

SLOTS = 64
"""So many hosts may live at once; each has a slot of its own until its end is known."""

_MARK = struct.Struct("=QdQ")
_SIZE = SLOTS * _MARK.size


class Mark(NamedTuple):
    """A call that runs: its number (0 for none), since when (monotonic seconds), and the place in
    its batch that it is at."""

    number: int
    began: float
    place: int


class Marks:
    """The mapping, as the worker makes it and the forkserver opens it. A slot has one writer."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory

    @classmethod
    def create(cls) -> "tuple[Marks, int]":
        """A new mapping, and the descriptor to hand to the forkserver and to close then."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("ringback-marks", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, _SIZE)
        return cls.open(descriptor), descriptor

    @classmethod
    def open(cls, descriptor: int) -> "Marks":
        """The mapping behind a descriptor."""
        return cls(mmap.mmap(descriptor, _SIZE))

    def begin(self, slot: int, number: int, place: int = 0) -> None:
        """Note that a call is run from now on."""
        _MARK.pack_into(self._memory, slot * _MARK.size, number, time.monotonic(), place)

    def end(self, slot: int) -> None:
        """Note that none is."""
        _MARK.pack_into(self._memory, slot * _MARK.size, 0, 0.0, 0)

    def read(self, slot: int) -> Mark:
        """What a host is at. It may be half written: judge by two looks that agree."""
        return Mark(*_MARK.unpack_from(self._memory, slot * _MARK.size))

    def close(self) -> None:
        """Let the mapping go."""
        self._memory.close()
