"""Decisions of people about one conversation: write into it, take it over from the rules."""

import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ringback.actions import SendMessage
from ringback.errors import Conflict, Missing, UsageError
from ringback.events import Event, conversation_of
from ringback.ipc import Message
from ringback.runtime import Runtime, iso
from ringback.store.actions import NewAction
from ringback.store.matching import NewRun
from ringback.store.operations.doings import Doing
from ringback.store.operations.mutes import Mute
from ringback.store.operations.written import PERSON
from ringback.twilio.rest import MAX_BODY
from ringback.worker.engine import Engine
from ringback.worker.operations.envelope import until_of
from ringback.worker.run.plan import Origin, plan

LONGEST = timedelta(days=30)
LONGEST_REASON = 200


class ConversationDecisions:
    """Carries out what a person decides about a conversation, which is named by its two sides."""

    def __init__(self, engine: Engine, runtime: Runtime) -> None:
        self._engine = engine
        self._runtime = runtime

    async def named(self, message: Message, doing: Doing) -> Doing:
        """The doing about a conversation, which is named without a number."""
        pair = str(message.get("sender") or ""), str(message.get("recipient") or "")
        if not all(pair) or "/" not in conversation_of(*pair):
            return doing
        name = await self._engine.journal.consent_words.conversation(*pair)
        return replace(doing, subject=name, base={"ours": pair[0], "theirs": pair[1]})

    async def write(self, message: Message, doing: Doing) -> dict[str, Any]:
        """Let a text of a person go out, through the gate as any other. What the gate would refuse
        now is refused at once, with its reason: it looks again before the text leaves."""
        run, (action,) = await self.text(message)
        state, why, _ = await self._engine.journal.read(
            lambda session: self._engine.gate.ask(action.stored(), session.gate)
        )
        if state == "refused":
            raise Conflict(f"it would not be sent: {why}", {"state": state, "reason": why})
        now = iso(self._runtime.now())
        told = {"state": action.state, "uid": action.uid}
        done = replace(doing, wanted={"action": action.uid}, answer=told)
        await self._engine.journal.written.write(run, [action], now, done)
        if action.state == "planned":
            self._engine.sender.offer([action.stored()])
        return told

    async def text(self, message: Message) -> tuple[NewRun, tuple[NewAction, ...]]:
        """The run and the action that a text would become. Raises UsageError."""
        sender, recipient = _pair(message)
        body = typed(message.get("body") or "")
        if not body:
            raise UsageError("the text is empty")
        if len(body) > MAX_BODY:
            raise UsageError(f"the text has {len(body)} letters; {MAX_BODY} is the most")
        event = await self._event(sender, recipient)
        now = self._runtime.now()
        run = NewRun(
            uid=self._runtime.uid("run"), event_uid=event.uid, rule=PERSON, rule_rev="", key="",
            priority=0, started_at=iso(now),
        )  # fmt: skip
        planned = plan(
            Origin(run.uid, PERSON, "live"), event, [SendMessage(recipient, body, sender=sender)],
            runtime=self._runtime, settings=self._engine.settings, waiting_call="",
        )  # fmt: skip
        return run, planned.actions

    async def mute(self, message: Message, doing: Doing) -> dict[str, Any]:
        """Keep rules from a conversation until a time, or with none give it back to them."""
        sender, recipient = _pair(message)
        conversation, now = conversation_of(sender, recipient), iso(self._runtime.now())
        mutes = self._engine.journal.mutes
        until = until_of(message.get("until"), self._runtime.now(), LONGEST)
        if until is None:
            done = replace(doing, answer={"until": None})
            if not await mutes.end(conversation, now, done):
                raise Conflict("the rules have this conversation already", {"until": None})
            return {"until": None}
        reason = str(message.get("reason") or "").strip()[:LONGEST_REASON]
        mute = Mute(conversation, doing.subject, until, doing.by.who, reason, now)
        await mutes.give(mute, replace(doing, reason=reason, answer={"until": until}))
        return {"until": until}

    async def _event(self, sender: str, recipient: str) -> Event:
        """What the text hangs on in a trace. It begins no chain of its own."""
        journal = self._engine.journal
        uid = await journal.written.about(conversation_of(sender, recipient))
        event = await journal.events.get(uid) if uid else None
        if event is None:
            raise Missing("nothing of this conversation is kept: there is nothing to answer")
        return replace(event, depth=0)


def typed(given: Any) -> str:
    """A text that a person has typed, without what surrounds it. Raises UsageError for letters that
    no phone shows: control characters besides newline and tab, and halves of letters."""
    text = str(given).replace("\r\n", "\n")
    for place, letter in enumerate(text, 1):
        if letter not in "\n\t" and unicodedata.category(letter) in ("Cc", "Cs"):
            raise UsageError(
                f"text: letter {place} is the control character U+{ord(letter):04X}; leave it away"
            )
    return text.strip()


def _pair(message: Mapping[str, Any]) -> tuple[str, str]:
    sender, recipient = (str(message.get(name) or "").strip() for name in ("sender", "recipient"))
    if not sender or not recipient:
        raise UsageError("a conversation wants a sender of ours and a recipient")
    return sender, recipient
