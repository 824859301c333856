"""Execution of a request for plugin code, in this process: the one place that calls such code.

Nothing here limits time: that is the caller's. A function that is async is finished by a loop of
its own in `perform`, and awaited on the running loop in `perform_async`.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, Protocol, cast, overload

from ringback.actions import Action
from ringback.errors import PluginError
from ringback.plugins import conversation_replay
from ringback.plugins.context import Clock, Context, available, context_for
from ringback.plugins.invoke import actions_of, finished, parameters, waits
from ringback.plugins.loader import PluginSet, hook_callers
from ringback.plugins.requests import (
    Answer,
    FunctionCalls,
    HandlerCall,
    HookCall,
    Reactions,
    Request,
    StepCall,
    Values,
)
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.interpreter.machine import Progress, Wake
from ringback.rules.language.scope import Facts

LONGEST_REASON = 500

Waiting = Callable[[Any], Awaitable[Any]]


class Loaded(Protocol):
    """A project whose plugins are imported in this process."""

    @property
    def ruleset(self) -> RuleSet:
        """Its rules, those in Python with their functions."""

    @property
    def plugins(self) -> PluginSet:
        """Its plugins."""


@overload
def perform(request: HandlerCall, loaded: Loaded, *, facts: Facts, clock: Clock) -> Progress: ...
@overload
def perform(request: FunctionCalls, loaded: Loaded, *, facts: Facts, clock: Clock) -> Values: ...
@overload
def perform(
    request: StepCall, loaded: Loaded, *, facts: Facts, clock: Clock
) -> tuple[Action, ...]: ...
@overload
def perform(request: HookCall, loaded: Loaded, *, facts: Facts, clock: Clock) -> Reactions: ...
def perform(request: Request, loaded: Loaded, *, facts: Facts, clock: Clock) -> Answer:
    """Carry out a request, to its end.

    Raises PluginError for a result that cannot be used or a name that is not loaded, and whatever
    the function of a rule or a step raises. What functions and hooks raise is in their answer.
    """
    work = _carry_out(request, loaded, facts, clock, _finished)
    try:
        work.send(None)
    except StopIteration as done:
        return cast("Answer", done.value)
    raise AssertionError("nothing in it can wait")


async def perform_async(request: Request, loaded: Loaded, *, facts: Facts, clock: Clock) -> Answer:
    """Carry out a request on the running loop; what is async is awaited. Raises as `perform`."""
    return await _carry_out(request, loaded, facts, clock, _awaited)


def announce(hook: str, plugin: str, loaded: Loaded, *, facts: Facts, clock: Clock) -> Any:
    """Call the `startup` or `shutdown` of a plugin; its awaitable, where it is async.

    Raises whatever it raises.
    """
    for function in _hook(hook, loaded, plugin):
        result = function(ctx=_context(plugin, loaded, facts, clock))
        if waits(result):
            return result
    return None


def describe(error: BaseException) -> str:
    """An exception of user code in one line, with the last place in their file."""
    try:
        text = str(error).strip().splitlines()
    except Exception:
        text = ["its message cannot be read, for __str__ raises"]
    message = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
    with suppress(Exception):  # a source that is gone, a frame that cannot be shown
        own = [place for place in _places(error) if not place[0].startswith(_ENGINE)]
        if own:
            message += f" ({own[-1][0].rpartition('/')[2]}:{own[-1][1]})"
    return message.encode("utf-8", "backslashreplace").decode()[:LONGEST_REASON]


_ENGINE = __file__.removesuffix("plugins/perform.py")


def _places(error: BaseException) -> Iterator[tuple[str, int]]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next


async def _finished(result: Any) -> Any:
    return finished(result)


async def _awaited(result: Any) -> Any:
    return await result if waits(result) else result


def _carry_out(
    request: Request, loaded: Loaded, facts: Facts, clock: Clock, wait: Waiting
) -> Coroutine[Any, Any, Answer]:
    if isinstance(request, HandlerCall) and loaded.ruleset.in_shadow(request.rule):
        facts = facts.of_shadow(request.rule)
    context = _context(request.plugin, loaded, facts, clock)
    if isinstance(request, HandlerCall):
        return _handler(request, loaded, context, wait)
    if isinstance(request, HookCall):
        return _observe(request, loaded, context, wait)
    if isinstance(request, StepCall):
        return _step(request, loaded)
    return _functions(request, loaded)


async def _handler(request: HandlerCall, loaded: Loaded, ctx: Context, wait: Waiting) -> Progress:
    rule = loaded.ruleset.by_name.get(request.rule)
    if rule is None or rule.handler is None:
        raise PluginError(request.plugin, f"has no rule {request.rule!r}")
    event = request.event
    if request.state is not None:
        wake = request.wake or Wake()
        return conversation_replay.resume(rule.handler, event, ctx, request.state, wake)
    if rule.converses:
        return conversation_replay.begin(rule.handler, event, ctx, request.last)
    given = available(event, ctx, parameters(rule.handler), request.texts)
    result = await wait(rule.handler(**given))
    return Progress(actions_of(result, plugin=request.plugin), None)


async def _observe(request: HookCall, loaded: Loaded, ctx: Context, wait: Waiting) -> Reactions:
    """Call a hook for each subject. One that raises does not keep the others from it."""
    argument = "event" if request.hook == "on_event" else "action"
    made: list[tuple[Action, ...] | str] = []
    for function in _hook(request.hook, loaded, request.plugin):
        for subject in request.subjects:
            try:
                result = await wait(function(**{argument: subject, "ctx": ctx}))
                made.append(actions_of(result, plugin=request.plugin))
            except (Exception, SystemExit) as error:
                made.append(describe(error))
        return tuple(made)
    raise PluginError(request.plugin, f"has no hook {request.hook}")


async def _step(request: StepCall, loaded: Loaded) -> tuple[Action, ...]:
    for step in loaded.plugins.steps:
        if step.name == request.step:
            made: tuple[Action, ...] = step.run(request.event, request.params)
            return made
    raise PluginError(request.plugin, f"has no step {request.step!r}")


async def _functions(request: FunctionCalls, loaded: Loaded) -> Values:
    known = {function.name: function.call for function in loaded.plugins.functions}
    found: list[tuple[bool, Any]] = []
    for name, arguments in request.calls:
        try:
            if name not in known:
                raise PluginError(request.plugin, f"has no function {name!r}")
            found.append((True, known[name](*arguments)))
        except (Exception, SystemExit) as error:
            found.append((False, describe(error)))
    return tuple(found)


def _hook(hook: str, loaded: Loaded, plugin: str) -> Iterator[Callable[..., Any]]:
    for owner, function in hook_callers(loaded.plugins, hook):
        if owner.name == plugin:
            yield function


def _context(plugin: str, loaded: Loaded, facts: Facts, clock: Clock) -> Context:
    found = loaded.plugins.get(plugin)
    return context_for(plugin, found.config if found else {}, clock=clock, store=facts)
