"""Interpreter of a rule's steps: a machine whose state can be stored and taken up again.

It is pure: events, time and the past come in, actions and a wait go out, and everything between two
waits is plain data (`state`) that the journal keeps. A crash resumes where the last commit was.
"""

import copy
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ringback.action_kinds import has_other_side
from ringback.actions import Action, AnswerCall
from ringback.errors import PluginError
from ringback.events import CALL_OVER, REPLAY, Event
from ringback.rules.engine import collect
from ringback.rules.engine.ruleset import triggered
from ringback.rules.interpreter import asking, placed_calls, web_requests
from ringback.rules.interpreter.answers import asked_in, asks_help, leaves
from ringback.rules.interpreter.continuation import (
    branch,
    kept,
    patience,
    remembered,
    scope_of,
    step_at,
)
from ringback.rules.interpreter.progress import CAME_IN_TIME, CLOSED, TOO_FEW, Progress, Wait, Wake
from ringback.rules.interpreter.render import render
from ringback.rules.interpreter.saved_event import event_from, event_to
from ringback.rules.interpreter.steering import STEERING, behind, broadcast_ended
from ringback.rules.interpreter.values import keep
from ringback.rules.language.cel import Fault
from ringback.rules.language.scope import Facts, Scope
from ringback.rules.model import Rule, Step, Trigger, waits
from ringback.rules.steps.kinds import STEPS
from ringback.rules.timing.calendar import Hours
from ringback.verbs import Verb, VoiceVerb

__all__ = ["Progress", "Wait", "Wake", "begin", "resume"]

MOST_STEPS = 500
"""How many steps one run may take between two waits."""
STEPS_OF_TURN, MOST_GRANTED = 4, 1000
"""How many more for each entry of a list that steps are done for, and how many at most."""
MOST_NOTES = 3
"""How many mishaps a run that goes on remembers."""
CHANGED = "failed: the rule changed while this run waited"
HANG_UP_GRACE = timedelta(seconds=10)
"""How long after the end of a call its recording is waited for: Twilio reports both at once."""
NO_ANSWER = "call.continued"
"""The event of a caller who said nothing: Twilio goes on behind the question, and asks us."""
_WAITING = ("wait", "wait_for", "ask", "http", "gather", "record", "dial", "broadcast", "call")
_OWN_ANSWERS = {
    "ask": asking.answered, "http": web_requests.answered, "broadcast": broadcast_ended,
    "call": placed_calls.answered,
}  # fmt: skip
"""How those go on whose answers are told in modules of their own."""
_LEADING = ("enqueue", "redirect", "dial", "gather", "record")
"""Steps that lead a caller on: what stands behind them means nothing once the call is over."""


def begin(
    rule: Rule,
    event: Event,
    facts: Facts,
    now: datetime,
    *,
    places: Mapping[str, Hours] | None = None,
    locks: Mapping[str, str] | None = None,
) -> Progress:
    """Start a rule's steps for an event that it wants. `locks` are those that were asked for in
    this turn: who holds each instead of this run, empty for one that this run has."""
    return Machine(rule, event, facts, now, places or {}, {"at": [0]}, locks).start()


def resume(
    rule: Rule,
    event: Event,
    facts: Facts,
    now: datetime,
    state: Mapping[str, Any],
    wake: Wake,
    *,
    places: Mapping[str, Hours] | None = None,
    locks: Mapping[str, str] | None = None,
) -> Progress:
    """Go on after a wait. `event` is the one that started the run, `wake` what ended the wait.

    An event that is not the awaited one gives the same wait again. `state` stays as it is.
    """
    own = copy.deepcopy(dict(state))
    return Machine(rule, event, facts, now, places or {}, own, locks).wake(wake)


