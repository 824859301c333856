"""The tables, and how a file of an older shape becomes one of today's.

Each migration runs once, in its own transaction, and is noted in the file. A file that notes one
which this program does not know was written by a newer program: it is refused and left untouched.
"""

import contextlib
import functools
import logging
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from ringback.errors import DataError, StorageError
from ringback.store.meta import refuse_moved
from ringback.store.sqlite.sqlite_files import connect_reader, translated
from ringback.store.upkeep.event_counts import CHANGED, ENDED, MADE, recount
from ringback.store.upkeep.first_shape import JOURNAL, LOG
from ringback.store.upkeep.later_shapes import (
    ACCOUNTS,
    BILLED,
    BROADCASTS,
    BULKS,
    CONSENTS,
    COSTS,
    COUNTED,
    EFFECT,
    ESCALATIONS,
    FREE,
    GROUPS,
    INCIDENTS,
    LISTS,
    MUTES,
    OPERATIONS,
    PORTIONS,
    PROBLEMS,
    REMEMBERED,
    RUN_LOCKS,
    SOUGHT,
    SPENT,
    STEADY,
    TEXTS,
    TURNS,
    UNMADE,
    WENT,
    WORDS,
)
from ringback.store.upkeep.migration_list import MigrationList
from ringback.store.upkeep.people import join_people
from ringback.store.upkeep.shape import Shape, differences, shape_of

if TYPE_CHECKING:
    from sqlite_utils import Database

log = logging.getLogger(__name__)

log_migrations = MigrationList("ringback.log", today="2ed0606627472871")
journal_migrations = MigrationList("ringback.journal", today="2f0c838b3d1f4ba1")
"""A new migration makes a new digest: the last one of its file in the `shapes.json` that
`tests/data/databases/freeze.py` writes."""

_ENDS = """
create trigger actions_ended after update of state on actions
when new.state <> old.state and new.state in (select state from listens)
begin
    insert into ends (action_uid, state) values (new.uid, new.state);
end
"""
"""What rules listen to is noted with the change itself, whoever makes it. Its event may be late."""

_IDENTITY = """
update or ignore events set dedupe_key = {word} || subject_sid || ':' || status || ':'
where dedupe_key >= {word} and dedupe_key < substr({word}, 1, 2) || ';' and source <> 'internal'
"""
"""A status is reported once, whatever its error code or its number in the order of the call. Of
two that are on record as two events, one keeps the identity that it had."""


@log_migrations(name="0001_log")
def _log_first(db: "Database") -> None:
    _run(db.conn, LOG)


@log_migrations(name="0002_had_journal")
def _log_had_journal(db: "Database") -> None:
    """A log of an earlier version with rows in it had a journal, as far as anybody can tell."""
    rows = db.conn.execute("select 1 from log limit 1").fetchone()
    db.conn.execute(f"pragma user_version = {1 if rows else 0}")


@journal_migrations(name="0001_journal")
def _journal_first(db: "Database") -> None:
    _run(db.conn, JOURNAL)
    db.conn.execute(_ENDS)


@journal_migrations(name="0002_effect")
def _journal_effect(db: "Database") -> None:
    _run(db.conn, EFFECT)


@journal_migrations(name="0003_steady_clock")
def _journal_steady(db: "Database") -> None:
    _run(db.conn, STEADY)


@journal_migrations(name="0004_free_at")
def _journal_free(db: "Database") -> None:
    _run(db.conn, FREE)


@journal_migrations(name="0005_texts_that_went")
def _journal_went(db: "Database") -> None:
    for statement in (WENT, UNMADE, COUNTED):
        db.conn.execute(statement)


@journal_migrations(name="0006_one_event_a_status")
def _journal_identity(db: "Database") -> None:
    for word in ("'st:'", "'cs:'"):
        db.conn.execute(_IDENTITY.format(word=word))


