"""Web requests whose answer a run waits for: `http` with `as` or `else`."""

import math
from dataclasses import replace
from datetime import timedelta

from ringback.actions import HttpRequest
from ringback.events import ANSWERED, Event
from ringback.rules.interpreter.progress import Progress, Run
from ringback.rules.interpreter.render import render
from ringback.rules.interpreter.values import put_answer
from ringback.rules.language.cel import Fault
from ringback.rules.model import Step, awaits_answer
from ringback.rules.steps.kinds import STEPS
from ringback.rules.timing.durations import format_duration
from ringback.verbs import Pause

MARGIN = 15
"""How many seconds longer than it takes at most a caller is kept on the line."""
_LIVE = ("call.received", "call.gathered", "call.recorded", "call.dialed")
"""Events of a call that waits for what it is to do next."""


def http(run: Run, step: Step) -> Progress | None:
    """Ask a web service, and wait for its answer when the step has a use for it."""
    given = render(step, run.scope())
    if isinstance(given, Fault):
        return run.fail(step, given.message)
    if not awaits_answer(step):
        return run.perform(step, given)
    number = run.state["requests"] = run.state.get("requests", 0) + 1
    key = f"http {number} of {run.rule.name} for {run.event.uid}"
    seconds = step.params["timeout"]
    for each in STEPS[step.kind].plan(run.event, given):
        assert isinstance(each, HttpRequest)
        asked = replace(each, answer=key, timeout=seconds, retries=step.params["retries"])
        run.actions.append(asked)
    if run.rule.in_shadow:
        return _none(run, step, "a rule in shadow asks nobody")
    _hold(run, seconds)
    return run.pause(run.now + timedelta(seconds=seconds), (ANSWERED,), key)


def answered(run: Run, step: Step, event: Event | None) -> Progress:
    """Go on behind a request: with its answer, or without one."""
    if event is None:
        return _none(run, step, f"no answer within {format_duration(step.params['timeout'])}")
    if event.type != ANSWERED or event.subject_sid != run.state["wait"]["key"]:
        return run.again()
    if not event.status:
        return _none(run, step, event.fields.get("Reason", ""))
    try:
        if step.params["as"]:
            put_answer(run.state, step.params["as"], int(event.status), event.body)
    except ValueError as error:
        return _none(run, step, str(error))
    run.state.pop("wait", None)
    run.next()
    return run.run()


def _none(run: Run, step: Step, why: str) -> Progress:
    """No answer: the steps of `else`. Without any the run fails, as what stands behind needs it."""
    run.state.pop("wait", None)
    if not step.branches["else"]:
        return run.fail(step, why)
    if step.params["as"]:
        put_answer(run.state, step.params["as"], 0, "")
    run.note(step, why)
    run.enter("else")
    return run.run()


def _hold(run: Run, seconds: float) -> None:
    """Keep a caller on the line who hears us: what is said behind the answer follows as an update
    of the call. One who was kept before is kept on."""
    event = run.woken or run.event
    kept = run.state.get("kept_on") == run.call_sid
    if not run.call_sid or run.over() or not (run.verbs or kept or event.type in _LIVE):
        return
    run.state["kept_on"] = run.call_sid
    run.speak((Pause(math.ceil(seconds) + MARGIN),))
