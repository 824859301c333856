"""Forecast of actions: what the gate would say of them now, and what they would take. Nothing is
changed, and nothing of it is promised: budgets and times go on."""

import json
from collections.abc import Mapping
from typing import Any

from ringback.config import Settings
from ringback.errors import RingbackError, UsageError
from ringback.ipc import Message
from ringback.runtime import Runtime
from ringback.store.actions import StoredAction
from ringback.store.session import ReadSession
from ringback.twilio import segments
from ringback.twilio.costs import estimated_segments
from ringback.worker.engine import Engine
from ringback.worker.gate.quiet_hours import local_times
from ringback.worker.operations.conversation_decisions import ConversationDecisions

MOST = 50
"""So many actions are looked at for one question."""


class Forecasts:
    """Answers the operation `forecast`."""

    def __init__(
        self, engine: Engine, conversations: ConversationDecisions, runtime: Runtime
    ) -> None:
        self._engine = engine
        self._runtime = runtime
        self._conversations = conversations
        self._settings: Settings = engine.settings

    async def forecast(self, message: Message) -> dict[str, Any]:
        """For each action (`uids`): the state that it would come to, the reason, until when it
        would wait, its segments, and their price as the settings have it; and why nothing leaves
        at present, when that is so."""
        given = message.get("uids")
        if not isinstance(given, list) or len(given) > MOST:
            raise UsageError(f"forecast wants a list of actions, {MOST} at most")
        actions = [await self._engine.journal.actions.get(str(uid)) for uid in given]
        found = {
            each.uid: await self._engine.journal.read(self._look, each) for each in actions if each
        }
        return {"forecasts": found, "held": await self._held()}

    async def text(self, message: Message) -> dict[str, Any]:
        """The same for a text (`body`) that a person has not sent yet, its encoding, and the time
        where its recipient likely is (`local`): of several zones the earliest and the latest."""
        _, (action,) = await self._conversations.text(message)
        found = await self._engine.journal.read(self._look, action.stored())
        encoding = "GSM-7" if segments.is_gsm(str(message.get("body") or "")) else "UCS-2"
        local = local_times(str(message.get("recipient") or ""), self._runtime.now())
        found |= {"encoding": encoding, "local": local}
        return {"forecast": found, "held": await self._held()}

    async def _held(self) -> str:
        if self._engine.sender.paused:
            return "paused by a person"
        stopped = self._engine.sending.status()["stopped"]
        return await self._engine.hold.why() or (stopped[0]["says"] if stopped else "")

    def _look(self, session: ReadSession, action: StoredAction) -> dict[str, Any]:
        try:
            state, reason, until = self._engine.gate.ask(action, session.gate)
        except (RingbackError, ValueError, TypeError, LookupError) as error:  # it is damaged
            return {"state": "failed", "reason": str(error), "until": None, "segments": None,
                    "price": None}  # fmt: skip
        return {"state": state, "reason": reason, "until": until, **self._costs(action)}

    def _costs(self, action: StoredAction) -> dict[str, Any]:
        params: Mapping[str, Any] = json.loads(action.params)
        number = estimated_segments(params) if action.effect == "message" else None
        price = self._settings.segment_price
        return {"segments": number, "price": round(number * price, 4) if number and price else None}
