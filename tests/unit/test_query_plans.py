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
from postgres.every_question import ask_facts, ask_questions
from ringback.runtime import REAL, iso
from ringback.store.facts import JournalFacts, JournalGateFacts
from ringback.store.journal import open_store
from ringback.store.log import Log, LogReader
from ringback.store.migrations import connect_journal, migrate_journal, migrate_log
from ringback.store.queries.questions import Questions
from ringback.store.sqlite.sqlite_files import connect_writer
from simulation.batch import run_story

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
    now = datetime.now(UTC)
    with Questions(data) as ask:
        ask_questions(ask, iso(now - timedelta(hours=1)), now)
    with closing(connect_journal(data / "journal.db")) as connection:
        ask_facts(JournalFacts(connection, REAL), now)
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
