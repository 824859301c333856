"""Additions of plugins to the rule language: functions for conditions, steps for `do:`.

Both read the signature of the Python function, so that a wrong use in a rule file is found when the
file is loaded and an editor can complete the names.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ringback.errors import PluginError
from ringback.plugins.invoke import actions_of, bind
from ringback.rules.functions.function import Function
from ringback.rules.model import StepKind

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ringback.actions import Action
    from ringback.events import Event

TYPE_WORDS: Mapping[Any, str] = {
    str: "string",
    int: "int",
    float: "double",
    bool: "bool",
    datetime: "timestamp",
    timedelta: "duration",
    list[str]: "list(string)",
    Sequence[str]: "list(string)",
}
"""How a Python annotation is called in the rule language."""

STEP_NAMES = ("event", "config", "log")
"""What the function of a step may name besides its own parameters."""


class FunctionRegistrar:
    """The `register` of `register_functions`: collects the functions of one plugin."""

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self.found: list[Function] = []

    def __call__(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        args: Sequence[str] | None = None,
        returns: str | None = None,
    ) -> None:
        """Make `function` callable in conditions and texts, under `name`.

        `args` and `returns` are words of `TYPE_WORDS`; left out, the annotations say them. The
        function must be sync, quick and free of effects: it may be asked many times, or not at all.
        Raises PluginError when a type is missing or unknown, or the name is not a plain one.
        """
        _check_name(self.plugin, name, function)
        if inspect.iscoroutinefunction(function):
            raise PluginError(self.plugin, f"function '{name}' is async; conditions cannot wait")
        hints = _hints(function)
        parameters = list(inspect.signature(function).parameters)
        if args is None:
            args = [self._word(name, each, hints.get(each)) for each in parameters]
        if returns is None:
            returns = self._word(name, "return", hints.get("return"))
        for word in (*args, returns):
            if word not in TYPE_WORDS.values():
                known = ", ".join(dict.fromkeys(TYPE_WORDS.values()))
                raise PluginError(
                    self.plugin, f"function '{name}': unknown type '{word}'; known: {known}"
                )
        doc = inspect.getdoc(function) or ""
        self.found.append(Function(name, function, tuple(args), returns, doc, self.plugin))

    def _word(self, function: str, parameter: str, annotation: Any) -> str:
        word = TYPE_WORDS.get(annotation)
        if word is None:
            shown = "nothing" if annotation is None else str(annotation)
            raise PluginError(
                self.plugin,
                f"function '{function}': '{parameter}' is annotated with {shown}; "
                "use str, int, float, bool, datetime, timedelta or list[str]",
            )
        return word


class StepRegistrar:
    """The `register` of `register_steps`: collects the steps of one plugin."""

    def __init__(self, plugin: str, config: Any, log: Any) -> None:
        self.plugin = plugin
        self.found: list[StepKind] = []
        self._given = {"config": config, "log": log}

    def __call__(self, name: str, function: Callable[..., Any], *, plain: str = "") -> None:
        """Make `function` a step that rule files write as `- name: {parameter: value}`.

        The function's parameters are the step's, with their annotations and defaults; besides it
        may name `event`, `config` and `log`. `plain` is the parameter that a bare text fills, as in
        `- name: text`. It returns actions as a rule does, and must be sync. Raises PluginError when
        the name or a parameter cannot be used.
        """
        _check_name(self.plugin, name, function)
        if inspect.iscoroutinefunction(function):
            raise PluginError(self.plugin, f"step '{name}' is async; return actions at once")
        model = _model_of(self.plugin, name, function)
        if plain and plain not in model.model_fields:
            raise PluginError(self.plugin, f"step '{name}' has no parameter '{plain}'")

        def run(event: Event, params: Mapping[str, Any]) -> tuple[Action, ...]:
            values = _validated(self.plugin, name, model, params)
            return actions_of(
                bind(function, self._given | {"event": event} | values)(), plugin=self.plugin
            )

        code = function.__code__
        doc = inspect.getdoc(function) or ""
        self.found.append(
            StepKind(
                name=name, run=run, model=model, plain=plain, doc=doc, plugin=self.plugin,
                file=code.co_filename, line=code.co_firstlineno,
            )
        )  # fmt: skip


def _check_name(plugin: str, name: str, function: object) -> None:
    if not name.isidentifier() or not name.islower():
        raise PluginError(plugin, f"'{name}' is no usable name; write small letters, digits and _")
    if not inspect.isfunction(function):
        raise PluginError(plugin, f"'{name}' needs a function, not {type(function).__name__}")


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except NameError:
        return dict(getattr(function, "__annotations__", {}))


def _model_of(plugin: str, name: str, function: Callable[..., Any]) -> type[BaseModel]:
    from pydantic import ConfigDict, create_model

    hints = _hints(function)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in STEP_NAMES:
            continue
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise PluginError(
                plugin, f"step '{name}': parameter '{parameter}' has no name of its own"
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints.get(parameter.name, str), default)
    title = "".join(part.title() for part in name.split("_"))
    model: type[BaseModel] = create_model(
        title, __config__=ConfigDict(extra="forbid", frozen=True), **fields
    )
    return model


def _validated(
    plugin: str, step: str, model: type[BaseModel], params: Mapping[str, Any]
) -> dict[str, Any]:
    from pydantic import ValidationError

    try:
        checked = model.model_validate(dict(params))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PluginError(plugin, f"step '{step}': {place}: {first['msg']}") from None
    return {name: getattr(checked, name) for name in model.model_fields}