@journal_migrations(name="0007_turns_and_revisions")
def _journal_turns(db: "Database") -> None:
    _run(db.conn, TURNS)


@journal_migrations(name="0008_portions")
def _journal_portions(db: "Database") -> None:
    db.conn.execute(PORTIONS)


@journal_migrations(name="0009_accounts_and_order")
def _journal_accounts(db: "Database") -> None:
    _run(db.conn, ACCOUNTS)


@journal_migrations(name="0010_lists")
def _journal_lists(db: "Database") -> None:
    _run(db.conn, LISTS)


@journal_migrations(name="0011_one_spelling_for_each_person", transactional=False)
def _journal_people(db: "Database") -> None:
    join_people(db.conn)


@journal_migrations(name="0012_what_was_remembered")
def _journal_remembered(db: "Database") -> None:
    db.conn.execute(REMEMBERED)


@journal_migrations(name="0013_costs")
def _journal_costs(db: "Database") -> None:
    _run(db.conn, COSTS)
    db.conn.execute(BILLED)


@journal_migrations(name="0014_words_of_indexes")
def _journal_words(db: "Database") -> None:
    _run(db.conn, WORDS)


@journal_migrations(name="0015_lists_of_consents")
def _journal_consents(db: "Database") -> None:
    _run(db.conn, CONSENTS)


@journal_migrations(name="0016_ended_texts")
def _journal_texts(db: "Database") -> None:
    _run(db.conn, TEXTS)


@journal_migrations(name="0017_event_counts")
def _journal_counts(db: "Database") -> None:
    for statement in (MADE, CHANGED, ENDED):
        db.conn.execute(statement)
    recount(db.conn)


@journal_migrations(name="0018_decisions_about_incidents")
def _journal_incidents(db: "Database") -> None:
    _run(db.conn, INCIDENTS)


@journal_migrations(name="0019_spend_counts")
def _journal_spent(db: "Database") -> None:
    _run(db.conn, SPENT)


@journal_migrations(name="0020_escalations")
def _journal_escalations(db: "Database") -> None:
    _run(db.conn, ESCALATIONS)


@journal_migrations(name="0021_operations")
def _journal_operations(db: "Database") -> None:
    _run(db.conn, OPERATIONS)


@journal_migrations(name="0022_sought_rows")
def _journal_sought(db: "Database") -> None:
    _run(db.conn, SOUGHT)


@journal_migrations(name="0023_bulks")
def _journal_bulks(db: "Database") -> None:
    _run(db.conn, BULKS)


@journal_migrations(name="0025_mutes")
def _journal_mutes(db: "Database") -> None:
    _run(db.conn, MUTES)


@journal_migrations(name="0026_problems")
def _journal_problems(db: "Database") -> None:
    _run(db.conn, PROBLEMS)


@journal_migrations(name="0027_groups")
def _journal_groups(db: "Database") -> None:
    _run(db.conn, GROUPS)


@journal_migrations(name="0028_broadcasts")
def _journal_broadcasts(db: "Database") -> None:
    _run(db.conn, BROADCASTS)


@journal_migrations(name="0029_run_locks")
def _journal_run_locks(db: "Database") -> None:
    _run(db.conn, RUN_LOCKS)


def _run(conn: sqlite3.Connection, script: str) -> None:
    for statement in script.split(";"):
        conn.execute(statement)


def migrate_log(conn: sqlite3.Connection) -> None:
    """Bring a log file to today's shape. Raises DataError for a file of a newer program."""
    _migrate(conn, log_migrations)


def migrate_journal(conn: sqlite3.Connection) -> None:
    """Bring a journal file to today's shape. Raises DataError for a file of a newer program."""
    _migrate(conn, journal_migrations)


