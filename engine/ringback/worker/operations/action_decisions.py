"""Decisions of people about actions: again, no more, yes or no to a draft, what became of one."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from ringback.action_kinds import known_kind, lifetime
from ringback.actions import SendMessage
from ringback.errors import Conflict, Missing, UsageError
from ringback.ipc import Message
from ringback.outcomes import EFFECTS
from ringback.runtime import Runtime, iso
from ringback.store.actions import Decision, StoredAction
from ringback.store.operations.doings import Doing
from ringback.twilio.rest import MAX_BODY, is_sid
from ringback.worker.engine import Engine
from ringback.worker.operations.conversation_decisions import typed
from ringback.worker.run import drafts
from ringback.worker.run.plan import collision_key

_UNDECIDED = ("planned", "deferred", "parked")
_DOUBTFUL = ("parked", "unknown")
_AGAIN = ("failed", "parked", "unknown", "refused", "deferred", "cancelled")
_OUTCOMES = {"sent": "settled", "not_sent": "cancelled"}


class ActionDecisions:
    """Carries out what a person decides about one action."""

    def __init__(self, engine: Engine, runtime: Runtime) -> None:
        self._engine = engine
        self._runtime = runtime

    async def cancel_action(self, message: Message, doing: Doing) -> dict[str, Any]:
        action = await self._engine.journal.actions.get(str(message.get("uid") or ""))
        await self._decide(doing, _UNDECIDED, "cancelled", "cancelled by a person")
        if action is not None and drafts.is_draft(action):
            await self._engine.resumer.declined(action)
        return {"state": "cancelled"}

    async def approve(self, message: Message, doing: Doing) -> dict[str, Any]:
        """A person says yes to a draft, perhaps in other words (`body`)."""
        await self._draft(doing)
        body = message.get("body")
        edited = doing if body in (None, "") else replace(doing, wanted={"edited": True})
        return await self.retry(message, edited)

    async def decline(self, message: Message, doing: Doing) -> dict[str, Any]:
        """A person says no to a draft."""
        await self._draft(doing)
        return await self.cancel_action(message, doing)

    async def _draft(self, doing: Doing) -> None:
        """Raise UsageError when an action is no draft that waits for a person."""
        uid = doing.subject
        action = await self._engine.journal.actions.get(uid)
        if action is not None and drafts.is_draft(action):
            return
        where = f"is {action.state}, {action.reason or 'and no draft'}" if action else ""
        why = (
            f"action {uid!r} {where or 'does not exist'}; only a draft wants a yes or no: "
            "`ringback actions list --state parked` shows those that wait"
        )
        if action is None:
            raise Missing(why)
        raise Conflict(why, await self._engine.journal.doings.now(doing))

    async def retry(self, message: Message, doing: Doing) -> dict[str, Any]:
        """Send an action again, or say yes to a draft. What may have happened already wants an
        explicit `may_duplicate`; what has waited too long is wanted anew."""
        uid = str(message.get("uid") or "")
        action = await self._engine.journal.actions.get(uid)
        if action is None:
            raise Missing(f"there is no action {uid!r}; `ringback actions list` names them")
        doubtful = action.state in _DOUBTFUL and not drafts.is_draft(action)
        if doubtful and not message.get("may_duplicate"):
            raise Conflict(
                f"{uid} may have happened already ({action.reason}); "
                "say --may-duplicate to send it all the same",
                await self._engine.journal.doings.now(doing),
            )
        body, key = None, None
        if doing.wanted.get("edited"):
            body, key = self._edited(action, message.get("body"))
        if drafts.is_draft(action):
            await self._engine.resumer.approved(action)
        kind = known_kind(action.kind)
        if kind is not None and kind.at_once:
            await self._decide(doing, _AGAIN, "settled", f"{kind.at_once}, as a person said")
            self._engine.hooks.on_end(uid, "settled", self._engine.wake)
            return {"state": "settled"}
        await self._decide(
            doing,
            _AGAIN,
            "planned",
            "sent again by a person",
            send_by=self._wanted(action),
            body=body,
            key=key,
        )
        await self._engine.sender.refill()
        return {"state": "planned"}

    def _edited(self, action: StoredAction, given: Any) -> tuple[str, str]:
        """A draft in other words, and the key of its send. Raises UsageError."""
        wish, body = action.action, typed(given)
        if not isinstance(wish, SendMessage):
            raise UsageError(f"a {action.kind} has no text that could be changed")
        if not body or len(body) > MAX_BODY:
            raise UsageError(f"a text has 1 to {MAX_BODY} letters; this one has {len(body)}")
        settings = self._engine.settings
        account = action.account_sid or settings.account_sid
        return body, collision_key(replace(wish, body=body), account, settings.sender)

    def _wanted(self, action: StoredAction) -> str | None:
        """Until when an action is wanted that a person sends again: from now on for as long as at
        first, when that time has passed."""
        now = self._runtime.now()
        if not action.send_by or action.send_by > iso(now):
            return None
        return iso(now + timedelta(seconds=lifetime(action.action)))

    async def resolve(self, message: Message, doing: Doing) -> dict[str, Any]:
        """A person knows what happened to a parked or unknown action, and perhaps its SID."""
        uid, outcome, sid = (str(message.get(name) or "") for name in ("uid", "outcome", "sid"))
        if outcome not in _OUTCOMES or (sid and outcome != "sent"):
            raise UsageError(
                "resolve wants the outcome `sent` (with a SID or without) or `not_sent`"
            )
        reason = f"a person says that it was {outcome.replace('_', ' ')}"
        if sid:
            state = await self._own(doing, sid, f"{reason}, as {sid}")
        else:
            state = _OUTCOMES[outcome]
            action = await self._engine.journal.actions.get(uid)
            draft = action if action is not None and drafts.is_draft(action) else None
            if draft is not None and state == "settled":
                await self._engine.resumer.approved(draft)
            await self._decide(doing, _DOUBTFUL, state, reason)
            if draft is not None and state == "cancelled":
                await self._engine.resumer.declined(draft)
        if state in ("settled", "failed"):
            self._engine.hooks.on_end(uid, state, self._engine.wake)
        return {"state": state}

    async def _own(self, doing: Doing, sid: str, reason: str) -> str:
        """Give an action the record that it made. What was reported about the record counts."""
        action = await self._engine.journal.actions.get(doing.subject)
        if action is None:
            raise await self._elsewhere(doing, _DOUBTFUL)
        prefixes = EFFECTS[action.effect].sid_prefixes if action.effect else ()
        if not prefixes:
            raise UsageError(f"a {action.kind} has no SID of its own; say --sent alone")
        if not is_sid(sid, *prefixes):
            raise UsageError(f"{sid!r} is no SID of a {action.kind} ({' or '.join(prefixes)}…)")
        holder = await self._engine.journal.evidence.holder(sid)
        if holder:
            raise UsageError(f"{sid} belongs to action {holder}")
        now = iso(self._runtime.now())
        state = await self._engine.journal.evidence.own(action, sid, reason, now, doing)
        if not state:
            raise await self._elsewhere(doing, _DOUBTFUL)
        return state

    async def _decide(
        self,
        doing: Doing,
        expected: tuple[str, ...],
        state: str,
        reason: str,
        *,
        send_by: str | None = None,
        body: str | None = None,
        key: str | None = None,
    ) -> None:
        decision = Decision(
            expected, state, reason, send_by=send_by, body=body, collision_key=key
        )  # fmt: skip
        now = iso(self._runtime.now())
        if not await self._engine.journal.actions.decide(doing.subject, decision, now, doing):
            raise await self._elsewhere(doing, expected)

    async def _elsewhere(self, doing: Doing, expected: tuple[str, ...]) -> UsageError:
        now = await self._engine.journal.doings.now(doing)
        wants = f"this wants {' or '.join(expected)}"
        if not now:
            return Missing(f"action {doing.subject!r} does not exist; {wants}")
        return Conflict(f"action {doing.subject!r} is {now['state']}; {wants}", now)
