"""Writes to a real log or journal and notes each entry that was acknowledged: the recorded process.

`recorded.py FOLDER log.db|journal.db ENTRIES [SYNCHRONOUS]`. The file is opened as a node opens it;
only who names a `SYNCHRONOUS` gets another one, for comparison.
"""

import asyncio
import os
import random
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ringback.store.log import Entry, Log
from ringback.store.meta import set_meta
from ringback.store.sqlite import file_writer, sqlite_files
from ringback.store.sqlite.sqlite_database import SqliteDatabase
from ringback.store.writer import GroupWriter

Append = Callable[[int, bytes], Awaitable[object]]


def log(path: Path) -> tuple[GroupWriter[Any, Any], Append]:
    """The log as the receiver opens it, and how it takes an entry."""
    opened = Log.open(path)

    async def append(number: int, noise: bytes) -> None:
        body = f"{number:06d}:".encode() + noise
        stamp = "2026-01-01T00:00:00.000Z"
        await opened.append(Entry(stamp, "message", "signed", "webhook", "", "form", body))

    return opened.writer, append


def journal(path: Path) -> tuple[GroupWriter[Any, Any], Append]:
    """The journal as the worker opens it, and how it takes an entry."""
    database = SqliteDatabase(path)

    async def append(number: int, noise: bytes) -> None:
        await database.write(set_meta, f"{number:06d}", noise.hex())

    return database._writer, append


async def main(path: Path, entries: int, synchronous: str = "") -> None:
    # So that checkpoints and a fresh start of the write-ahead log are in the record.
    for module in (sqlite_files, file_writer):
        module.__dict__["WAL_BYTES"] = 600_000
    opened, append = (log if path.name == "log.db" else journal)(path)
    if synchronous:
        target: Any = opened.target
        target._connection.execute(f"pragma synchronous = {synchronous}")
    acks = os.open(path.parent / "acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    rng = random.Random(7)

    async def one(number: int) -> None:
        await append(number, rng.randbytes(rng.randrange(20, 2000)))
        os.write(acks, f"{number:06d}\n".encode())

    number = 0
    while number < entries:
        burst = rng.choice((1, 1, 2, 5, 20))
        await asyncio.gather(*(one(number + offset) for offset in range(burst)))
        number += burst
    os._exit(0)  # no orderly close: the cuts are what ends it


asyncio.run(main(Path(sys.argv[1]) / sys.argv[2], int(sys.argv[3]), *sys.argv[4:]))
