"""Appends to a real log and says of each entry when it was acknowledged: the recorded process."""

import asyncio
import os
import random
import sys
from pathlib import Path

from ringback.store import writer
from ringback.store.log import Entry, Log


async def main(folder: Path, synchronous: str, entries: int) -> None:
    writer.WAL_BYTES = 600_000  # so that checkpoints and a fresh start of the WAL are in the record
    log = Log.open(folder / "log.db")
    log.writer._connection.execute(f"pragma synchronous = {synchronous}")
    log.writer._connection.execute(f"pragma journal_size_limit = {writer.WAL_BYTES}")
    acks = os.open(folder / "acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    rng = random.Random(7)

    async def append(number: int) -> None:
        body = f"{number:06d}:".encode() + rng.randbytes(rng.randrange(20, 2000))
        stamp = "2026-01-01T00:00:00.000Z"
        await log.append(Entry(stamp, "message", "signed", "webhook", "", "form", body))
        os.write(acks, f"{number:06d}\n".encode())

    number = 0
    while number < entries:
        burst = rng.choice((1, 1, 2, 5, 20))
        await asyncio.gather(*(append(number + offset) for offset in range(burst)))
        number += burst
    os._exit(0)  # no orderly close: the cuts are what ends it


asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
