"""Counts since a moment: what is younger, and none of the rows before it that an id lets in."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ringback.runtime import iso
from ringback.store.migrations import migrate_journal
from ringback.store.queries.questions import Questions
from ringback.store.sqlite.sqlite_files import connect_writer

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
SINCE = 60
"""In minutes; so many of the rows are older, and fewer than a halving by ids may be out by."""


def at(minutes: int) -> str:
    return iso(START + timedelta(minutes=minutes))


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Questions]:
    with closing(connect_writer(tmp_path / "journal.db")) as connection:
        migrate_journal(connection)
        connection.execute("begin")
        for n in range(100):
            state = "failed" if n % 2 else "done"
            connection.execute(
                "insert into runs (uid, event_uid, rule, rule_rev, key, state, started_at) "
                "values (?, ?, 'one', '1', '', ?, ?)",
                (f"run_{n}", f"evt_{n}", state, at(n)),
            )
            connection.execute(
                "insert into actions (uid, run_uid, event_uid, rule, ordinal, kind, params, "
                "policy, state, planned_at) values (?, ?, ?, 'one', 0, 'notify', '{}', 'never', "
                "'refused', ?)",
                (f"act_{n}", f"run_{n}", f"evt_{n}", at(n)),
            )
            connection.execute(
                "insert into doings (uid, at, who, role, via, op, subject, outcome) "
                "values (?, ?, 'ada', 'admin', 'shell', 'pause', 'node', 'done')",
                (f"op_{n}", at(n)),
            )
        connection.execute("commit")
    with Questions(tmp_path) as questions:
        yield questions


def test_runs_of_before_do_not_count(asked: Questions) -> None:
    assert asked.rule_runs(at(SINCE))["one"] == {"rule": "one", "fired": 40, "failed": 20}
    assert asked.fired("one", at(SINCE))[0] == 40


def test_actions_of_before_do_not_count(asked: Questions) -> None:
    assert asked.held_by_gate(at(SINCE)) == {"one": 40}


def test_doings_of_before_are_not_listed(asked: Questions) -> None:
    found = asked.doings(since=at(SINCE), limit=100)
    assert Counter(row["at"] >= at(SINCE) for row in found) == {True: 40}
