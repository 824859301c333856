"""The tables, and how a file of an older shape becomes one of today's.

Each migration runs once, in its own transaction, and is noted in the file. A file that notes one
which this program does not know was written by a newer program: it is refused and left untouched.
"""

import contextlib
import sqlite3
from pathlib import Path

from sqlite_utils import Database, Migrations

from ringback.errors import DataError, StorageError
from ringback.store.sqlite import connect_reader, translated

log_migrations = Migrations("ringback.log")
journal_migrations = Migrations("ringback.journal")

_LOG = """
create table log (
    id integer primary key,
    received_at text not null,
    route text not null,
    trust text not null,
    source text not null,
    tag text not null,
    content_type text not null,
    body blob not null
)
"""

_JOURNAL = """
create table events (
    id integer primary key,
    log_id integer,
    uid text not null,
    type text not null,
    at text not null,
    received_at text not null,
    trust text not null,
    source text not null,
    account_sid text not null,
    subject_sid text not null,
    sender text not null,
    recipient text not null,
    conversation text not null,
    status text not null,
    error_code integer not null,
    tag text not null,
    verdicts text,
    dedupe_key text not null,
    depth integer not null default 0,
    fields text
);
create unique index events_dedupe on events (dedupe_key);
create unique index events_uid on events (uid);
create index events_subject on events (subject_sid);
create index events_conversation on events (conversation);
create index events_type on events (type);
create index events_error on events (error_code) where error_code > 0;
create index events_unmatched on events (id) where verdicts is null;
create index events_claimed on events (id) where trust = 'claimed';

create table runs (
    id integer primary key,
    uid text not null unique,
    event_uid text not null,
    rule text not null,
    rule_rev text not null,
    key text not null,
    state text not null,
    reason text not null default '',
    due_at text,
    verdicts text not null default '',
    started_at text not null,
    ended_at text,
    priority integer not null default 0,
    memory text
);
create index runs_event on runs (event_uid);
create index runs_rule_key on runs (rule, key);
create index runs_open on runs (state, due_at) where state in ('pending', 'running', 'waiting');

create table wakes (
    id integer primary key,
    run_uid text not null,
    event_uid text not null,
    unique (run_uid, event_uid)
);

create table actions (
    id integer primary key,
    uid text not null unique,
    run_uid text not null,
    event_uid text not null,
    rule text not null,
    ordinal integer not null,
    kind text not null,
    params text not null,
    policy text not null,
    state text not null,
    reason text not null default '',
    remote_sid text not null default '',
    outcome text not null default '',
    error_code integer not null default 0,
    planned_at text not null,
    settled_at text,
    due_at text,
    send_by text,
    tries integer not null default 0,
    polls integer not null default 0,
    resends integer not null default 0,
    collision_key text not null default '',
    conversation text not null default '',
    depth integer not null default 0,
    unique (event_uid, rule, ordinal)
);
create index actions_run on actions (run_uid);
create index actions_state on actions (state, due_at);
create index actions_conversation on actions (conversation, planned_at);
create index actions_remote on actions (remote_sid) where remote_sid <> '';
create unique index actions_claim on actions (remote_sid)
    where remote_sid <> '' and kind in ('send_message', 'place_call');
create unique index actions_collision on actions (collision_key)
    where collision_key <> '' and state in ('sending', 'unknown');

create table attempts (
    id integer primary key,
    uid text not null unique,
    action_uid text not null,
    n integer not null,
    tag text not null unique,
    started_at text not null,
    ended_at text,
    result text not null default '',
    http_status integer not null default 0,
    twilio_code integer not null default 0,
    request_id text not null default '',
    detail text not null default '',
    boot text not null default ''
);
create index attempts_action on attempts (action_uid);
create index attempts_open on attempts (id) where ended_at is null;

create table answers (
    event_uid text primary key,
    twiml text not null,
    at text not null
) without rowid;

create table contacts (
    conversation text primary key,
    first_at text not null,
    last_inbound_at text,
    last_outbound_at text,
    inbound integer not null default 0,
    outbound integer not null default 0,
    memory text not null default '{}'
) without rowid;

create table consents (
    sender text not null,
    recipient text not null,
    state text not null,
    source text not null,
    at text not null,
    event_uid text not null default '',
    primary key (sender, recipient)
) without rowid;

create table incidents (
    id integer primary key,
    uid text not null unique,
    key text not null,
    kind text not null,
    state text not null,
    text text not null,
    count integer not null default 1,
    opened_at text not null,
    last_at text not null,
    resolved_at text
);
create unique index incidents_open on incidents (key) where state = 'open';

create table timers (
    id integer primary key,
    key text not null unique,
    kind text not null,
    due_at text not null,
    payload text not null default '{}',
    event_uid text not null default '',
    run_uid text not null default ''
);
create index timers_due on timers (due_at);

create table strikes (
    rule text primary key,
    plugin text not null,
    count integer not null,
    last_at text not null,
    reason text not null,
    quarantined_at text
) without rowid;

create table listens (
    state text primary key
) without rowid;

create table ends (
    id integer primary key,
    action_uid text not null,
    state text not null
);

create table meta (
    key text primary key,
    value text not null
) without rowid
"""

