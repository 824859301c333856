"""Requests for plugin code: what is asked of it, as plain data that may cross to another process.

Everything that runs code of a plugin is one of four requests: a rule's function, functions of
conditions, a step, a hook. `perform` carries one out where the plugins are loaded; a `PluginCalls`
has it carried out, in a process of its own or here, within a limit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, overload

from ringback.actions import Action
from ringback.events import Event
from ringback.plugins.context import SettledAction
from ringback.rules.interpreter.machine import Progress, Wake

Subject = Event | SettledAction
Values = tuple[tuple[bool, Any], ...]
"""For each call of a function `(True, value)`, or `(False, "what it raised")`."""
Reactions = tuple[tuple[Action, ...] | str, ...]
"""For each subject of a hook the actions that it asked for, or what it raised, in words."""


@dataclass(frozen=True, slots=True)
class HandlerCall:
    """A call of the function of a rule in Python, or one turn of its conversation.

    `texts` are the bodies of all events that were joined into the run, oldest first, and `last` is
    the uid of the last one. `state` and `wake` are set when a conversation goes on. The answer is a
    `Progress`.
    """

    rule: str
    plugin: str
    event: Event
    texts: tuple[str, ...] = ()
    state: Mapping[str, Any] | None = None
    wake: Wake | None = None
    last: str = ""

    @property
    def owner(self) -> str:
        """The rule that is to blame for what the call does."""
        return self.rule


@dataclass(frozen=True, slots=True)
class FunctionCalls:
    """Calls of functions that a plugin brings to conditions and texts: name and arguments of each.

    They are pure, so a batch may be asked again. The answer has one item of `Values` for each.
    """

    plugin: str
    calls: tuple[tuple[str, tuple[Any, ...]], ...]

    @property
    def owner(self) -> str:
        """The first function of the batch; a `PluginBlocked` names the very one."""
        return f"{self.plugin}.{self.calls[0][0]}" if self.calls else self.plugin


@dataclass(frozen=True, slots=True)
class StepCall:
    """A step of a plugin in a rule file; `params` are evaluated. The answer is its actions."""

    step: str
    plugin: str
    rule: str
    event: Event
    params: Mapping[str, Any]

    @property
    def owner(self) -> str:
        """The rule whose step it is."""
        return self.rule


@dataclass(frozen=True, slots=True)
class HookCall:
    """A call of `on_event` or `on_settled` for each of some subjects. The answer: `Reactions`."""

    plugin: str
    hook: str
    subjects: tuple[Subject, ...]

    @property
    def owner(self) -> str:
        """The hook, as `plugins list` names it."""
        return f"{self.plugin}.{self.hook}"


Request = HandlerCall | FunctionCalls | StepCall | HookCall
Answer = Progress | Values | tuple[Action, ...] | Reactions


class PluginCalls(Protocol):
    """Whatever has requests carried out, each within a limit of seconds.

    `call` raises PluginError for what the code raised or returned wrongly, and PluginBlocked when
    it took longer than `limit` or ended its process. The limit counts from when the code begins.
    """

    @overload
    async def call(self, request: HandlerCall, *, limit: float) -> Progress: ...
    @overload
    async def call(self, request: FunctionCalls, *, limit: float) -> Values: ...
    @overload
    async def call(self, request: StepCall, *, limit: float) -> tuple[Action, ...]: ...
    @overload
    async def call(self, request: HookCall, *, limit: float) -> Reactions: ...
