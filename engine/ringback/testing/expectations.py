"""Expected actions of a case, in the words of rule files, and how the real ones differ."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from ringback.actions import (
    Action,
    AnswerCall,
    DequeueCall,
    EndCall,
    HttpRequest,
    Notify,
    PlaceCall,
    Remember,
    SendMessage,
    Stop,
)
from ringback.events import Event
from ringback.verbs import Verb

Wish = dict[str, dict[str, Any]]

_MAIN = {
    "reply": "body", "send": "body", "call": "say", "end_call": "call", "notify": "text",
    "http": "url", "stop": "reason", "say": "text", "play": "url", "pause": "length",
    "enqueue": "queue", "dequeue": "queue", "gather": "say", "dial": "number", "redirect": "url",
    "reject": "reason", "forget": "names",
}  # fmt: skip
"""The parameter that a bare text stands for."""


def plain_wishes(action: Action, event: Event | None) -> list[Wish]:
    """An action as the steps that would make it; a call's answer is one for each verb."""
    given: dict[str, Any]
    match action:
        case SendMessage():
            ours = event is not None and (action.to, action.sender) == (event.theirs, event.ours)
            text = {"to": action.to, "body": action.body, "from": action.sender}
            return [{"reply" if ours else "send": {**text, "media": list(action.media)}}]
        case PlaceCall():
            said = [verb["say"]["text"] for verb in map(_verb, action.verbs) if "say" in verb]
            given = {"to": action.to, "from": action.sender, "url": action.url}
            return [{"call": {**given, "say": " ".join(said), "timeout": action.timeout}}]
        case EndCall():
            return [{"end_call": {"call": action.call_sid}}]
        case AnswerCall():
            verbs = [_verb(verb) for verb in action.verbs]
            return [verb for verb in verbs if verb != {"redirect": {"url": ""}}]
        case DequeueCall():
            given = {"queue": action.queue_sid, "url": action.url, "call": action.call_sid}
            return [{"dequeue": given}]
        case Notify():
            given = {"text": action.text, "via": action.via, "webhook": action.url}
            return [{"notify": {**given, "key": action.key, "severity": action.severity}}]
        case HttpRequest():
            given = {"url": action.url, "method": action.method, "json": dict(action.json or {})}
            return [{"http": {**given, "headers": dict(action.headers)}}]
        case Remember():
            if action.value is None:
                return [{"forget": {"names": action.name}}]
            return [{"remember": {action.name: action.value}}]
        case Stop():
            return [{"stop": {"reason": action.reason}}]
    return []


def _verb(verb: Verb) -> Wish:
    given = {item.name: getattr(verb, item.name) for item in fields(verb)}
    prompts = given.pop("prompts", ())
    if prompts:
        given["say"] = " ".join(getattr(prompt, "text", "") for prompt in prompts)
    return {verb.verb: given}


def unlike(expected: Sequence[Any], made: Sequence[Wish]) -> tuple[int, str] | None:
    """Where the wishes first differ from what is expected, and how; None when they do not."""
    for index, wanted in enumerate(expected):
        if index >= len(made):
            return index, "this was not wished for"
        text = _unlike(wanted, made[index])
        if text:
            return index, text
    if len(made) > len(expected):
        more = ", ".join(shown(wish) for wish in made[len(expected) :])
        return len(expected), f"besides: {more}"
    return None


def shown(wish: Wish) -> str:
    """A wish in one line, as a rule file would say it."""
    ((word, given),) = wish.items()
    main = given.get(_MAIN.get(word, ""), "")
    who = f" to {given['to']}" if word in ("send", "call") else ""
    text = (
        ", ".join(f"{key}: {value}" for key, value in given.items()) if word == "remember" else main
    )
    return f"{word}{who}: {text}" if text else f"{word}{who}"


def _unlike(wanted: Any, made: Wish) -> str:
    ((word, given),) = made.items()
    if isinstance(wanted, str):
        return "" if wanted == word else f"it was {shown(made)}"
    if not isinstance(wanted, Mapping) or len(wanted) != 1:
        return "one line is one wish, like `reply: Hello`"
    ((step, value),) = wanted.items()
    if step != word:
        return f"it was {shown(made)}"
    wants = value if isinstance(value, Mapping) else {_MAIN.get(step, "text"): value}
    for key, want in wants.items():
        have = given.get(key)
        if key not in given:
            return f"{step} has no {key!r}"
        if not _same(want, have):
            return f"{key} was {have!r}"
    return ""


def _same(want: Any, have: Any) -> bool:
    if isinstance(want, Mapping):
        return isinstance(have, Mapping) and {key: str(item) for key, item in have.items()} == {
            key: str(item) for key, item in want.items()
        }
    if isinstance(want, list):
        return isinstance(have, list | tuple) and [str(item) for item in have] == want
    return str(want).strip() == str(have).strip()
