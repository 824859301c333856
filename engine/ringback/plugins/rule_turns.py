"""Turns of a rule in Python: a plain one, one delayed by its timing, or a conversation.

The timing (`unless`, `once_after`, `accumulate_within`) is the interpreter's, as for rule files. It
says `call` when the time of the function has come; only then is the author's code asked for.
"""

from collections.abc import Mapping
from typing import Any

from ringback.events import Event
from ringback.plugins.requests import HandlerCall
from ringback.rules.interpreter.machine import Progress, Wake
from ringback.rules.interpreter.progress import CLOSED
from ringback.rules.model import Rule

_TIMED = ("unless", "collect", CLOSED)


def is_timed(rule: Rule, state: Mapping[str, Any] | None) -> bool:
    """Whether a turn is the interpreter's first. `state` is what the last turn left, None at the
    start."""
    if state is None:
        return rule.unless is not None or rule.collects
    return state.get("phase") in _TIMED


def handler_call(
    rule: Rule,
    event: Event,
    state: Mapping[str, Any] | None,
    wake: Wake | None,
    timing: Progress | None = None,
    after: str = "",
) -> HandlerCall:
    """The request for a rule's function. `event` is the one that started the run; `timing` is the
    interpreter's turn that said `call`, if there was one; `wake` ended the wait of `state`. `after`
    is the last event (uid) that came before its time had come, if that is not the first one."""
    if timing is None and state is not None:
        texts: tuple[str, ...] = (event.body,)
        return HandlerCall(rule.name, rule.plugin, event, texts, state, wake)
    timed = timing.state if timing is not None else {}
    texts = tuple(item["text"] for item in timed.get("burst", ()))
    last = after or timed.get("last", "")
    return HandlerCall(rule.name, rule.plugin, event, texts or (event.body,), last=last)
