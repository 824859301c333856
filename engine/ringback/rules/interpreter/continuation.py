"""Continuation of a run: where it stands, where it goes on, and what it keeps of its events."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from ringback.actions import Action, Remember, SetMember
from ringback.events import Event, telephone
from ringback.rules.interpreter.values import kept_values
from ringback.rules.language.scope import Facts, Scope, member_place
from ringback.rules.model import Rule, Step
from ringback.rules.timing.calendar import Hours
from ringback.verbs import Pause, Verb


def scope_of(
    rule: Rule,
    event: Event,
    facts: Facts,
    state: Mapping[str, Any],
    now: datetime,
    places: Mapping[str, Hours],
    reply: Event | None,
    actions: Iterable[Action] = (),
) -> Scope:
    """What texts and conditions of a run can see that began with `event` and has come to `state`.
    `reply` is an event that may be what it waits for, or what it has heard last; `actions` are
    those of the step that it is at."""
    scope = Scope(
        event,
        facts.of_shadow(rule.name) if rule.in_shadow else facts,
        now=now,
        places=places,
        reply=reply,
        names={**dict.fromkeys(kept_names(rule), ""), **kept_values(state)},
        burst=[item["text"] for item in state.get("burst", ())],
        kept=remembered(state, actions),
    )
    scope.unkept = state.get("unkept", 0)
    heard = reply.uid if reply is not None else ""
    loops = [[loop["next"], loop["round"]] for loop in state.get("loops", ())]
    at = [event.uid, rule.name, state.get("at"), state.get("tried"), loops, heard]
    scope.place = json.dumps(at, default=str)
    return scope


def remembered(state: Mapping[str, Any], actions: Iterable[Action]) -> dict[tuple[str, str], str]:
    """What a run has remembered, by conversation and name, and whom it put into a group, by group
    and number, that the journal does not tell yet: in the step that it is at, and when its rule is
    not live in all steps before."""
    found = {(place, name): value for place, name, value in state.get("kept", ())}
    for each in actions:
        if isinstance(each, Remember):
            found[each.conversation, each.name] = each.value or ""
        elif isinstance(each, SetMember):
            found[member_place(each.group), telephone(each.who)] = "in" if each.member else ""
    return found


def step_at(rule: Rule, at: Sequence[Any]) -> Step | None:
    """The step of a path such as `[2, "else", 0]`; None at the end of a branch, and where there is
    no such path, as the rule has changed."""
    steps: Sequence[Step] = rule.steps
    try:
        for place in range(0, len(at) - 1, 2):
            steps = steps[at[place]].branches[at[place + 1]]
        return steps[at[-1]] if at[-1] < len(steps) else None
    except (LookupError, TypeError):
        return None


BEFORE = 600.0
"""How long what is said or played before a question may take, in seconds."""
_SPEECH, _KEYS = 60.0, 32
"""How long one answer is listened to, and how many keys are waited for where nobody says it."""
_TALK = 14_400.0
"""After this time Twilio ends a connection. https://www.twilio.com/docs/voice/twiml/dial"""


def patience(step: Step, verbs: Sequence[Verb]) -> float:
    """How long, in seconds, a caller may take for a step that waits for them, with the `verbs` that
    they hear before: as long as Twilio lets them. When it is over, they have hung up and Twilio has
    not told it: it does so only where a number has a status callback."""
    given = step.params
    longest: float = given["timeout"]
    if step.kind == "record":
        longest += given["max_length"]
    elif step.kind == "gather":
        longest += longest * (given["digits"] or _KEYS) + _SPEECH
    else:
        longest += _TALK
    return BEFORE + longest + sum(each.length for each in verbs if isinstance(each, Pause))


def kept(step: Step, event: Event) -> str:
    """What `as` keeps of the event: a recording's address, else the words or the keys."""
    if step.kind == "record":
        return event.fields.get("RecordingUrl", "")
    return event.body or event.digits


def branch(step: Step, event: Event | None) -> str:
    """The branch to take after a wait; one that the step does not have means: go on."""
    if step.kind == "wait_for":
        return "do" if event is not None else "else"
    if step.kind == "gather" and event is not None:
        heard = event.digits or event.body.strip().rstrip(".!?").casefold()
        choices = {name.partition(":")[2].casefold(): name for name in step.branches if ":" in name}
        return choices.get(heard, "else" if choices or not heard else "")
    if step.kind == "record" and event is not None:
        return "" if event.fields.get("RecordingUrl") else "else"
    if step.kind == "dial" and event is not None:
        good = event.fields.get("DialCallStatus") in ("completed", "answered")
        return "answered" if good else "else"
    return ""


@lru_cache(maxsize=1024)
def kept_names(rule: Rule) -> frozenset[str]:
    """The names that the steps of a rule keep texts under (`as`)."""
    names: set[str] = set()
    open_ = list(rule.steps)
    while open_:
        step = open_.pop()
        texts = (
            step.kind not in ("http", "broadcast") and step.params.get("type", "string") == "string"
        )
        if step.params.get("as") and texts:
            names.add(step.params["as"])
        for steps in step.branches.values():
            open_ += steps
    return frozenset(names)
