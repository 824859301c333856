"""Actions: what runs want done, each with its state and its reason."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache

from ringback.action_kinds import from_params, kind_of
from ringback.actions import Action, AnswerCall, HttpRequest, to_params
from ringback.outcomes import Answered
from ringback.runtime import from_iso, iso
from ringback.store.action_ends import Asked, tell_run
from ringback.store.connection import Connection, one_of
from ringback.store.database import Database
from ringback.store.events import copies
from ringback.store.operations.cards import NOTED, note
from ringback.store.operations.doings import Doing, carry_out
from ringback.store.operations.waiting_actions import Waiting, waiting


@dataclass(frozen=True, slots=True)
class StoredAction:
    """An action as the journal holds it. `account_sid` is empty for the configured account,
    `behind` is the text that must be taken before this one; empty for none."""

    uid: str
    run_uid: str
    event_uid: str
    rule: str
    kind: str
    effect: str
    params: str
    policy: str
    state: str
    reason: str
    remote_sid: str
    outcome: str
    planned_at: str
    due_at: str | None
    send_by: str | None
    tries: int
    collision_key: str
    conversation: str
    depth: int
    account_sid: str = ""
    behind: str = ""
    made: Action | None = field(default=None, repr=False, compare=False)  # when it is at hand

    @property
    def action(self) -> Action:
        """The action itself."""
        return self.made or read_action(self.kind, self.params, self.policy)


@lru_cache(4096)
def read_action(kind: str, params: str, policy: str) -> Action:
    """Read once for all who look at an action on its way: the gate, the rates, the request."""
    return from_params(kind, json.loads(params), policy)


_json = json.JSONEncoder(ensure_ascii=False).encode


def written(action: Action) -> str:
    """The parameters of an action as the journal holds them."""
    return _json(to_params(action))


LONGEST_DEFERRAL = timedelta(days=2)  # what is due later was put off by a clock that was wrong
FARTHEST_LOOK = timedelta(days=36)  # Twilio schedules texts up to 35 days ahead
_LATELY = "(select 1 from attempts t where t.action_uid = a.uid and t.started_at >= ?)"
_STUCK = (
    "select id from actions a where state = 'accepted' and {} and planned_at < ? and effect <> '' "
    f"and remote_sid <> '' and not exists {_LATELY} order by due_at, id limit ?"
)
OPEN = "('planned', 'deferred', 'sending', 'unknown')"
"""The states of an action that may leave yet, or may have left."""
UNTAKEN = "(b.state in ('planned','sending','unknown') or b.state='deferred' and b.due_at is null)"
"""Of an action `b` that holds up the one behind it. What the gate puts off to a time does not."""
_BEFORE = f"select 1 from actions b where b.uid = actions.behind and {UNTAKEN}"
_FREE = f"(behind = '' or not exists ({_BEFORE}))"  # what is before it has been taken
COLUMNS = ", ".join(StoredAction.__slots__[:-1])


@dataclass(frozen=True, slots=True)
class NewAction:
    """An action about to be written. `state` is a word such as `planned` or `refused`; `params` is
    what `written` makes of the action, once for all who need it."""

    uid: str
    run_uid: str
    event_uid: str
    rule: str
    ordinal: int
    action: Action
    state: str
    reason: str
    planned_at: str
    conversation: str
    collision_key: str
    depth: int
    settled_at: str | None = None
    due_at: str | None = None
    send_by: str | None = None
    params: str = ""
    account_sid: str = ""
    behind: str = ""

    def stored(self) -> StoredAction:
        """The same action as it stands in the journal once it is written."""
        return StoredAction(
            uid=self.uid, run_uid=self.run_uid, event_uid=self.event_uid, rule=self.rule,
            kind=self.action.kind, effect=kind_of(self.action).effect,
            params=self.params or written(self.action),
            policy=self.action.policy, state="planned", reason=self.reason, remote_sid="",
            outcome="", planned_at=self.planned_at, due_at=self.due_at, send_by=self.send_by,
            tries=0, collision_key=self.collision_key, conversation=self.conversation,
            depth=self.depth, account_sid=self.account_sid, behind=self.behind, made=self.action,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decision:
    """Another state for an action, with the reason, when it is in one of the `expected` states.

    `due_at` is when to look at it again; `send_by`, when it is given, a new time until which it is
    wanted. `body`, when it is given, is what a text says from now on, under this `collision_key`;
    what it said before stays beside it as `drafted`.
    """

    expected: tuple[str, ...]
    state: str
    reason: str
    due_at: str | None = None
    send_by: str | None = None
    body: str | None = None
    collision_key: str | None = None


class Actions:
    """The actions of the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, uid: str) -> StoredAction | None:
        """One action by its uid."""
        row = await self._database.one(f"select {COLUMNS} from actions where uid = ?", (uid,))
        return StoredAction(*row) if row else None

    async def result(self, uid: str) -> tuple[int, int]:
        """Twilio's code for what went wrong with an action, 0 when nothing did; and how many
        requests were made for it."""
        row = await self._database.one(
            "select error_code, (select count(*) from attempts where action_uid = a.uid) "
            "from actions a where uid = ?",
            (uid,),
        )
        return (int(row[0]), int(row[1])) if row else (0, 0)

    async def sendable(self, now: str, limit: int, *, far: str) -> list[StoredAction]:
        """Actions that may be tried now, oldest first. What is to be tried again later than `far`
        was put off before the clock was set back, and may be tried too."""
        return await self._database.read(_sendable, now, limit, far)

    async def next_due(self, after: str) -> str | None:
        """When the next delayed or deferred action may be tried, of those that could not be
        before."""
        row = await self._database.one(
            "select min(due_at) from actions where state in ('planned', 'deferred') and due_at > ?",
            (after,),
        )
        return str(row[0]) if row and row[0] else None

    async def waiting(self, besides: Sequence[str]) -> Waiting:
        """What waits at present, but for those of the kinds `besides`, which leave another way."""
        return await self._database.read(waiting, tuple(besides))

    async def let_go(self, reason: str, now: str) -> None:
        """Let what was put off for a reason that begins so be tried from now on."""
        await self._database.write(_let_go, reason, now)

    async def unknown(self, now: str, limit: int, *, far: str) -> list[StoredAction]:
        """Actions whose fate is unknown and should be looked into now, first what was not looked
        into yet. What is due later than `far` was put off before the clock was set back."""
        return await self._list(
            "state = 'unknown' and (due_at is null or due_at <= ? or due_at > ?) "
            "order by polls > 0, due_at, id limit ?",
            (now, far, limit),
        )

    async def next_unknown(self) -> str | None:
        """When the next unknown action wants to be looked into."""
        row = await self._database.one(
            "select min(coalesce(due_at, planned_at)) from actions where state = 'unknown'"
        )
        return str(row[0]) if row and row[0] else None

    async def left_at(self, uid: str) -> str:
        """When the last request was made for an action; empty when none was."""
        row = await self._database.one(
            "select max(started_at) from attempts where action_uid = ?", (uid,)
        )
        return str(row[0]) if row and row[0] else ""

    async def stuck(self, before: str, now: str, limit: int) -> list[StoredAction]:
        """Accepted sends, requested before that moment, without a final status, due for a look."""
        # Three spans of the index: those that are not due yet may be many, and are not read.
        far = iso(from_iso(now) + FARTHEST_LOOK)
        spans = {"due_at is null": (), "due_at <= ?": (now,), "due_at > ?": (far,)}
        found = " union all ".join(f"select id from ({_STUCK.format(span)}) s" for span in spans)
        values = [each for due in spans.values() for each in (*due, before, before, limit)]
        return await self._list(f"id in ({found}) order by id limit ?", (*values, limit))

    async def look_again(self, uid: str, due_at: str) -> None:
        """When to look at an accepted send the next time."""
        await self._database.write(_look_again, uid, due_at)

    async def undecided(self, event_uid: str) -> list[tuple[str, str]]:
        """Actions of this event, and of its copies, that may have happened: uid and state."""
        return await self._database.read(_undecided, event_uid)

    async def decide(
        self, uid: str, decision: Decision, now: str, doing: Doing | None = None
    ) -> bool:
        """Move an action to another state without a request; False when in no `expected` one. It
        may be somebody's doing."""
        return await self._database.write(carry_out, doing, _decide, uid, decision, now)

    async def decide_all(self, decisions: Sequence[tuple[str, Decision]], now: str) -> None:
        """`decide` for many actions (uid), in one unit of work."""
        await self._database.write(_decide_all, decisions, now)

    async def next_ordinal(self, event_uid: str, rule: str) -> int:
        """The number of the next action of this rule for this event."""
        return await self._database.read(next_ordinal, event_uid, rule)

    async def followed(self, limit: int) -> list[str]:
        """The actions that others wait for, which were put off because of it."""
        rows = await self._database.all(
            "select distinct behind from actions where state = 'deferred' and behind <> '' limit ?",
            (limit,),
        )
        return [str(row[0]) for row in rows]

    async def open_texts(self, run_uid: str) -> dict[str, str]:
        """The texts of a run that nobody has taken: the newest to each; to nobody: its call's."""
        rows = await self._database.all(
            f"select json_extract(params, '$.to'), uid from actions where run_uid = ? and state in "
            f"{OPEN} and (effect = 'message' or {one_of(AnswerCall.KINDS, 'kind')}) order by id",
            (run_uid,),
        )
        return {str(row[0] or ""): str(row[1]) for row in rows}

    async def _list(self, where: str, values: Sequence[object]) -> list[StoredAction]:
        rows = await self._database.all(f"select {COLUMNS} from actions where {where}", values)
        return [StoredAction(*row) for row in rows]


