"""Calls of handlers: arguments by name, sync and async, and what they may return."""

import asyncio
from dataclasses import FrozenInstanceError
from datetime import timedelta
from typing import Any

import pytest

from ringback.actions import Notify, Stop, notify
from ringback.errors import PluginError
from ringback.plugins.context import Contact
from ringback.plugins.decorator import rule, specs_of
from ringback.plugins.invoke import actions_of, bind, call, complaints, finished
from ringback.rules.language.scope import NoFacts
from ringback.runtime import REAL
from ringback.testing import sms

AVAILABLE = {"event": "E", "config": "C", "clock": "K"}


def test_bind_passes_what_the_function_names() -> None:
    """Order does not matter, defaults are overruled where a value is there, and kept elsewhere."""

    def handler(clock: str, event: str = "none", *, config: str, extra: int = 3) -> tuple[Any, ...]:
        return (clock, event, config, extra)

    assert bind(handler, AVAILABLE)() == ("K", "E", "C", 3)
    assert bind(lambda: 1, AVAILABLE)() == 1


def test_complaints_find_what_nobody_can_fill() -> None:
    """A typo is reported with what was meant; a parameter with a default of its own is fine."""

    def handler(evnt: str, fine: int = 1, *rest: str) -> None: ...

    found = complaints(handler, AVAILABLE)
    assert [(name, hint) for name, _, hint in found] == [
        ("evnt", "did you mean 'event'?"),
        ("rest", "name what you need: event, config, clock"),
    ]


async def test_call_awaits_async_handlers_and_takes_sync_ones() -> None:
    """Both forms give the same actions."""

    def plain(event: str) -> Notify:
        return notify(event)

    async def waiting(event: str) -> list[Notify]:
        return [notify(event)]

    assert await call(plain, AVAILABLE, plugin="p") == (notify("E"),)
    assert await call(waiting, AVAILABLE, plugin="p") == (notify("E"),)


async def test_finished_waits_also_inside_a_running_loop() -> None:
    """What is async is done when it returns, and what it raises comes through."""

    async def later() -> int:
        await asyncio.sleep(0)
        return 3

    async def broken() -> None:
        raise LookupError("x")

    assert finished(later()) == 3
    assert finished(4) == 4
    with pytest.raises(LookupError):
        finished(broken())


def test_finished_waits_where_no_loop_runs() -> None:
    """As in the worker's threads."""

    async def later() -> int:
        return 5

    assert finished(later()) == 5


def test_actions_of_takes_one_many_or_none() -> None:
    """An action, a list, a tuple or nothing."""
    assert actions_of(None) == ()
    assert actions_of(Stop()) == (Stop(),)
    assert actions_of([Stop(), notify("x")]) == (Stop(), notify("x"))
    assert actions_of(()) == ()


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("hello", "returned str, not an action; to answer with a text, return reply(event, text)"),
        (["hello"], "returned a list with str, not an action"),
        ([[Stop()]], "returned a list with list"),
        (True, "returned bool"),
        ({"to": "x"}, "returned dict"),
        ((item for item in ()), "return a list instead of using yield"),
    ],
)
def test_a_wrong_result_names_the_plugin_and_the_mend(result: Any, words: str) -> None:
    """What is not an action is an error of that plugin, in words that help."""
    with pytest.raises(PluginError) as caught:
        actions_of(result, plugin="greet")
    assert str(caught.value).startswith("plugin greet: ")
    assert words in str(caught.value)
    assert caught.value.plugin == "greet"


def test_rule_keeps_the_function_and_stores_what_was_said() -> None:
    """Only the words that were given, in the spelling of the rule files."""

    @rule(
        ["message.received", "message.failed"],
        if_="event.body == 'x'",
        from_="+1",
        once_within=timedelta(minutes=2),
        priority=0,
        backstop=False,
    )
    def handler(event: str) -> str:
        return event

    assert handler("as before") == "as before"
    (spec,) = specs_of(handler)
    assert spec.words == {
        "on": ["message.received", "message.failed"],
        "if": "event.body == 'x'",
        "from": "+1",
        "once_within": 120.0,
        "priority": 0,
        "backstop": False,
    }
    assert (spec.name, spec.handler, spec.file) == ("handler", handler, __file__)
    assert spec.line == handler.__code__.co_firstlineno


def test_rule_may_stand_more_than_once() -> None:
    """Each decorator makes a rule; names differ by themselves or as they are given."""

    @rule("a")
    @rule("b", name="second")
    @rule("c")
    @rule("d")
    def handler() -> None: ...

    assert [(spec.name, spec.words["on"]) for spec in specs_of(handler)] == [
        ("handler", "d"),
        ("handler-2", "c"),
        ("second", "b"),
        ("handler-3", "a"),
    ]
    assert specs_of(lambda: 1) == ()


def test_rule_refuses_a_word_that_does_not_exist() -> None:
    """A typo in a keyword is an error at the line of the decorator, with what was meant."""
    with pytest.raises(
        TypeError, match="@rule has no word 'once_witin'; did you mean 'once_within'"
    ):
        rule("x", once_witin="1h")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"no word 'zzz'$"):
        rule("x", zzz=1)  # type: ignore[arg-type]


def test_what_a_handler_gets_cannot_be_changed_for_others() -> None:
    """An event and its fields, a contact, an action: all of them refuse to be written to."""
    event = sms("hello")
    contact = Contact(event.conversation, NoFacts(), REAL)
    with pytest.raises(TypeError):
        event.fields["Body"] = "changed"  # type: ignore[index]
    for thing, name in ((event, "uid"), (contact, "conversation"), (notify("x"), "text")):
        with pytest.raises(FrozenInstanceError):
            setattr(thing, name, "changed")
