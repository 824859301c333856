"""Restore marks: how far the journal has come, and what is held back when it was put back.

The journal carries a mark that moves on once a minute, and a small file beside it carries the same
one. A journal with an older mark than the file's was put back from a copy.
"""

import json
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ringback.errors import StorageError
from ringback.private_files import make_file
from ringback.store.actions import COLUMNS, StoredAction
from ringback.store.connection import Connection
from ringback.store.database import Database
from ringback.store.meta import IS_OPEN, get_meta, set_meta
from ringback.store.sqlite.sqlite_files import connect_reader, translated

FILE = "journal.mark"
SERVER_FILE = "server.mark"
"""The same, of a journal on a server: what this node has seen committed there."""
COPIED = "copied_at"
"""Set in a copy by whoever makes it: when that began."""

_MARK = "mark"
_HELD = "held"
_PAST = "past"
_HEARD = "heard"
_FILE_BYTES = 256
_EVER = "9"
_DUE = "state in ('planned', 'deferred') and (due_at is null or due_at <= ?)"


@dataclass(frozen=True, slots=True)
class Mark:
    """Which journal this is, how far it has come, when that was noted (ISO), and the identity of
    its file; that is empty in a mark of an earlier version. The mark beside a journal on a server
    also names the newest attempt that was committed there."""

    journal: str
    number: int
    at: str
    file: str = ""
    attempt: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """Why sending is held; since when the journal may not know what was sent; and when it was taken
    into use: what came in by webhook after that was not answered before. Moments are ISO."""

    why: str
    since: str
    began: str


