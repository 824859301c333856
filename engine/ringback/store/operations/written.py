"""Written texts: those that a person writes into a conversation, each with a run of its own."""

from collections.abc import Sequence

from ringback.actions import AnswerCall, EndCall
from ringback.errors import Conflict
from ringback.events import CALL_OVER
from ringback.store.actions import OPEN, NewAction
from ringback.store.connection import Connection
from ringback.store.database import Database
from ringback.store.matching import NewRun
from ringback.store.operations.doings import Doing, carry_out
from ringback.store.runs import record_done

PERSON = "person"
"""The name under which stands what a person does in a conversation, as that of a rule."""


class Written:
    """What persons write by themselves."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def about(self, conversation: str) -> str:
        """The event that a text of now hangs on: the last one of the conversation, else the one
        that our last text was for; empty when none of them is kept."""
        return await self._database.read(_about, conversation)

    async def call(self, sid: str) -> tuple[str, str, bool]:
        """The event that a call began with, the type of the last one, and whether it is over;
        empty when nothing is known of it."""
        return await self._database.read(_call, sid)

    async def write(
        self, run: NewRun, actions: Sequence[NewAction], now: str, doing: Doing
    ) -> None:
        """Write a run that is over, with its actions, as somebody's doing. Raises Conflict for what
        is done to a call while the same, or its end, is under way."""
        await self._database.write(carry_out, doing, _record, run, actions, now)


def _record(connection: Connection, run: NewRun, actions: Sequence[NewAction], now: str) -> None:
    for each in actions:
        if isinstance(each.action, EndCall | AnswerCall):
            _require_free(connection, each.action, run.rule)
    record_done(connection, run, actions, now)


def _require_free(connection: Connection, action: EndCall | AnswerCall, rule: str) -> None:
    """Raise Conflict while a call is being ended, or this rule does the same to it already. What
    hangs up leaves nothing to do, also before Twilio has told that the call is over."""
    row = connection.execute(
        "select a.uid, a.kind, a.state from events e join actions a on a.event_uid = e.uid "
        "where e.subject_sid = :call and json_extract(a.params, '$.call_sid') = :call and "
        f"(a.kind = :end and (a.state = 'settled' or a.state in {OPEN}) "
        f"or a.kind = :kind and a.rule = :rule and a.state in {OPEN}) limit 1",
        {"call": action.call_sid, "end": EndCall.kind, "kind": action.kind, "rule": rule},
    ).fetchone()
    if row is None:
        return
    uid, kind, state = row
    what = "hung up" if kind == EndCall.kind else "connected"
    raise Conflict(
        f"the call is being {what} already ({uid}, {state})",
        {"state": "ending" if kind == EndCall.kind else "connecting", "action": uid},
    )


def _about(connection: Connection, conversation: str) -> str:
    row = connection.execute(
        "select uid from events where conversation = ? and trust <> 'claimed' "
        "order by id desc limit 1",
        (conversation,),
    ).fetchone()
    if row is None:
        row = connection.execute(
            "select e.uid from (select event_uid from actions where conversation = ? "
            "order by planned_at desc, id desc limit 1) a join events e on e.uid = a.event_uid",
            (conversation,),
        ).fetchone()
    return str(row[0]) if row else ""


def _call(connection: Connection, sid: str) -> tuple[str, str, bool]:
    rows = connection.execute(
        "select uid, type from events where subject_sid = ? and trust <> 'claimed' order by id",
        (sid,),
    ).fetchall()
    if not rows:
        return "", "", False
    return str(rows[0][0]), str(rows[-1][1]), any(row[1] in CALL_OVER for row in rows)
