"""Access file of the console, `access.db`: people, sessions, tokens, and who looked at what.

The console and the commands `ringback console …` write it, each change in a transaction of its own
under SQLite's lock. It cannot be made anew from anything else. Passwords are kept as scrypt does,
sessions and tokens as SHA-256: the file lets nobody in.
"""

import contextlib
import hashlib
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ringback.errors import DataError, UsageError
from ringback.private_files import make_file, make_folder
from ringback.store.console import passwords
from ringback.store.sqlite.sqlite_files import BUSY_SECONDS, translated

NAME = "access.db"
OF_ADDRESSES, WORDS = "/\\?#%", (".", "..")
"""What a name of a person may not hold, and not be: it would not stay as it is in an address."""
SHAPE = 1
_APPLICATION = 0x52424B32
TOKEN = "rbt_"
"""How tokens begin, so that people and scanners of leaks know what they have found."""
_TABLES = """
create table people (
    name text primary key, role text not null, scrypt text not null, made_at text not null,
    off_at text not null default ''
) strict;
create table sessions (
    hash text primary key, name text not null, role text not null, made_at text not null,
    seen_at text not null, ends_at text not null, idle integer not null, peer text not null,
    agent text not null, unmasked_until text not null default ''
) strict;
create table tokens (
    id text primary key, name text not null, hash text not null unique, role text not null,
    scope text not null, made_at text not null, used_at text not null default '',
    ends_at text not null, peer text not null default ''
) strict;
create table looks (
    id integer primary key, at text not null, who text not null, what text not null,
    subject text not null, peer text not null
) strict;
create table views (
    name text not null, who text not null, query text not null, primary key (name, who)
) strict;
"""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in. Times are stored times; `idle` is how many seconds of silence
    end it, 0 for any."""

    name: str
    role: str
    made_at: str
    seen_at: str
    ends_at: str
    idle: int = 0
    peer: str = ""
    agent: str = ""
    unmasked_until: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the JSON API. Its `scope` is empty, or `pii`: numbers and texts are whole."""

    id: str
    name: str
    role: str
    scope: str
    made_at: str
    used_at: str
    ends_at: str
    peer: str


