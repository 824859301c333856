"""Processor time of the console's pages: `python benchmarks/pages.py [--events 1000000]`.

Each page is drawn on a filled journal (`filled.py`) as an administrator sees it, in one process and
without a network. Before that, what the digest takes: all of the journal, then hours as they change
while events come at `--rate`. `--folder` keeps the journal and its digest, for the next time.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from filled import _group, _write, fill
from nodes import environment

from ringback.config import Settings
from ringback.console.app import create_console
from ringback.console.counting import Counting
from ringback.console.identity import Identity
from ringback.console.page import Console
from ringback.console.surroundings import Surroundings
from ringback.runtime import iso
from ringback.store.digests.digest import NAME
from ringback.store.queries.questions import Questions
from ringback.store.sqlite.sqlite_files import connect_writer

MOST = 40.0
"""Milliseconds of processor time that a page may take."""
PAGES = (
    "/console/", "/console/?type=message.received", "/console/events/{event}", "/console/t/{event}",
    "/console/failures", "/console/failures?since=90d", "/console/failures/30003",
    "/console/failures/30003?since=30d", "/console/delivery", "/console/delivery?since=1h",
    "/console/delivery?since=90d", "/console/delivery?since=30d&by=country",
    "/console/delivery/texts", "/console/rules", "/console/rules/booking", "/console/decide",
    "/console/costs", "/console/costs?since=30d&by=sender", "/console/waiting",
    "/console/conversations", "/console/calls", "/console/health", "/console/settings",
)  # fmt: skip


async def nobody(_: Any) -> dict[str, Any]:
    """No worker."""
    return {"error": "no worker"}


async def nothing(_: Sequence[str]) -> tuple[int, str]:
    """No command."""
    return 0, "{}"


async def timed(client: httpx.AsyncClient, path: str, rounds: int) -> tuple[list[float], int, int]:
    """Milliseconds of processor time of a page, the first time left out; its status and length."""
    answer = await client.get(path)
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        answer = await client.get(path)
        spent.append((time.process_time() - began) * 1000)
    return spent, answer.status_code, len(answer.content)


def digested(data: Path) -> Counting:
    """The digest of a journal, counted without rest; prints what it took."""
    (data / NAME).unlink(missing_ok=True)
    counting = Counting(data, every=3600, rest=0)
    began, used = time.perf_counter(), time.process_time()
    counting.start()
    counting.ready.wait()
    print(
        f"digest: {time.perf_counter() - began:.1f} s, of these "
        f"{time.process_time() - used:.1f} of processor time (at most 15)"
    )
    return counting


def followed(data: Path, rate: int, seconds: float) -> None:
    """Write events at a rate and let the digest follow them as it does in a console; prints what it
    took and how far behind it was. The journal has those events afterwards."""
    counting, written, late = Counting(data), 0, list[int]()
    with closing(counting):
        counting.start()
        counting.ready.wait()
        log, journal = connect_writer(data / "log.db"), connect_writer(data / "journal.db")
        rng, first = random.Random(7), 3 * 10**12
        began, used, own = time.perf_counter(), time.process_time(), time.thread_time()
        while (passed := time.perf_counter() - began) < seconds:
            groups = range(first + written, first + int(rate * passed), 3)
            now = datetime.now(UTC)
            _write(log, journal, [row for at in groups for row in _group(at, now, rng)])
            written += 3 * len(groups)
            digest, hour = counting.digest, iso(now)[:13]
            assert digest is not None
            told = digest.total("texts", hour, f"{hour}~")
            late.append(written // 3 - told)
            time.sleep(0.2)
        spent = time.process_time() - used - (time.thread_time() - own)
        journal.close(), log.close()
    print(
        f"following {rate} events a second: {spent / seconds:.2f} of a core (at most 0.25), "
        f"texts not counted yet: at most {max(late)} of {written // 3}, at the end {late[-1]}"
    )


async def drawn(console: Console, client: httpx.AsyncClient, options: argparse.Namespace) -> bool:
    """Time each page; whether all of them are quick."""
    with Questions(console.settings.data) as asked:
        event = asked.events(limit=2)[1]["uid"]
    slow = 0
    for page in PAGES:
        path = page.format(event=event)
        if options.only and options.only not in path:
            continue
        spent, status, length = await timed(client, path, options.rounds)
        middle = statistics.median(spent)
        slow += middle > MOST or status >= 500
        print(f"  {page:42}{middle:8.1f}{min(spent):8.1f}{length / 1024:8.1f} kB  {status}"
              f"{'  too slow' if middle > MOST else ''}")  # fmt: skip
    print(f"  {slow} are too slow")
    return not slow


async def pages(data: Path, options: argparse.Namespace, counting: Counting) -> bool:
    """All pages of the console of a data folder."""
    who = (Identity(f"ada {n}", "admin", unmasked=not options.masked) for n in count())
    project = data / "project"
    project.mkdir(exist_ok=True)
    settings = Settings.load(project, {"RINGBACK_DATA": str(data)})
    app = create_console(
        settings, Surroundings(nobody, nobody, nothing), lambda _: next(who), counting=counting
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        print(f"milliseconds of processor time for a page (at most {MOST:g}): median, least")
        good = await drawn(app.state.console, client, options)
    app.state.console.conversations.close()
    app.state.console.reading.close()
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="only pages with this in their path")
    parser.add_argument("--masked", action="store_true", help="as one who may not see numbers")
    parser.add_argument("--kept", action="store_true", help="use the digest that is there")
    parser.add_argument("--follow", type=float, default=0, help="seconds in which events come")
    parser.add_argument("--rate", type=int, default=2000, help="of those, a second")
    parser.add_argument("--folder", type=Path, help="where a filled journal is, or is put")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data = folder / str(options.events)
        if not data.exists():
            fill(data, options.events)
        print(f"{options.events:,} events; {environment()}\n")
        if options.kept:
            counting = Counting(data, every=3600, rest=0)
            counting.start()
            counting.ready.wait()
        else:
            counting = digested(data)
        if options.follow:
            counting.close()
            followed(data, options.rate, options.follow)
            return 0
        with closing(counting):
            return 0 if asyncio.run(pages(data, options, counting)) else 1


if __name__ == "__main__":
    sys.exit(main())
