"""Rebuild of the journal from the log: every request is read again, no rule is run.

What the log cannot know (what was sent, what became of it, what rules decided) is taken from the
old journal as far as it can still be read. The old file is put aside, never deleted.
"""

import math
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from sqlite3 import Connection, DatabaseError

from ringback.errors import RingbackError, StorageError
from ringback.events import Event
from ringback.store.events import KnownEvents
from ringback.store.log import LogReader, LogRow
from ringback.store.matching import CURSOR, Matched, record
from ringback.store.meta import set_meta
from ringback.store.migrations import migrate_journal
from ringback.store.sqlite.sqlite_files import connect_writer, translated
from ringback.store.upkeep.event_counts import recount
from ringback.store.upkeep.file_identity import file_identity
from ringback.store.upkeep.progress_reports import Told, untold
from ringback.store.upkeep.restore import move_file
from ringback.twilio.webhooks import events_from

PAGE = 500
KEPT = (
    "runs", "wakes", "turns", "revisions", "actions", "attempts", "answers", "incidents", "timers",
    "strikes", "contacts", "consents", "meta", "text_counts", "pending_texts",
    "spend_counts", "doings", "rule_states", "bulks", "bulk_items", "mutes",
    "cards", "group_members",
)  # fmt: skip
"""Tables that the old journal knows better than the log. They replace what reading the log gave."""

