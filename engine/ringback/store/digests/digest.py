"""Digest of the journal, `digest.db`: texts and failures counted by the hour and by the day.

Only the console writes it, and it can be thrown away: it is made anew when its shape is another, or
the journal another file. It holds no text and no number of a person, but our senders, names of
rules, countries and counts.
"""

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Self

from ringback.private_files import make_file, make_folder
from ringback.store.digests.cohorts import FAILURE, LEFT, TEXT, Counts
from ringback.store.sqlite.sqlite_files import BUSY_SECONDS, translated

NAME = "digest.db"
SHAPE = 3
MEASURES: Mapping[str, tuple[str, ...]] = {"texts": TEXT, "failures": FAILURE, "left": LEFT}
"""What is counted, and by what."""
DAYS = 400
"""How long hours are kept."""
MOST_KEYS = 5000
"""So many numbers of keys are kept in memory."""
_TABLES = """
create table marks (name text primary key, value text not null) without rowid;
create table keys (id integer primary key, measure text not null, key text not null,
    unique (measure, key));
create table hours (measure text not null, hour text not null, counted_at text not null,
    primary key (measure, hour)) without rowid;
create table due (measure text not null, hour text not null, primary key (measure, hour))
    without rowid;
create table counts (measure text not null, grain text not null, at text not null,
    key integer not null, n integer not null, primary key (measure, grain, at, key)) without rowid;
create index counts_at on counts (at)
"""


