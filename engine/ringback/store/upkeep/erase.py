"""Erasure of a person: everything that came from a number or went to it leaves both files.

The node must stand still for that: whoever erases holds both of its locks. Twilio still has it all
in its lists, from which the next start fetches back what it does not know. So the SIDs of the last
days stay, which tell nothing of the person.
"""

import json
import re
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from typing import TypeVar
from urllib.parse import unquote_plus

from ringback.errors import RingbackError, StorageError
from ringback.events import Event, spellings
from ringback.hooks.reading import ROUTE
from ringback.runtime import iso
from ringback.store.events import ERASED
from ringback.store.log import LogReader, LogRow
from ringback.store.meta import get_meta, set_meta
from ringback.store.migrations import migrate_journal, migrate_log
from ringback.store.operations.run_locks import GONE
from ringback.store.sqlite.sqlite_files import connect_writer, translated
from ringback.store.upkeep.blanking import OPEN_RUNS
from ringback.store.upkeep.kept_fields import is_content
from ringback.store.upkeep.log_retention import without_content
from ringback.store.upkeep.progress_reports import Part, Told, followed, steps_of, untold
from ringback.store.upkeep.retention import OPEN_ACTIONS, forget_events
from ringback.twilio.webhooks import events_from

T = TypeVar("T")

PAGE = 2000
ROW_STEPS = 400
"""To read a row of the log as events takes as long as so many instructions of SQLite."""
WORDS = "a person whose words were in it was erased"


class Person:
    """The addresses of a person: a number in its spellings, also on other channels
    (`whatsapp:+1…`)."""

    def __init__(self, numbers: Sequence[str]) -> None:
        self._numbers = frozenset(numbers)
        self._word = re.compile(rf"(?<![\w+])(?:{'|'.join(map(re.escape, numbers))})(?!\w)")

    def has(self, address: str) -> bool:
        """Whether this is one of them."""
        channel, _, rest = address.rpartition(":")
        return rest in self._numbers and (not channel or channel.isalpha())

    def is_in(self, text: str) -> bool:
        """Whether a text has one of them in it, and not only a part of a longer number."""
        return self._word.search(text) is not None

    def find(
        self,
        connection: Connection,
        table: str,
        column: str,
        addresses: Sequence[str],
        conversations: Sequence[str],
    ) -> list[str]:
        """The rows of a table of which one of these columns is an address, or a conversation, of
        the person."""
        numbers = self._numbers
        ends = [form.format(each) for each in numbers for form in ("{}", "%:{}")]
        sides = ("%/{}", "%:{}", "{}/%", "%:{}/%")
        pairs = [form.format(each) for each in numbers for form in sides]
        terms = [f"{each} like ?" for each in addresses for _ in ends]
        terms += [f"{each} like ?" for each in conversations for _ in pairs]
        values = [*ends * len(addresses), *pairs * len(conversations)]
        rows = connection.execute(
            f"select distinct {column} from {table} where {' or '.join(terms)}", values
        )
        return [row[0] for row in rows]


@dataclass(frozen=True, slots=True)
class Erased:
    """What left: rows of the log, events with all that hung on them, contacts, incidents.

    `consents` are the refusals that stay: who opted out must not be texted again.
    """

    log_rows: int
    events: int
    contacts: int
    incidents: int
    consents: int


def erase(data: Path, number: str, since: str, told: Told = untold) -> Erased:
    """Erase a number from the log and the journal, and let no page of the files keep it. What came
    in since then (ISO) is not fetched back from Twilio's lists.

    The caller holds both locks of the data folder. Raises StorageError and DataError.
    """
    sids: dict[str, str] = {}
    person = Person(spellings(number))
    log, journal = data / "log.db", data / "journal.db"
    sizes = (_rows(log) * ROW_STEPS, steps_of(log), steps_of(journal), steps_of(journal))
    reading, clearing, looking, leaving = (
        Part(told, sum(sizes[:number]), size, sum(sizes)) for number, size in enumerate(sizes)
    )

    def forget(connection: Connection) -> tuple[int, int, int, int]:
        with followed(connection, looking):
            return _from_journal(connection, person, sids, since)

    rows = _in_file(log, migrate_log, lambda c: _from_log(c, person, sids, reading), clearing) or 0
    found = _in_file(journal, migrate_journal, forget, leaving)
    for leftover in data.glob("journal.new.db*"):  # of a rebuild that did not come to its end
        leftover.unlink()
    for path in sorted(data.glob("journal.*.db")):  # those that a rebuild put aside
        try:
            _in_file(path, migrate_journal, lambda c: _from_journal(c, person, {}, since), leaving)
        except RingbackError as error:
            raise StorageError(
                f"{path} was put aside by `ringback db rebuild`, and nobody can be erased from it "
                f"({error}): delete it and erase again"
            ) from error
    for made in data.glob("pairs.db*"):  # the console makes it anew from what is left
        made.unlink()
    for path in (log, journal):
        if path.exists():
            _expect_unread(path)
    events, contacts, incidents, consents = found or (0, 0, 0, 0)
    return Erased(rows, events, contacts, incidents, consents)


