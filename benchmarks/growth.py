"""Benchmark of a node on a log and a journal that grow: `python benchmarks/growth.py`.

Four parts, each on 100,000 events and on `--events` (a million by default; ten million with
`--huge`): the questions of rules, listings and traces (`questions.py`), a storm of failures on a
running node with the shipped rules, what a start reads of 100,000 open waits, and appending to the
log. `--folder` keeps the filled journals for the next time.
"""

import argparse
import asyncio
import random
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from sqlite3 import Connection

from filled import fill
from nodes import count, environment, pace, start_node
from questions import compare as compare_questions
from servers import ACCOUNT, HERE, Bench, cpu_seconds, request_of, signed

from ringback.store.journal import open_store
from ringback.store.log import Entry, Log, LogReader
from ringback.store.sqlite.sqlite_files import connect_writer

BODY = request_of(1).partition(b"\r\n\r\n")[2]
ENTRY = Entry(
    "2026-11-22T10:00:00.000Z", "message/status", "signed", "webhook", "",
    "application/x-www-form-urlencoded", BODY,
)  # fmt: skip
FAILURES, RATE = 600, 100.0
"""A storm: so many texts that were not delivered, so many a second."""
PATIENCE = 120.0
WAITS = 100_000


async def rate(log: Log, in_flight: int, seconds: float) -> float:
    """Rows a second with so many appends in flight, each on disk before the next."""
    rows = 0
    end = time.perf_counter() + seconds

    async def one() -> None:
        nonlocal rows
        while time.perf_counter() < end:
            await log.append(ENTRY)
            rows += 1

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(in_flight)))
    return rows / (time.perf_counter() - started)


async def appended(folders: list[Path], rounds: int, seconds: float) -> list[list[float]]:
    """The rates of each log, round by round."""
    before = []
    for folder in folders:
        with closing(LogReader(folder / "log.db")) as reader:
            before.append(reader.last_id())
    logs = [Log.open(folder / "log.db") for folder in folders]
    rates: list[list[float]] = [[] for _ in folders]
    for number in range(rounds + 1):
        for index in random.sample(range(len(logs)), len(logs)):
            found = await rate(logs[index], 64, seconds)
            if number:  # the first round warms up
                rates[index].append(found)
    for log, last in zip(logs, before, strict=True):
        await log.writer.tend(partial(_cut, last=last))
        log.close()
    return rates


def _cut(connection: Connection, last: int) -> int:
    return connection.execute("delete from log where id > ?", (last,)).rowcount


def appends(folders: list[Path], rounds: int, seconds: float) -> None:
    """Print the rates of both logs and their ratio."""
    rates = asyncio.run(appended(folders, rounds, seconds))
    print("appends with 64 in flight")
    for folder, found in zip(folders, rates, strict=True):
        size = (folder / "log.db").stat().st_size / 1e6
        print(f"  log of {size:6.0f} MB: {statistics.median(found):8.0f} a second")
    ratios = [large / small for small, large in zip(*rates, strict=True)]
    print(
        f"  large / small: {statistics.median(ratios):.2f}"
        f"  (rounds: {min(ratios):.2f} to {max(ratios):.2f})\n"
    )


def failure(number: int) -> bytes:
    """The report of a text that was not delivered."""
    sid = f"SM{'5' * 24}{number:08x}"
    fields = [
        ("AccountSid", ACCOUNT), ("MessageSid", sid), ("MessageStatus", "undelivered"),
        ("ErrorCode", "30005"), ("From", "+12025550100"), ("To", f"+1415555{number % 10_000:04d}"),
    ]  # fmt: skip
    return signed("/twilio/message/status", fields)