def refuse_unfit(path: Path) -> None:
    """Raise DataError when a journal was written by a newer program, has other tables than its
    migrations make, or is no database, and ConfigError when its data has moved. Nothing is changed,
    so it may be asked while the journal's owner writes; a file that is not there yet, or that the
    disk does not give, is for its owner to judge."""
    with (
        contextlib.suppress(StorageError),
        contextlib.closing(connect_reader(path)) as conn,
        translated(path),
    ):
        if not _lacking(conn, journal_migrations):
            refuse_moved(conn, str(path.parent.resolve()))


def connect_journal(path: Path) -> sqlite3.Connection:
    """Open a journal of today's shape for reading; see `connect_reader`.

    Raises DataError for one of a newer program, and StorageError for one that its owner has yet to
    bring to today's shape: after an update, until the node has been started once.
    """
    conn = connect_reader(path)
    try:
        with translated(path):
            lacking = _lacking(conn, journal_migrations)
        if lacking:
            raise StorageError(
                f"{path}: was written by an older Ringback (it lacks {', '.join(lacking)}); "
                "start the node with this one (`ringback serve`, or `ringback dev`), which brings "
                "it up to date"
            )
    except BaseException:
        conn.close()
        raise
    return conn


def shapes(path: Path) -> list[str]:
    """What is otherwise in a log or journal than its migrations make it. Raises what
    `connect_reader` raises, and DataError for a file of a newer program."""
    migrations = log_migrations if path.name == "log.db" else journal_migrations
    with contextlib.closing(connect_reader(path)) as conn, translated(path):
        return _otherwise(conn, migrations, _unnoted(conn, migrations))


def _migrate(conn: sqlite3.Connection, migrations: MigrationList) -> None:
    lacking = _lacking(conn, migrations)
    if lacking == migrations.names:
        migrations.fill(conn)
    elif lacking:
        log.warning(
            "%s was written by an older Ringback: it is brought up to date, which takes longer the "
            "more rows it has", _file_of(conn),
        )  # fmt: skip
        migrations.run(conn)


def _lacking(conn: sqlite3.Connection, migrations: MigrationList) -> list[str]:
    """What a file has yet to get of today's shape. Raises DataError for one of a newer program, and
    for one whose tables are not those of the migrations that it notes."""
    if migrations.all_done(conn):
        return []
    lacking = _unnoted(conn, migrations)
    wrong = _otherwise(conn, migrations, lacking)
    if wrong:
        raise DataError(
            f"{_file_of(conn)}: {'; '.join(wrong[:3])}{'; …' if len(wrong) > 3 else ''}: these are "
            "not the tables of any Ringback that was released. `ringback db rebuild` makes the "
            "journal again from the log; for a log, put back a backup, or take another data folder"
        )
    return lacking


def _otherwise(
    conn: sqlite3.Connection, migrations: MigrationList, lacking: list[str]
) -> list[str]:
    """What is not as the noted migrations make it; nothing in a file that notes none."""
    following = lacking[0] if lacking else None
    return differences(_shape_before(migrations, following), shape_of(conn))


@functools.cache
def _shape_before(migrations: MigrationList, following: str | None) -> Shape:
    """What a fresh file has before a migration; after all of them, when None follows."""
    from sqlite_utils import Database

    model = Database(memory=True)
    try:
        migrations.library.apply(model, stop_before=following)
        return shape_of(model.conn)
    finally:
        model.close()


def _unnoted(conn: sqlite3.Connection, migrations: MigrationList) -> list[str]:
    """The migrations that a file does not note. Raises DataError when it notes newer ones."""
    known = migrations.names
    noted = set(migrations.noted(conn))
    newer = sorted(noted.difference(known))
    if newer:
        raise DataError(
            f"{_file_of(conn)}: was written by a newer Ringback (it has {', '.join(newer)}); "
            "update the program, or give it another data folder"
        )
    return [name for name in known if name not in noted]


def _file_of(conn: sqlite3.Connection) -> str:
    """The path of an open file."""
    path: str = conn.execute("select file from pragma_database_list where name='main'").fetchone()[
        0
    ]
    return path or "this database"