_ENDS = """
create trigger actions_ended after update of state on actions
when new.state <> old.state and new.state in (select state from listens)
begin
    insert into ends (action_uid, state) values (new.uid, new.state);
end
"""
"""What rules listen to is noted with the change itself, whoever makes it. Its event may be late."""

_EFFECT = """
alter table actions add column effect text not null default '';
update actions set effect = 'message' where kind = 'send_message';
update actions set effect = 'call' where kind = 'place_call';
drop index actions_claim;
create unique index actions_claim on actions (remote_sid) where remote_sid <> '' and effect <> ''
"""
"""What an action makes at Twilio stands beside its kind, so that no query has to know the kinds."""

_STEADY = """
alter table attempts add column uptime real;
alter table attempts add column machine_start text not null default ''
"""
"""When an attempt left, by the one clock that nobody can set."""


_FREE = "alter table actions add column free_at text"
"""Since when an action may leave, when that is not since it was planned."""

_WENT = """
create trigger actions_made after update of remote_sid on actions
when new.effect = 'message' and new.conversation <> ''
    and old.remote_sid = '' and new.remote_sid <> ''
begin
    insert into contacts (conversation, first_at, last_outbound_at, outbound)
    select new.conversation, made.at, made.at, 1 from (
        select coalesce(max(started_at), new.planned_at) as at
        from attempts where action_uid = new.uid
    ) as made where true
    on conflict (conversation) do update set outbound = outbound + 1,
        last_outbound_at = max(coalesce(last_outbound_at, ''), excluded.last_outbound_at);
end
"""
_UNMADE = """
create trigger actions_unmade after update of remote_sid on actions
when new.effect = 'message' and old.remote_sid <> '' and new.remote_sid = ''
begin
    update contacts set outbound = outbound - 1 where conversation = new.conversation;
end
"""
_COUNTED = """
update contacts set outbound = max(outbound, (
    select count(*) from actions a where a.conversation = contacts.conversation
    and a.effect = 'message' and a.remote_sid <> ''
))
"""
"""Which texts went is counted with the change itself: the API's answer, a callback that comes
before it, or Twilio's list may be what tells."""


@log_migrations(name="0001_log")
def _log_first(db: Database) -> None:
    _run(db.conn, _LOG)


@log_migrations(name="0002_had_journal")
def _log_had_journal(db: Database) -> None:
    """A log of an earlier version with rows in it had a journal, as far as anybody can tell."""
    rows = db.conn.execute("select 1 from log limit 1").fetchone()
    db.conn.execute(f"pragma user_version = {1 if rows else 0}")


@journal_migrations(name="0001_journal")
def _journal_first(db: Database) -> None:
    _run(db.conn, _JOURNAL)
    db.conn.execute(_ENDS)


@journal_migrations(name="0002_effect")
def _journal_effect(db: Database) -> None:
    _run(db.conn, _EFFECT)


@journal_migrations(name="0003_steady_clock")
def _journal_steady(db: Database) -> None:
    _run(db.conn, _STEADY)


@journal_migrations(name="0004_free_at")
def _journal_free(db: Database) -> None:
    _run(db.conn, _FREE)


@journal_migrations(name="0005_texts_that_went")
def _journal_went(db: Database) -> None:
    for statement in (_WENT, _UNMADE, _COUNTED):
        db.conn.execute(statement)


def _run(conn: sqlite3.Connection, script: str) -> None:
    for statement in script.split(";"):
        conn.execute(statement)


def migrate_log(conn: sqlite3.Connection) -> None:
    """Bring a log file to today's shape. Raises DataError for a file of a newer program."""
    _migrate(conn, log_migrations)


def migrate_journal(conn: sqlite3.Connection) -> None:
    """Bring a journal file to today's shape. Raises DataError for a file of a newer program."""
    _migrate(conn, journal_migrations)


def refuse_newer(path: Path) -> None:
    """Raise DataError when a journal was written by a newer program, or is no database. Nothing is
    changed, so it may be asked while the journal's owner writes; a file that is not there yet, or
    that the disk does not give, is for its owner to judge."""
    with (
        contextlib.suppress(StorageError),
        contextlib.closing(connect_reader(path)) as conn,
        translated(path),
    ):
        _lacking(conn, journal_migrations)


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
                "start the node with this one (`ringback serve`), which brings it up to date"
            )
    except BaseException:
        conn.close()
        raise
    return conn


def _migrate(conn: sqlite3.Connection, migrations: Migrations) -> None:
    if _lacking(conn, migrations):
        migrations.apply(Database(conn))


def _lacking(conn: sqlite3.Connection, migrations: Migrations) -> list[str]:
    """What a file has yet to get of today's shape. Raises DataError for one of a newer program."""
    known = [migration.name for migration in migrations.pending(Database(memory=True))]
    noted = {migration.name for migration in migrations.applied(Database(conn))}
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
