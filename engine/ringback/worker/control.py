"""Control socket of the worker: what the receiver and the shell may ask of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

from ringback.action_kinds import known_kind, lifetime
from ringback.errors import StorageError, UsageError
from ringback.ipc import Message
from ringback.outcomes import EFFECTS
from ringback.runtime import Runtime, iso
from ringback.store.actions import Decision, StoredAction
from ringback.twilio.rest import is_sid
from ringback.worker.engine import Engine
from ringback.worker.run import drafts

log = logging.getLogger(__name__)

PAUSED = "paused"
_UNDECIDED = ("planned", "deferred", "parked")
_DOUBTFUL = ("parked", "unknown")
_AGAIN = ("failed", "parked", "unknown", "refused", "deferred", "cancelled")
_DECISIONS = ("approve", "decline", "retry", "cancel_action", "resolve")
"""What a person decides about one action in several steps: one decision after the other, so that
of a yes and a no at the same time the later one sees the earlier."""
_OUTCOMES = {"sent": "settled", "not_sent": "cancelled"}


class Control:
    """Answers one operation at a time; `reload` reads rules and plugins again, `hosts` tells of
    the processes of plugins."""

    def __init__(
        self,
        engine: Engine,
        runtime: Runtime,
        reload: Callable[[], Awaitable[list[str]]],
        hosts: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self._engine = engine
        self._runtime = runtime
        self._reload = reload
        self._hosts = hosts
        self._pauses = 0
        self._decisions = asyncio.Lock()

    async def handle(self, message: Message) -> dict[str, Any] | None:
        """One message of the socket. Raises UsageError, which is answered to the other side."""
        operation = str(message.get("op") or "")
        if operation == "wake":
            self._engine.wake()
            return None
        if operation in ("answer", "heard", "late"):
            return await self._call(operation, int(message["id"]))
        do = getattr(self, f"_do_{operation}", None)
        if do is None:
            raise UsageError(f"the worker knows no operation {operation!r}")
        turn = self._decisions if operation in _DECISIONS else nullcontext()
        async with turn:
            result: dict[str, Any] = await do(message)
        return {"ok": True, **result}

    async def _call(self, operation: str, log_id: int) -> dict[str, Any]:
        """What the receiver says of a call that waits: it wants the answer, the caller has heard
        it, or has heard the fallback."""
        calls = self._engine.calls
        if operation == "answer":
            twiml = await calls.answer(log_id)
            return {"twiml": twiml, "confirm": bool(twiml) and calls.is_followed(log_id)}
        await (calls.heard(log_id) if operation == "heard" else calls.late(log_id))
        return {"ok": True}

    async def _do_status(self, message: Message) -> dict[str, Any]:
        return {
            **await self._engine.status(), **await self._engine.hooks.reports.status(),
            "budgets": self._engine.gate.budgets(), "hosts": self._hosts(),
            "strikes": dict(self._engine.strikes.counts),
        }  # fmt: skip

    async def _do_incident(self, message: Message) -> dict[str, Any]:
        """What a person says to an incident: `ack`, `mute` for so many seconds, `note`."""
        now, uid = self._runtime.now(), str(message["uid"])
        seconds, muted = message.get("mute"), None
        if isinstance(seconds, int | float):
            muted = iso(now + timedelta(seconds=seconds)) if seconds else ""
        known = await self._engine.journal.incidents.decide(
            uid, now, ack=bool(message.get("ack")), mute=muted, note=str(message.get("note") or "")
        )
        if not known:
            raise UsageError(f"there is no incident {uid}; `ringback incidents list` names them")
        return {}

    async def _do_incident_state(self, message: Message) -> dict[str, Any]:
        """What the page of an incident shows; with `ack` it is acknowledged, if it is open."""
        uid, incidents = str(message["uid"]), self._engine.journal.incidents
        found = await incidents.state(uid)
        if found is not None and message.get("ack") and found["state"] == "open":
            await incidents.decide(uid, self._runtime.now(), ack=True, by="link")
            found = await incidents.state(uid)
        if found is None:
            raise UsageError(f"there is no incident {uid}; `ringback incidents list` names them")
        return dict(found)

    async def _do_clock(self, message: Message) -> dict[str, Any]:
        """The clock of `ringback dev` was moved: do what is due, and say when more will be."""
        self._engine.look_again()
        return {"now": iso(self._runtime.now()), "next_due": await self._engine.next_due()}

    async def _do_pause(self, message: Message) -> dict[str, Any]:
        """Hold sends from this moment on, whatever the disk says; it only decides whether that
        outlasts a restart. Raises StorageError when it does not."""
        self._pauses += 1
        self._engine.sender.paused = True
        log.warning("sending is paused")
        try:
            await self._note_switch("yes")
        except StorageError as error:
            raise StorageError(
                "sending is stopped now, but that will not survive a restart, because it could not "
                f"be noted: {error}; mend that, and say `ringback pause` again"
            ) from error
        return {"state": "paused"}

    async def _do_resume(self, message: Message) -> dict[str, Any]:
        """Let sends out again. Those that are held because the journal was put back may have been
        made already: that wants an explicit `may_duplicate`. Raises StorageError when it cannot be
        noted; a pause then stays as it is, and so does one that was said meanwhile."""
        pauses = self._pauses
        try:
            await self._note_switch("")
        except StorageError as error:
            raise StorageError(
                "sending does not go on, because that could not be noted: "
                f"{error}; mend that, and say `ringback resume` again"
            ) from error
        if self._pauses > pauses:
            return {"state": "paused"}
        self._engine.sender.paused = False
        if message.get("may_duplicate"):
            await self._engine.hold.end("a person let it out without looking for it at Twilio")
        await self._engine.sender.refill()
        await self._engine.prober.again()
        why = await self._engine.hold.why()
        if why:
            return {"state": "held", "why": why}
        stopped = self._engine.sending.status()["stopped"]
        if stopped:
            return {"state": "stopped", "why": f"{stopped[0]['says']}; {stopped[0]['mend']}"}
        log.warning("sending goes on")
        return {"state": "running"}

    async def _note_switch(self, value: str) -> None:
        """Not by `write`: a refusal would restart the worker, which would forget the switch."""
        await self._engine.journal.meta.note(PAUSED, value)

    async def _do_reload(self, message: Message) -> dict[str, Any]:
        problems = await self._reload()
        status = await self._engine.status()
        return {"problems": problems, "rules": status["rules"]}

    async def _do_release(self, message: Message) -> dict[str, Any]:
        rule = str(message.get("rule") or "")
        if not await self._engine.journal.runs.release(rule):
            raise UsageError(f"rule {rule!r} has no strikes")
        self._engine.matcher.quarantined.pop(rule, None)
        return {"state": "released"}

    async def _do_cancel_run(self, message: Message) -> dict[str, Any]:
        uid = str(message.get("uid") or "")
        now = iso(self._runtime.now())
        if not await self._engine.journal.runs.cancel([uid], "cancelled by a person", now):
            raise UsageError(
                f"run {uid!r} is not under way; `ringback runs list` shows those that are"
            )
        await self._engine.resumer.cancelled(uid)
        return {"state": "cancelled"}

    async def _do_cancel_action(self, message: Message) -> dict[str, Any]:
        action = await self._engine.journal.actions.get(str(message.get("uid") or ""))
        await self._decide(message, _UNDECIDED, "cancelled", "cancelled by a person")
        if action is not None and drafts.is_draft(action):
            await self._engine.resumer.declined(action)
        return {"state": "cancelled"}

    async def _do_approve(self, message: Message) -> dict[str, Any]:
        """A person says yes to a draft."""
        await self._draft(message)
        return await self._do_retry(message)

    async def _do_decline(self, message: Message) -> dict[str, Any]:
        """A person says no to a draft."""
        await self._draft(message)
        return await self._do_cancel_action(message)

    async def _draft(self, message: Message) -> None:
        """Raise UsageError when an action is no draft that waits for a person."""
        uid = str(message.get("uid") or "")
        action = await self._engine.journal.actions.get(uid)
        if action is None or not drafts.is_draft(action):
            where = f"is {action.state}, {action.reason or 'and no draft'}" if action else ""
            raise UsageError(
                f"action {uid!r} {where or 'does not exist'}; only a draft wants a yes or no: "
                "`ringback actions list --state parked` shows those that wait"
            )

    async def _do_retry(self, message: Message) -> dict[str, Any]:
        """Send an action again, or say yes to a draft. What may have happened already wants an
        explicit `may_duplicate`; what has waited too long is wanted anew."""
        uid = str(message.get("uid") or "")
        action = await self._engine.journal.actions.get(uid)
        if action is None:
            raise UsageError(f"there is no action {uid!r}; `ringback actions list` names them")
        doubtful = action.state in _DOUBTFUL and not drafts.is_draft(action)
        if doubtful and not message.get("may_duplicate"):
            raise UsageError(
                f"{uid} may have happened already ({action.reason}); "
                "say --may-duplicate to send it all the same"
            )
        if drafts.is_draft(action):
            await self._engine.resumer.approved(action)
        kind = known_kind(action.kind)
        if kind is not None and kind.at_once:
            await self._decide(message, _AGAIN, "settled", f"{kind.at_once}, as a person said")
            self._engine.hooks.on_end(uid, "settled", self._engine.wake)
            return {"state": "settled"}
        await self._decide(
            message, _AGAIN, "planned", "sent again by a person", send_by=self._wanted(action)
        )
        await self._engine.sender.refill()
        return {"state": "planned"}

    def _wanted(self, action: StoredAction) -> str | None:
        """Until when an action is wanted that a person sends again: from now on for as long as at
        first, when that time has passed."""
        now = self._runtime.now()
        if not action.send_by or action.send_by > iso(now):
            return None
        return iso(now + timedelta(seconds=lifetime(action.action)))

    async def _do_resolve(self, message: Message) -> dict[str, Any]:
        """A person knows what happened to a parked or unknown action, and perhaps its SID."""
        uid, outcome, sid = (str(message.get(name) or "") for name in ("uid", "outcome", "sid"))
        if outcome not in _OUTCOMES or (sid and outcome != "sent"):
            raise UsageError(
                "resolve wants the outcome `sent` (with a SID or without) or `not_sent`"
            )
        reason = f"a person says that it was {outcome.replace('_', ' ')}"
        if sid:
            state = await self._own(uid, sid, f"{reason}, as {sid}")
        else:
            state = _OUTCOMES[outcome]
            action = await self._engine.journal.actions.get(uid)
            draft = action if action is not None and drafts.is_draft(action) else None
            if draft is not None and state == "settled":
                await self._engine.resumer.approved(draft)
            await self._decide(message, _DOUBTFUL, state, reason)
            if draft is not None and state == "cancelled":
                await self._engine.resumer.declined(draft)
        if state in ("settled", "failed"):
            self._engine.hooks.on_end(uid, state, self._engine.wake)
        return {"state": state}

    async def _own(self, uid: str, sid: str, reason: str) -> str:
        """Give an action the record that it made. What was reported about the record counts."""
        action = await self._engine.journal.actions.get(uid)
        if action is None:
            raise UsageError(await self._elsewhere(uid, _DOUBTFUL))
        prefixes = EFFECTS[action.effect].sid_prefixes if action.effect else ()
        if not prefixes:
            raise UsageError(f"a {action.kind} has no SID of its own; say --sent alone")
        if not is_sid(sid, *prefixes):
            raise UsageError(f"{sid!r} is no SID of a {action.kind} ({' or '.join(prefixes)}…)")
        holder = await self._engine.journal.evidence.holder(sid)
        if holder:
            raise UsageError(f"{sid} belongs to action {holder}")
        now = iso(self._runtime.now())
        state = await self._engine.journal.evidence.own(action, sid, reason, now)
        if not state:
            raise UsageError(await self._elsewhere(uid, _DOUBTFUL))
        return state

    async def _do_replay(self, message: Message) -> dict[str, Any]:
        """A stored event once more, as a copy, through the rules of today, or through one alone.
        What may have happened already wants an explicit `may_duplicate`."""
        uid, name = str(message.get("uid") or ""), str(message.get("rule") or "")
        rule = self._engine.matcher.ruleset.get(name) if name else None
        if name and rule is None:
            raise UsageError(f"the worker has no rule {name!r}")
        doubtful = await self._engine.journal.actions.undecided(uid)
        if doubtful and not message.get("may_duplicate"):
            names = ", ".join(f"{action} ({state})" for action, state in doubtful[:5])
            raise UsageError(
                f"{uid} may have had its effect already: {names}; decide about that first "
                "(`ringback actions resolve`), or say --may-duplicate"
            )
        found = await self._engine.replay(uid, rule)
        return {"state": "replayed", "uid": found.event.uid, "verdicts": found.verdicts}

    async def _decide(
        self,
        message: Message,
        expected: tuple[str, ...],
        state: str,
        reason: str,
        *,
        send_by: str | None = None,
    ) -> None:
        uid = str(message.get("uid") or "")
        decision = Decision(expected, state, reason, send_by=send_by)
        now = iso(self._runtime.now())
        if not await self._engine.journal.actions.decide(uid, decision, now):
            raise UsageError(await self._elsewhere(uid, expected))

    async def _elsewhere(self, uid: str, expected: tuple[str, ...]) -> str:
        action = await self._engine.journal.actions.get(uid)
        where = f"is {action.state}" if action else "does not exist"
        return f"action {uid!r} {where}; this wants {' or '.join(expected)}"