def _in_file(
    path: Path, migrate: Callable[[Connection], None], work: Callable[[Connection], T],
    told: Callable[[int], object],
) -> T | None:  # fmt: skip
    """Do work on a file as a whole, and write the file anew, of which `told` hears. An interrupt
    leaves the file as it was, or with the work done."""
    if not path.exists():
        return None
    connection = connect_writer(path)
    try:
        with translated(path):
            connection.execute("pragma secure_delete = on")
            migrate(connection)
            connection.execute("begin immediate")
            result = work(connection)
            connection.execute("commit")
            with followed(connection, told):
                connection.execute("vacuum")
            connection.execute("pragma wal_checkpoint(truncate)")
        return result
    finally:
        connection.close()


def _expect_unread(path: Path) -> None:
    """Raise StorageError when another program has read a file meanwhile, and so kept it from
    losing its old pages."""
    connection = connect_writer(path)
    try:
        with translated(path):
            busy = connection.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
    finally:
        connection.close()
    if busy:
        raise StorageError(
            f"{path}: another program reads it, so some page still has what was erased: stop that "
            "(Litestream, a shell) and erase again"
        )


def _rows(log: Path) -> int:
    with closing(LogReader(log)) as reader:
        return reader.last_id()


def _from_log(
    connection: Connection, person: Person, sids: dict[str, str], told: Callable[[int], object]
) -> int:
    """Each row is read as events, because an address may be written in more than one way."""
    erased = 0
    last = 0
    newest = int(connection.execute("select coalesce(max(id), 0) from log").fetchone()[0])
    while True:
        page = connection.execute(
            "select id, received_at, route, trust, source, tag, content_type, body from log "
            "where id > ? order by id limit ?",
            (last, PAGE),
        ).fetchall()
        if not page:
            return erased
        last = page[-1][0]
        told(last * ROW_STEPS)
        removed = [row[0] for row in page if _about(LogRow._make(row), person, sids)]
        erased += len(removed)
        for row_id in removed:
            if row_id == newest:  # it stays as an empty row, so that ids never begin again
                connection.execute("update log set body = x'', tag = '' where id = ?", (row_id,))
            else:
                connection.execute("delete from log where id = ?", (row_id,))


def _about(row: LogRow, person: Person, sids: dict[str, str]) -> bool:
    try:
        events = events_from(row, lambda: "")
    except RingbackError:
        return person.is_in(unquote_plus(row.body.decode(errors="replace")))
    told = row.route.startswith(ROUTE) and person.is_in(row.body.decode(errors="replace"))
    if not told and not any(_names(event, person) for event in events):
        return False
    sids.update((event.subject_sid, iso(event.received_at)) for event in events)
    return True


def _names(event: Event, person: Person) -> bool:
    """Whether an address in an event is the person's. What was said or keyed is no address."""
    fields = (value for name, value in event.fields.items() if not is_content(name))
    return any(
        person.has(each)
        for value in (event.sender, event.recipient, *fields)
        for each in value.split(",")
    )


