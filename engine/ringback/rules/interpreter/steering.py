"""Steps that steer a run: each decides where it goes on, or that it waits or ends.

A function takes the machine and its step. None means that the run goes on; a `Progress` is a wait
or the end of it.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta

from ringback.actions import Broadcast, Stop
from ringback.events import Event
from ringback.rules.engine.ruleset import holds
from ringback.rules.interpreter.asking import ask, gather
from ringback.rules.interpreter.nested import begin_each, behind_each, enter_block, leave_block
from ringback.rules.interpreter.placed_calls import call
from ringback.rules.interpreter.progress import Lock, Progress, Run
from ringback.rules.interpreter.render import render
from ringback.rules.interpreter.saved_event import event_to
from ringback.rules.interpreter.values import let, put
from ringback.rules.interpreter.web_requests import http
from ringback.rules.language.cel import Fault
from ringback.rules.model import Step
from ringback.rules.retry_policy import step_try
from ringback.runtime import from_person, ulid_from

BROADCAST_ENDED = "broadcast.ended"
BROADCAST_PATIENCE = timedelta(days=60)
"""A run waits no longer for the end of its broadcast."""


MOST_LOCKS = 50
"""So many keys a run may ask for between two waits: for each one its turn is made once more."""
FURTHEST = timedelta(days=400)
"""As the longest span: what is further away is a mistake."""


def wait(run: Run, step: Step) -> Progress | None:
    """Let time pass, until a moment, or until a place opens."""
    if step.params["until"]:
        return _wait_until(run, step)
    name = step.params["until_open"]
    if not name:
        return run.pause(run.now + timedelta(seconds=step.params["for"]), ())
    opens = run.places[name].next_open(run.now) if name in run.places else None
    if opens is None:
        return run.fail(step, f"{name!r} does not open within 400 days")
    return run.pause(opens, ())


def _wait_until(run: Run, step: Step) -> Progress | None:
    given = render(step, run.scope())
    if isinstance(given, Fault):
        return run.fail(step, given.message)
    try:
        moment = from_person(given["until"])
    except ValueError as error:
        return run.fail(step, str(error))
    if moment > run.now + FURTHEST:
        return run.fail(step, f"{given['until']} is more than {FURTHEST.days} days away")
    if moment <= run.now:
        run.next()
        return None
    return run.pause(moment, ())


def wait_for(run: Run, step: Step) -> Progress | None:
    """Wait for an event of this conversation, or of a key."""
    given = render(step, run.scope())
    if isinstance(given, Fault):
        return run.fail(step, given.message)
    due = run.now + timedelta(seconds=step.params["timeout"])
    return run.pause(due, tuple(step.params["on"]), given["key"])


def choose(run: Run, step: Step) -> Progress | None:
    """Go into the first option that holds."""
    scope = run.scope()
    for index, conditions in enumerate(step.params["options"]):
        verdict = holds(conditions, scope)
        if verdict.startswith("error"):
            run.note(step, f"option {index + 1} does not hold: {verdict}")
        if not verdict:
            run.enter(f"option:{index}")
            return None
    if "else" in step.branches:
        run.enter("else")
    else:
        run.next()
    return None


def first(run: Run, step: Step) -> Progress | None:
    """Go on as the first run with this key, or do what the others do."""
    given = render(step, run.scope())
    if isinstance(given, Fault):
        return run.fail(step, given.message)
    key, locks = given["key"].strip(), run.locks
    if not key:
        return run.fail(step, "the key is empty")
    if key not in locks and len(locks) >= MOST_LOCKS:
        return run.fail(step, f"more than {MOST_LOCKS} keys without a wait")
    if key not in locks:
        end = "failed: nobody has looked who was first"
        return Progress((), None, run.state, end, Lock(key, step.params["for"]))
    branch = "else" if locks[key] else "do"
    if locks[key]:
        lost = f"{locks[key]} was first"
        if not step.branches["else"]:
            return run.finish(f"stopped: {lost}")
        run.note(step, lost)
    if step.branches[branch]:
        run.enter(branch)
    else:
        run.next()
    return None


def run_rule(run: Run, step: Step) -> Progress | None:
    """Do the steps of another rule, or of a block."""
    if step.params["block"]:
        return enter_block(run, step)
    run.enter("run")
    return None


def stop(run: Run, step: Step) -> Progress | None:
    """End here, or keep the rules of lower priority away."""
    given = render(step, run.scope())
    if isinstance(given, Fault):
        return run.fail(step, given.message)
    run.actions.append(Stop(given["reason"]))
    if given["others"]:
        run.next()
        return None
    return run.finish(f"stopped: {given['reason'] or 'by a stop step'}")


def retry(run: Run, step: Step) -> Progress | None:
    """Try a failed text again where that can help."""
    given = render(step, run.scope())
    if isinstance(given, Fault):
        return run.fail(step, given.message)
    found = step_try(run.rule.name, run.event, given, run.facts, run.now)
    if isinstance(found, str):
        return run.finish(f"stopped: {found}")
    run.note(step, found.why)
    if found.action is None:
        run.enter("else")
    else:
        run.actions.append(found.action)
        run.next()
    return None


def broadcast(run: Run, step: Step) -> Progress | None:
    """Ask for the broadcast, and wait for its end where its result is kept. Its id follows from
    the run, so that a step that is done once more begins no second one."""
    given = render(step, run.scope())
    if isinstance(given, Fault):
        return run.fail(step, given.message)
    number = int(run.state.get("broadcasts", 0))
    run.state["broadcasts"] = number + 1
    key = f"blk_{ulid_from(f'{run.event.uid} {run.rule.name} {number}')}"
    run.actions.append(
        Broadcast(
            given["to"], given["body"], given["rate"], given["from"], tuple(given["media"]), key
        )
    )
    if not given["as"]:
        run.next()
        return None
    if run.rule.in_shadow:  # nothing begins, and nothing ends
        return _keep_result(run, step, None)
    return run.pause(run.now + BROADCAST_PATIENCE, (BROADCAST_ENDED,), key)


def broadcast_ended(run: Run, step: Step, event: Event | None) -> Progress:
    """Go on with the result; without one, when nobody has told it in time."""
    if event is not None and event.type != BROADCAST_ENDED:
        return run.again()
    run.state.pop("wait", None)
    if event is not None:
        run.state["reply"] = event_to(event)
    return _keep_result(run, step, event) or run.run()


def _keep_result(run: Run, step: Step, event: Event | None) -> Progress | None:
    fields = event.fields if event is not None else {}
    result = {name: int(fields.get(name.title(), 0)) for name in ("sent", "refused", "failed")}
    text = event.body if event is not None else ""
    put(run.state, step.params["as"], {**result, "text": text})
    run.next()
    return None


STEERING: Mapping[str, Callable[[Run, Step], Progress | None]] = {
    "wait": wait,
    "wait_for": wait_for,
    "ask": ask,
    "gather": gather,
    "choose": choose,
    "each": begin_each,
    "let": let,
    "first": first,
    "http": http,
    "run": run_rule,
    "stop": stop,
    "call": call,
    "retry": retry,
    "broadcast": broadcast,
}
"""The steps that steer, by their word. Every other step is planned and performed."""


def behind(run: Run, step: Step, branch: str) -> Progress | None:
    """Go on when the steps of a branch of this step are done."""
    if step.kind == "each":
        return behind_each(run, step, branch)
    if step.kind == "run" and step.params["block"]:
        return leave_block(run, step)
    run.next()
    return None
