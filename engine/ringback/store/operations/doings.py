"""Doings: what people did to the node, each row written in the transaction of its change.

A doing with a `request` happens once: the same request again changes nothing and is answered as it
was the first time. `expect` is compared with what is true in the very transaction that changes it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

from ringback.errors import Conflict, RingbackError
from ringback.events import person
from ringback.store.connection import Connection, named
from ringback.store.database import Database

P = ParamSpec("P")
T = TypeVar("T")

PAUSED = "paused"
"""The fact in `meta` by which a person holds every effect: "yes", else empty."""
TAG = "If-Match"
"""The word of what is expected that names an entity tag which is not that of what is true."""
NOUNS = {"action": "action", "run": "run", "incident": "incident", "rule": "rule", "switch": "node",
         "bulk": "bulk", "mute": "conversation", "problem": "group of failures"}  # fmt: skip
"""What an operation may be about, and how a person calls it."""


@dataclass(frozen=True, slots=True)
class By:
    """Who does something: a name, the role that it was given, by which way, and from where."""

    who: str = ""
    role: str = "admin"
    via: str = "worker"
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Doing:
    """One operation on one `subject` of a `kind`. `wanted` holds ids and choices, never texts.

    `request` is empty when nobody can repeat it. `base` is what the caller knows of the subject and
    the database does not; `answer` what is answered when it is done, besides the new state.
    """

    uid: str
    at: str
    by: By
    op: str
    kind: str = ""
    subject: str = ""
    wanted: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    request: str = ""
    expect: Mapping[str, Any] = field(default_factory=dict)
    base: Mapping[str, Any] = field(default_factory=dict)
    answer: Mapping[str, Any] = field(default_factory=dict)


class Repeated(RingbackError):
    """This request was made before; `answer` is what was answered then."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__("this request was made before")
        self.answer = answer


class Doings:
    """The audit trail of the journal. Nothing in it is changed or deleted by an operation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def first(self, doing: Doing) -> Mapping[str, Any] | None:
        """What was answered to this request before; None when it is new. Raises UsageError when it
        was another operation, or another person's."""
        return await self._database.read(first_answer, doing)

    async def now(self, doing: Doing) -> dict[str, Any]:
        """What is true of the subject of an operation."""
        return await self._database.read(truth, doing)

    async def done(self, doing: Doing, became: str) -> None:
        """Note what was done and has changed no row."""
        await self._database.note(_insert, doing, "", became, "done", doing.reason, doing.answer)

    async def refused(self, doing: Doing, reason: str, answer: Mapping[str, Any]) -> None:
        """Note what was not done, with what was answered."""
        await self._database.note(_refused, doing, "refused", reason, answer)

    async def failed(self, doing: Doing, reason: str) -> None:
        """Note what went wrong. The request may be made again."""
        await self._database.note(_refused, doing, "failed", reason, None)

    async def add(self, doing: Doing, more: Mapping[str, Any]) -> None:
        """Complete the answer of a doing by what was known after it only."""
        await self._database.note(_add, doing.uid, more)


def carry_out(
    connection: Connection, doing: Doing | None, work: Callable[Concatenate[Connection, P], T],
    *args: P.args, **kwargs: P.kwargs,
) -> T:  # fmt: skip
    """Do a unit of work as somebody's doing, and note it; what answers false has changed nothing
    and is not noted. Without a doing it is the work alone.

    Raises Repeated for a request that was made before, and Conflict when what is expected of the
    subject is not true.
    """
    if doing is None:
        return work(connection, *args, **kwargs)
    known = first_answer(connection, doing)
    if known is not None:
        raise Repeated(known)
    before = truth(connection, doing)
    require(doing, before)
    result = work(connection, *args, **kwargs)
    if result is None or result:
        after = truth(connection, doing)
        became = str(after.get("state", ""))
        state = {"state": became} if became else {}
        _insert(
            connection, doing, str(before.get("state", "")), became, "done", doing.reason,
            {**state, **doing.answer},
        )  # fmt: skip
    return result


def require(doing: Doing, truth: Mapping[str, Any]) -> None:
    """Raise Conflict when what is expected of a subject is not true."""
    wrong = {name: value for name, value in doing.expect.items() if truth.get(name) != value}
    if not wrong:
        return
    noun = NOUNS.get(doing.kind, doing.kind)
    if not truth:
        raise Conflict(f"{noun} {doing.subject!r} is not there any more", {})
    name, value = next(iter(wrong.items()))
    subject = " ".join(filter(None, (noun, doing.subject)))
    if name == TAG:
        says = f"is not what {TAG} names: its state is {truth.get('state')!r} now"
    else:
        says = f"has changed: its {name} is {truth.get(name)!r} now, not {value!r}"
    raise Conflict(f"{subject} {says}; look at it again, then decide", truth)


