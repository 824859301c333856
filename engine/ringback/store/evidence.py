"""Evidence: what is known of sends whose fate is in doubt, and who a record of Twilio's is of."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from ringback.events import Event
from ringback.outcomes import advance, normal_status, state_for
from ringback.store.action_ends import learn_costs
from ringback.store.actions import StoredAction
from ringback.store.attempts import Departure, opted_out, reported
from ringback.store.connection import Connection, IntegrityError, Row, attempted
from ringback.store.database import Database
from ringback.store.deliveries.ended_texts import begin_text
from ringback.store.incidents import NewIncident, open_incident
from ringback.store.operations.doings import Doing, carry_out
from ringback.twilio.consent import OPT_OUTS
from ringback.twilio.costs import NOTHING, Cost

BESIDE = 200
LOOKED_AT = 1000
"""The last actions of a conversation among which texts of others are looked for."""
_FEW = 8
_CHUNK = 500
DOUBTFUL = ("unknown", "parked")
"""The states of an action that may have been carried out."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What Twilio shows of a record: its status, with the error code of one that went wrong, and
    what it cost."""

    sid: str
    status: str
    error_code: int
    cost: Cost = NOTHING


class Evidence:
    """The actions of the journal that may have been carried out, and the records they claim."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def progress(self, action_uid: str) -> tuple[int, int, Departure | None]:
        """How often the list was looked at since the last attempt, how often it was sent again, and
        when the last attempt left; None when none is on record."""
        return await self._database.read(_progress, action_uid)

    async def claimed(self, sids: Sequence[str]) -> set[str]:
        """Which of these records belong to an action already."""
        rows = await self._database.all(
            f"select remote_sid from actions where remote_sid in ({','.join('?' * len(sids))}) "
            "and remote_sid <> '' order by id",
            sids,
        )
        return {row[0] for row in rows}

    async def texts_beside(self, action: StoredAction) -> list[str]:
        """The texts of other actions to the same person that may have made a record which nobody
        has claimed: more requests of theirs left than they have records. Of the last ones."""
        rows = await self._database.all(
            "select coalesce(json_extract(params, '$.body'), '') from (select * from actions "
            "where conversation = ? order by planned_at desc, id desc limit ?) a "
            "where effect = ? and uid <> ? and case when remote_sid <> '' then 1 else 0 end < "
            "(select count(*) from attempts t where t.action_uid = a.uid) limit ?",
            (action.conversation, LOOKED_AT, action.effect, action.uid, BESIDE),
        )
        return [str(row[0]) for row in rows]

    async def claim(
        self,
        action: StoredAction,
        record: Shown,
        reason: str,
        now: str,
        states: Sequence[str] = DOUBTFUL,
    ) -> str:
        """The record was found: the request was carried out. Returns the action's state, empty when
        somebody else decided meanwhile (it is in none of `states`) or the record was claimed."""
        return await self._database.write(_claim, action, record, reason, now, states)

    async def explain(self, codes: Mapping[str, int], now: str) -> None:
        """Records (by SID) name the errors of texts that were reported as failed without one."""
        if fresh := await self._database.read(_unexplained, codes):
            await self._database.write(_explain, fresh, now)

    async def holder(self, sid: str) -> str:
        """The action that a record belongs to, empty when nobody has claimed it."""
        row = await self._database.one(
            "select uid from actions where remote_sid = ? and remote_sid <> '' and effect <> ''",
            (sid,),
        )
        return str(row[0]) if row else ""

    async def own(
        self, action: StoredAction, sid: str, reason: str, now: str, doing: Doing | None = None
    ) -> str:
        """Somebody knows the record that a doubtful action made. Statuses of it that came in before
        are folded. Returns as `claim` does."""
        return await self._database.write(carry_out, doing, _own, action, sid, reason, now)

    async def postpone(self, action_uid: str, due_at: str, reason: str, *, looked: bool) -> None:
        """Look again later. `looked` says whether the list was really read."""
        await self._database.write(_postpone, action_uid, due_at, reason, looked)

    async def send_again(self, action_uid: str, reason: str, due_at: str) -> bool:
        """The record is absent within the bound: the action may be sent once more, from `due_at`
        on. False when somebody else decided meanwhile."""
        return await self._database.write(_send_again, action_uid, reason, due_at)

    async def park(self, action_uid: str, reason: str) -> bool:
        """Nothing proves what happened and nothing more may be tried: a person decides. False when
        somebody else decided meanwhile."""
        return await self._database.write(_park, action_uid, reason)


def _progress(connection: Connection, action_uid: str) -> tuple[int, int, Departure | None]:
    polls, resends = connection.execute(
        "select polls, resends from actions where uid = ?", (action_uid,)
    ).fetchone()
    row = connection.execute(
        "select started_at, uptime, machine_start from attempts where action_uid = ? "
        "order by id desc limit 1",
        (action_uid,),
    ).fetchone()
    return polls, resends, Departure(*row) if row else None


def _claim(
    connection: Connection,
    action: StoredAction,
    record: Shown,
    reason: str,
    now: str,
    states: Sequence[str] = DOUBTFUL,
) -> str:
    outcome = advance(action.effect, action.outcome, normal_status(record.status))
    state = state_for(action.effect, outcome)
    try:
        with attempted(connection):
            changed = connection.execute(
                "update actions set state = ?, outcome = ?, error_code = ?, remote_sid = ?, "
                "reason = ?, due_at = null, settled_at = ? "
                f"where uid = ? and state in ({','.join('?' * len(states))})",
                (state, outcome, record.error_code, record.sid, reason,
                 None if state == "accepted" else now, action.uid, *states),
            ).rowcount  # fmt: skip
    except IntegrityError:
        return ""
    if not changed:
        return ""
    learn_costs(connection, {record.sid: record.cost})
    if state == "accepted":
        begin_text(connection, action, record.sid, now)
    if record.error_code in OPT_OUTS:
        opted_out(
            connection, action.uid, action.conversation, action.event_uid, record.error_code, now
        )
    connection.execute(
        "update attempts set result = 'accepted', detail = detail || '; ' || ? where id = "
        "(select max(id) from attempts where action_uid = ? and result = 'unknown')",
        (reason, action.uid),
    )
    return state


