"""Answers to runs: what a run has asked last, and whether a text answers it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ringback.actions import Action
from ringback.events import Event, matches_type
from ringback.keywords import opt_out_word
from ringback.rules.engine.continuation import scope_of, step_at
from ringback.rules.engine.ruleset import triggered
from ringback.rules.language.scope import Facts
from ringback.rules.model import Rule, Trigger
from ringback.rules.timing.calendar import Hours
from ringback.verbs import Verb

TEXT = "message.received"


def leaves(event: Event) -> bool:
    """Whether this is a text by which a person leaves; it is never an answer to a question."""
    if event.type != TEXT:
        return False
    said = event.fields.get("OptOutType", "").upper() or opt_out_word(event.body)
    return said == "STOP"


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
    if event.type != TEXT or leaves(event) or "wait" not in state:
        return False
    if rule.handler is not None:
        return "asked" in state
    try:
        step = step_at(rule, list(state.get("at", ())))
    except (LookupError, TypeError):  # the rule has changed under the run
        return False
    if state.get("phase", "steps") != "steps" or step is None or step.kind != "wait_for":
        return False
    types, conditions = step.params["on"], step.params["if"]
    if not any(matches_type(name, TEXT) for name in types):
        return False
    scope = scope_of(rule, began, facts, state, event.received_at, places, event)
    return not triggered(Trigger(tuple(types), tuple(conditions)), scope)


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
