"""Expectations: actions in the words of rule files, beside what a case expects."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from ringback.action_kinds import kind_of
from ringback.actions import Action, Remember, SendMessage, SetMember
from ringback.events import Event
from ringback.rules.language.templates import as_text
from ringback.rules.steps.kinds import STEPS
from ringback.rules.steps.messages import options_of
from ringback.verbs import Redirect, Verb, spelt, word_of

Said = dict[str, dict[str, Any]]
"""One step: its word, and its parameters."""


def plain_steps(action: Action, event: Event | None) -> list[Said]:
    """An action as the steps that would make it; a call's answer is one for each verb.

    A parameter has the word of rule files as well as the name of its field.
    """
    if isinstance(action, Remember):
        if action.value is None:
            return [{"forget": {"names": action.name}}]
        return [{"remember": {action.name: action.value}}]
    if isinstance(action, SetMember):
        return [{"join" if action.member else "leave": {"group": action.group, "who": action.who}}]
    kind = kind_of(action)
    verbs: Sequence[Verb] = getattr(action, "verbs", ())
    if verbs and not kind.step:
        return [_verb(verb) for verb in verbs if verb != Redirect("")]
    given = _words(action)
    if isinstance(action, SendMessage):
        given |= options_of(action)
    if verbs:
        given["say"] = _spoken(verbs)
    ours = event is not None and (given.get("to"), given.get("from")) == (event.theirs, event.ours)
    return [{"reply" if ours and kind.step == "send" else kind.step or kind.name: given}]


def _words(thing: Any) -> dict[str, Any]:
    """The fields of an action or a verb under their names, and under the words of rule files."""
    given: dict[str, Any] = {}
    for item in fields(thing):
        value = getattr(thing, item.name)
        given[item.name] = given[word_of(item)] = {} if value is None else value
    return given


def _verb(verb: Verb) -> Said:
    given = _words(verb)
    for item, how in spelt(type(verb)):
        inside = given[item.name] if how.place == "verbs" else ()
        if inside:
            given["say"] = _spoken(inside)
    return {verb.verb: given}


def _spoken(verbs: Iterable[Any]) -> str:
    return " ".join(text for verb in verbs if (text := getattr(verb, "text", "")))


def unlike(expected: Sequence[Any], made: Sequence[Said]) -> tuple[int, str] | None:
    """Where the actions first differ from what is expected, and how; None when they do not."""
    for index, wanted in enumerate(expected):
        if index >= len(made):
            return index, "no rule did this"
        text = _unlike(wanted, made[index])
        if text:
            return index, text
    if len(made) > len(expected):
        more = ", ".join(shown(step) for step in made[len(expected) :])
        return len(expected), f"besides: {more}"
    return None


def shown(step: Said) -> str:
    """A step in one line, as a rule file would say it."""
    ((word, given),) = step.items()
    if word == "remember":
        return f"{word}: " + ", ".join(f"{key}: {value}" for key, value in given.items())
    who = f" to {given['to']}" if "to" in given and word != "reply" else ""
    text = given.get(_gist(word), "") or given.get("content", "")
    return f"{word}{who}: {text}" if text else f"{word}{who}"


def _gist(word: str) -> str:
    """The parameter that a bare text stands for."""
    model = STEPS.get(word)
    return (model.gist or model.plain if model is not None else "") or "text"


def _unlike(wanted: Any, made: Said) -> str:
    ((word, given),) = made.items()
    if isinstance(wanted, str):
        return "" if _is(wanted, word, given) else f"it was {shown(made)}"
    if not isinstance(wanted, Mapping) or len(wanted) != 1:
        return "one line is one step, like `reply: Hello`"
    ((step, value),) = wanted.items()
    if not _is(step, word, given):
        return f"it was {shown(made)}"
    wants = value if isinstance(value, Mapping) else {_gist(step): value}
    for key, want in wants.items():
        if key not in given:
            return f"{step} has no {key!r}; it has {', '.join(sorted(given))}"
        text = _differs(key, want, given[key])
        if text:
            return text
    return ""


def _is(wanted: str, word: str, given: Mapping[str, Any]) -> bool:
    """Whether this is the step that is wanted. A `send` to whoever wrote is a reply as well, and a
    `reply` stays one when somebody else has written since."""
    if {wanted, word} == {"send", "reply"}:
        return wanted == "send" or bool(given.get("in_reply_to"))
    return wanted == word


def _differs(path: str, want: Any, have: Any) -> str:
    """How a value is not what is expected; of a mapping only what is named is looked at. A list of
    one may be written as that one."""
    if isinstance(have, list | tuple) and len(have) == 1 and not isinstance(want, list):
        have = have[0]
    if isinstance(want, Mapping) and isinstance(have, Mapping):
        for key, inner in want.items():
            if key not in have:
                known = ", ".join(sorted(map(str, have))) or "nothing"
                return f"{path} has no {key!r}; it has {known}"
            text = _differs(f"{path}.{key}", inner, have[key])
            if text:
                return text
        return ""
    if isinstance(want, list) and isinstance(have, list | tuple) and len(want) == len(have):
        pairs = enumerate(zip(want, have, strict=True), 1)
        texts = (_differs(f"{path} {number}", *pair) for number, pair in pairs)
        return next(filter(None, texts), "")
    if have is None and want == "null":
        return ""
    same = not isinstance(want, list | Mapping) and as_text(want).strip() == as_text(have).strip()
    return "" if same else f"{path} was {have!r}"
