"""Benchmark of a backtest: recorded events through the rules of this repository.

Prints events per second for growing records and the slope between them: 1.0 means that the time
grows exactly with the events. The peer in the same run is matching alone (the same events through
the same rule set, nothing kept): what a backtest adds for time, throttles, waits and runs.

    python benchmarks/backtest.py [--events 100000]
"""

import argparse
import json
import math
import random
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from ringback.rules.language.scope import NoFacts
from ringback.runtime import iso
from ringback.store.log import Entry, LogReader, insert
from ringback.store.migrations import migrate_log
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.testing.backtest import Backtest, recorded
from ringback.testing.bench import Bench

ROOT = Path(__file__).resolve().parents[1]
START = datetime(2026, 3, 2, tzinfo=UTC)
WORDS = ("hours?", "hello", "STOP", "start", "my sink leaks", "yes", "are you open today?", "help")


def entry(number: int, rng: random.Random) -> Entry:
    """One row as it comes in life: a third are texts, the rest is news of texts and calls."""
    person = f"+1415555{rng.randrange(5000):04d}"
    sid = f"{number:032x}"
    ours = "+12025550100"
    at = iso(START + timedelta(seconds=number * 3))
    route, fields = "message/status", {"MessageSid": f"SM{sid}", "From": ours, "To": person}
    kind = rng.random()
    if kind < 0.35:
        route = "message"
        fields = {"MessageSid": f"SM{sid}", "From": person, "To": ours, "Body": rng.choice(WORDS)}
        fields |= {"NumMedia": "0", "SmsStatus": "received"}
    elif kind < 0.9:
        fields["MessageStatus"] = rng.choice(("sent", "delivered", "delivered", "undelivered"))
        if fields["MessageStatus"] == "undelivered":
            fields["ErrorCode"] = "30003"
    else:
        route = "call/status"
        fields = {"CallSid": f"CA{sid}", "From": person, "To": ours, "Direction": "inbound"}
        fields["CallStatus"] = rng.choice(("no-answer", "completed"))
        fields["CallDuration"] = "20"
    body = urlencode({"AccountSid": "AC" + "1" * 32, **fields}).encode()
    kind_of_body = "application/x-www-form-urlencoded"
    return Entry(at, route, "signed", "webhook", "", kind_of_body, body)


def write_log(path: Path, total: int) -> None:
    """A log of so many rows, always the same."""
    connection = connect_writer(path)
    migrate_log(connection)
    rng = random.Random(7)
    for start in range(0, total, 1000):
        connection.execute("BEGIN")
        insert(connection, [entry(start + i, rng) for i in range(min(1000, total - start))])
        connection.execute("COMMIT")
    connection.close()


def main() -> None:
    """Measure, and print one line for each size."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--events", type=int, default=100_000)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    sizes = [given.events // 4, given.events // 2, given.events]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.db"
        write_log(path, given.events)
        bench = Bench.load(ROOT)
        with closing(LogReader(path)) as log:
            events = list(recorded(log))
        spent: list[float] = []
        for size in sizes:
            test = Backtest(bench.ruleset, bench.plugins)
            began = time.process_time()
            for event in events[:size]:
                test.feed(event)
            spent.append(time.process_time() - began)
            actions = len(test.report().done)
            line = {"events": size, "seconds": round(spent[-1], 2), "actions": actions,
                    "per_second": round(size / spent[-1])}  # fmt: skip
            print(json.dumps(line) if given.json else
                  f"{size:>8,} events  {spent[-1]:6.2f} s  {size / spent[-1]:>7,.0f} events/s  "
                  f"{actions:,} actions")  # fmt: skip
        began = time.process_time()
        for event in events:
            bench.ruleset.match(event, NoFacts())
        alone = time.process_time() - began
    slope = math.log(spent[-1] / spent[0]) / math.log(sizes[-1] / sizes[0])
    ratio = spent[-1] / alone
    if given.json:
        print(json.dumps({"slope": round(slope, 3), "against_matching_alone": round(ratio, 2)}))
    else:
        print(f"slope {slope:.2f} (1.00 = linear); {ratio:.1f} times matching alone")


if __name__ == "__main__":
    main()
