"""Turns of a rule in Python: a plain one, one delayed by its timing, or a conversation.

The same shape as the interpreter of rule files: an event or a moment comes in, actions and a wait
go out, and `state` is all that has to be kept in between. Both functions run the author's code, so
the worker calls them where it calls handlers.
"""

from collections.abc import Mapping
from typing import Any

from ringback.events import Event
from ringback.plugins import conversation_replay
from ringback.plugins.context import Context, available
from ringback.plugins.conversation import is_conversation
from ringback.plugins.invoke import actions_of, bind, finished
from ringback.rules.engine import interpreter
from ringback.rules.engine.interpreter import Progress, Wake
from ringback.rules.model import Rule
from ringback.rules.timing.calendar import Hours

_TIMED = ("unless", "collect")


def begin(
    rule: Rule, event: Event, ctx: Context, *, places: Mapping[str, Hours] | None = None
) -> Progress:
    """Start a Python rule for an event that it wants.

    Raises PluginError for a wrong result, and whatever the function raises.
    """
    if rule.unless is None and not rule.collects:
        return _call(rule, event, ctx, (event.body,))
    now = ctx.clock.now()
    return _timed(rule, event, ctx, interpreter.begin(rule, event, ctx.store, now, places=places))


def resume(
    rule: Rule,
    event: Event,
    ctx: Context,
    state: Mapping[str, Any],
    wake: Wake,
    *,
    places: Mapping[str, Hours] | None = None,
) -> Progress:
    """Go on after a wait. `event` is the one that started the run, `wake` what ended the wait."""
    if state.get("phase") not in _TIMED:
        assert rule.handler is not None
        return conversation_replay.resume(rule.handler, event, ctx, state, wake)
    now = ctx.clock.now()
    progress = interpreter.resume(rule, event, ctx.store, now, state, wake, places=places)
    return _timed(rule, event, ctx, progress)


def _timed(rule: Rule, event: Event, ctx: Context, progress: Progress) -> Progress:
    """The interpreter keeps the timing; `call` is its word for "now"."""
    if progress.end != "call":
        return progress
    texts = tuple(item["text"] for item in progress.state.get("burst", ()))
    return _call(rule, event, ctx, texts or (event.body,))


def _call(rule: Rule, event: Event, ctx: Context, texts: tuple[str, ...]) -> Progress:
    assert rule.handler is not None
    if is_conversation(rule.handler):
        return conversation_replay.begin(rule.handler, event, ctx)
    result = finished(bind(rule.handler, available(event, ctx, texts))())
    return Progress(actions_of(result, plugin=ctx.plugin), None)
