"""Additions of plugins to the rule language: typed functions, and steps made of a signature."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from ringback.actions import Notify, notify
from ringback.errors import PluginError
from ringback.events import Event
from ringback.plugins.registry import FunctionRegistrar, StepRegistrar
from ringback.testing.events import sms


def test_the_types_of_a_function_come_from_its_annotations() -> None:
    """Each Python type has its word in the rule language; the docstring goes along."""
    register = FunctionRegistrar("p")

    def score(a: str, b: int, c: float, d: bool, e: datetime, f: timedelta, g: list[str]) -> float:
        """Add it all up."""
        return 1.0

    register("score", score)
    (found,) = register.found
    assert found.args == (
        "string", "int", "double", "bool", "timestamp", "duration", "list(string)",
    )  # fmt: skip
    assert (found.returns, found.doc, found.plugin) == ("double", "Add it all up.", "p")


def test_types_can_be_said_instead() -> None:
    """A function without annotations says them in words."""
    register = FunctionRegistrar("p")

    def is_vip(number):  # type: ignore[no-untyped-def]
        return True

    register("is_vip", is_vip, args=["string"], returns="bool")
    assert (register.found[0].args, register.found[0].returns) == (("string",), "bool")


def _any(x: Any) -> str:
    return ""


def _none(x: str):  # type: ignore[no-untyped-def]
    return x


async def _later(x: str) -> str:
    return x


@pytest.mark.parametrize(
    ("name", "function", "more", "words"),
    [
        ("f", _any, {}, "'x' is annotated with typing.Any; use str, int"),
        ("f", _none, {}, "'return' is annotated with nothing"),
        ("f", _later, {}, "is async; conditions cannot wait"),
        ("f", _none, {"args": ["text"], "returns": "bool"}, "unknown type 'text'; known: string"),
        ("Is-VIP", _none, {}, "'Is-VIP' is no usable name"),
        ("f", "text", {}, "'f' needs a function, not str"),
    ],
)
def test_a_function_that_cannot_be_used_is_refused(
    name: str, function: Any, more: Mapping[str, Any], words: str
) -> None:
    """The message names the plugin, the function and what to write."""
    with pytest.raises(PluginError) as caught:
        FunctionRegistrar("p")(name, function, **more)
    assert words in str(caught.value)


def page(event: Event, config: Any, team: str, times: int = 1, loud: bool = False) -> list[Notify]:
    """Call a team."""
    return [notify(f"{config['who']} {team} {loud} {event.body}")] * times


def test_a_step_is_made_of_a_functions_signature() -> None:
    """Its own parameters become the step's, checked and converted; the others are handed in."""
    register = StepRegistrar("p", {"who": "page"}, None)
    register("page", page, plain="team")
    (step,) = register.found
    assert list(step.model.model_fields) == ["team", "times", "loud"]
    assert (step.plain, step.doc, step.plugin) == ("team", "Call a team.", "p")
    actions = step.run(sms("fire"), {"team": "ops", "times": "2", "loud": "yes"})
    assert actions == (notify("page ops True fire"),) * 2
    assert step.model.model_json_schema()["required"] == ["team"]


def test_wrong_parameters_of_a_step_are_reported() -> None:
    """At load by the model, at run by a PluginError that names step and parameter."""
    register = StepRegistrar("p", {"who": "x"}, None)
    register("page", page)
    (step,) = register.found
    with pytest.raises(ValidationError):
        step.model.model_validate({"team": "ops", "tims": 2})
    with pytest.raises(PluginError, match="step 'page': times: "):
        step.run(sms(), {"team": "ops", "times": "many"})


def test_a_steps_wrong_result_names_its_plugin() -> None:
    """A step returns actions, like a rule."""
    register = StepRegistrar("p", None, None)

    def wrong(text: str) -> str:
        return text

    register("wrong", wrong)
    with pytest.raises(PluginError, match="plugin p: returned str"):
        register.found[0].run(sms(), {"text": "x"})


def _star(*texts: str) -> None: ...


@pytest.mark.parametrize(
    ("function", "more", "words"),
    [
        (_later, {}, "step 'f' is async"),
        (_star, {}, "has no name of its own"),
        (page, {"plain": "tem"}, "step 'f' has no parameter 'tem'"),
    ],
)
def test_a_step_that_cannot_be_used_is_refused(
    function: Any, more: Mapping[str, Any], words: str
) -> None:
    """Each fault in words, at load."""
    with pytest.raises(PluginError) as caught:
        StepRegistrar("p", None, None)("f", function, **more)
    assert words in str(caught.value)