class Machine:
    """One run under way: the event it began with, its state, and what it has planned so far."""

    def __init__(
        self, rule: Rule, event: Event, facts: Facts, now: datetime, places: Mapping[str, Hours],
        state: dict[str, Any], locks: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.rule, self.event, self.facts, self.now = rule, event, facts, now
        self.places, self.state, self.locks = places, state, locks or {}
        self.actions: list[Action] = []
        self.verbs: list[Verb] = []
        self.verbs_at, self.spoken_to = 0, ""
        self.woken: Event | None = None
        self.left, self.granted = MOST_STEPS, 0
        self.turns: dict[str, int] = dict(state.get("turns", {}))

    # -- the view that texts and conditions have

    def scope(self, reply: Event | None = None) -> Scope:
        heard = reply or self.reply
        scope = scope_of(
            self.rule, self.event, self.facts, self.state, self.now, self.places, heard,
            self.actions,
        )  # fmt: skip
        scope.turns = self.turns
        return scope

    @property
    def reply(self) -> Event | None:
        saved = self.state.get("reply")
        return event_from(saved) if saved else None

    # -- starting and going on

    def start(self) -> Progress:
        if self.rule.unless is not None:
            due = self.now + timedelta(seconds=self.rule.within)
            self.state["phase"] = "unless"
            return self.pause(due, self.rule.unless.types)
        if self.rule.collects:
            return self.collected(self.event)
        return self.first()

    def wake(self, wake: Wake) -> Progress:
        phase = self.state.get("phase", "steps")
        if phase == "unless" and self.rule.unless is not None:
            if wake.event is not None:
                if self.wants(self.rule.unless, wake.event):
                    came = f"{wake.event.type} {wake.event.uid}"
                    return self.finish(f"stopped: {came} {CAME_IN_TIME}")
                return self.again()
        elif phase == "collect":
            return self.collected(wake.event)
        elif phase != CLOSED:
            return self.answered(wake)
        self.state["phase"] = "steps"
        return self.first()

    def collected(self, event: Event | None) -> Progress:
        """One more event of a burst, or the moment at which its window ends. What comes from then
        on is no part of it, so that is written down before anything else is done."""
        self.state["phase"] = "collect"
        verdict, due = collect.step(self.rule, self.state, event, self.now)
        if verdict == "wait":
            return self.pause(due, ())
        if verdict == "drop":
            return self.finish(TOO_FEW)
        self.state["phase"] = CLOSED
        return self.pause(None, ())

    def wants(self, trigger: Trigger, event: Event) -> bool:
        return not triggered(trigger, self.scope(event))

    def again(self) -> Progress:
        """The same wait once more: what came was not it."""
        return Progress((), Wait.of(self.state["wait"]), self.state)

    # -- the loop

    def first(self) -> Progress:
        """Work out the values that the rule names, and begin with its steps."""
        wrong = keep(self, self.rule.let)
        return self.finish(f"failed: `let`: {wrong}") if wrong else self.run()

    def run(self) -> Progress:
        if self.rule.handler is not None:
            return self.finish("call")
        while self.left:
            self.left -= 1
            found = self.found()
            if isinstance(found, Progress):
                return found
            progress = self.do(found)
            if progress is not None:
                return progress
        return self.finish(f"failed: more than {MOST_STEPS} steps without a wait")

    def found(self) -> Step | Progress:
        """The next step, behind the ends of branches; the end of the run when there is none."""
        while (found := step_at(self.rule, self.state["at"])) is None:
            at = self.state["at"]
            if len(at) == 1:
                return self.finish("")
            self.state["at"] = at[:-2]
            step = step_at(self.rule, at[:-2])
            progress = behind(self, step, at[-2]) if step is not None else self.finish(CHANGED)
            if progress is not None:
                return progress
        return found

    def grant(self) -> None:
        """A few steps more, for one more entry of a list."""
        if self.granted < MOST_GRANTED:
            self.left += STEPS_OF_TURN
            self.granted += STEPS_OF_TURN

    def do(self, step: Step) -> Progress | None:
        """Do one step. None means: go on with the next."""
        steers = STEERING.get(step.kind)
        if steers is not None:
            return steers(self, step)
        given = render(step, self.scope())
        if isinstance(given, Fault):
            return self.fail(step, given.message)
        return self.perform(step, given)

    def perform(self, step: Step, given: dict[str, Any]) -> Progress | None:
        if step.plugin is not None:
            try:
                planned = tuple(step.plugin.run(self.event, given))
            except PluginError as error:
                return self.fail(step, str(error))
            except Exception as error:
                return self.fail(step, f"{type(error).__name__}: {error}")
        else:
            try:
                planned = STEPS[step.kind].plan(self.event, given)
            except ValueError as error:
                return self.fail(step, str(error))
        said = len(self.verbs)
        for each in planned:
            if isinstance(each, AnswerCall) and each.call_sid == self.call_sid:
                self.speak(each.verbs)
            elif isinstance(each, VoiceVerb):
                if not self.call_sid:
                    return self.fail(step, "there is no call to speak to")
                self.speak((each,))
            elif not has_other_side(each):
                return self.fail(step, "there is nobody on the other side of this event")
            else:
                self.actions.append(each)
        if len(self.verbs) > said and self.over():
            if step.kind in _LEADING:
                why = f"the call had ended before `{step.kind}` (line {step.line})"
                unheard, self.verbs = self.verbs, self.verbs[:said]
                if gone := placed_calls.left(self, None, why):
                    return gone
                self.verbs = unheard
                return self.finish(f"stopped: {why}")
            self.note(step, "the call had ended")
        if waits(step):
            return self.ask(step)
        self.next()
        return None

    def speak(self, verbs: tuple[Any, ...]) -> None:
        """Say these verbs behind those that are said to the call already."""
        if not verbs:
            return
        if self.spoken_to != self.call_sid:
            self.flush()
        if not self.verbs:
            self.verbs_at, self.spoken_to = len(self.actions), self.call_sid
        self.verbs += verbs

    def over(self) -> bool:
        """Whether nobody hears any more what is said. One that is replayed was over before."""
        return self.event.source != REPLAY and self.facts.call_over(self.call_sid)

    def next(self) -> None:
        self.state["at"][-1] += 1

    def enter(self, branch: str) -> None:
        self.state["at"] += [branch, 0]

    @property
    def question(self) -> str:
        return str(self.state.get("question", ""))

    @property
    def call_sid(self) -> str:
        if placed := placed_calls.line(self.state):
            return placed
        reply = self.reply
        return self.event.call_sid or (reply.call_sid if reply is not None else "")

    # -- waiting

    def ask(self, step: Step) -> Progress:
        """Wait for what the caller answers."""
        kind = {"gather": "call.gathered", "record": "call.recorded", "dial": "call.dialed"}
        types: tuple[str, ...] = (kind[step.kind], NO_ANSWER)
        if step.kind == "dial" and step.params["screen"]:
            types += ("call.gathered",)
        due = self.now + timedelta(seconds=patience(step, self.verbs))
        return self.pause(due, (*types, *CALL_OVER), self.call_sid)

    def hung_up(self, step: Step, event: Event) -> Progress:
        """The call is over. A recording may have been made all the same, and comes at once."""
        if step.kind != "record":
            gone = placed_calls.left(self, event, "they hung up")
            return gone or self.finish("stopped: the caller hung up")
        self.state["over"] = True
        types = ("call.recorded", NO_ANSWER)
        return self.pause(self.now + HANG_UP_GRACE, types, self.call_sid)

    def pause(self, due: datetime | None, types: tuple[str, ...], key: str = "") -> Progress:
        key = key or self.event.conversation or self.event.subject_sid
        self.state["question"] = asked_in(self.actions, self.verbs) or self.question
        if self.rule.state == "draft":  # what it remembers is written nowhere else
            kept = remembered(self.state, self.actions).items()
            self.state["kept"] = [[place, name, value] for (place, name), value in kept]
        wait = Wait(due, types, key)
        self.state["wait"] = wait.saved()
        return Progress(self.flushed(), wait, self.state)

    def answered(self, wake: Wake) -> Progress:
        """Go on behind the step that waited."""
        step = self.waits_at()
        if step is None:
            return self.finish(CHANGED)
        event = self.woken = wake.event
        leg = event is not None and placed_calls.is_leg(self, event)
        if (own := placed_calls.picked_up if leg else _OWN_ANSWERS.get(step.kind)) is not None:
            return own(self, step, event)
        if event is not None and step.kind in ("gather", "record", "dial"):
            if event.type in CALL_OVER:
                return self.hung_up(step, event)
        elif event is not None and step.kind == "wait_for" and leaves(event):
            if event.conversation == self.event.conversation:
                return self.finish("stopped: they sent STOP")
            event = None  # of another person no answer will come: as if the time were over
        elif event is not None and (step.kind == "wait" or not self.is_reply(step, event)):
            return self.again()
        elif event is None and step.kind in ("gather", "record", "dial"):
            why = "hung up" if self.state.get("over") else "did not answer"
            gone = placed_calls.left(self, None, f"they {why}")
            return gone or self.finish(f"stopped: the caller {why}")
        self.state.pop("wait", None)
        self.state.pop("over", None)
        if event is not None and step.kind == "gather":
            put = asking.put_again(self, step, event)
            if put is not None:
                return put
        if event is not None:
            self.state["reply"] = event_to(event)
            if step.params.get("as"):
                self.state.setdefault("vars", {})[step.params["as"]] = kept(step, event)
        way = branch(step, event)
        if way in step.branches:
            self.enter(way)
        else:
            self.next()
        return self.run()

    def waits_at(self) -> Step | None:
        """The step that the run waits at; None when the rule has changed under it."""
        step = step_at(self.rule, self.state["at"])
        return step if step is not None and step.kind in _WAITING else None

    def is_reply(self, step: Step, event: Event) -> bool:
        if asks_help(event, step.params["if"]):
            return False
        trigger = Trigger(tuple(step.params["on"]), tuple(step.params["if"]))
        verdict = triggered(trigger, self.scope(event))
        if verdict.startswith("error"):
            self.note(step, f"{event.type} does not count: {verdict}")
        return not verdict

    # -- ending

    def note(self, step: Step, what: str) -> None:
        """Keep what a person should know of a run that goes on; the last ones are enough."""
        notes = [*self.state.get("notes", ()), f"`{step.kind}` (line {step.line}): {what}"]
        self.state["notes"] = list(dict.fromkeys(notes))[-MOST_NOTES:]

    def fail(self, step: Step, why: str) -> Progress:
        return self.finish(f"failed: step `{step.kind}` (line {step.line}): {why}")

    def finish(self, end: str) -> Progress:
        self.state.pop("wait", None)
        return Progress(self.flushed(), None, self.state, end)

    def flush(self) -> None:
        """What is said to one call becomes one answer, where the first of it stands."""
        if self.verbs:
            answer = AnswerCall(self.spoken_to, tuple(self.verbs))
            self.actions.insert(self.verbs_at, answer)
            self.verbs = []

    def flushed(self) -> tuple[Action, ...]:
        if self.turns:
            self.state["turns"] = self.turns
        self.flush()
        return tuple(self.actions)
