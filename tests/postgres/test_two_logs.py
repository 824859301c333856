"""The log of a cluster: receivers of two nodes write at once, and a reader misses nothing."""

import asyncio
import subprocess
import sys
from pathlib import Path

from ringback.store.journal import open_store
from ringback.store.postgres.server_log import open_log

ROWS = 1500
WRITER = f"""
import asyncio, sys
from ringback.store.log import Entry
from ringback.store.postgres.server_log import open_log

async def main():
    log = open_log(sys.argv[1])
    print("open", flush=True)
    sys.stdin.readline()
    for first in range(0, {ROWS}, 5):
        await asyncio.gather(*(
            log.append(Entry("2026-01-01T00:00:00.000Z", "message", "signed", "webhook",
                             f"{{sys.argv[2]}} {{first + n}}", "form", b"x"))
            for n in range(5)
        ))
    log.close()

asyncio.run(main())
"""


async def test_a_reader_behind_two_writers_misses_nothing(
    postgres_url: str, tmp_path: Path
) -> None:
    """Ids are committed in their order: what is behind the last one read is all that is new, each
    row once, and the rows of each node in the order in which it wrote them."""
    open_log(postgres_url).close()
    store = open_store(tmp_path, postgres_url)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, postgres_url, name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name in "ab"
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.close()
    seen: list[str] = []
    last = rounds = 0
    async with asyncio.timeout(60):
        over, found = False, True
        while not over or found:
            over = all(writer.poll() is not None for writer in writers)
            rows = await store.journal.log.after(last, 200)
            found = bool(rows)
            rounds += found
            seen += [row.tag for row in rows]
            last = rows[-1].id if rows else last
            assert [row.id for row in rows] == sorted({row.id for row in rows})
    for writer in writers:
        assert writer.wait(30) == 0
        assert writer.stdout is not None
        writer.stdout.close()
    store.close()
    for name in "ab":
        assert [tag for tag in seen if tag[0] == name] == [f"{name} {n}" for n in range(ROWS)]
    assert rounds > 2 * ROWS // 200, "nothing was written while it was read"
