"""Calls of ours that a run goes on in: who answers is talked to, a machine hears something else.

A run waits for its call under the nonce of the address at which Twilio asks what the callee shall
hear: it is known before the call has a SID, and outlives both processes. From the answer on
`called` in the state of the run has the place of the `call` step, the SID, and how many blocks and
lists were under way; whatever stands in the branches `do` and `machine` of that step speaks to
that call.
"""

from collections.abc import Mapping
from datetime import timedelta
from hashlib import blake2b
from typing import Any

from ringback.actions import AnswerCall
from ringback.events import CALL_OVER, Event
from ringback.rules.interpreter.progress import Progress, Run, Wait
from ringback.rules.interpreter.render import render, render_call
from ringback.rules.interpreter.saved_event import event_to
from ringback.rules.language.cel import Fault
from ringback.rules.model import PLACED, Step, every_step
from ringback.rules.steps.calls import heard
from ringback.rules.steps.kinds import STEPS
from ringback.verbs import Gather, Hangup, Pause, Say, Verb

TAKES = "1"
"""The key by which who was rung takes a call."""
PICKED_UP = "call.continued"
"""The event of a callee who is there: Twilio asks what they shall hear."""
_RINGS = ("call.initiated", "call.ringing", "call.answered")
_ENDS = (*CALL_OVER, "action.failed", "action.refused")
_LATEST = timedelta(days=1)
"""How long a call is waited for of which nothing is heard: quiet hours may hold it back."""
_DETECTION = timedelta(minutes=2)
"""How long behind the time to ring: until Twilio knows whether a machine has answered."""
_SPEAKS = ("say", "play", "gather", "record", "pause")


def call(run: Run, step: Step) -> Progress | None:
    """Place a call; wait for who answers, when the run goes on with them."""
    if not step.params["converses"]:
        given, at = render_call(step, run.scope())
        if isinstance(given, Fault):
            return run.fail(at, given.message)
        return run.perform(step, given)
    rendered = render(step, run.scope())
    if isinstance(rendered, Fault):
        return run.fail(step, rendered.message)
    if len(rendered["to"]) != 1:
        return run.fail(step, f"{len(rendered['to'])} people in `to`: one can be talked to")
    run.state["calls"] = run.state.get("calls", 0) + 1
    name = f"{run.event.uid}\0{run.rule.name}\0{run.state['calls']}"
    nonce = PLACED + blake2b(name.encode("utf-8", "replace"), digest_size=12).hexdigest()
    run.actions += STEPS["call"].plan(run.event, {  # type: ignore[arg-type]
        **rendered, "say": "", "play": "", "step": nonce, "detects": _detection(step),
    })  # fmt: skip
    return _waits(run, nonce, _LATEST)


def answered(run: Run, step: Step, event: Event | None) -> Progress:
    """Go on in the call with who has answered, or without anybody."""
    if event is None:
        return _nobody(run, step, "nobody answered in time")
    if event.type in _RINGS:
        rings = timedelta(seconds=step.params["timeout"]) + _DETECTION
        return _waits(run, run.state["wait"]["key"], rings)
    run.state["reply"] = event_to(event)
    if event.type != PICKED_UP:
        why = event.status or event.fields.get("Reason") or event.type.partition(".")[2]
        return _nobody(run, step, f"nobody answered: {why}")
    run.state.pop("wait", None)
    at, said = list(run.state["at"]), event.fields.get("AnsweredBy", "")
    others = [each for each in run.state.get("called", ()) if each[0] != at]
    inside = [len(run.state.get(name, ())) for name in ("outer", "loops")]
    run.state["called"] = [*others, [at, event.call_sid, *inside]]
    if step.branches["machine"] and said.startswith(("machine", "fax")):
        run.enter("machine")
        return run.run()
    given = render(step, run.scope())
    if isinstance(given, Fault):
        return run.fail(step, given.message)
    run.enter("do")
    run.speak(heard(given))
    return run.run()


def left(run: Run, event: Event | None, why: str) -> Progress | None:
    """The callee has hung up before an answer: on with `else`. None in any other call."""
    called = _called(run.state)
    if called is None:
        return None
    place: list[Any] = called[0]
    way = run.state["at"][len(place)]
    run.state["at"] = list(place)
    if len(outer := run.state.get("outer", ())) > called[2]:  # out of blocks, too
        run.state["vars"], run.state["outer"] = outer[called[2]], outer[: called[2]]
    if "loops" in run.state:
        run.state["loops"] = run.state["loops"][: called[3]]
    for name in ("over", "tried"):
        run.state.pop(name, None)
    if event is not None:
        run.state["reply"] = event_to(event)
    step = run.waits_at()
    if step is None:
        return run.finish("failed: the rule changed while this run waited")
    return _nobody(run, step, why, "else" if way == "do" else "")


def is_leg(run: Run, event: Event) -> bool:
    """Whether an event is of who was rung by a `dial` of the call that the run speaks to."""
    return bool(run.call_sid) and event.fields.get("ParentCallSid") == run.call_sid


def picked_up(run: Run, step: Step, event: Event | None) -> Progress:
    """Say to who has picked up what is for them alone. Who presses 1 is connected."""
    if event is None or step.kind != "dial" or event.type not in (PICKED_UP, "call.gathered"):
        return run.again()
    given = render(step, run.scope())
    if isinstance(given, Fault):
        return run.fail(step, given.message)
    verbs: tuple[Verb, ...] = (Say(given["whisper"]),) if given["whisper"] else ()
    if event.type == "call.gathered":
        verbs = (Pause(),) if event.digits == TAKES else (Hangup(),)
    elif given["screen"]:
        verbs += (Gather(num_digits=1, prompts=(Say(given["screen"]),)), Hangup())
    run.actions.append(AnswerCall(event.call_sid, verbs))
    run.state["picked_up"] = [event.call_sid, event.type]
    return Progress(run.flushed(), Wait.of(run.state["wait"]), run.state)


def line(state: Mapping[str, Any]) -> str:
    """The SID of the call that the steps at this place are said to; empty for that of the event."""
    called = _called(state)
    return str(called[1]) if called else ""


def _called(state: Mapping[str, Any]) -> list[Any] | None:
    at, found = state["at"], None
    for each in state.get("called", ()):
        inside = len(at) > len(each[0]) and at[: len(each[0])] == each[0]
        if inside and at[len(each[0])] != "else" and (not found or len(each[0]) > len(found[0])):
            found = each
    return found


def _waits(run: Run, nonce: str, longest: timedelta) -> Progress:
    progress = run.pause(run.now + longest, (PICKED_UP, *_RINGS, *_ENDS), nonce)
    run.state["question"] = ""  # nobody has heard one yet
    return progress


def _nobody(run: Run, step: Step, why: str, way: str = "else") -> Progress:
    run.state.pop("wait", None)
    run.note(step, why)
    if way and step.branches["else"]:
        run.enter("else")
    else:
        run.next()
    return run.run()


def _detection(step: Step) -> str:
    """Whether a machine matters, and if so whether what is said to it comes behind its greeting."""
    inside = step.branches["machine"]
    if not inside:
        return ""
    return "message" if any(each.kind in _SPEAKS for each in every_step(inside)) else "machine"
