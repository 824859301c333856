"""Recorded events as replay and backtest take them up, and what was really done for them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringback.actions import HttpRequest
from ringback.errors import UsageError
from ringback.events import ANSWERED, REPLAY, Event
from ringback.outcomes import Answered
from ringback.rules.model import WAITS_FOR_YES
from ringback.store import events
from ringback.store.connection import Connection, Row
from ringback.store.data_place import DataPlace, open_journal, open_log_reader, translated
from ringback.store.log import LogReader
from ringback.store.operations.written import PERSON
from ringback.store.upkeep.log_retention import BLANKED

OURS = ("internal", REPLAY)
"""The sources of events that the node itself made."""
_PAGE = 500


def whole(connection: Connection, log: LogReader, uid: str) -> Event:
    """A stored event with everything that was said in it. Raises UsageError when there is none, and
    when what was said has been forgotten (retention): rules would see another event."""
    event = events.event(connection, log, uid)
    if event is None:
        raise UsageError(f"no event {uid!r}; `ringback events list` names them")
    row = events.log_row(connection, log, uid)
    if not event.fields or (row is not None and row.content_type.endswith(BLANKED)):
        raise UsageError(
            f"{uid} cannot be replayed: what was said in it is no longer kept "
            "(RINGBACK_KEEP_BODIES_DAYS, RINGBACK_KEEP_ROWS_DAYS)"
        )
    return event


def replayed(dedupe_key: str) -> str:
    """The event that the copy of this identity replays; empty for any other identity."""
    head, _, rest = dedupe_key.partition(":")
    return rest.partition(":")[0] if head == REPLAY else ""


NOT_DONE = ("captured", "refused", "cancelled", "deferred")
"""States in which nothing left. What is deferred may leave yet, and has not been done."""


@dataclass(frozen=True, slots=True)
class Performed:
    """One action of the journal, under the identity of the event whose run asked for it. `written`
    says that a person asked for it and no rule, `approved` that a person let a draft go out."""

    event: str
    rule: str
    kind: str
    params: dict[str, Any]
    written: bool = False
    approved: bool = False


class Recorded:
    """What a node recorded and did, read from where it keeps them: what replay and backtest ask.

    Raises StorageError when there is no log or no journal.
    """

    def __init__(self, where: Path | DataPlace) -> None:
        self._place = DataPlace.of(where)
        self._connection = open_journal(self._place)
        try:
            self._log = open_log_reader(self._place)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> "Recorded":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._log.close()

    def whole(self, uid: str) -> Event:
        """A stored event with everything that was said in it. Raises UsageError when there is none,
        and when what was said is no longer kept."""
        with translated(self._place):
            return whole(self._connection, self._log, uid)

    def about(self, what: str) -> str:
        """The event that a uid or a SID names. Raises UsageError when none does, or more than one.

        Of all events about a SID it is the one that began: the message or the call that came in.
        """
        if what.startswith("evt_"):
            return what
        rows = self._all(
            "select uid, type from events where subject_sid = ? and source not in (?, ?) "
            "and subject_sid <> '' order by id",
            (what, *OURS),
        )
        began = [row for row in rows if row[1].endswith(".received")] or rows
        if not began:
            raise UsageError(f"nothing came in about {what!r}; `ringback events list` names events")
        if len(began) > 1:
            names = ", ".join(f"{uid} ({type_})" for uid, type_ in began[:20])
            raise UsageError(f"{what} is in several events, name one: {names}")
        return str(began[0][0])

    def since(self, moment: str) -> Iterator[str]:
        """The events from outside that were recorded since then, in their order."""
        last = 0
        while rows := self._all(
            "select id, uid from events where id > ? and received_at >= ? "
            "and source not in (?, ?) order by id limit ?",
            (last, moment, *OURS, _PAGE),
        ):
            last = rows[-1][0]
            yield from (row[1] for row in rows)

    def earlier(self, uid: str, limit: int) -> list[str]:
        """What came from outside in the same conversation before this event, oldest first."""
        rows = self._all(
            "select e.uid from events e join events this on this.uid = ? where e.conversation = "
            "this.conversation and e.conversation <> '' and e.id < this.id "
            "and e.source not in (?, ?) order by e.id desc limit ?",
            (uid, *OURS, limit),
        )
        return [row[0] for row in reversed(rows)]

    def _all(self, sql: str, values: Sequence[object]) -> list[Row]:
        with translated(self._place):
            return self._connection.execute(sql, values).fetchall()


def performed(where: Path | DataPlace, since: str = "") -> Iterator[Performed]:
    """The actions on what was recorded since then (ISO, empty: ever) that were not held back.

    Only events of the log count: what rules did on internal events has no record to run again.
    Raises StorageError when there is no journal.
    """
    place = DataPlace.of(where)
    connection = open_journal(place)
    holes = ", ".join("?" * len(NOT_DONE))
    query = (
        "SELECT events.dedupe_key, actions.rule, kind, params,"
        f" actions.rule = '{PERSON}' AND EXISTS"
        " (SELECT 1 FROM runs WHERE runs.uid = run_uid AND rule_rev = ''),"
        " EXISTS (SELECT 1 FROM doings WHERE subject = actions.uid AND outcome = 'done'"
        " AND op IN ('approve', 'retry', 'resolve')) FROM actions"
        " JOIN events ON events.uid = actions.event_uid"
        " WHERE events.received_at >= ? AND events.log_id IS NOT NULL"
        f" AND actions.state NOT IN ({holes}) AND actions.rule NOT LIKE '%.on_settled'"
        " AND NOT (actions.state = 'parked' AND actions.reason = ?)"
        " ORDER BY actions.id"
    )
    try:
        with translated(place):
            found = connection.execute(query, (since, *NOT_DONE, WAITS_FOR_YES))
            for key, rule, kind, params, *by in found:
                yield Performed(key, rule, kind, json.loads(params), *map(bool, by))
    finally:
        connection.close()


Question = tuple[str, str, str]
"""What makes two web requests the same: the event, the address, and which one of its run it is."""


def question(event: str, params: Mapping[str, Any]) -> Question:
    """The identity of a web request that a run waits for, given as the journal keeps it."""
    return event, str(params.get("url", "")), str(params.get("answer", "")).partition(" for ")[0]


def answers(where: Path | DataPlace, since: str = "") -> dict[Question, Answered]:
    """The answers to web requests on record, of events since then (ISO, empty: ever). Raises
    StorageError when there is no journal."""
    place, found = DataPlace.of(where), dict[Question, Answered]()
    connection = open_journal(place)
    query = (
        "select asked.dedupe_key, actions.params, told.fields from actions "
        "join events asked on asked.uid = actions.event_uid "
        "join events told on told.subject_sid = json_extract(actions.params, '$.answer') "
        f"and told.type = '{ANSWERED}' where actions.kind = '{HttpRequest.kind}' "
        "and asked.received_at >= ? order by actions.id"
    )
    try:
        with translated(place):
            for key, params, fields in connection.execute(query, (since,)):
                told = json.loads(fields or "{}")
                answer = Answered(
                    int(told.get("Status") or 0), told.get("Body", ""), told.get("Reason", "")
                )
                found[question(key, json.loads(params))] = answer
    finally:
        connection.close()
    return found