def _sendable(connection: Connection, now: str, limit: int, far: str) -> list[StoredAction]:
    rows, later = [], iso(from_iso(now) + LONGEST_DEFERRAL)
    for where, values in (
        ("state = 'planned' and (due_at <= ? or due_at > ?) order by id", (now, far)),
        (f"state = 'deferred' and {_FREE} and (due_at is null or due_at <= ? or due_at > ?) "
         "order by due_at, id", (now, later)),
        ("state = 'planned' and due_at is null order by id", ()),
    ):  # fmt: skip
        ask = f"select {COLUMNS} from actions where {where} limit ?"
        rows += connection.execute(ask, (*values, limit)).fetchall()
    found = (StoredAction(*row) for row in rows)
    return sorted(found, key=lambda one: one.due_at or one.planned_at)[:limit]


def _let_go(connection: Connection, reason: str, now: str) -> None:
    connection.execute(
        "update actions set due_at = ? where state = 'planned' and due_at > ? "
        "and substr(reason, 1, ?) = ?",
        (now, now, len(reason), reason),
    )


def _undecided(connection: Connection, event_uid: str) -> list[tuple[str, str]]:
    events = [event_uid, *copies(connection, event_uid)]
    rows = connection.execute(
        f"select uid, state from actions where event_uid in ({','.join('?' * len(events))}) "
        "and state in ('sending', 'unknown', 'parked') order by id",
        events,
    )
    return [(row[0], row[1]) for row in rows]