def _unexplained(connection: Connection, codes: Mapping[str, int]) -> list[tuple[str, int]]:
    """The actions whose failure one of these codes explains, each with the code."""
    sids, found = list(codes), list[tuple[str, int]]()
    for start in range(0, len(sids), _CHUNK):
        chunk = sids[start : start + _CHUNK]
        rows = connection.execute(
            "select uid, remote_sid from actions where remote_sid in "
            f"({','.join('?' * len(chunk))}) and remote_sid <> '' and effect = 'message' "
            "and state = 'failed' and error_code = 0",
            chunk,
        )
        found += [(uid, codes[sid]) for uid, sid in rows]
    return found


def _explain(connection: Connection, fresh: Sequence[tuple[str, int]], now: str) -> None:
    for uid, code in fresh:
        row = connection.execute(
            "update actions set error_code = ?, reason = reason || ? where uid = ? "
            "and state = 'failed' and error_code = 0 returning conversation, event_uid",
            (code, f", error {code}", uid),
        ).fetchone()
        if row is not None and code in OPT_OUTS:
            conversation, event_uid = row
            opted_out(connection, uid, conversation, event_uid, code, now)


def _own(connection: Connection, action: StoredAction, sid: str, reason: str, now: str) -> str:
    status, error_code = reported(connection, action.effect, sid, "", 0)
    return _claim(connection, action, Shown(sid, status, error_code), reason, now)


def _postpone(
    connection: Connection, action_uid: str, due_at: str, reason: str, looked: bool
) -> None:
    connection.execute(
        "update actions set due_at = ?, reason = ?, polls = polls + ? "
        "where uid = ? and state = 'unknown'",
        (due_at, reason, int(looked), action_uid),
    )


def _send_again(connection: Connection, action_uid: str, reason: str, due_at: str) -> bool:
    return bool(
        connection.execute(
            "update actions set state = 'planned', reason = ?, due_at = ?, polls = 0, "
            "resends = resends + 1 where uid = ? and state = 'unknown'",
            (reason, due_at, action_uid),
        ).rowcount
    )


def _park(connection: Connection, action_uid: str, reason: str) -> bool:
    return bool(
        connection.execute(
            "update actions set state = 'parked', reason = ?, due_at = null "
            "where uid = ? and state = 'unknown'",
            (reason, action_uid),
        ).rowcount
    )


def folded(connection: Connection, event: Event, row: Row, sid: str) -> tuple[str, int]:
    """The outcome and error code of an action (`row`) after a status of its record (`sid`). What
    came of that record without a tag, before it was known to be the action's, counts too; what came
    of a record that the action held wrongly counts no more."""
    effect, status, held = row["effect"], normal_status(event.status), row["remote_sid"]
    known, error_code = (row["outcome"], row["error_code"]) if held in ("", sid) else ("", 0)
    outcome = advance(effect, known, status)
    error_code = event.error_code if outcome == status else error_code
    if sid == held:
        return outcome, error_code
    return reported(connection, effect, sid, outcome, error_code)


def give_back(connection: Connection, sid: str, owner_uid: str) -> None:
    """A tag proves whose record this is. Whoever took it from the list is in doubt again."""
    connection.execute(
        "update actions set state = 'parked', outcome = '', remote_sid = '', settled_at = null, "
        "reason = 'the record that it claimed belongs to another action; a person decides' "
        "where remote_sid = ? and remote_sid <> '' and uid <> ? and effect <> ''",
        (sid, owner_uid),
    )


def made_before(connection: Connection, action_uid: str, tag: str) -> bool:
    """Whether another attempt of this action than the one with this tag was carried out too."""
    row = connection.execute(
        "select 1 from attempts where action_uid = ? and tag <> ? and result = 'accepted' limit 1",
        (action_uid, tag),
    ).fetchone()
    return row is not None


def made_twice(
    connection: Connection, action_uid: str, sids: tuple[str, str], uid: str, now: datetime
) -> None:
    """Twilio made an action twice, later than the settle time allows for: a person shall know.
    `uid` is that of the incident."""
    text = f"action {action_uid} was carried out twice: {sids[0]} and {sids[1]}"
    new = NewIncident(uid, f"duplicate:{action_uid}", "duplicate", text)
    open_incident(connection, new, now)


def ours(connection: Connection, events: Sequence[Event]) -> Set[str] | None:
    """The tags and SIDs of these events by which actions of ours can be found; None for a few
    events: each may as well ask for itself. An action may claim the SID of an event with its tag.
    """
    if len(events) < _FEW:
        return None
    tags = {event.tag for event in events if event.tag}
    sids = {event.subject_sid for event in events if event.subject_sid}
    found = _among(connection, "select tag from attempts where tag in ({})", tags)
    found |= {event.subject_sid for event in events if event.tag in found}
    claimed = "select remote_sid from actions where remote_sid <> '' and remote_sid in ({})"
    return found | _among(connection, claimed, sids)


def _among(connection: Connection, query: str, values: Set[str]) -> set[str]:
    found: set[str] = set()
    given = list(values)
    for start in range(0, len(given), _CHUNK):
        chunk = given[start : start + _CHUNK]
        rows = connection.execute(query.format(",".join("?" * len(chunk))), chunk)
        found.update(row[0] for row in rows)
    return found
