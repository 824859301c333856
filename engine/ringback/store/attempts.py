"""Attempts: the requests that are made for actions, each opened before it leaves."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ringback.actions import AnswerCall, HttpRequest
from ringback.outcomes import Answered, advance, normal_status, state_for
from ringback.store.action_ends import Asked, learn_costs, tell_run
from ringback.store.actions import UNTAKEN, StoredAction
from ringback.store.connection import Connection, IntegrityError, attempted, one_of
from ringback.store.consents import refused
from ringback.store.database import Database
from ringback.store.deliveries.ended_texts import begin_text, count_refused
from ringback.twilio.consent import OPT_OUTS, refusal
from ringback.twilio.costs import NOTHING, Cost
from ringback.twilio.error_codes import NOT_IN_PROGRESS

WRITTEN = "written into the answer that the call waited for"
"""Why the action of an answer is settled without an attempt."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one attempt came to.

    `result` is the attempt's class (`accepted`, `rejected`, `unknown`, `not_sent`, `throttled`…),
    `state` the action's next state with its reason; `due_at` says when to look at it again. `cost`
    is what the answer says of the cost; `answer` what a run waits for.
    """

    result: str
    state: str
    reason: str
    http_status: int = 0
    twilio_code: int = 0
    request_id: str = ""
    detail: str = ""
    remote_sid: str = ""
    status: str = ""
    due_at: str | None = None
    spent: bool = True
    cost: Cost = NOTHING
    answer: Answered | None = None


@dataclass(frozen=True, slots=True)
class Departure:
    """When an attempt left: the moment at Twilio as far as it was known, and the seconds that the
    machine had been up by then, which mean something until its next start (None in rows of an older
    program)."""

    at: str
    uptime: float | None
    machine_start: str


@dataclass(frozen=True, slots=True)
class Opening:
    """An attempt that is about to be committed: its uid, its tag, when it leaves, and the life of
    the worker that makes it."""

    uid: str
    tag: str
    departure: Departure
    boot: str


class Attempts:
    """The attempts of the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, action: StoredAction, opening: Opening) -> str:
        """Commit to one request before a byte of it leaves. Returns "" when it may go out.

        Otherwise says why not: `decided`, when somebody decided about the action meanwhile, or
        `collision`, when another attempt with the same sender, recipient and text is under way or
        unsettled (the two would steal each other's evidence).
        """
        return await self._database.write(open_attempt, action, opening)

    async def close(
        self, action: StoredAction, attempt_uid: str, verdict: Verdict, now: str
    ) -> str:
        """Write what the request came to, and return the action's state after it.

        A status callback may have moved the action already: what it proved stands, and a good
        answer only adds to it.
        """
        return await self._database.write(_close, action, attempt_uid, verdict, now)

    async def heard(self, answer_uid: str) -> None:
        """The caller has got the answer that this action is: what waits behind it may go."""
        await self._database.write(_heard, answer_uid)

    async def unheard(self, answer_uid: str) -> None:
        """The answer that this action is came too late for its call: it is sent as an update."""
        await self._database.write(_unheard, [answer_uid])

    async def unanswered(self, event_uid: str) -> bool:
        """The call that asked with this event got none of the answers that were written for it:
        they are sent as updates. False when there are none."""
        return await self._database.write(_unanswered, event_uid)

    async def recover(self, boot: str, now: str, settle_at: str) -> int:
        """After a restart: every request that another life of the worker had under way becomes
        unknown, never planned again; how many those were."""
        return await self._database.write(_recover, boot, now, settle_at)


def open_attempt(connection: Connection, action: StoredAction, opening: Opening) -> str:
    """`Attempts.open`, within a unit of work."""
    if (
        action.behind
        and connection.execute(
            f"select 1 from actions b where b.uid = ? and {UNTAKEN}", (action.behind,)
        ).fetchone()
    ):
        return "behind"
    try:
        with attempted(connection):
            changed = connection.execute(
                "update actions set state = 'sending', reason = 'the request is under way', "
                "due_at = null, tries = tries + 1, polls = 0 "
                "where uid = ? and state in ('planned', 'deferred')",
                (action.uid,),
            ).rowcount
    except IntegrityError:
        return "collision"
    if not changed:
        return "decided"
    connection.execute(
        "insert into attempts "
        "(uid, action_uid, n, tag, started_at, uptime, machine_start, boot) values "
        "(?, ?, (select count(*) + 1 from attempts where action_uid = ?), ?, ?, ?, ?, ?)",
        (
            opening.uid, action.uid, action.uid, opening.tag, opening.departure.at,
            opening.departure.uptime, opening.departure.machine_start, opening.boot,
        ),
    )  # fmt: skip
    return ""


