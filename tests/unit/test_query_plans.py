"""Plans of the store's statements: none reads a table from end to end that grows with the log.

A story of the simulation, and every question of people and of rules, run on files whose connections
note each statement with its place. SQLite then says how it would answer it: `SCAN events` means
that all events are read. Upkeep (retention, erase, rebuild) may cost what it looks after.
"""

import re
import sqlite3
import sys
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import ringback.store
from ringback.cli.actions import STATES as ACTION_STATES
from ringback.cli.runs import STATES as RUN_STATES
from ringback.runtime import REAL, iso
from ringback.store.facts import JournalFacts, JournalGateFacts
from ringback.store.journal import open_store
from ringback.store.log import Log, LogReader
from ringback.store.migrations import connect_journal, migrate_journal, migrate_log
from ringback.store.queries import filters
from ringback.store.queries.action_search import Wanted
from ringback.store.queries.questions import Questions
from ringback.store.sqlite.sqlite_files import connect_writer
from simulation.batch import run_story
from simulation.twilio import OURS

GROWING = {
    "events", "runs", "actions", "attempts", "contacts", "consents", "turns", "answers", "log",
    "text_counts", "pending_texts", "doings",
}  # fmt: skip
NEWEST_FIRST = "order by id desc limit"
"""A statement with these words goes back from the end of the table, as far as the limit."""
STORE = Path(ringback.store.__file__).parent