def read_beside(data: Path, name: str = FILE) -> Mark | None:
    """The mark in the file beside the journal; None when it is not there or cannot be read."""
    try:
        return Mark(**json.loads((data / name).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_beside(data: Path, mark: Mark, name: str = FILE) -> None:
    """Note the mark beside the journal. Raises StorageError.

    One write of the same length in the same place: whoever is killed meanwhile leaves the old one
    or the new one.
    """
    path = data / name
    text = json.dumps(asdict(mark)).ljust(_FILE_BYTES - 1) + "\n"
    try:
        make_file(path)
        with path.open("r+b", buffering=0) as file:
            file.write(text.encode())
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error


def has_begun(data: Path) -> bool:
    """Whether a worker has worked on the journal of this folder. Raises StorageError and DataError
    for one that cannot be read."""
    path = data / "journal.db"
    if not path.exists():
        return False
    with closing(connect_reader(path)) as connection, translated(path):
        return bool(get_meta(connection, _MARK))


class Restore:
    """What the journal knows of its own past, and what is held while that is in doubt."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def identity(self) -> str:
        """Which database this is: see `Database.identity`."""
        return await self._database.identity()

    async def has_attempt(self, uid: str) -> bool:
        """Whether this attempt is on record."""
        found = await self._database.one("select 1 from attempts where uid = ?", (uid,))
        return found is not None

    async def mark(self) -> Mark | None:
        """The mark in the journal itself; None in one that has never been worked on."""
        found = await self._database.read(get_meta, _MARK)
        return Mark(**json.loads(found)) if found else None

    async def move_mark(self, mark: Mark, heard: str = "") -> None:
        """Move the journal's own mark, and keep what was `heard` of Twilio's time for the next
        life."""
        await self._database.write(_move_mark, mark, heard)

    async def heard(self) -> str:
        """What an earlier life heard of Twilio's time; empty when it heard nothing."""
        return await self._database.read(get_meta, _HEARD)

    async def copied_at(self) -> str:
        """When this copy of a journal was made; empty when it is none."""
        return await self._database.read(get_meta, COPIED)

    async def held(self) -> Held | None:
        """Why and since when sending is held; None when it is not."""
        found = await self._database.read(get_meta, _HELD)
        return Held(**json.loads(found)) if found else None

    async def past(self) -> str:
        """Before which moment (ISO) whatever came in is nothing to react to, since an earlier
        journal has; empty when this journal is the first one."""
        return await self._database.read(get_meta, _PAST)

    async def begin(self, mark: Mark, held: Held | None, past: str = "") -> None:
        """Take the journal into use, and hold its sends when there is a reason to. From here on it
        is no copy but the journal of this folder. `past` is noted when it is given."""
        await self._database.write(_begin, mark, held, past)

    async def catch_up(self, began: str, now: str) -> bool:
        """End the waits that would be over already, had their event been matched when it came in,
        which was before `began`: what follows them may have been done as well. Whether there are
        any."""
        found = await self._database.one(f"select 1 from runs where {_OVERDUE} limit 1",
                                         _overdue(began, now))  # fmt: skip
        if found is not None:
            await self._database.write(_catch_up, began, now)
        return found is not None

    async def release(self, reason: str) -> None:
        """Sends are not held any more; those that were looked for in vain may go out."""
        await self._database.write(_release, reason)

    async def is_new(self) -> bool:
        """Whether the journal holds nothing yet."""
        return await self._database.one("select 1 from events limit 1") is None

    async def send_due(self, now: str) -> bool:
        """Whether a text or a call is to go out at once."""
        row = await self._database.one(
            f"select 1 from actions where {_DUE} and effect <> '' limit 1",
            (now,),
        )
        return row is not None

    async def suspects(
        self, began: str, looks: int, limit: int, *, fresh: bool = False
    ) -> list[StoredAction]:
        """Actions that may have been carried out already, though this journal does not know it, and
        that were not looked for so often yet; oldest first. Not those that could not have been
        tried before `began`; an earlier attempt shows that they could, however long the next waits.

        Those that a webhook caused which came in after `began` are the `fresh` ones, apart from the
        others.
        """
        there = "exists" if fresh else "not exists"
        rows = await self._database.all(
            f"select {COLUMNS} from actions where ({_DUE} or state = 'planned' and exists "
            "(select 1 from attempts where attempts.action_uid = actions.uid)) "
            f"and polls < ? and {there} (select 1 "
            "from events where events.uid = actions.event_uid and events.source = 'webhook' "
            "and events.received_at >= ?) order by id limit ?",
            (_EVER if fresh else began, looks, began, limit),
        )
        return [StoredAction(*row) for row in rows]

    async def looked(self, uid: str, times: int, reason: str) -> None:
        """This action was looked for so many times more, and nothing was found."""
        await self._database.write(_looked, uid, times, reason)

    async def looks_at(self, uid: str) -> int:
        """How often an action was looked for."""
        row = await self._database.one("select polls from actions where uid = ?", (uid,))
        return int(row[0]) if row else 0

    async def is_unsettled(self) -> bool:
        """Whether the fate of any text or call is still unknown."""
        row = await self._database.one(
            "select 1 from actions where state = 'unknown' and effect <> '' limit 1"
        )
        return row is not None


def _move_mark(connection: Connection, mark: Mark, heard: str = "") -> None:
    set_meta(connection, _MARK, json.dumps(asdict(mark)))
    if heard:
        set_meta(connection, _HEARD, heard)


def move_file(connection: Connection, file: str) -> None:
    """Let the mark name this file as the journal's own, within a unit of work: whoever makes a new
    file of the same journal says so."""
    found = get_meta(connection, _MARK)
    if found:
        _move_mark(connection, replace(Mark(**json.loads(found)), file=file))


_OVERDUE = (
    f"{IS_OPEN} and state = 'waiting' and due_at > ? "
    "and started_at >= ? and exists (select 1 from events e "
    "where e.uid = runs.event_uid and e.received_at < ? and julianday(e.received_at) "
    "+ julianday(runs.due_at) - julianday(runs.started_at) < julianday(?))"
)


def _overdue(began: str, now: str) -> tuple[str, ...]:
    return (now, began, began, now)


def _catch_up(connection: Connection, began: str, now: str) -> None:
    connection.execute(f"update runs set due_at = ? where {_OVERDUE}", (now, *_overdue(began, now)))


def _begin(connection: Connection, mark: Mark, held: Held | None, past: str) -> None:
    _move_mark(connection, mark)
    set_meta(connection, COPIED, "")
    if past:
        set_meta(connection, _PAST, past)
    if held is not None:
        set_meta(connection, _HELD, json.dumps(asdict(held)))
        connection.execute(
            "update actions set polls = 0 where state in ('planned', 'deferred') and polls > 0"
        )


def _release(connection: Connection, reason: str) -> None:
    set_meta(connection, _HELD, "")
    connection.execute(
        "update actions set polls = 0, reason = ? "
        "where state in ('planned', 'deferred') and polls > 0",
        (reason,),
    )


def _looked(connection: Connection, uid: str, times: int, reason: str) -> None:
    connection.execute(
        "update actions set polls = polls + ?, reason = ? "
        "where uid = ? and state in ('planned', 'deferred')",
        (times, reason, uid),
    )
