"""Answers to runs: what a run has asked last, and whether an event answers it. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ringback.actions import Action
from ringback.events import ANSWERED, Event, matches_type
from ringback.keywords import consent_word, is_stop
from ringback.rules.engine.ruleset import triggered
from ringback.rules.interpreter.continuation import scope_of, step_at
from ringback.rules.language.scope import Facts
from ringback.rules.model import Condition, Rule, Trigger
from ringback.rules.timing.calendar import Hours
from ringback.verbs import Verb

TEXT = "message.received"
_ANSWERS = (TEXT, "call.gathered", "call.recorded", "call.transcribed")
LISTENS = (TEXT, "message.failed", "message.undelivered")
"""What may come of a question by text: an answer, or the word that it was not delivered."""
_NONE = ("call.continued", "call.completed", "call.canceled", "call.failed")
"""What comes to a call whose question was not answered: it goes on, or it is over."""


def leaves(event: Event) -> bool:
    """Whether this is a text by which a person leaves; it is never an answer to a question."""
    return event.type == TEXT and is_stop(event.fields)


def asks_help(event: Event, conditions: Sequence[Condition] = ()) -> bool:
    """Whether this is a text that asks for help, which is no answer to a question: the question
    stays open. Conditions that name the word take it."""
    if event.type != TEXT or consent_word(event.fields) != "HELP":
        return False
    return not any(_HELP(condition.source) for condition in conditions)


_HELP = re.compile(r"\b(?:help|info)\b", re.IGNORECASE).search


def answers(
    rule: Rule,
    began: Event,
    state: Mapping[str, Any],
    event: Event,
    facts: Facts,
    places: Mapping[str, Hours],
) -> bool:
    """Whether a text is the answer that a waiting run of this rule has asked for. `began` is the
    event that the run began with, `state` what its last step has left."""
    said = event.type == TEXT and not leaves(event)
    return said and awaited(rule, began, state, event, facts, places)


def awaited(
    rule: Rule,
    began: Event,
    state: Mapping[str, Any],
    event: Event,
    facts: Facts,
    places: Mapping[str, Hours],
) -> bool:
    """Whether this is an event that a run waits for with `wait_for`, or with a question. A text by
    which a person leaves ends a wait for texts."""
    if not state.get("wait", {}).get("types"):
        return False
    if rule.handler is not None:
        wanted = state["wait"].get("help") or not asks_help(event)
        return "asked" in state and event.type == TEXT and wanted
    step = step_at(rule, state.get("at", ()))  # none where the rule has changed under the run
    if state.get("phase", "steps") != "steps" or step is None:
        return False
    if step.kind == "ask":  # what does not fit is an answer as well: it is asked once more
        helps = not leaves(event) and asks_help(event, step.params["if"])
        return event.type in LISTENS and not helps
    if step.kind == "http":
        return event.type == ANSWERED and event.subject_sid == state["wait"]["key"]
    if step.kind != "wait_for":
        return False
    types, conditions = step.params["on"], step.params["if"]
    if not any(matches_type(name, event.type) for name in types):
        return False
    if leaves(event):
        return True
    if asks_help(event, conditions):
        return False
    trigger = Trigger(tuple(types), tuple(conditions))
    return heeds(trigger, rule, began, state, event, facts, places)


def heeds(
    trigger: Trigger,
    rule: Rule,
    began: Event,
    state: Mapping[str, Any],
    event: Event,
    facts: Facts,
    places: Mapping[str, Hours],
) -> bool:
    """Whether an event is one that the `cancel_on` or `unless` of a waiting run names."""
    if not any(matches_type(name, event.type) for name in trigger.types):
        return False
    scope = scope_of(rule, began, facts, state, event.received_at, places, event)
    return not triggered(trigger, scope)


def watches(
    rule: Rule,
    began: Event,
    state: Mapping[str, Any],
    event: Event,
    facts: Facts,
    places: Mapping[str, Hours],
) -> bool:
    """Whether an event is what a run looks out for by its `unless`, which it still does."""
    if rule.unless is None or state.get("phase") != "unless":
        return False
    return heeds(rule.unless, rule, began, state, event, facts, places)


def taken(question: str, type_: str, fields: Mapping[str, str]) -> str:
    """What an event was to a run that had waited for it, as words behind the name of the rule. What
    was said last is a question only when something comes that may answer it."""
    if type_ == TEXT and is_stop(fields):
        return f"{f'“{question}” stays unanswered' if question else 'is over'}: they have left"
    if question and type_ in _ANSWERS:
        return f"took it as the answer to “{question}”"
    return f"“{question}” stays unanswered" if question and type_ in _NONE else "had waited for it"


def ended(reason: str, uid: str) -> bool:
    """Whether this reason says that the event ended a run: by `cancel_on`, or by a restart."""
    return reason.startswith(("cancelled by ", "restarted by ")) and reason.endswith(uid)


def within(question: str, type_: str, fields: Mapping[str, str]) -> str:
    """The same behind the event, in the course of its run; empty when it answers nothing."""
    if not question or type_ not in (*_ANSWERS, *_NONE):
        return ""
    none = type_ in _NONE or (type_ == TEXT and is_stop(fields))
    return f": no answer to “{question}”" if none else f" answers “{question}”"


def asked(state: Mapping[str, Any]) -> str:
    """What a run has asked before it began to wait, by the state that it left; empty when it has
    said nothing."""
    questions = state.get("asked")
    return str(questions[-1] if questions else state.get("question", ""))


def asked_in(actions: Sequence[Action], verbs: Sequence[Verb]) -> str:
    """The last thing that is said in one step of a run, by text or in a call; empty for nothing."""
    spoken = " ".join(_spoken(verbs))
    texts = (getattr(action, "body", "") for action in reversed(actions))
    return spoken or next((text for text in texts if text), "")


def _spoken(verbs: Iterable[Any]) -> Iterable[str]:
    for verb in verbs:
        yield from _spoken(getattr(verb, "prompts", ()))
        if text := getattr(verb, "text", ""):
            yield text
