"""Answers to web requests on a bench: what a service says to what a rule has asked it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from ringback.actions import HttpRequest, PlaceCall
from ringback.events import Event, conversation_of
from ringback.outcomes import Answered
from ringback.rules.files.reader import JSON_WORD
from ringback.rules.files.yaml_tree import Node
from ringback.testing.events import http_answer
from ringback.testing.outbox import Dispatch

Answers = Callable[[HttpRequest, Event | None], Answered | None]
"""What a service answers to a request of a run that began with this event; None: nothing yet."""

_WORDS = ("status", "json", "text", "fails", "url")
_FAILED = "no answer"


def heard(dispatch: Dispatch, answers: Answers | None, now: datetime) -> Event | None:
    """What comes back at once of an action that a run waits for: what is known of the
    answer to a request, or that the request or call does not leave."""
    action, found = dispatch.action, None
    if isinstance(action, PlaceCall) and action.step and dispatch.state in ("refused", "failed"):
        return not_made(action, dispatch, now)
    if not isinstance(action, HttpRequest) or not action.answer:
        return None
    if dispatch.state in ("refused", "failed"):
        found = Answered(why=dispatch.reason)
    elif dispatch.state == "sent" and answers is not None:
        found = answers(action, dispatch.event)
    return replace(_event(action, found), at=now, received_at=now) if found else None


def not_made(call: PlaceCall, dispatch: Dispatch, now: datetime) -> Event:
    """The end of a call that the gate has refused."""
    ours = call.sender
    return Event(
        f"evt_{call.step}", f"action.{dispatch.state}", now, now, source="internal",
        sender=ours, recipient=call.to, conversation=conversation_of(ours, call.to),
        tag=call.step, dedupe_key=f"end:{call.step}",
        fields={"Kind": call.kind, "State": dispatch.state, "Reason": dispatch.reason},
    )  # fmt: skip


def answer_of(node: Node, asked: Sequence[HttpRequest]) -> tuple[HttpRequest, Event]:
    """The request that a line `http: …` of a case answers, and the answer. Raises ValueError."""
    given: dict[str, Any] = _typed(node) if isinstance(node.value, dict) else _plain(node)
    wrong = next((word for word in given if word not in _WORDS), "")
    if wrong:
        raise ValueError(f"http has no {wrong!r}; it has {', '.join(_WORDS)}")
    url = str(given.get("url", ""))
    found = next((each for each in asked if each.url.startswith(url)), None)
    if found is None:
        raise ValueError(f"no rule waits for an answer{f' of {url}' if url else ''}")
    status = given.get("status", 200)
    if type(status) is not int or not 100 <= status < 600:
        raise ValueError(f"the status of an answer is a number like 200, and not {status!r}")
    text = str(given.get("text", ""))
    if "json" in given:
        text = json.dumps(given["json"], ensure_ascii=False)
    why = str(given["fails"] or _FAILED) if "fails" in given else ""
    return found, _event(found, Answered(why=why) if why else Answered(status, text))


def _event(request: HttpRequest, answer: Answered) -> Event:
    return http_answer(request, status=answer.status, text=answer.text, fails=answer.why)


def _plain(node: Node) -> dict[str, Any]:
    """`http: 404`, `http: fails`, or nothing: an empty answer."""
    said = _typed(node)
    if said in ("", None):
        return {}
    return {"fails": ""} if said == "fails" else {"status": said}


def _typed(node: Node) -> Any:
    """A value with the types that JSON gives to what is written without quotes."""
    if isinstance(node.value, dict):
        return {key: _typed(item) for key, item in node.value.items()}
    if isinstance(node.value, list):
        return [_typed(item) for item in node.value]
    word = not node.style and JSON_WORD.fullmatch(node.value)
    return json.loads(node.value) if word else node.value
