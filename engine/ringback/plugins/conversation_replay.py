"""Replay of a conversation: it is run again with the answers it has had, and goes on from there.

Nothing of the function is kept between two questions but the answers, in order. To go on, the
function is run again from its beginning, each question that was asked before gets its kept answer
at once, and the first new question ends the turn. So a restart, a crash or a deploy between any two
questions loses nothing, and a conversation that waits costs one row. A question that differs from
the kept one means that the code was changed under a waiting conversation.
"""

import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ringback.actions import SendMessage, reply
from ringback.errors import PluginError
from ringback.events import Event
from ringback.plugins.context import Context, available
from ringback.plugins.conversation import (
    POLICY,
    Conversation,
    ConversationEnd,
    Heard,
    Question,
    TurnClock,
)
from ringback.plugins.invoke import actions_of, bind, parameters
from ringback.rules.interpreter.answers import LISTENS, asks_help, leaves
from ringback.rules.interpreter.machine import Progress, Wait, Wake
from ringback.rules.interpreter.saved_event import event_from, event_to
from ringback.runtime import from_iso, iso

MOST_QUESTIONS = 100
"""So many questions are asked in one conversation at most; more is a loop."""


def begin(handler: Callable[..., Any], event: Event, ctx: Context, last: str = "") -> Progress:
    """Start a conversation with the other side of this event; go to its first question.

    `last` is the uid of the last event that was joined with this one. Texts behind it may be
    answers. Raises PluginError when there is nobody to ask, and whatever the function raises.
    """
    if not event.theirs:
        raise PluginError(ctx.plugin, f"{event.type} has no other side to talk with")
    return _play(handler, event, ctx, _fresh(ctx, last or event.uid))


def resume(
    handler: Callable[..., Any],
    event: Event,
    ctx: Context,
    state: Mapping[str, Any],
    wake: Wake,
) -> Progress:
    """Go on after a wait. `event` is the one that began it, `wake` what ended the wait.

    `state["after"]` is the uid of the last event that the conversation has taken: a text that came
    later, before the conversation began to wait for it, is its next answer. An event that is not
    for this conversation gives the same wait again.
    """
    saved = state["wait"]
    heard = _heard(wake.event, ctx.clock.now(), takes_help=bool(saved.get("help")))
    if heard is None:
        due = from_iso(saved["due"]) if saved["due"] else None
        return Progress((), Wait(due, tuple(saved["types"]), saved["key"]), dict(state))
    entry = {"kind": heard.kind, "at": iso(heard.at)}
    after = state["after"]
    if heard.event is not None:
        entry["event"] = event_to(heard.event)  # type: ignore[assignment]
        after = heard.event.uid if heard.kind != "undelivered" else after
    resumed = {**state, "heard": [*state["heard"], entry], "after": after}
    resumed.pop("wait", None)
    return _play(handler, event, ctx, resumed)


def _fresh(ctx: Context, after: str) -> dict[str, Any]:
    began = iso(ctx.clock.now())
    return {"began": began, "asked": [], "heard": [], "kept": [], "after": after}


def _heard(event: Event | None, now: datetime, *, takes_help: bool) -> Heard | None:
    if event is None:
        return Heard("timeout", now)
    if not takes_help and asks_help(event):
        return None
    if event.type == "message.received":
        return Heard("left" if leaves(event) else "reply", now, event)
    if event.type in LISTENS:
        return Heard("undelivered", now, event)
    return None


def _play(
    handler: Callable[..., Any], event: Event, ctx: Context, state: dict[str, Any]
) -> Progress:
    """Run the function from its beginning to the first question that has no answer yet."""
    clock = TurnClock(from_iso(state["began"]))
    convo = Conversation(event, clock, list(state["kept"]))
    named = available(event, ctx, parameters(handler))
    given = {**named, "clock": clock, "convo": convo}
    coroutine = bind(handler, given)()
    if not inspect.iscoroutine(coroutine):
        raise PluginError(ctx.plugin, "a function with `convo` must be async")
    answers = [_entry(entry) for entry in state["heard"]]
    try:
        return _turns(coroutine, convo, answers, state, ctx)
    except _CodeChanged as change:
        return _changed(handler, event, ctx, state, str(change))
    finally:
        _close(coroutine, ctx.plugin)


class _CodeChanged(Exception):
    pass


def _turns(
    coroutine: Coroutine[Any, Heard | None, Any],
    convo: Conversation,
    answers: Sequence[Heard],
    state: dict[str, Any],
    ctx: Context,
) -> Progress:
    asked: list[str] = state["asked"]
    place = 0
    heard: Heard | None = None
    try:
        while True:
            question = coroutine.send(heard)
            if not isinstance(question, Question):
                raise PluginError(
                    ctx.plugin, "a conversation may await convo.ask() and nothing else"
                )
            if place == len(answers):
                return _asking(question, convo, state, ctx)
            _compare(asked[place], question.key, state)
            heard = answers[place]
            place += 1
            convo.clock.moment = heard.at
            convo.planned.clear()
    except StopIteration as done:
        if place < len(answers):
            raise _CodeChanged(f"it asked {asked[place]!r}, now it asks nothing") from None
        planned = actions_of(convo.planned, plugin=ctx.plugin)
        actions = (*planned, *actions_of(done.value, plugin=ctx.plugin))
        return Progress(actions, None, {**state, "kept": convo.kept})
    except ConversationEnd as end:
        planned = actions_of(convo.planned, plugin=ctx.plugin)
        return Progress(planned, None, {**state, "kept": convo.kept}, f"stopped: {end}")


def _compare(before: str, now: str, state: Mapping[str, Any]) -> None:
    if before != now and not state.get("keep"):
        raise _CodeChanged(f"it asked {before!r}, now it asks {now!r}")


def _asking(
    question: Question, convo: Conversation, state: dict[str, Any], ctx: Context
) -> Progress:
    asked = [*state["asked"][: len(state["heard"])], question.key]
    if len(asked) > MOST_QUESTIONS:
        raise PluginError(ctx.plugin, f"a conversation of more than {MOST_QUESTIONS} questions")
    now = ctx.clock.now()
    due = now + timedelta(seconds=question.seconds)
    key = convo.event.conversation
    saved: dict[str, Any] = {"due": iso(due), "types": list(LISTENS), "key": key}
    if question.takes_help:
        saved["help"] = True
    message: SendMessage = reply(convo.event, question.text, media=question.media)
    kept = {**state, "asked": asked, "kept": convo.kept, "wait": saved}
    planned = actions_of([*convo.planned, message], plugin=ctx.plugin)
    return Progress(planned, Wait(due, LISTENS, key), kept)


def _changed(
    handler: Callable[..., Any], event: Event, ctx: Context, state: dict[str, Any], how: str
) -> Progress:
    policy, sorry = getattr(handler, POLICY, ("end", ""))
    if policy == "restart":
        return _play(handler, event, ctx, _fresh(ctx, state["after"]))
    if policy == "keep" and not state.get("keep"):
        return _play(handler, event, ctx, {**state, "keep": True})
    apology = (reply(event, sorry),) if sorry else ()
    return Progress(apology, None, state, f"failed: the code changed under the conversation: {how}")


def _entry(entry: Mapping[str, Any]) -> Heard:
    event = event_from(entry["event"]) if "event" in entry else None
    return Heard(entry["kind"], from_iso(entry["at"]), event)


def _close(coroutine: Coroutine[Any, Any, Any], plugin: str) -> None:
    try:
        coroutine.close()
    except RuntimeError:
        raise PluginError(
            plugin, "a conversation must not ask in `finally` or catch BaseException"
        ) from None
