"""Control socket of the worker: what the receiver and the shell may ask of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ringback import log_lines
from ringback.errors import Conflict, Missing, RingbackError, StorageError, UsageError
from ringback.ipc import Message, refusal, require_good
from ringback.plugins.plugin_rows import rows_of
from ringback.runtime import Runtime, iso
from ringback.store.operations.doings import By, Doing, Repeated, require
from ringback.worker.contacts.broadcast_decisions import BroadcastDecisions
from ringback.worker.contacts.broadcast_work import BroadcastWork
from ringback.worker.contacts.card_decisions import CardDecisions
from ringback.worker.engine import Engine
from ringback.worker.operations.action_decisions import ActionDecisions
from ringback.worker.operations.bulk_work import BulkWork
from ringback.worker.operations.call_decisions import CallDecisions
from ringback.worker.operations.conversation_decisions import ConversationDecisions
from ringback.worker.operations.envelope import SORTS, doing_of, require_role
from ringback.worker.operations.failure_decisions import FailureDecisions
from ringback.worker.operations.forecast import Forecasts
from ringback.worker.operations.rule_decisions import RuleDecisions
from ringback.worker.operations.status import status_of
from ringback.worker.operations.switches import Switches
from ringback.worker.operations.waits_and_consent import WaitDecisions

Change = Callable[[Message, Doing], Awaitable[dict[str, Any]]]
_DECISIONS = ("approve", "decline", "retry", "cancel_action", "resolve", "rule_state")
"""What a person decides about one thing in several steps: one decision after the other, so that
of a yes and a no at the same time the later one sees the earlier."""


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
        self._decisions = asyncio.Lock()
        self._rules, self._waits = RuleDecisions(engine, runtime), WaitDecisions(engine, runtime)
        self._conversations = ConversationDecisions(engine, runtime)
        calls = CallDecisions(engine, runtime)
        forecasts = Forecasts(engine, self._conversations, runtime)
        self.bulks = BulkWork(engine, runtime, forecasts, self._carry)
        self.broadcasts, texts = BroadcastWork(engine, runtime), BroadcastDecisions(engine, runtime)
        actions, switches = ActionDecisions(engine, runtime), Switches(engine)
        self._asked: Mapping[str, Callable[[Message], Awaitable[dict[str, Any]]]] = {
            "status": self._status, "clock": self._clock, "incident_state": self._incident_state,
            "forecast": forecasts.forecast, "logs": self._logs, "plugins": self._plugins,
            "forecast_text": forecasts.text, "group_size": texts.size,
        }  # fmt: skip
        self._changes: Mapping[str, Change] = {
            "pause": switches.pause, "resume": switches.resume,
            "retry": actions.retry, "cancel_action": actions.cancel_action,
            "approve": actions.approve, "decline": actions.decline, "resolve": actions.resolve,
            "cancel_run": self._cancel_run, "replay": self._replay, "incident": self._incident,
            "reload": self._reload_rules, "release": self._rules.release,
            "rule_state": self._rules.state, "start": self._rules.start,
            "wake_run": self._waits.wake_run, "postpone": self._waits.postpone,
            "consent": self._waits.consent, "write": self._conversations.write,
            "cards": CardDecisions(engine, runtime).cards, "broadcast": texts.begin,
            "mute": self._conversations.mute, "hang_up": calls.hang_up, "dequeue": calls.dequeue,
            "bulk": self.bulks.preview,
            "problem": FailureDecisions(engine, runtime).problem,
            "bulk_start": self.bulks.start, "bulk_stop": self.bulks.stop,
        }  # fmt: skip

    async def handle(self, message: Message) -> dict[str, Any] | None:
        """One message of the socket. Raises UsageError, which is answered to the other side."""
        operation = str(message.get("op") or "")
        if operation == "wake":
            self._engine.wake()
            return None
        if operation in ("answer", "heard", "late"):
            return await self._call(operation, int(message["id"]))
        if operation in self._asked:
            return {"ok": True, **await self._asked[operation](message)}
        if operation not in SORTS:
            raise UsageError(f"the worker knows no operation {operation!r}")
        doing = doing_of(message, self._runtime)
        doing = self._rules.based(doing) if doing.kind == "rule" else doing
        if doing.kind in ("consent", "conversation", "mute"):
            doing = await self._conversations.named(message, doing)
        return {"ok": True, **await self._carry(message, doing)}

    async def _carry(self, message: Message, doing: Doing) -> Mapping[str, Any]:
        """Carry out a doing; for a request that was made before what was answered then."""
        turn = self._decisions if doing.op in _DECISIONS else nullcontext()
        async with turn:
            try:
                return await self._change(message, doing)
            except Repeated as repeated:
                require_good(repeated.answer)
                return repeated.answer

    async def _change(self, message: Message, doing: Doing) -> Mapping[str, Any]:
        """Carry out an operation that changes something, once, and note what was refused. Raises
        Repeated when the request was made before."""
        doings = self._engine.journal.doings
        try:
            known = await doings.first(doing)
            if known is not None:
                raise Repeated(known)
            require_role(doing, "operate")
            if doing.expect:  # before anything that stands beside the change itself
                require(doing, await doings.now(doing))
            result = await self._changes[doing.op](message, doing)
        except Repeated:
            raise
        except UsageError as error:
            with suppress(StorageError):
                await doings.refused(doing, str(error), refusal(error))
            raise
        except RingbackError as error:
            with suppress(StorageError):
                await doings.failed(doing, str(error))
            raise
        return (await doings.first(doing) if doing.request else None) or result

    async def _call(self, operation: str, log_id: int) -> dict[str, Any]:
        """What the receiver says of a call that waits: it wants the answer, the caller has heard
        it, or has heard the fallback."""
        calls = self._engine.calls
        if operation == "answer":
            twiml = await calls.answer(log_id)
            return {"twiml": twiml, "confirm": bool(twiml) and calls.is_followed(log_id)}
        await (calls.heard(log_id) if operation == "heard" else calls.late(log_id))
        return {"ok": True}

    async def _status(self, message: Message) -> dict[str, Any]:
        return {
            **await status_of(self._engine), **await self._engine.hooks.reports.status(),
            "budgets": self._engine.gate.budgets(), "hosts": self._hosts(),
            "strikes": dict(self._engine.strikes.counts),
        }  # fmt: skip

    async def _incident(self, message: Message, doing: Doing) -> dict[str, Any]:
        """What a person says to an incident: `ack`, `mute` for so many seconds, `note`."""
        now, uid = self._runtime.now(), str(message["uid"])
        seconds, muted = message.get("mute"), None
        if isinstance(seconds, int | float):
            muted = iso(now + timedelta(seconds=seconds)) if seconds else ""
        known = await self._engine.journal.incidents.decide(
            uid, now, ack=bool(message.get("ack")), mute=muted,
            note=str(message.get("note") or ""), doing=doing,
        )  # fmt: skip
        if not known:
            raise Missing(f"there is no incident {uid}; `ringback incidents list` names them")
        return {}

    async def _incident_state(self, message: Message) -> dict[str, Any]:
        """What the page of an incident shows; with `ack` it is acknowledged, if it is open."""
        uid, incidents = str(message["uid"]), self._engine.journal.incidents
        found = await incidents.state(uid)
        if found is not None and message.get("ack") and found["state"] == "open":
            now = self._runtime.now()
            by = By("whoever has the link", "operate", "link")
            doing = Doing(
                self._runtime.uid("op"), iso(now), by, "incident", "incident", uid, {"ack": True}
            )
            await incidents.decide(uid, now, ack=True, by="link", doing=doing)
            found = await incidents.state(uid)
        if found is None:
            raise Missing(f"there is no incident {uid}; `ringback incidents list` names them")
        return dict(found)

    async def _logs(self, message: Message) -> dict[str, Any]:
        return log_lines.told(message)

    async def _plugins(self, message: Message) -> dict[str, Any]:
        """The plugins in use, and those that did not load."""
        loaded = self._engine.loaded
        return {"plugins": rows_of(loaded.plugins, loaded.plugins.problems)}

    async def _clock(self, message: Message) -> dict[str, Any]:
        """The clock of `ringback dev` was moved: do what is due, and say when more will be."""
        self._engine.look_again()
        return {"now": iso(self._runtime.now()), "next_due": await self._engine.next_due()}

    async def _reload_rules(self, message: Message, doing: Doing) -> dict[str, Any]:
        problems = await self._reload()
        found = {"problems": problems, "rules": len(self._engine.loaded.ruleset.rules)}
        became = "the last good ones stay" if problems else "loaded"
        await self._engine.journal.doings.done(replace(doing, answer=found), became)
        return found

    async def _cancel_run(self, message: Message, doing: Doing) -> dict[str, Any]:
        uid = str(message.get("uid") or "")
        now = iso(self._runtime.now())
        runs = self._engine.journal.runs
        if not await runs.cancel([uid], "cancelled by a person", now, doing):
            why = f"run {uid!r} is not under way; `ringback runs list` shows those that are"
            known = await self._engine.journal.doings.now(doing)
            raise Conflict(why, known) if known else Missing(why)
        await self._engine.resumer.cancelled(uid)
        return {"state": "cancelled"}

    async def _replay(self, message: Message, doing: Doing) -> dict[str, Any]:
        """A stored event once more, as a copy, through the rules of today, or through one alone.
        What may have happened already wants an explicit `may_duplicate`."""
        uid, name = str(message.get("uid") or ""), str(message.get("rule") or "")
        rule = self._engine.matcher.ruleset.get(name) if name else None
        if name and rule is None:
            raise Missing(f"the worker has no rule {name!r}")
        doubtful = await self._engine.journal.actions.undecided(uid)
        if doubtful and not message.get("may_duplicate"):
            names = ", ".join(f"{action} ({state})" for action, state in doubtful[:5])
            raise Conflict(
                f"{uid} may have had its effect already: {names}; decide about that first "
                "(`ringback actions resolve`), or say --may-duplicate",
                {"undecided": dict(doubtful[:5])},
            )
        found = await self._engine.replay(uid, rule, doing)
        return {"state": "replayed", "uid": found.event.uid, "verdicts": found.verdicts}