def storm(stack: ExitStack, data: Path) -> bool:
    """600 failures at 100 a second, on a copy of a filled folder. Whether all was done about them
    in time."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ringback-storm-")))
    project = folder / "storm"
    for name in ("rules", "plugins"):
        shutil.copytree(HERE.parent / name, project / name)
    shutil.copytree(data, project / "data")
    node = start_node(Bench(stack, folder, None), "storm", project=project)
    journal = project / "data" / "journal.db"
    seen = "select count(*) from events where type = 'message.undelivered' and subject_sid like "
    seen += f"'SM{'5' * 24}%'"
    done = "select count(*) from runs where rule = 'delivery_alerts.failures' and state = 'done'"
    listening = time.monotonic() - node.started
    cpu, began = cpu_seconds(node.process.pid), time.perf_counter()
    asyncio.run(pace(node.port, RATE, FAILURES / RATE, failure))
    while count(journal, done) < FAILURES and time.perf_counter() - began < PATIENCE:
        time.sleep(0.05)
    spent, used = time.perf_counter() - began, cpu_seconds(node.process.pid) - cpu
    figures = count(journal, done), count(journal, "select coalesce(sum(count), 0) from strikes")
    print(
        f"  {figures[0]} of {FAILURES} runs done {spent - FAILURES / RATE:.2f} s after the last "
        f"failure, {figures[1]} strikes, {count(journal, seen)} on record; processor time "
        f"{used / FAILURES * 1e6:.0f} µs a failure; listened after {listening:.2f} s"
    )
    node.process.terminate()
    node.process.wait()
    return figures == (FAILURES, 0)


async def start(data: Path) -> None:
    """Let a worker take note of so many open waits as there are, and print what that takes."""
    with tempfile.TemporaryDirectory(prefix="ringback-waits-") as name:
        copy = Path(name) / "data"
        shutil.copytree(data, copy)
        with closing(connect_writer(copy / "journal.db")) as connection:
            waits = connection.execute(
                "update runs set state = 'waiting', ended_at = null, memory = json_object('wait', "
                "json_object('types', json_array('message.received'), 'key', key, 'due', null), "
                "'after', event_uid, 'phase', 'steps') where id > (select max(id) - ? from runs)",
                (WAITS,),
            ).rowcount
        store = open_store(copy)
        longest, last = 0.0, time.thread_time()

        async def beat() -> None:
            nonlocal longest, last
            while True:
                longest, last = max(longest, time.thread_time() - last), time.thread_time()
                await asyncio.sleep(0)

        beating = asyncio.ensure_future(beat())
        began = time.thread_time()
        await store.journal.open_runs.asking()
        known = [run.uid async for run, _ in store.journal.open_runs.in_state("waiting")]
        print(
            f"  {len(known):,} of {waits:,} waits read in {time.thread_time() - began:.2f} s of "
            f"processor time, others waited for {longest:.2f} s at most"
        )
        beating.cancel()
        store.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--huge", action="store_true", help="ten million (about 15 GB of disk)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, help="where filled journals are, or are put")
    parser.add_argument(
        "--part", action="append", choices=("questions", "storm", "start", "appends"),
        help="only this one; may be given more than once",
    )  # fmt: skip
    options = parser.parse_args()
    parts = options.part or ["questions", "storm", "start", "appends"]
    sizes = [100_000, 10_000_000 if options.huge else options.events]
    good = True
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folders = [folder / str(size) for size in sizes]
        for size, each in zip(sizes, folders, strict=True):
            if not each.exists():
                fill(each, size)
        now = datetime.now(UTC).strftime("%Y-%m-%d")
        print(f"{now}, {sizes[0]:,} and {sizes[1]:,} events; {environment()}\n")
        if "questions" in parts:
            good &= compare_questions(folders, options.rounds)
        if "storm" in parts:
            print(f"a storm: {FAILURES} failures at {RATE:.0f} a second")
            for each in folders:
                good &= storm(stack, each)
        if "start" in parts:
            print(f"\na start with {WAITS:,} open waits")
            for each in folders:
                asyncio.run(start(each))
        if "appends" in parts:
            appends(folders, options.rounds, options.seconds)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
