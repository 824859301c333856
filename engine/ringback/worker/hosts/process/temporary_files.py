"""Temporary files of hosts: each has a folder of its own, bounded, that goes when it ends.

They are in the temporary folder of the node, under the number of the forkserver. What one left that
was killed is deleted by the next one. Where none can be made, since the disk is full or may not be
written, code of plugins runs all the same.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "ringback-plugins-"
_MOST_FILES = 20_000
"""So many files and folders are no matter of a call any more, however small they are."""


class Folders:
    """The folders of one forkserver. More than `most` bytes in one are too much."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._hosts: dict[int, Path] = {}
        self._root: Path | None = None
        with contextlib.suppress(OSError):
            within = Path(tempfile.gettempdir())
            for old in within.glob(f"{_PREFIX}*"):
                if not _lives(old.name.removeprefix(_PREFIX).partition("-")[0]):
                    _delete(old)
            self._root = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=within))
            use(self._root)

    def make(self, slot: int) -> Path | None:
        """A new one, for the host of this slot; None when there can be none."""
        if self._root is None:
            return None
        with contextlib.suppress(OSError):
            self._hosts[slot] = Path(tempfile.mkdtemp(prefix="host-", dir=self._root))
        return self._hosts.get(slot)

    def delete(self, slot: int) -> None:
        """That host has ended."""
        folder = self._hosts.pop(slot, None)
        if folder is not None:
            _delete(folder)

    def too_large(self) -> list[int]:
        """The slots of the hosts that have written too much."""
        return [slot for slot, folder in self._hosts.items() if self._exceeds(folder)]

    def close(self) -> None:
        """Delete all of them."""
        if self._root is not None:
            _delete(self._root)

    def _exceeds(self, folder: Path) -> bool:
        size = 0
        for number, entry in enumerate(_below(folder)):
            with contextlib.suppress(OSError):
                size += entry.stat(follow_symlinks=False).st_blocks * 512
            if size > self._most or number >= _MOST_FILES:
                return True
        return False


def use(folder: Path) -> None:
    """Let this process, and what it starts, put its temporary files there."""
    os.environ.update(dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder)))
    tempfile.tempdir = str(folder)


def _below(folder: Path) -> Iterator[os.DirEntry[str]]:
    left = [str(folder)]
    while left:
        with contextlib.suppress(OSError), os.scandir(left.pop()) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)


def _lives(number: str) -> bool:
    """Whether a process of this number lives, as far as we may know; also for no number."""
    try:
        os.kill(int(number), 0)
        stat = Path(f"/proc/{int(number)}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
    except (ValueError, OverflowError, OSError):
        return True
    return stat.rpartition(")")[2].split()[0] != "Z"  # nobody has waited for it yet


def _delete(folder: Path) -> None:
    """What cannot be deleted, since it is another's or has no permissions, stays."""
    shutil.rmtree(folder, ignore_errors=True)
