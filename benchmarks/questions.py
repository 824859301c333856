"""Benchmark of questions as the journal grows: `python benchmarks/questions.py [--events 1000000]`.

Each question of rules, gate, listings and traces is asked on a journal of 100,000 events and on one
of `--events`. A question is good when the large one costs at most 10 ms and at most one and a half
times the small one. `--folder` keeps the journals there, for the next time.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from sqlite3 import Connection

from filled import OURS, fill, person
from nodes import environment

from ringback.runtime import REAL, from_iso, iso
from ringback.store.facts import JournalFacts, JournalGateFacts
from ringback.store.log import LogReader
from ringback.store.migrations import connect_journal
from ringback.store.queries import filters
from ringback.store.queries.questions import Questions

Ask = Callable[[], object]
NOISE = 0.1
"""Milliseconds by which a quick question may differ from one time to the next."""


def newest(connection: Connection) -> datetime:
    """When the newest event came: the present, of a journal that may have been kept for a while."""
    query = "select received_at from events order by id desc limit 1"
    return from_iso(connection.execute(query).fetchone()[0])


def of_rules(data: Path) -> Iterator[tuple[str, Ask]]:
    """What conditions, plugins and the gate ask."""
    with (
        closing(connect_journal(data / "journal.db")) as connection,
        closing(LogReader(data / "log.db")) as log,
    ):
        yield from _of_rules(connection, log)


def _of_rules(connection: Connection, log: LogReader) -> Iterator[tuple[str, Ask]]:
    now = newest(connection)
    facts = JournalFacts(connection, replace(REAL, time=lambda: now.timestamp()))
    pair = f"{OURS[0]}/{person(300)}"
    rare = f"{OURS[1]}/{person(150_000)}"
    yield "count('message.undelivered', '15m')", lambda: facts.count("message.undelivered", 900)
    yield "count('message.*', '1h')", lambda: facts.count("message.*", 3600)
    yield "count('message.failed', '24h'), none", lambda: facts.count("message.failed", 86400)
    yield "count('message.*', '24h')", lambda: facts.count("message.*", 86400)
    yield (
        "count of an error class, 3 d",
        lambda: facts.count("message.*", 259_200, "", "recipient_unreachable"),
    )
    yield "count of a conversation, 24 h", lambda: facts.count("message.received", 86400, pair)
    yield (
        "count of an error class, 1 h",
        lambda: facts.count("message.undelivered", 3600, "", "recipient_unreachable"),
    )
    yield "contact.last_inbound", lambda: facts.last_inbound(pair, now)
    yield "contact.last_inbound, nobody", lambda: facts.last_inbound(rare, now)
    yield "contact.last_outbound", lambda: facts.last_outbound(pair, now)
    yield "contact.messages", lambda: facts.message_count(pair)
    yield "remembered()", lambda: facts.remembered(pair, "name")
    yield "written()", lambda: facts.written(pair)
    gate = JournalGateFacts(connection, log)
    day = now - timedelta(days=1)
    yield "gate: opted out", lambda: gate.opted_out(OURS[0], person(300))
    yield "gate: sent since", lambda: gate.sent_since(pair, day)
    yield "gate: heard since", lambda: gate.heard_since(pair, now - timedelta(hours=1))
    yield "gate: heard last", lambda: gate.heard_last(pair, day, 5)
    yield "gate: written since", lambda: gate.written_since(pair, now - timedelta(hours=1))
    yield "gate: tries since, 1 min", lambda: gate.tries_since(now - timedelta(minutes=1))


def of_people(data: Path) -> Iterator[tuple[str, Ask]]:
    """What listings and traces ask."""
    with Questions(data) as ask:
        yield from _of_people(ask)


def _of_people(ask: Questions) -> Iterator[tuple[str, Ask]]:
    last = ask.events(limit=1)[0]
    middle = f"evt_{int(last['uid'][4:]) // 6 * 3:026d}"
    now = from_iso(last["received_at"])
    yield "events", ask.events
    yield "events --type", lambda: ask.events(type="message.undelivered")
    yield "events --type, none", lambda: ask.events(type="call.busy")
    yield "events --type message.*", lambda: ask.events(type="message.*")
    yield "events --error", lambda: ask.events(error=True)
    yield "events --number", lambda: ask.events(number=person(300))
    yield "events --number, unknown", lambda: ask.events(number="+19990000000")
    yield "events --number --type", lambda: ask.events(number=person(300), type="message.received")
    yield "events --since 1h", lambda: ask.events(since=iso(now - timedelta(hours=1)))
    yield "events of a SID", lambda: ask.events(sid=f"SM{3:032x}")
    for state in ("", "done", "failed", "waiting", "pending", "cancelled"):
        yield f"runs --state {state}", lambda state=state: ask.runs(state=state)
    yield "runs --rule", lambda: ask.runs(rule="booking")
    yield "runs --rule, never", lambda: ask.runs(rule="nobody")
    yield "runs --rule --state failed", lambda: ask.runs(rule="booking", state="failed")
    for state in ("", "settled", "failed", "parked", "planned", "unknown", "refused"):
        yield f"actions --state {state}", lambda state=state: ask.actions(state=state)
    yield "actions --rule", lambda: ask.actions(rule="booking")
    yield "actions --rule, never", lambda: ask.actions(rule="nobody")
    yield "actions --kind, none", lambda: ask.actions(kind="http_request")
    yield "actions --rule --state failed", lambda: ask.actions(rule="booking", state="failed")
    yield "trace of an event", lambda: ask.trace(middle)
    yield "trace of a number", lambda: [ask.trace(uid) for uid in ask.find(person(300))]
    yield "trace of a SID", lambda: [ask.trace(uid) for uid in ask.find(f"SM{3:031x}f")]
    yield "failures of an hour", lambda: ask.failures(iso(now - timedelta(hours=1)), 1000)
    yield from _parts(ask, now)
    yield "waiting", lambda: ask.waiting(100)
    yield "plugin trouble", ask.plugin_trouble
    yield "opt-outs", lambda: ask.opt_outs("")
    yield "incidents", ask.open_incidents


def _parts(ask: Questions, now: datetime) -> Iterator[tuple[str, Ask]]:
    """The lists of the console and of the API, by filters with and without an index."""
    day = timedelta(days=1)
    for name, wanted in {
        "newest": filters.Events(), "type": filters.Events(type="message.*"),
        "code": filters.Events(code=30003), "source": filters.Events(source="repair"),
        "number": filters.Events(number=person(300)), "rule": filters.Events(rule="after-hours"),
        "silent rule": filters.Events(rule="after-hours", verdict="silent"),
        "verdict, none": filters.Events(verdict="nothing"),
        "a day, 3 days ago": filters.Events(since=iso(now - 3 * day), until=iso(now - 2 * day)),
    }.items():  # fmt: skip
        yield f"part of events: {name}", lambda wanted=wanted: ask.events_part(wanted, 50)
    runs, actions = filters.Runs(state="waiting"), filters.Actions(code=30003)
    yield "part of runs: waiting", lambda: ask.runs_part(runs, 50)
    yield "part of actions: code", lambda: ask.actions_part(actions, 50)
    attempts = filters.Attempts(result="failed")
    yield "part of attempts: failed", lambda: ask.attempts_part(attempts, 50)


def timed(ask: Ask, rounds: int = 7) -> float:
    """The median processor time of a question in milliseconds, the first time left out: what others
    do on the machine is not in it, nor is a disk, for by then the pages are in memory."""
    ask()
    spent = []
    for _ in range(rounds):
        began = time.thread_time()
        ask()
        spent.append(time.thread_time() - began)
    return statistics.median(spent) * 1000


def _rows(answer: object) -> int:
    """How long an answer is, with what stands in a trace."""
    if isinstance(answer, Mapping):
        return sum(_rows(each) for each in answer.values())
    if isinstance(answer, list | tuple):
        return len(answer) + sum(_rows(each) for each in answer if isinstance(each, Mapping))
    return 0


def compare(folders: Sequence[Path], rounds: int) -> bool:
    """Ask everything of a small journal and of a large one, and print the times. Whether all of
    them are good."""
    found: dict[str, list[float]] = {}
    rows: dict[str, list[int]] = {}
    for folder in folders:
        for part in (of_rules, of_people):
            for name, ask in part(folder):
                found.setdefault(name, []).append(timed(ask, rounds))
                rows.setdefault(name, []).append(_rows(ask()))
    print("milliseconds of processor time for a question in the small journal and in the large one")
    slow = 0
    for name, (small, large) in found.items():
        few, many = rows[name]
        bad = large > 10 or large > 1.5 * small * max(1.0, many / max(few, 1)) + NOISE
        slow += bad
        longer = f"  {few} and {many} rows" if many > few else ""
        print(f"  {name:40}{small:9.2f}{large:9.2f}{longer}{'  too slow' if bad else ''}")
    print(f"  {slow} of {len(found)} are too slow\n")
    return not slow


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where filled journals are, or are put")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folders = [folder / str(size) for size in (100_000, options.events)]
        for each in folders:
            if not each.exists():
                fill(each, int(each.name))
        print(f"100,000 and {options.events:,} events; {environment()}\n")
        return 0 if compare(folders, options.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