class Digest:
    """The digest of a data folder. It may be used from several threads. `journal` names the file
    that it is of. Raises StorageError."""

    def __init__(self, data: Path, journal: str) -> None:
        self._path = data / NAME
        self._lock = threading.Lock()
        self._keys: dict[tuple[str, tuple[Any, ...]], int] = {}
        make_folder(data)
        make_file(self._path)
        with translated(self._path):
            self._connection = self._opened()
            if self._said("user_version") != SHAPE or self.mark("journal") != journal:
                self._empty(journal)

    def _opened(self) -> sqlite3.Connection:
        made = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            made.execute("pragma journal_mode = wal")
            made.execute("pragma synchronous = normal")
        except BaseException:
            made.close()
            raise
        return made

    def _said(self, pragma: str) -> int:
        return int(self._connection.execute(f"pragma {pragma}").fetchone()[0])

    def _empty(self, journal: str) -> None:
        connection = self._connection
        tables = connection.execute("select name from sqlite_master where type = 'table'")
        for (name,) in tables.fetchall():
            connection.execute(f'drop table if exists "{name}"')
        connection.executescript(_TABLES)
        connection.execute("insert into marks values ('journal', ?)", (journal,))
        connection.execute(f"pragma user_version = {SHAPE}")

    def mark(self, name: str) -> str:
        """A fact about the digest itself; empty when it is not there."""
        with self._lock, translated(self._path):
            row = self._connection.execute(
                "select value from marks where name = ?", (name,)
            ).fetchone()
        return str(row[0]) if row else ""

    def put(self, measure: str, found: Mapping[str, Counts], now: str) -> None:
        """Keep what hours (`2026-03-04T17`) hold, in place of what was kept of them."""
        with self._lock, translated(self._path), self._connection as connection:
            connection.execute("begin")
            for hour, counts in found.items():
                connection.execute(
                    "delete from counts where measure = ? and grain = 'h' and at = ?",
                    (measure, hour),
                )
                connection.executemany(
                    "insert into counts values (?, 'h', ?, ?, ?)",
                    [(measure, hour, self._key(measure, key), n) for key, n in counts.items()],
                )
            for day in {hour[:10] for hour in found}:
                connection.execute(
                    "delete from counts where measure = ? and grain = 'd' and at = ?",
                    (measure, day),
                )
                connection.execute(
                    "insert into counts select measure, 'd', ?, key, sum(n) from counts "
                    "where measure = ? and grain = 'h' and at >= ? and at < ? group by key",
                    (day, measure, f"{day}T00", f"{day}T99"),
                )
            connection.executemany(
                "insert or replace into hours values (?, ?, ?)",
                [(measure, hour, now) for hour in found],
            )
            connection.executemany(
                "delete from due where measure = ? and hour = ?",
                [(measure, hour) for hour in found],
            )

    def _key(self, measure: str, key: tuple[Any, ...]) -> int:
        known = self._keys.get((measure, key))
        if known is None:
            if len(self._keys) >= MOST_KEYS:
                self._keys.clear()
            known = self._keys[measure, key] = self._written(measure, key)
        return known

    def _written(self, measure: str, key: tuple[Any, ...]) -> int:
        text = json.dumps(key, ensure_ascii=False)
        self._connection.execute(
            "insert or ignore into keys (measure, key) values (?, ?)", (measure, text)
        )
        row = self._connection.execute(
            "select id from keys where measure = ? and key = ?", (measure, text)
        ).fetchone()
        return int(row[0])

    def follow(self, marks: Mapping[str, str], due: Iterable[tuple[str, str]]) -> None:
        """Note how far the journal was looked through, and which hours have changed."""
        with self._lock, translated(self._path), self._connection as connection:
            connection.execute("begin")
            connection.executemany("insert or replace into marks values (?, ?)", marks.items())
            connection.executemany("insert or ignore into due values (?, ?)", due)

    def due(self) -> list[tuple[str, str]]:
        """The hours that have changed, the newest first."""
        return self._rows("select measure, hour from due order by hour desc, measure")

    def counted(self, measure: str) -> dict[str, str]:
        """The hours that are kept, each with when it was counted."""
        return dict(self._rows("select hour, counted_at from hours where measure = ?", (measure,)))

    def forget(self, before: str) -> None:
        """Let go of the hours of days that are older."""
        with self._lock, translated(self._path):
            for table, column in (("counts", "at"), ("hours", "hour"), ("due", "hour")):
                self._connection.execute(f"delete from {table} where {column} < ?", (before,))

    def total(self, measure: str, begin: str, end: str) -> int:
        """How many there are in whole hours, from one up to another."""
        return sum(
            self._rows(f"select coalesce(sum(n), 0) from counts where {_WHERE}", part)[0][0]
            for part in _parts(measure, begin, end)
        )

    def rows(
        self, measure: str, begin: str, end: str, wanted: Callable[[Mapping[str, Any]], bool],
        split: Sequence[str], *, timed: bool = False, hourly: bool = False,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """What is counted in whole hours, from one up to another: the values of `split`, and how
        many have them (`n`); with `timed` by hour or by day (`at`), whichever the span is read by,
        or with `hourly` always by hour. Only of keys that are `wanted`."""
        words = MEASURES[measure]
        parts: dict[tuple[Any, ...], int] = {}
        chosen = []
        for number, text in self._rows("select id, key from keys where measure = ?", (measure,)):
            key = dict(zip(words, json.loads(text), strict=True))
            if wanted(key):
                part = tuple(key[word] for word in split)
                chosen.append((number, parts.setdefault(part, len(parts))))
        spans = [(measure, "h", begin, end)] if hourly else _parts(measure, begin, end)
        at = "at" if timed else "''"
        with self._lock, translated(self._path):
            connection = self._connection
            connection.execute(
                "create temp table if not exists chosen (key integer primary key, part integer)"
            )
            connection.execute("delete from chosen")
            connection.executemany("insert into chosen values (?, ?)", chosen)
            counted: Counter[tuple[str, int]] = Counter()
            for span in spans:
                found = connection.execute(
                    f"select {at}, part, sum(n) from counts join chosen using (key) "
                    f"where {_WHERE} group by 1, 2",
                    span,
                )
                for when, part, n in found:
                    counted[when, part] += n
        named = list(parts)
        return [
            {**dict(zip(split, named[part], strict=True)), "at": when, "n": n}
            for (when, part), n in counted.items()
        ]

    def _rows(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        with self._lock, translated(self._path):
            return self._connection.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_WHERE = "measure = ? and grain = ? and at >= ? and at < ?"


def _parts(measure: str, begin: str, end: str) -> list[tuple[str, str, str, str]]:
    """The values of `_WHERE` for a span: whole days in its middle, and hours before and after. Each
    is asked for by itself, for with `or` SQLite reads all of a measure."""
    first = begin[:10] if begin[11:13] == "00" else _following(begin[:10])
    last = end[:10]
    if first >= last:
        return [(measure, "h", begin, end)]
    days = (measure, "d", first, last)
    return [days, (measure, "h", begin, f"{first}T00"), (measure, "h", f"{last}T00", end)]


def _following(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()