class Noting(sqlite3.Connection):
    """A connection that notes which statements of the store run on it."""

    noted: dict[str, str] = {}  # noqa: RUF012 - one for all connections of a test

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        self._note(sql)
        return super().execute(sql, *values)

    def executemany(self, sql: str, *values: Any) -> sqlite3.Cursor:
        self._note(sql)
        return super().executemany(sql, *values)

    def _note(self, sql: str) -> None:
        frame = sys._getframe(2)
        place = Path(frame.f_code.co_filename)
        if STORE in place.parents and place.parent.name != "upkeep" and place.stem != "migrations":
            self.noted.setdefault(" ".join(sql.split()), f"{place.name}:{frame.f_lineno}")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The statements of the store that run, each with the place that it was first run from."""
    real, noted = sqlite3.connect, dict[str, str]()
    monkeypatch.setattr(Noting, "noted", noted)
    monkeypatch.setattr(
        sqlite3, "connect", lambda *given, **more: real(*given, **{**more, "factory": Noting})
    )
    return noted


EVENT_FILTERS: tuple[dict[str, Any], ...] = (
    {}, {"type": "message.*"}, {"type": "call.received"}, {"number": "+14155550123"},
    {"sid": "SM1"}, {"error": True}, {"code": 30003}, {"trust": "claimed"}, {"source": "repair"},
    {"own": True},
    {"rule": "one"}, {"rule": "one", "verdict": "silent"}, {"verdict": "silent"},
    {"since": "2026", "until": "2027"},
)  # fmt: skip


def plan_of(connection: sqlite3.Connection, sql: str) -> list[str]:
    """The steps in which SQLite would answer a statement."""
    named = dict.fromkeys(re.findall(r"(?<=[ (]):([a-z]+)", sql))
    rows = connection.execute(f"explain query plan {sql}", named or [None] * sql.count("?"))
    return [str(row[3]) for row in rows]


def read_whole(connection: sqlite3.Connection, sql: str) -> list[str]:
    """The growing tables that a statement reads from end to end."""
    if NEWEST_FIRST in sql or sql.split()[0] not in ("select", "with", "update", "delete"):
        return []
    plan = plan_of(connection, sql)
    partial = {
        row[0]
        for row in connection.execute(
            "select name from sqlite_master where type = 'index' and sql like '% where %'"
        )
    }
    steps = [step.split() for step in plan]
    scans = [words for words in steps if words[0] == "SCAN" and not partial.intersection(words)]
    return [words[1] for words in scans if words[1] in GROWING | {"a", "e", "r", "t"}]


def reads_a_kind(connection: sqlite3.Connection, sql: str) -> bool:
    """Whether a statement reads every event of a type, or every action in a state that many are in
    for good."""
    if sql.split()[0] not in ("select", "with", "update", "delete"):
        return False
    steps = plan_of(connection, sql)
    types = " limit " not in sql and any(each.endswith("events_type (type=?)") for each in steps)
    many = any(f"state = '{state}'" in sql for state in ("accepted", "settled"))
    return types or (many and any(each.endswith("actions_state (state=?)") for each in steps))


def begins_too_early(sql: str) -> bool:
    """Whether a statement has a second lower bound for a column: SQLite reads from the first on."""
    bounds = re.findall(r"(?<![+\w.])(id|error_code) >=? (\?|\d+)", sql)
    later = [column for column, bound in bounds[1:] if bound == "?"]
    return sql.count("select") == 1 and any(column == bounds[0][0] for column in later)


def ask_everything(data: Path) -> None:
    """Every question that people and conditions ask."""
    since = iso(datetime.now(UTC) - timedelta(hours=1))
    with Questions(data) as ask:
        for kind in ("", "message.received", "message.*"):
            for number in ("", "+14155550123"):
                for error in (True, False):
                    for after in ("", since):
                        ask.events(type=kind, number=number, error=error, since=after)
                        ask.events(type=kind, number=number, error=error, follow=True, after=7)
        ask.events(sid="SM1", error=True)
        for rule in ("", "one"):
            for state in ("", *RUN_STATES):
                ask.runs(state=state, rule=rule)
            for state in ("", *ACTION_STATES):
                ask.actions(state=state, rule=rule)
                ask.actions(state=state, rule=rule, kind="notify")
        for each in (
            Wanted(), Wanted(number=OURS), Wanted(number="+14155550123", rule="one", since=since),
            Wanted(outcome="undelivered"), Wanted(outcome="sent", since=since), Wanted(code=30003),
            *(Wanted(rule="one", kind="notify", state=state) for state in ("", *ACTION_STATES)),
        ):  # fmt: skip
            ask.search_actions(each, 5)
        pair = f"{OURS}/+14155550123"
        for before in (0, 1_900_000_000_000):
            ask.chat(pair, 5, before)
        ask.calls_going(datetime.now(UTC)), ask.waited(since), ask.call_over("CA1")
        ask.standing(pair), ask.contact(pair), ask.muted(pair, since)
        for wanted in EVENT_FILTERS:
            for before in (0, 9):
                ask.events_part(filters.Events(**wanted), 5, before)
        for state in ("", *RUN_STATES):
            ask.runs_part(filters.Runs(state=state, rule="one", until=since), 5)
        ask.runs_part(filters.Runs(event="evt_1"), 5)
        for state in ("", *ACTION_STATES):
            ask.actions_part(filters.Actions(state=state, rule="one", code=30003), 5)
        for each_action in (
            filters.Actions(number=OURS), filters.Actions(number="+14155550123"),
            filters.Actions(sid="SM1"), filters.Actions(event="evt_1"), filters.Actions(run="r"),
            filters.Actions(kind="notify"),
        ):  # fmt: skip
            ask.actions_part(each_action, 5)
        for each_attempt in (filters.Attempts(result="failed"), filters.Attempts(action="act_1"),
                             filters.Attempts(event="evt_1", code=20003)):  # fmt: skip
            ask.attempts_part(each_attempt, 5)
        ask.waiting(5)
        ask.in_state("parked")
        newest = ask.events(limit=1)
        ids = [row["uid"] for row in (*newest, *ask.runs(limit=1), *ask.actions(limit=1))]
        for text in (*ids, "att_1", "SM1", "+14155550123"):
            for uid in ask.find(text):
                ask.trace(uid)
        for after in ("", since):
            ask.doings(since=after, before=7)
            ask.doings(who="bob", since=after)
            ask.doings(op="retry", outcome="done", since=after)
            ask.doings(subject="act_1", since=after)
        ask.switched()
        ask.undecided(5, "act_1")
        ask.undecided_count()
        ask.waiting_for_people()
        ask.newest()
        ask.came_of(["evt_1", "evt_2"])
        ask.by_minute(datetime.now(UTC), 60)
        ask.made_twice()
        ask.claimed(5)
        ask.bulks()
        ask.bulk("blk_1")
        ask.rules_in_use()
        ask.revisions("one")
        ask.rule_runs(since)
        ask.held_by_gate(since)
        ask.last_run("one")
        ask.beside("one")
        ask.silence()
        ask.plugin_trouble()
        ask.opt_outs(since)
        for code in (None, 0, 30003):
            ask.failures(since, 100, iso(datetime.now(UTC)), code)
        ask.with_problems([{"code": 30003, "last_at": since}], datetime.now(UTC))
        ask.first_failure(30003, since)
        ask.open_failures(datetime.now(UTC))
        hour = newest[0]["received_at"][:13] if newest else "2026-03-04T17"
        span = (f"{hour}:00:00.000Z", f"{hour}:59:59.999Z")
        _ = [*ask.texts_between(*span), *ask.failures_between(*span), *ask.left_between(*span)]
        _ = [*ask.newest_texts(*span, timed=True), *ask.newest_left(*span)]
        ask.changed({})
        ask.oldest()
        ask.newest_ids()
        ask.open_incidents("sending")
        ask.incidents(kind="delivery")
        ask.incidents(open_only=False, since=since)
        ask.incident("inc_1")
        ask.sent_texts(since, 100)
        for number in ("", "+14155550123"):
            for after in ("", since):
                for state in ("", "out"):
                    ask.consents(state=state, number=number, sender=OURS, since=after)
                    ask.consents(state=state, number=number, since=after)
        for who in (OURS, *(row["sender"] for row in newest)):
            ask.contacts(who)
            ask.transcript(ask.conversations(who), 10)
        ask.left_since(datetime.now(UTC) - timedelta(hours=1))
        ask.fired("one", since)
        ask.verdicts()
    with closing(connect_journal(data / "journal.db")) as connection:
        facts, now = JournalFacts(connection, REAL), datetime.now(UTC)
        for kind in ("message.failed", "message.*"):
            for pair in ("", "+15550001111/+14155550123"):
                facts.count(kind, 900, pair, "recipient_unreachable")
        for key in (("all", ""), ("sender", "+15550001111")):
            facts.ended_texts(*key, 900)
            facts.pending_texts(600, key[1])
        facts.end_before("SM1")
        facts.rule_of("SM1", "tag")
        facts.last_inbound("a/b", now)
        facts.last_outbound("a/b", now)
        with closing(LogReader(data / "log.db")) as log:
            JournalGateFacts(connection, log).our_numbers()


def test_no_statement_reads_all_that_ever_came(tmp_path: Path, statements: dict[str, str]) -> None:
    verdict, _ = run_story(3, 50)
    assert verdict.events > 100
    Log.open(tmp_path / "log.db").close()
    store = open_store(tmp_path)
    ask_everything(tmp_path)
    store.close()
    assert len(statements) > 150
    # Python 3.12.0 to 3.12.3 warn of a numbered place that is given by its position.
    assert [sql for sql in statements if re.search(r"\?\d", sql)] == []
    found = {}
    for name, migrate in (("journal", migrate_journal), ("log", migrate_log)):
        with closing(connect_writer(tmp_path / f"fresh-{name}.db")) as connection:
            migrate(connection)
            for sql, place in statements.items():
                with suppress(sqlite3.OperationalError):  # it is for the other file
                    if tables := read_whole(connection, sql):
                        found[place] = (tables, sql)
                    if reads_a_kind(connection, sql):
                        found[place] = (["a kind"], sql)
                    if begins_too_early(sql):
                        found[place] = (["from the first of two bounds"], sql)
    assert found == {}


@pytest.mark.parametrize(
    ("sql", "whole"),
    [
        ("select * from runs where state = ? and due_at <= ?", ["runs"]),
        ("select * from runs where state = 'waiting' and due_at <= ?", []),
        ("select * from events where source = ?", ["events"]),
        ("update actions set state = '' where remote_sid = ? and effect <> ''", ["actions"]),
        ("select uid from actions a where remote_sid = ?", ["a"]),
        ("select * from events where trust = 'claimed' order by id limit 5", []),
        ("select * from events where uid = ?", []),
        ("select * from events order by id desc limit 5", []),
    ],
)
def test_a_statement_that_reads_all_is_seen(tmp_path: Path, sql: str, whole: list[str]) -> None:
    with closing(connect_writer(tmp_path / "journal.db")) as connection:
        migrate_journal(connection)
        assert read_whole(connection, sql) == whole


@pytest.mark.parametrize(
    ("sql", "whole"),
    [
        ("select min(at) from events where type = 'call.received' and received_at >= ?", True),
        ("select uid from actions where state = 'accepted' and planned_at < ? limit ?", True),
        ("select min(at) from events where type = 'call.received' and id >= ?", False),
        ("select uid from events where type = 'call.received' order by id desc limit 1", False),
        ("select uid from actions where state = 'accepted' and due_at <= ? limit ?", False),
        ("select uid from actions where state = 'unknown'", False),
    ],
)
def test_a_statement_that_reads_a_kind_is_seen(tmp_path: Path, sql: str, whole: bool) -> None:
    with closing(connect_writer(tmp_path / "journal.db")) as connection:
        migrate_journal(connection)
        assert reads_a_kind(connection, sql) == whole