def _look_again(connection: Connection, uid: str, due_at: str) -> None:
    connection.execute(
        "update actions set due_at = ? where uid = ? and state = 'accepted'", (due_at, uid)
    )


_EDITED = (
    "case when cast(? as text) is null then params else "
    "json_set(params, '$.drafted', json_extract(params, '$.body'), '$.body', ?) end"
)


def _decide(connection: Connection, uid: str, decision: Decision, now: str) -> bool:
    state, expected = decision.state, decision.expected
    settled = now if state in ("settled", "failed", "refused", "cancelled", "captured") else None
    # Quiet hours end then; a person has asked for what stood in none of the states that wait.
    asked = state == "planned" and not {"planned", "sending"}.intersection(expected)
    free_at = decision.due_at if state == "deferred" else now if asked else None
    found = connection.execute(
        "update actions set state = ?, reason = ?, due_at = ?, settled_at = ?, "
        "send_by = coalesce(?, send_by), free_at = coalesce(?, free_at), "
        f"params = {_EDITED}, collision_key = coalesce(?, collision_key) "
        f"where uid = ? and state in ({','.join('?' * len(expected))}) "
        "returning kind, params, policy, rule, depth",
        (state, decision.reason, decision.due_at, settled, decision.send_by, free_at,
         decision.body, decision.body, decision.collision_key, uid, *expected),
    ).fetchone()  # fmt: skip
    if found and state == "settled" and found[0] in NOTED:
        note(connection, uid, read_action(*found[:3]), found[3], now)
    if found and found[0] == HttpRequest.kind:
        request = Asked(uid, read_action(*found[:3]), found[4])
        tell_run(connection, request, state, Answered(why=decision.reason), now)
    return found is not None


def _decide_all(
    connection: Connection, decisions: Sequence[tuple[str, Decision]], now: str
) -> None:
    for uid, decision in decisions:
        _decide(connection, uid, decision, now)


def next_ordinal(connection: Connection, event_uid: str, rule: str) -> int:
    """`Actions.next_ordinal`, within a unit of work."""
    row = connection.execute(
        "select coalesce(max(ordinal), -1) + 1 from actions where event_uid = ? and rule = ?",
        (event_uid, rule),
    ).fetchone()
    return int(row[0])


def insert_actions(connection: Connection, actions: Sequence[NewAction]) -> None:
    """Write planned actions. The same (event, rule, ordinal) is written once."""
    connection.executemany(
        "insert into actions (uid, run_uid, event_uid, rule, ordinal, kind, effect, params, "
        "policy, state, reason, planned_at, settled_at, due_at, send_by, collision_key, "
        "conversation, depth, account_sid, behind) "
        "values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) "
        "on conflict (event_uid, rule, ordinal) do nothing",
        [
            (
                item.uid, item.run_uid, item.event_uid, item.rule, item.ordinal, item.action.kind,
                kind_of(item.action).effect,
                item.params or written(item.action), item.action.policy,
                item.state, item.reason, item.planned_at, item.settled_at, item.due_at,
                item.send_by, item.collision_key, item.conversation, item.depth,
                item.account_sid, item.behind,
            )
            for item in actions
        ],
    )  # fmt: skip
