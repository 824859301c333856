"""Broadcasts that a person begins, beside those of rules."""

from dataclasses import replace
from typing import Any

from ringback.actions import Broadcast
from ringback.errors import Missing, UsageError
from ringback.ipc import Message
from ringback.rules.language.complaints import did_you_mean
from ringback.rules.steps.group_texts import rate_of
from ringback.runtime import Runtime, iso
from ringback.store.matching import NewRun
from ringback.store.operations.broadcast_start import BEGUN, event_of, named
from ringback.store.operations.doings import Doing
from ringback.store.operations.written import PERSON
from ringback.twilio.rest import MAX_BODY
from ringback.worker.engine import Engine
from ringback.worker.operations.bulk_work import LARGE
from ringback.worker.operations.conversation_decisions import typed
from ringback.worker.operations.envelope import require_role
from ringback.worker.run.plan import Origin, plan


class BroadcastDecisions:
    """Carries out what a person says to all of a group."""

    def __init__(self, engine: Engine, runtime: Runtime) -> None:
        self._engine = engine
        self._runtime = runtime

    async def size(self, message: Message) -> dict[str, Any]:
        """How many are in a group."""
        return {"members": await self._members(str(message.get("to") or ""))}

    async def begin(self, message: Message, doing: Doing) -> dict[str, Any]:
        """Let a text go to all of a group, each once, through the gate as any other."""
        to, body = str(message.get("to") or ""), typed(message.get("body") or "")
        if not body or len(body) > MAX_BODY:
            raise UsageError(f"a text has 1 to {MAX_BODY} letters; this one has {len(body)}")
        members = await self._members(to)
        if not members:
            raise UsageError(f"nobody is in {to}")
        if members > LARGE:
            require_role(doing, "admin", f"to text more than {LARGE:,} people")
        rate, sender = _rate(message.get("rate")), str(message.get("sender") or "")
        key = f"blk_{doing.request}" if doing.request else self._runtime.uid("blk")
        now = iso(self._runtime.now())
        event = event_of(BEGUN, key, named("evt", key), {}, 0, now)
        run = NewRun(
            uid=named("run", key), event_uid=event.uid, rule=PERSON, rule_rev="", key="",
            priority=0, started_at=now,
        )  # fmt: skip
        (action,) = plan(
            Origin(run.uid, PERSON, "live"), event,
            [Broadcast(to, body, rate, sender, (), key)],
            runtime=self._runtime, settings=self._engine.settings, waiting_call="",
        ).actions  # fmt: skip
        told = {"state": "waiting", "uid": key, "members": members}
        done = replace(doing, wanted={**doing.wanted, "broadcast": key}, answer=told)
        await self._engine.journal.broadcasts.start(event, run, action, now, done)
        return told

    async def _members(self, to: str) -> int:
        """Raises Missing for a group that is not there."""
        groups, name = self._engine.matcher.ruleset.language.groups, to.removeprefix("groups.")
        if name == to or name not in groups:
            close = did_you_mean(name, groups) or f"known: {', '.join(groups) or 'none'}"
            raise Missing(f"{to!r} is no group of the rules; write groups.NAME; {close}")
        found = groups[name].members
        return await self._engine.journal.groups.size(name) if found is None else len(found)


def _rate(given: Any) -> float:
    try:
        return float(rate_of(given if given not in (None, "") else "10/s"))
    except ValueError as error:
        raise UsageError(str(error)) from None