def _close(
    connection: Connection, action: StoredAction, attempt_uid: str, verdict: Verdict, now: str
) -> str:
    state = _closed(connection, action, attempt_uid, verdict, now)
    if action.kind == HttpRequest.kind:
        asked = Asked(action.uid, action.action, action.depth)
        tell_run(connection, asked, state, verdict.answer or Answered(why=verdict.reason), now)
    if state == "failed" and verdict.twilio_code == NOT_IN_PROGRESS:
        _end_led(connection, action, now)
    if verdict.cost.known:
        learn_costs(connection, {verdict.remote_sid: verdict.cost})
    if state == "accepted":
        begin_text(connection, action, verdict.remote_sid, now)
    elif state == "failed" and verdict.state == "failed" and not verdict.remote_sid:
        count_refused(connection, action, verdict.twilio_code, now)
    return state


def _end_led(connection: Connection, action: StoredAction, now: str) -> None:
    """A call was over before it could be led on: what stands behind that in its run is not done."""
    wanted = action.action
    if not isinstance(wanted, AnswerCall) or not wanted.leads:
        return
    reason = f"the call had ended before `{wanted.leads}`"
    connection.execute(
        "with recursive later(uid) as (select uid from actions where behind = :uid "
        "union select a.uid from actions a join later on a.behind = later.uid) "
        "update actions set state = 'cancelled', reason = :reason, due_at = null, "
        "settled_at = :now where uid in later and state in ('planned', 'deferred')",
        {"uid": action.uid, "reason": reason, "now": now},
    )
    connection.execute(
        "update runs set reason = :reason where uid = :run and state = 'done' "
        "and reason not like 'stopped:%'",
        {"run": action.run_uid, "reason": f"stopped: {reason}"},
    )


def _closed(
    connection: Connection, action: StoredAction, attempt_uid: str, verdict: Verdict, now: str
) -> str:
    connection.execute(
        "update attempts set ended_at = ?, result = ?, http_status = ?, twilio_code = ?, "
        "request_id = ?, detail = ? where uid = ?",
        (
            now, verdict.result, verdict.http_status, verdict.twilio_code, verdict.request_id,
            verdict.detail, attempt_uid,
        ),
    )  # fmt: skip
    if verdict.twilio_code in OPT_OUTS:
        _opted_out(connection, action, verdict.twilio_code, now)
    row = connection.execute(
        "select state, outcome, error_code, remote_sid, "
        "exists (select 1 from events where subject_sid = ? and subject_sid <> '') "
        "from actions where uid = ?",
        (verdict.remote_sid, action.uid),
    ).fetchone()
    state, outcome, error_code, remote_sid, early = row
    proven = state != "sending"
    if proven and verdict.result != "accepted":
        return str(state)
    if verdict.result == "accepted":
        outcome = advance(action.effect, outcome, normal_status(verdict.status))
        error_code = error_code if proven else 0
        if action.effect:  # that an update had nothing to do any more is no error
            error_code = error_code or verdict.twilio_code
        if early:  # Callbacks without a tag (of a Messaging Service, say) came before the SID.
            outcome, error_code = reported(
                connection, action.effect, verdict.remote_sid, outcome, error_code
            )
        if error_code in OPT_OUTS:
            _opted_out(connection, action, error_code, now)
        moved = verdict.state
        if action.effect:
            moved = state_for(action.effect, outcome)
        if proven:
            try:
                with attempted(connection):
                    connection.execute(
                        "update actions set outcome = ?, error_code = ?, state = ?, remote_sid = "
                        "case when remote_sid = '' then ? else remote_sid end, "
                        "settled_at = coalesce(settled_at, ?) where uid = ?",
                        (outcome, error_code, moved, verdict.remote_sid,
                         None if moved == "accepted" else now, action.uid),
                    )  # fmt: skip
            except IntegrityError:  # another action holds this SID: the answer proves nothing more
                return str(state)
            return moved
        state = moved
        if error_code != verdict.twilio_code:
            verdict = replace(verdict, twilio_code=error_code)
    else:
        state = verdict.state
    settled = now if state in ("settled", "failed", "refused", "cancelled") else None
    try:
        with attempted(connection):
            _write(connection, action, verdict, state, outcome, remote_sid, settled)
    except IntegrityError:
        if not verdict.remote_sid:
            raise
        # Another action holds this SID: the answer cannot be ours. Twilio's list may show our own.
        why = f"the answer names {verdict.remote_sid}, which belongs to another action"
        clash = Verdict("unknown", "unknown", why, due_at=now)
        _write(connection, action, clash, "unknown", "", remote_sid, None)
        connection.execute(
            "update attempts set result = 'unknown', detail = ? where uid = ?", (why, attempt_uid)
        )
        return "unknown"
    return str(state)


