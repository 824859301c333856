"""Runtime: the clock, the random numbers and the new names that the program uses.

Whatever asks for the time, draws a number or makes an id takes a `Runtime` value, so the real code
runs unchanged under a stepped clock and a seeded generator. In a node of `ringback dev` the wall
clock is ahead by what a file says, which all its processes read.
"""

import hashlib
import os
import random
import re
import struct
import threading
import time as clock
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

_AHEAD = struct.Struct("=d")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_TAG_PAIRS = [first + second for first in _BASE32 for second in _BASE32]
_PARTS = {letters: part for part, letters in enumerate(_PAIRS)}
_TAG_PARTS = {letters: part for part, letters in enumerate(_TAG_PAIRS)}
MOST_PARTITIONS = len(_PAIRS)
"""A cluster has so many partitions at most: as many as two letters of an id can tell apart."""
# A word stands before what some nonces are drawn from: `placed-…`.
_LETTERED = re.compile(r"(?:[a-z]+-)?([a-z2-7]{2})[a-z0-9]{24}").fullmatch


def encode_ulid(milliseconds: int, entropy: int) -> str:
    """Write 48 bits of time and 80 of entropy as a ULID: 26 letters, https://github.com/ulid/spec."""
    high, low = entropy >> 40, entropy & 0xFF_FFFF_FFFF  # shifting short numbers takes half as long
    return "".join(
        (
            _letters_of(milliseconds),
            _PAIRS[high >> 30], _PAIRS[high >> 20 & 1023],
            _PAIRS[high >> 10 & 1023], _PAIRS[high & 1023],
            _PAIRS[low >> 30], _PAIRS[low >> 20 & 1023],
            _PAIRS[low >> 10 & 1023], _PAIRS[low & 1023],
        )
    )  # fmt: skip


def ulid_from(words: str) -> str:
    """A ULID that is drawn from words: the same for the same ones, so that what is tried twice is
    done once. Its time means nothing."""
    drawn = int.from_bytes(hashlib.blake2b(words.encode(), digest_size=16).digest())
    return encode_ulid(drawn >> 82, drawn & ((1 << 80) - 1))


def in_partition(uid: str, part: int) -> str:
    """The same uid with the two letters of this partition at its end."""
    return uid[:-2] + _PAIRS[part]


def part_of(uid: str, partitions: int) -> int | None:
    """The partition that a uid names; None when it can name none of so many.

    Where to look first and no more: a uid that was drawn on one machine ends in two random letters,
    and whoever does not find it there has to look in the others.
    """
    if partitions == 1:
        return 0
    part = _PARTS.get(uid[-2:], partitions)
    return part if part < partitions else None


def part_of_tag(tag: str, partitions: int) -> int | None:
    """The partition that a tag or nonce of ours names; None for one that names none.

    Unlike a uid it is told by its length: 24 letters are random throughout, 26 begin with two that
    are a partition.
    """
    found = _LETTERED(tag)
    part = _TAG_PARTS[found[1]] if found else partitions
    return part if part < partitions else None


@lru_cache(16)
def _letters_of(milliseconds: int) -> str:
    # Many ids are made within a millisecond.
    return "".join(_PAIRS[milliseconds >> shift & 1023] for shift in (40, 30, 20, 10, 0))


def iso(moment: datetime) -> str:
    """Write a moment as UTC ISO 8601 with milliseconds, the one form that the database holds."""
    return _written(moment if moment.tzinfo is UTC else moment.astimezone(UTC))


_POOL_BYTES = 4096


class _Entropy:
    """Random bits of the system, read a few kilobytes at once: a call into the kernel costs more
    than all else about an id. No two threads are given the same bits, and no forked process is
    given what its parent has."""

    def __init__(self) -> None:
        self._lock, self._left = threading.Lock(), memoryview(b"")
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def __call__(self, bits: int) -> int:
        size = bits // 8
        with self._lock:
            if len(self._left) < size:
                self._left = memoryview(os.urandom(max(_POOL_BYTES, size)))
            taken, self._left = self._left[:size], self._left[size:]
        return int.from_bytes(taken, "big")

    def _forget(self) -> None:
        self._lock, self._left = threading.Lock(), memoryview(b"")


_entropy = _Entropy()


@lru_cache(64)
def _written(moment: datetime) -> str:
    # An event is written down in a dozen places, all at one of a few moments.
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