def hashed(secret: str) -> str:
    """What is kept of a secret of 128 bits or more."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def require_name(name: str) -> str:
    """The name of a person, without spaces around it. Raises UsageError for one that nobody can
    have."""
    found = name.strip()
    if not found.isprintable() or not 1 <= len(found) <= 80 or found in (*WORDS, "console"):
        raise UsageError(f"{name!r} is no name: 1 to 80 printable letters, and not `console`")
    for letter in found:
        if letter in OF_ADDRESSES:
            raise UsageError(
                f"{name!r} is no name here: {letter!r} means something in an address; take a name "
                f"without any of {' '.join(OF_ADDRESSES)}"
            )
    return found


def require_password(password: str) -> None:
    """Raise UsageError for a password that is too short."""
    if len(password) < passwords.LEAST_LETTERS:
        raise UsageError(f"a password has at least {passwords.LEAST_LETTERS} letters")


def require_token_name(name: str) -> str:
    """The name of a token, without spaces around it. Raises UsageError for one that is none."""
    found = name.strip()
    if not found.isprintable() or not 1 <= len(found) <= 80:
        raise UsageError(f"{name!r} is no name of a token: 1 to 80 printable letters")
    return found


def has_access(data: Path) -> bool:
    """Whether anybody, or any token, may use the console of this data folder."""
    if not (data / NAME).exists():
        return False
    with contextlib.closing(Access(data)) as access:
        return bool(access.people() or access.tokens())


class Access:
    """The access file of a data folder; it is made when it is not there. Raises StorageError, and
    DataError for one of a newer program. It may be used from several threads."""

    def __init__(self, data: Path) -> None:
        self._path = data / NAME
        self._lock = threading.Lock()
        make_folder(data)
        make_file(self._path)
        with translated(self._path):
            self._connection = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.row_factory = sqlite3.Row
            try:
                self._connection.execute("pragma journal_mode = wal")
                self._make()
            except BaseException:
                self._connection.close()
                raise

    def _make(self) -> None:
        with self._change() as connection:
            (shape,) = connection.execute("pragma user_version").fetchone()
            if shape > SHAPE:
                raise DataError(f"{self._path}: was written by a newer Ringback; update this one")
            if shape == 0:
                for statement in _TABLES.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"pragma application_id = {_APPLICATION}")
                connection.execute(f"pragma user_version = {SHAPE}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translated(self._path):
            self._connection.execute("begin immediate")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")

    def _rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        with self._lock, translated(self._path):
            return [dict(row) for row in self._connection.execute(sql, values)]

    # --- people ---

    def people(self) -> list[dict[str, Any]]:
        """Everybody who may sign in, without what is kept of passwords."""
        return self._rows("select name, role, made_at from people where off_at = '' order by name")

    def person(self, name: str) -> tuple[str, str] | None:
        """The role of a person, and what is kept of the password; None for nobody."""
        rows = self._rows(
            "select role, scrypt from people where name = ? and off_at = ''", name
        )  # fmt: skip
        return (rows[0]["role"], rows[0]["scrypt"]) if rows else None

    def put_person(self, name: str, role: str, scrypt: str, at: str) -> None:
        """Add a person, or give one another role or password. It ends their sessions."""
        with self._change() as connection:
            connection.execute(
                "insert into people (name, role, scrypt, made_at) values (?, ?, ?, ?) "
                "on conflict (name) do update set role = excluded.role, scrypt = excluded.scrypt, "
                "off_at = ''",
                (name, role, scrypt, at),
            )
            connection.execute("delete from sessions where name = ?", (name,))

    def drop_person(self, name: str, at: str) -> None:
        """Let a person in no more, and end their sessions. Raises UsageError for nobody."""
        with self._change() as connection:
            done = connection.execute(
                "update people set off_at = ? where name = ? and off_at = ''", (at, name)
            )
            if not done.rowcount:
                raise UsageError(f"nobody of the name {name!r}; `ringback console users list`")
            connection.execute("delete from sessions where name = ?", (name,))

    # --- sessions ---

    def begin_session(self, secret: str, session: Session) -> None:
        """Note that somebody has signed in; what has ended is forgotten."""
        values = (
            hashed(secret), session.name, session.role, session.made_at, session.seen_at,
            session.ends_at, session.idle, session.peer, session.agent,
        )  # fmt: skip
        with self._change() as connection:
            connection.execute("delete from sessions where ends_at < ?", (session.made_at,))
            connection.execute(
                "insert into sessions (hash, name, role, made_at, seen_at, ends_at, idle, peer, "
                "agent) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )

    def session(self, secret: str) -> Session | None:
        """The session of this secret, None when there is none."""
        rows = self._rows("select * from sessions where hash = ?", hashed(secret))
        return _session(rows[0]) if rows else None

    def seen(self, secret: str, at: str) -> None:
        """Note that a session is in use."""
        with self._change() as connection:
            connection.execute(
                "update sessions set seen_at = ? where hash = ?", (at, hashed(secret))
            )

    def unmask(self, secret: str, until: str) -> None:
        """Show a session whole numbers until then."""
        with self._change() as connection:
            connection.execute(
                "update sessions set unmasked_until = ? where hash = ?", (until, hashed(secret))
            )

    def end_session(self, secret: str) -> None:
        """Forget a session."""
        with self._change() as connection:
            connection.execute("delete from sessions where hash = ?", (hashed(secret),))

    def end_sessions(self, name: str = "") -> int:
        """Forget the sessions of somebody, or all; how many."""
        with self._change() as connection:
            done = connection.execute("delete from sessions where ? in ('', name)", (name,))
            return done.rowcount

    def end_session_of(self, short: str) -> None:
        """Forget the session of this short id. Raises UsageError when there is none."""
        with self._change() as connection:
            done = connection.execute(
                "delete from sessions where substr(hash, 1, ?) = ?", (_SHORT, short)
            )
            if not done.rowcount:
                raise UsageError(f"no session {short!r}; `ringback console sessions list`")

    def sessions(self) -> list[dict[str, Any]]:
        """Who is signed in, the latest first."""
        return self._rows(
            "select substr(hash, 1, ?) as id, name, role, made_at, seen_at, ends_at, peer, agent "
            "from sessions order by seen_at desc",
            _SHORT,
        )

    # --- tokens ---

    def new_token(self, name: str, role: str, scope: str, at: str, ends_at: str) -> tuple[str, str]:
        """A new token of the JSON API: its id, and its secret, which nobody can read later."""
        uid, secret = f"tok_{secrets.token_hex(4)}", TOKEN + secrets.token_urlsafe(32)
        with self._change() as connection:
            connection.execute(
                "insert into tokens (id, name, hash, role, scope, made_at, ends_at) "
                "values (?, ?, ?, ?, ?, ?, ?)",
                (uid, name, hashed(secret), role, scope, at, ends_at),
            )
        return uid, secret

    def token(self, secret: str) -> Token | None:
        """The token of this secret, None when there is none."""
        rows = self._rows(f"select {_TOKEN} from tokens where hash = ?", hashed(secret))
        return Token(**rows[0]) if rows else None

    def tokens(self) -> list[dict[str, Any]]:
        """The tokens, without their secrets."""
        return self._rows(f"select {_TOKEN} from tokens order by made_at")

    def tokens_of(self, name: str) -> tuple[str, ...]:
        """The ids of the tokens of a name, the oldest first."""
        rows = self._rows("select id from tokens where name = ? order by made_at", name)
        return tuple(row["id"] for row in rows)

    def used(self, token: str, at: str, peer: str) -> None:
        """Note the use of a token."""
        with self._change() as connection:
            connection.execute(
                "update tokens set used_at = ?, peer = ? where id = ?", (at, peer, token)
            )

    def drop_token(self, token: str) -> None:
        """Forget a token. Raises UsageError when there is none."""
        with self._change() as connection:
            if not connection.execute("delete from tokens where id = ?", (token,)).rowcount:
                raise UsageError(f"no token {token!r}; `ringback console tokens list` names them")

    # --- views ---

    def views(self, who: str) -> list[dict[str, Any]]:
        """The addresses that somebody has kept, by their names."""
        return self._rows("select name, query from views where who = ? order by name", who)

    def save_view(self, who: str, name: str, query: str) -> None:
        """Keep an address under a name; of the oldest of too many no more is kept."""
        with self._change() as connection:
            connection.execute(
                "insert into views (name, who, query) values (?, ?, ?) "
                "on conflict (name, who) do update set query = excluded.query",
                (name, who, query),
            )
            connection.execute(
                "delete from views where who = ? and rowid not in "
                "(select rowid from views where who = ? order by rowid desc limit ?)",
                (who, who, _VIEWS),
            )

    def drop_view(self, who: str, name: str) -> None:
        """Forget an address that was kept."""
        with self._change() as connection:
            connection.execute("delete from views where who = ? and name = ?", (who, name))

    # --- who looked at what ---

    def look(self, at: str, who: str, what: str, subject: str, peer: str) -> None:
        """Note a sign-in, good or bad, a look at whole numbers, an export."""
        with self._change() as connection:
            connection.execute(
                "insert into looks (at, who, what, subject, peer) values (?, ?, ?, ?, ?)",
                (at, who, what, subject, peer),
            )

    def looks(self, limit: int = 50, *, before: int = 0) -> list[dict[str, Any]]:
        """What was noted, the latest first; in rows before that one."""
        return self._rows(
            "select id, at, who, what, subject, peer from looks where id < ? order by id desc "
            "limit ?",
            before or 1 << 62, limit,
        )  # fmt: skip


_VIEWS = 50
_SHORT = 8
"""So many letters of what is kept of a session tell it from others in lists."""
_TOKEN = "id, name, role, scope, made_at, used_at, ends_at, peer"


def _session(row: dict[str, Any]) -> Session:
    return Session(**{name: value for name, value in row.items() if name != "hash"})