def _from_journal(
    connection: Connection, person: Person, sids: dict[str, str], since: str
) -> tuple[int, int, int, int]:
    uids = person.find(connection, "events", "uid", ("sender", "recipient"), ("conversation",))
    uids += [
        uid
        for uid, fields in connection.execute(
            "select uid, fields from events where log_id is null and fields is not null"
        )
        if person.is_in(fields)
    ]
    uids = list(dict.fromkeys(uids))
    _note(connection, uids, sids, since)
    for run_uid in _heard_by(connection, uids):
        _forget_words(connection, run_uid)
    to = ("json_extract(params, '$.to')", "json_extract(params, '$.who')")
    for uid in person.find(connection, "actions", "uid", to, ("conversation",)):
        connection.execute("delete from attempts where action_uid = ?", (uid,))
        connection.execute("delete from actions where uid = ?", (uid,))
    forget_events(connection, uids)
    connection.execute(GONE)
    contacts = person.find(connection, "contacts", "conversation", (), ("conversation",))
    told = "select uid, key || ' ' || text from incidents"
    incidents = [uid for uid, text in connection.execute(told) if person.is_in(text)]
    for table, column, gone in (
        ("contacts", "conversation", contacts), ("incidents", "uid", incidents),
        ("mutes", "conversation", person.find(connection, "mutes", "conversation", (),
                                              ("conversation",))),
        ("cards", "number", person.find(connection, "cards", "number", ("number",), ())),
        ("group_members", "id", person.find(connection, "group_members", "id",
                                            ("number", "address"), ())),
    ):  # fmt: skip
        connection.executemany(
            f"delete from {table} where {column} = ?", [(each,) for each in gone]
        )
    waits = person.find(connection, "bulk_items", "was", ("was",), ())  # for a broadcast's text
    skip = "update bulk_items set state = 'skipped', was = '' where was = ?"
    connection.executemany(skip, [(each,) for each in waits])
    for table, key in (("doings", "uid"), ("rule_states", "name"), ("mutes", "uid")):
        said = connection.execute(f"select {key}, reason from {table} where reason <> ''")
        words = [(WORDS, found) for found, reason in said.fetchall() if person.is_in(reason)]
        connection.executemany(f"update {table} set reason = ? where {key} = ?", words)
    refusals = person.find(connection, "consents", "recipient", ("recipient",), ())
    for address in refusals:
        connection.execute(
            "delete from consents where recipient = ? and state <> 'out'", (address,)
        )
        connection.execute(
            "update consents set source = 'kept after erasure', event_uid = '' where recipient = ?",
            (address,),
        )
    kept = person.find(connection, "consents", "recipient", ("recipient",), ())
    return len(uids), len(contacts), len(incidents), len(kept)


def _heard_by(connection: Connection, uids: list[str]) -> list[str]:
    """The runs of other people's events that these events have told something."""
    gone, found = set(uids), dict[str, None]()
    for uid in uids:
        rows = connection.execute(
            "select uid, event_uid from runs where uid in (select run_uid from turns where "
            "event_uid = ? union select run_uid from wakes where event_uid = ?)",
            (uid, uid),
        )
        found.update((run, None) for run, began in rows if began not in gone)
    return list(found)


def _forget_words(connection: Connection, run_uid: str) -> None:
    """Let a run know nothing any more of what it has heard, said and asked. One that has not ended
    ends, and nothing more leaves of it."""
    connection.execute(
        "update runs set memory = null, reason = ?, due_at = null, "
        "ended_at = coalesce(ended_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), "
        f"state = case when state in {OPEN_RUNS} then 'cancelled' else state end where uid = ?",
        (WORDS, run_uid),
    )
    rows = connection.execute(
        "select uid, params from actions where run_uid = ?", (run_uid,)
    ).fetchall()
    for uid, params in rows:
        text = json.dumps(without_content(json.loads(params)), ensure_ascii=False)
        connection.execute(
            "update actions set params = ?, "
            f"reason = case when state in {OPEN_ACTIONS} then ? else reason end, "
            f"state = case when state in {OPEN_ACTIONS} then 'cancelled' else state end "
            "where uid = ?",
            (text, WORDS, uid),
        )
    connection.execute(
        "delete from answers where event_uid in (select event_uid from runs where uid = ? "
        "union select event_uid from turns where run_uid = ?)",
        (run_uid, run_uid),
    )
    connection.execute("update turns set question = '' where run_uid = ?", (run_uid,))
    connection.execute("delete from portions where run_uid = ?", (run_uid,))


def _note(connection: Connection, uids: list[str], sids: dict[str, str], since: str) -> None:
    """Keep the SIDs of what is about to go, and let go of those that are too old to matter."""
    known: dict[str, str] = json.loads(get_meta(connection, ERASED, "{}"))
    for uid in uids:
        row = connection.execute(
            "select subject_sid, received_at from events where uid = ?", (uid,)
        ).fetchone()
        known.update([row] if row else [])
    known.update(sids)
    kept = {sid: at for sid, at in known.items() if sid and at >= since}
    set_meta(connection, ERASED, json.dumps(kept))
