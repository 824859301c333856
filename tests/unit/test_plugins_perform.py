"""Requests for plugin code, carried out in this process, and their way through pickle."""

import pickle
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import datetimes, just, timezones

from ringback import Event
from ringback.config import Settings
from ringback.errors import PluginError
from ringback.plugins.context import SettledAction
from ringback.plugins.perform import describe, perform, perform_async
from ringback.plugins.requests import FunctionCalls, HandlerCall, HookCall, StepCall
from ringback.project import Project
from ringback.rules.interpreter.machine import Wake
from ringback.rules.language.scope import NoFacts
from ringback.runtime import REAL
from ringback.testing import sms

PLUGIN = """
from ringback import hookimpl, notify, reply, rule

@rule("message.received")
def pong(event, texts):
    return reply(event, "pong " + "/".join(texts))

@rule("message.received")
async def later(event):
    return reply(event, "later")

@rule("message.received")
async def talk(event, convo):
    name = await convo.ask("Your name?")
    return reply(event, f"Hello {name}")

@rule("message.received")
def yields(event):
    yield reply(event, "no")

@hookimpl
def on_event(event, ctx):
    if event.body == "bad":
        raise ValueError("no such thing")
    return notify(event.body)

@hookimpl
def register_functions(register):
    def half(number: int) -> int:
        return 10 // number
    register("half", half)

@hookimpl
def register_steps(register):
    def shout(event, text: str):
        return reply(event, text.upper())
    register("shout", shout)
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Project:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "p.py").write_text(PLUGIN)
    project = Project.load(Settings(project=tmp_path))
    assert project.problems == []
    return project


def run(request: Any, loaded: Project) -> Any:
    request = pickle.loads(pickle.dumps(request, protocol=5))
    return perform(request, loaded, facts=NoFacts(), clock=REAL)


def test_an_event_survives_pickle() -> None:
    event = sms("hi")
    again = pickle.loads(pickle.dumps(event, protocol=5))
    assert again == event
    with pytest.raises(TypeError):
        again.fields["Body"] = "other"


def test_each_request_has_its_answer(loaded: Project) -> None:
    event = sms("hi")
    done = run(HandlerCall("p.pong", "p", event, ("a", "b")), loaded)
    assert [action.body for action in done.actions] == ["pong a/b"]
    assert run(HandlerCall("p.later", "p", event), loaded).actions[0].body == "later"
    asked = run(HandlerCall("p.talk", "p", event), loaded)
    assert asked.wait is not None
    wake = Wake(sms("Ada"))
    told = run(HandlerCall("p.talk", "p", event, (), asked.state, wake), loaded)
    assert told.actions[0].body == "Hello Ada"
    values = run(FunctionCalls("p", (("half", (2,)), ("half", (0,)), ("third", ()))), loaded)
    assert values[0] == (True, 5)
    assert "ZeroDivisionError" in values[1][1]
    assert "no function 'third'" in values[2][1]
    shouted = run(StepCall("shout", "p", "r", event, {"text": "hey"}), loaded)
    assert shouted[0].body == "HEY"
    seen = run(HookCall("p", "on_event", (event, sms("bad"), event)), loaded)
    assert [isinstance(each, tuple) for each in seen] == [True, False, True]
    assert "ValueError: no such thing (p.py:" in seen[1]


def test_what_cannot_be_an_answer_is_an_error(loaded: Project) -> None:
    event = sms("hi")
    with pytest.raises(PluginError, match="return a list instead of using yield"):
        run(HandlerCall("p.yields", "p", event), loaded)
    with pytest.raises(PluginError, match="no rule"):
        run(HandlerCall("p.gone", "p", event), loaded)


async def test_async_code_can_be_awaited_on_a_running_loop(loaded: Project) -> None:
    call = HandlerCall("p.later", "p", sms("hi"))
    answer = await perform_async(call, loaded, facts=NoFacts(), clock=REAL)
    assert answer.actions[0].body == "later"  # type: ignore[union-attr]


def test_any_exception_can_be_described() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert describe(Mute()).startswith("Mute: its message cannot be read")
    describe(ValueError("\ud800")).encode()


def test_settled_actions_survive_pickle() -> None:
    from ringback import notify

    ended = SettledAction("act_1", "r", notify("x"), "settled")
    assert pickle.loads(pickle.dumps(ended)) == ended


@given(datetimes(timezones=just(UTC)), timezones())
def test_the_moments_of_an_event_survive_pickle(moment: datetime, zone: tzinfo) -> None:
    event = Event("e", "t", moment, moment.astimezone(zone))
    again = pickle.loads(pickle.dumps(event, protocol=5))
    assert (again.at, again.received_at) == (event.at, event.received_at)
    assert again.at.tzinfo is UTC