def first_answer(connection: Connection, doing: Doing) -> Mapping[str, Any] | None:
    """`Doings.first`, within a unit of work."""
    if not doing.request:
        return None
    row = connection.execute(
        "select op, subject, wanted, who, answer, uid from doings where request = ?",
        (doing.request,),
    ).fetchone()
    if row is None:
        return None
    wanted = json.loads(row[2])
    same = all(wanted.get(name) == value for name, value in doing.wanted.items())
    if not same or (row[0], row[1], row[3]) != (doing.op, doing.subject, doing.by.who):
        raise Conflict(
            f"the request {doing.request} was another operation already; make a new one", {}
        )
    return {**json.loads(row[4]), "doing": row[5]}


def truth(connection: Connection, doing: Doing) -> dict[str, Any]:
    """What is true of the subject of an operation at this moment; empty when it is not there."""
    ask = _TRUTH.get(doing.kind)
    if doing.kind == "rule":
        return _of_rule(connection, doing)
    if doing.kind == "consent":
        return _of_consent(connection, doing)
    if doing.kind == "mute":
        return _of_mute(connection, doing)
    if ask is None:
        return {}
    about = PAUSED if doing.kind == "switch" else doing.subject
    return named(connection.execute(ask, (about,))) or {}


_TRUTH = {
    "action": "select state, tries, outcome, reason from actions where uid = ?",
    "run": "select state, reason from runs where uid = ?",
    "bulk": "select state, total, done, refused, failed, skipped from bulks where uid = ?",
    "switch": "select case when exists (select 1 from meta where key = ? and value <> '') "
    "then 'paused' else 'running' end as state",
    "problem": "select coalesce((select state from problems where key = ?), 'open') as state",
    "incident": "select state, acked_at, muted_until from incidents where uid = ?",
}


def _of_consent(connection: Connection, doing: Doing) -> dict[str, Any]:
    """The last word about consent between two sides, also to the messaging service that ours is
    in (see `consents.SERVICE_OF`); empty when nobody has said one."""
    row = connection.execute(
        "select state from consents where recipient = :theirs and sender in "
        "(:ours, (select value from meta where key = 'service of ' || :ours)) "
        "order by at desc, sender limit 1",
        {side: person(str(doing.base.get(side, ""))) for side in ("ours", "theirs")},
    ).fetchone()
    return {"state": row[0] if row else ""}


def _of_mute(connection: Connection, doing: Doing) -> dict[str, Any]:
    """Whether a person has taken a conversation over, and until when. It always is in a state."""
    row = connection.execute(
        "select until from mutes where uid = ? and until > ?", (doing.subject, doing.at)
    ).fetchone()
    return {"state": "muted" if row else "not muted", "until": row[0] if row else None}


def _of_rule(connection: Connection, doing: Doing) -> dict[str, Any]:
    """The state in force: that of a person while it lasts, else that of the file."""
    row = connection.execute(
        "select state, until from rule_states where name = ? and rev = ? "
        "and (until is null or until > ?)",
        (doing.subject, doing.base.get("rev", ""), doing.at),
    ).fetchone()
    if row is None:
        return {"state": doing.base.get("file", ""), "file": doing.base.get("file", "")}
    return {"state": row[0], "until": row[1], "file": doing.base.get("file", "")}


def _refused(
    connection: Connection, doing: Doing, outcome: str, reason: str,
    answer: Mapping[str, Any] | None,
) -> None:  # fmt: skip
    state = str(truth(connection, doing).get("state", ""))
    _insert(connection, doing, state, state, outcome, reason, answer)


def _insert(
    connection: Connection, doing: Doing, was: str, became: str, outcome: str, reason: str,
    answer: Mapping[str, Any] | None,
) -> None:  # fmt: skip
    by = doing.by
    connection.execute(
        "insert into doings (uid, at, who, role, via, peer, op, subject, wanted, was, became, "
        "outcome, reason, request, answer) values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) "
        "on conflict (request) do nothing",
        (doing.uid, doing.at, by.who, by.role, by.via, by.peer, doing.op, doing.subject,
         _json(doing.wanted), was, became, outcome, reason,
         (doing.request or None) if answer is not None else None, _json(answer or {})),
    )  # fmt: skip


def _add(connection: Connection, uid: str, more: Mapping[str, Any]) -> None:
    connection.execute(
        "update doings set answer = json_patch(answer, ?) where uid = ?", (_json(more), uid)
    )


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), ensure_ascii=False, sort_keys=True)
