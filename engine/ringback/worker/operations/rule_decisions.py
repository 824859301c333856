"""Decisions of people about rules: another state for a while, and the end of a quarantine."""

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ringback.errors import Conflict, Missing, UsageError
from ringback.ipc import Message
from ringback.rules.language.complaints import did_you_mean
from ringback.rules.model import STATES, Rule, Step
from ringback.rules.starts import start_event
from ringback.rules.steps.kinds import STEPS
from ringback.runtime import Runtime, iso
from ringback.store.operations.doings import Doing
from ringback.store.operations.rule_states import RuleState
from ringback.worker.engine import Engine
from ringback.worker.operations.envelope import require_role, until_of

log = logging.getLogger(__name__)

FILE = "file"
"""The word for: as the file says."""
LONGEST = timedelta(days=400)
LONGEST_REASON = 500


class RuleDecisions:
    """Carries out what a person decides about one rule. The file is never written."""

    def __init__(self, engine: Engine, runtime: Runtime) -> None:
        self._engine = engine
        self._runtime = runtime

    def based(self, doing: Doing) -> Doing:
        """The same with what the file says of the rule."""
        rule = self._engine.loaded.ruleset.get(doing.subject)
        return replace(doing, base={"file": rule.state, "rev": rule.rev}) if rule else doing

    async def state(self, message: Message, doing: Doing) -> dict[str, Any]:
        """Put a rule into another state until a time, or until its file changes; or back."""
        rule = self._rule(doing.subject)
        wanted, reason = str(message.get("state") or ""), str(message.get("reason") or "").strip()
        if wanted not in (*STATES, FILE):
            raise UsageError(
                f"a rule is {', '.join(STATES)}, or as its {FILE} says; not {wanted!r}"
            )
        states, engine = self._engine.journal.rule_states, self._engine
        if wanted == FILE:
            told = {"until": None, "file": rule.state}
            done = replace(doing, reason=reason[:LONGEST_REASON], answer=told)
            if not await states.take_back(rule.name, done):
                known = await engine.journal.doings.now(doing)
                raise Conflict(f"rule {rule.name!r} is as its file says: {rule.state}", known)
        else:
            if STATES.index(wanted) > STATES.index(rule.state):
                require_role(doing, "admin", "to set a rule beyond its file")
            if not reason:
                raise UsageError("say why, for whoever looks at the rule next: the reason is empty")
            said = RuleState(
                rule.name, wanted, rule.state, rule.rev,
                until_of(message.get("until"), self._runtime.now(), LONGEST),
                doing.by.who, reason[:LONGEST_REASON], iso(self._runtime.now()),
            )  # fmt: skip
            chosen = {**doing.wanted, "file": rule.state, "rev": rule.rev, "end": said.until}
            told = {"until": said.until, "file": rule.state}
            await states.give(said, replace(doing, wanted=chosen, reason=said.reason, answer=told))
        await engine.overrides.read()
        engine.restate()
        log.warning("rule %s: %s by %s: %s", rule.name, wanted, doing.by.who or "somebody", reason)
        now = await engine.journal.doings.now(doing)
        return {"state": now["state"], **told}

    async def start(self, message: Message, doing: Doing) -> dict[str, Any]:
        """Start a rule now, for a person perhaps, with JSON perhaps. What restrains its runs
        (`mode`, `max`, `once_within`) does so here too."""
        engine, name = self._engine, doing.subject
        rule = engine.matcher.ruleset.get(name)
        if rule is None:
            hint = did_you_mean(name, engine.matcher.ruleset.by_name)
            raise Missing(f"no rule is named {name!r}; {hint or '`ringback rules list` names all'}")
        if rule.state == "off":
            mend = f"`ringback rules state {name} live --reason …` switches it on"
            raise Conflict(f"rule {name!r} is off: {mend}", {"state": "off"})
        if why := engine.matcher.quarantined.get(name):
            mend = f"`ringback rules release {name}` lets it run again"
            raise Conflict(f"rule {name!r} is quarantined: {why}; {mend}", {"state": "quarantined"})
        event = start_event(
            name, to=str(message.get("to") or ""), ours=engine.settings.sender,
            given=str(message.get("json") or ""), at=self._runtime.now(), mint=self._runtime.uid,
        )  # fmt: skip
        if not event.sender and any(map(_needs_somebody, rule.steps)):
            raise UsageError(f"rule {name!r} writes to somebody: say whom with --to")
        found = await engine.start(event, doing)
        runs = [{"run": run.uid, "rule": run.rule} for _, run in found.runs]
        state = "started" if runs else "not started"
        return {"state": state, "uid": event.uid, "verdicts": found.verdicts, "runs": runs}

    async def release(self, message: Message, doing: Doing) -> dict[str, Any]:
        """Forget the strikes of a rule."""
        done = replace(doing, answer={"state": "released"})
        if not await self._engine.journal.runs.release(doing.subject, done):
            raise UsageError(f"rule {doing.subject!r} has no strikes")
        self._engine.matcher.quarantined.pop(doing.subject, None)
        return {"state": "released"}

    def _rule(self, name: str) -> Rule:
        rule = self._engine.loaded.ruleset.get(name)
        if rule is None:
            raise Missing(f"the worker has no rule {name!r}; `ringback rules list` names all")
        return rule


def _needs_somebody(step: Step) -> bool:
    """Whether a step that is done first of all has nothing to do without a person."""
    model = STEPS.get(step.kind)
    return model is not None and model.needs == "contact"