@lru_cache(16)
def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def from_iso(text: str) -> datetime:
    """Read what `iso` wrote. Raises ValueError on anything that is not ISO 8601."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def from_person(text: str) -> datetime:
    """Read a moment that a person wrote. Raises ValueError, in words, for one without a zone too:
    theirs may be another than that of the machine."""
    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time; write it like 2026-03-04T17:00Z") from None
    raise ValueError(
        f"{text!r} has no zone; write it like 2026-03-04T17:00Z, or 2026-03-04T17:00+01:00"
    )


@dataclass(frozen=True, slots=True)
class Runtime:
    """The world as the engine sees it.

    `time` is wall time in seconds since the epoch, `monotonic` never goes back and is only good for
    differences, `rng` draws jitter, `entropy` gives random bits for ids and tags. `ahead` is by how
    many seconds a person has moved this node and its simulated Twilio ahead of the machine. `part`
    is the partition of a cluster whose names are drawn; None on one machine, where a name has no
    partition in it: two letters that are always the same would only make it less random.
    """

    time: Callable[[], float] = clock.time
    monotonic: Callable[[], float] = clock.monotonic
    rng: random.Random = field(default_factory=random.SystemRandom)
    entropy: Callable[[int], int] = _entropy
    ahead: Callable[[], float] = lambda: 0.0
    part: int | None = None

    def now(self) -> datetime:
        """The current moment in UTC, cut to the millisecond that is stored."""
        return _moment(int(self.time() * 1000))

    def uptime(self) -> float:
        """Seconds since the machine started, those that it slept among them: the one clock that
        goes on from one process to the next and that nobody can set. What a person has moved the
        clock of `ringback dev` ahead has passed as well."""
        if self.monotonic is clock.monotonic and hasattr(clock, "CLOCK_BOOTTIME"):
            return clock.clock_gettime(clock.CLOCK_BOOTTIME) + self.ahead()
        return self.monotonic() + self.ahead()

    def uid(self, prefix: str) -> str:
        """Mint an id such as `evt_01J…`: a prefix and a ULID, sortable by the time it was made. Its
        last two letters are its partition, where there are several."""
        uid = f"{prefix}_{encode_ulid(int(self.time() * 1000), self.entropy(80))}"
        return uid if self.part is None else in_partition(uid, self.part)

    def tag(self) -> str:
        """Mint the secret of one attempt: 120 random bits in 24 plain letters and digits, behind
        the two letters of its partition where there are several.

        It travels in the path of a StatusCallback URL, so it has no letter that needs escaping.
        """
        number = self.entropy(120)
        drawn = "".join([_TAG_PAIRS[number >> shift & 1023] for shift in range(110, -1, -10)])
        return drawn if self.part is None else _TAG_PAIRS[self.part] + drawn


CLOCK = "RINGBACK_DEV_CLOCK"
"""Where `ringback dev` names its clock file to the processes of its node."""


class ClockFile:
    """How far a node of `ringback dev` is ahead of the wall clock, shared by its processes.

    Eight bytes: seconds as a double, written and read as a whole through a memory map.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it at 0. Raises OSError."""
        import mmap

        with path.open("r+b" if path.exists() else "w+b") as file:
            if file.seek(0, os.SEEK_END) < _AHEAD.size:
                file.truncate(_AHEAD.size)
            self._map = mmap.mmap(file.fileno(), _AHEAD.size)

    @property
    def ahead(self) -> float:
        """Seconds between the wall clock and the node's."""
        return float(_AHEAD.unpack_from(self._map)[0])

    def begin(self, seconds: float) -> None:
        """Let the node's first moment be so many seconds ahead, behind when negative. Not once a
        node has seen the clock."""
        _AHEAD.pack_into(self._map, 0, seconds)

    def move(self, seconds: float) -> None:
        """Put the clock ahead by so much more; what has been cannot be undone, so never back."""
        _AHEAD.pack_into(self._map, 0, self.ahead + max(0.0, seconds))

    def time(self) -> float:
        """The node's wall time, in seconds since the epoch."""
        return clock.time() + self.ahead


def _real() -> Runtime:
    path = os.environ.get(CLOCK, "")
    if not path:
        return Runtime()
    moved = ClockFile(Path(path))
    return Runtime(time=moved.time, ahead=lambda: moved.ahead)


REAL = _real()