Facts = tuple[str, str, str, int, str]
Known = dict[int, list[Facts]]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was done: log rows read, rows that could not be, events written, rows taken over from
    the old journal by table, and where the old journal is now."""

    rows: int
    unreadable: int
    events: int
    kept: dict[str, int]
    aside: Path | None


def rebuild(
    data: Path,
    mint: Callable[[], str],
    stamp: str,
    told: Told = untold,
) -> Rebuilt:
    """Make a new journal from the log. The caller holds both locks of the data folder.

    `mint` gives an event its uid where the old journal has none; `stamp` names the old file. `told`
    hears how many rows of the log are read, and of how many. Raises StorageError when there is no
    log. Until the last moment the old journal is in its place.
    """
    path = data / "journal.db"
    fresh = data / "journal.new.db"
    with (
        closing(LogReader(data / "log.db")) as log,
        _cleared(data),
        closing(connect_writer(fresh)) as connection,
        translated(fresh),
    ):
        migrate_journal(connection)
        connection.execute("pragma foreign_keys = off")
        old = _attach(connection, path)
        connection.execute("begin immediate")
        known = _Before(connection) if "events" in old else None
        until = _old_cursor(connection) if {"events", "meta"} <= old else log.last_id()
        rows, unreadable, events = _read(connection, log, until, known, mint, told)
        kept = {name: _take(connection, name) for name in KEPT if name in old}
        if "events" in old:
            kept["internal events"] = _take(connection, "events", "log_id is null")
        recount(connection)
        set_meta(connection, CURSOR, str(until))
        if {"runs", "actions", "attempts"} <= kept.keys():  # nothing that was done is forgotten
            move_file(connection, file_identity(fresh))
        connection.execute("commit")
        connection.execute("pragma wal_checkpoint(truncate)")
    with _uninterrupted():
        aside = _swap(path, fresh, stamp)
    return Rebuilt(rows, unreadable, events, kept, aside)


@contextmanager
def _cleared(data: Path) -> Iterator[None]:
    """Remove what a rebuild leaves that did not come to its end, an earlier one or this."""
    try:
        for leftover in data.glob("journal.new.db*"):
            leftover.unlink()
        yield
    except BaseException:
        for leftover in data.glob("journal.new.db*"):
            leftover.unlink()
        raise


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait: between two renames there is no journal in its place."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _attach(connection: Connection, path: Path) -> set[str]:
    """The tables of the old journal that can be read; none when there is none, or it is broken."""
    if not path.exists():
        return set()
    try:
        connection.execute("attach database ? as old", (str(path),))
        names = connection.execute("select name from old.sqlite_master where type = 'table'")
        return {row[0] for row in names if _readable(connection, row[0])}
    except DatabaseError:
        return set()


def _readable(connection: Connection, table: str) -> bool:
    try:
        connection.execute(f"select count(*) from (select * from old.{table} not indexed)")
        return True
    except DatabaseError:
        return False


def _take(connection: Connection, table: str, where: str = "true") -> int:
    """Copy rows of the old journal; a row that is there already is replaced."""
    have = {row[1] for row in connection.execute(f"pragma main.table_info({table})")}
    old = [row[1] for row in connection.execute(f"pragma old.table_info({table})")]
    columns = ", ".join(name for name in old if name in have and not _own_id(table, name))
    try:
        return connection.execute(
            f"insert or replace into main.{table} ({columns}) "
            f"select {columns} from old.{table} where {where}"
        ).rowcount
    except DatabaseError:  # damaged after all: what the log gave must do
        return 0


def _own_id(table: str, column: str) -> bool:
    """Internal events come after those of the log here, so they get row numbers of their own."""
    return table == "events" and column == "id"


def _old_cursor(connection: Connection) -> int:
    """How far the old journal had read: rows after that are matched by the worker, as usual."""
    row = connection.execute("select value from old.meta where key = ?", (CURSOR,)).fetchone()
    return int(row[0]) if row else 0


class _Before:
    """What the old journal knew of the events of each log row, in their order. It is read along
    with the log, so that no more of it than a page of that is in memory."""

    def __init__(self, connection: Connection) -> None:
        self._rows = connection.execute(
            "select log_id, uid, dedupe_key, verdicts, depth, trust from old.events "
            "where log_id is not null order by log_id, id"
        )
        self._next = self._rows.fetchone()

    def until(self, last: float) -> Known:
        """Of the rows up to this one that were not given before."""
        found: Known = {}
        while self._next is not None and self._next[0] <= last:
            log_id, *facts = self._next
            found.setdefault(log_id, []).append((facts[0], facts[1], facts[2], facts[3], facts[4]))
            self._next = self._rows.fetchone()
        return found


def _read(
    connection: Connection, log: LogReader, until: int, before: _Before | None,
    mint: Callable[[], str], told: Told,
) -> tuple[int, int, int]:  # fmt: skip
    rows = unreadable = events = 0
    first = 0
    for page, known in _pages(log, until, before):
        if page:
            first = first or page[0].id
            told(min(page[-1].id, until) - first, until - first)
        batch: list[Matched] = []
        for row in page:
            rows += 1
            try:
                found = events_from(row, mint)
            except RingbackError:
                unreadable += 1
                continue
            batch += _matched(row, found, known.get(row.id, []), ahead=row.id > until)
        batch, later = _fresh(connection, batch)
        record(connection, batch, until, later, log)
        events += len(batch)
    return rows, unreadable, events


def _pages(
    log: LogReader, until: int, before: _Before | None
) -> Iterator[tuple[list[LogRow], Known]]:
    """The rows that had been matched, with what was known of them: all up to `until`, and some that
    were matched before their turn (a call that waited, or while another event waited for a
    plugin)."""
    last = 0
    while page := [row for row in log.after(last, PAGE) if row.id <= until]:
        last = page[-1].id
        yield page, before.until(last) if before is not None else {}
    if before is None:
        return
    before.until(until)  # rows that the log has lost
    known = before.until(math.inf)
    yield [row for row in map(log.get, known) if row], known


def _matched(
    row: LogRow, events: Sequence[Event], before: Sequence[Facts], *, ahead: bool
) -> list[Matched]:
    """The events of a row, each with the id and the verdicts that it had; of a row that was read
    `ahead` of the others none that was not recorded.

    A row whose texts were blanked since may have another identity: then the order counts.
    """
    by_key = {facts[1]: facts for facts in before}
    found = []
    for number, event in enumerate(events):
        same = len(before) == len(events)
        facts = by_key.get(event.dedupe_key) or (before[number] if same else None)
        if facts is None:
            if not ahead:
                found.append(Matched(event, row.id, "{}"))
            continue
        uid, key, verdicts, depth, trust = facts
        known = replace(event, uid=uid, dedupe_key=key, depth=depth, trust=trust)
        found.append(Matched(known, row.id, verdicts or "{}"))
    return found


def _fresh(connection: Connection, batch: Sequence[Matched]) -> tuple[list[Matched], list[Event]]:
    """What is new in a batch, and the later reports in it."""
    known = KnownEvents.read(connection, [item.event for item in batch])
    fresh, later = list[Matched](), list[Event]()
    for item in batch:
        event = known.own(item.event)
        if known.knows(event):
            later.append(event)
        else:
            known.add(event)
            fresh.append(replace(item, event=event))
    return fresh, later


def _swap(path: Path, fresh: Path, stamp: str) -> Path | None:
    aside = None
    try:
        if path.exists():
            aside = path.with_name(f"journal.{stamp}.db")
            for suffix in ("", "-wal", "-shm"):
                old = path.with_name(path.name + suffix)
                if old.exists():
                    old.rename(aside.with_name(aside.name + suffix))
        for suffix in ("-wal", "-shm"):
            fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
        fresh.rename(path)
    except OSError as error:
        raise StorageError(f"{path}: {error}") from error
    return aside
