"""Time until a node with work left over receives again: `python benchmarks/restart.py`.

A log with a backlog (100,000 webhooks by default) that no worker has seen; then `ringback serve`.
Figures: from the start of the process to the first accepted webhook, and how fast the worker drains
the backlog while webhooks go on coming in.
"""

import argparse
import asyncio
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from nodes import Node, environment, pace, start_node
from servers import Bench, request_of

from ringback.store.log import Entry, insert
from ringback.store.migrations import migrate_log
from ringback.store.sqlite.sqlite_files import connect_writer


def fill(path: Path, rows: int) -> None:
    """Write a log of real status callbacks, as a receiver would have."""
    path.parent.mkdir(parents=True)
    connection = connect_writer(path)
    migrate_log(connection)
    for start in range(1, rows + 1, 1000):
        entries = [
            Entry("2026-11-22T10:00:00.000Z", "message/status", "signed", "webhook", "",
                  "application/x-www-form-urlencoded",
                  request_of(number).partition(b"\r\n\r\n")[2])
            for number in range(start, min(start + 1000, rows + 1))
        ]  # fmt: skip
        connection.execute("begin immediate")
        insert(connection, entries)
        connection.execute("commit")
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()


def watch(node: Node, rows: int, seen: dict[str, float]) -> None:
    """Note when the worker began to match and when it was through."""
    while "end" not in seen and time.monotonic() - node.started < 300:
        matched = node.matched()
        if matched and "begin" not in seen:
            seen["begin"], seen["at"] = time.monotonic(), matched
        if matched >= rows:
            seen["end"] = time.monotonic()
        time.sleep(0.02)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=100, help="webhooks a second meanwhile")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ringback-bench-")))
        bench = Bench(stack, folder, None)
        data = folder / "backlog" / "data"
        fill(data / "log.db", options.rows)
        node = start_node(bench, "backlog", data=data)
        seen: dict[str, float] = {}
        watcher = threading.Thread(target=watch, args=(node, options.rows, seen), daemon=True)
        watcher.start()
        first = asyncio.run(pace(node.port, 10, 0.1, request_of, options.rows + 1))
        serving = time.monotonic() - node.started
        if not first.statuses[204]:
            print("the node did not accept the first webhook")
            return 1
        number, paced = options.rows + 10, None
        while "end" not in seen and watcher.is_alive():
            paced = asyncio.run(pace(node.port, options.rate, 1, request_of, number))
            number += int(options.rate)
        print(f"a backlog of {options.rows} webhooks; {environment()}\n")
        print(f"first webhook accepted after      {serving:6.2f} s from the start of the process")
        if "end" in seen:
            drained = (options.rows - seen["at"]) / max(1e-9, seen["end"] - seen["begin"])
            print(f"backlog matched after             {seen['end'] - node.started:6.2f} s")
            print(f"drained at                        {drained:6.0f} a second")
        if paced is not None:
            print(f"meanwhile, {options.rate:g} a second:         {paced}")
        print(f"resident memory, both processes   {node.resident():6.0f} MB")
    return 0 if "end" in seen else 1


if __name__ == "__main__":
    sys.exit(main())