def _opted_out(connection: Connection, action: StoredAction, code: int, now: str) -> None:
    opted_out(connection, action.uid, action.conversation, action.event_uid, code, now)


def opted_out(
    connection: Connection, uid: str, conversation: str, event_uid: str, code: int, now: str
) -> None:
    """Note that Twilio refused the text of this action (uid) for an opt-out, with this code: in its
    answer, in a status that came before that, or in its record."""
    (at,) = connection.execute(
        "select coalesce(max(started_at), ?) from attempts where action_uid = ?", (now, uid)
    ).fetchone()
    sender, _, recipient = conversation.partition("/")
    refused(connection, sender, recipient, refusal(code), at, now, event_uid)


def reported(
    connection: Connection, effect: str, sid: str, outcome: str, error_code: int
) -> tuple[str, int]:
    """An outcome and its error code, after all that the events on record report of this SID. What
    is only claimed reports nothing."""
    for status, code in connection.execute(
        "select status, error_code from events where subject_sid = ? and subject_sid <> '' "
        "and trust <> 'claimed' order by id",
        (sid,),
    ):
        moved = advance(effect, outcome, normal_status(status))
        if moved != outcome:
            outcome, error_code = moved, code
    return outcome, error_code


def _write(
    connection: Connection,
    action: StoredAction,
    verdict: Verdict,
    state: str,
    outcome: str,
    remote_sid: str,
    settled: str | None,
) -> None:
    connection.execute(
        "update actions set state = ?, reason = ?, outcome = ?, remote_sid = ?, error_code = ?, "
        "due_at = ?, settled_at = ?, tries = tries - ? where uid = ?",
        (
            state, verdict.reason, outcome, verdict.remote_sid or remote_sid, verdict.twilio_code,
            verdict.due_at, settled, 0 if verdict.spent else 1, action.uid,
        ),
    )  # fmt: skip


def _heard(connection: Connection, answer_uid: str) -> None:
    connection.execute(
        "update actions set due_at = null, reason = '' "
        "where behind = ? and state = 'planned' and due_at is not null",
        (answer_uid,),
    )


def _unheard(connection: Connection, answers: Iterable[str]) -> bool:
    found = 0
    for uid in answers:
        found += connection.execute(
            "update actions set state = 'planned', settled_at = null, "
            "reason = 'the call had stopped waiting: sent as an update' "
            "where uid = ? and state = 'settled' and reason = ?",
            (uid, WRITTEN),
        ).rowcount
        _heard(connection, uid)  # from now on they wait for Twilio's word
    return bool(found)


_ANSWERS = f"""
with came as (
    select event_uid, rule, 0 as ordinal from runs where event_uid = :event
    union all
    select r.event_uid, r.rule, t.ordinal from turns t join runs r on r.uid = t.run_uid
    where t.event_uid = :event
)
select a.uid, a.rule from came c join actions a on a.event_uid = c.event_uid and a.rule = c.rule
and a.ordinal >= c.ordinal and {one_of(AnswerCall.KINDS, "a.kind")} order by a.ordinal
"""


def _unanswered(connection: Connection, event_uid: str) -> bool:
    """Of each run the first answer counts: a later one is that to a later step of the call."""
    first: dict[str, str] = {}
    for uid, rule in connection.execute(_ANSWERS, {"event": event_uid}):
        first.setdefault(rule, uid)
    return _unheard(connection, first.values())


def _recover(connection: Connection, boot: str, now: str, settle_at: str) -> int:
    lost = connection.execute(
        "select uid from attempts where ended_at is null and boot <> ? order by id",
        (boot,),
    ).fetchall()
    for (uid,) in lost:
        connection.execute(
            "update attempts set ended_at = ?, result = 'unknown', "
            "detail = 'the worker ended while the request was under way' where uid = ?",
            (now, uid),
        )
    # All of them, whatever their attempts say: nobody else would ever look after one of them.
    connection.execute(
        "update actions set state = 'unknown', "
        "due_at = case policy when 'natural' then ? else ? end, "
        "reason = 'the worker ended while the request was under way' where state = 'sending'",
        (now, settle_at),
    )
    return len(lost)
