"""Limits of a bench: code of plugins that is late is given up on, in the words of a node."""

from pathlib import Path

import pytest

from ringback.config import Settings
from ringback.errors import PluginBlocked, PluginError
from ringback.testing import Bench, sms
from ringback.testing.bench import RunFailed

PLUGIN = """
import time
from ringback import hookimpl, notify, reply, rule

@rule("message.received", if_="event.body == 'sleeps'")
def sleeps(event):
    time.sleep(60)

@rule("message.received", if_="event.body == 'loops'")
def loops(event):
    while True:
        pass

@rule("message.received", if_="event.body == 'own'", limit=0.2)
async def own(event):
    import asyncio
    await asyncio.sleep(60)

@rule("message.received", if_="event.body == 'leaves'")
def leaves(event):
    raise SystemExit(3)

@rule("message.received", if_="event.body == 'good'")
def good(event):
    return reply(event, "pong")

@hookimpl
def on_event(event):
    if event.body == "hook":
        time.sleep(60)

@hookimpl
def register_functions(register):
    def slow(text: str) -> bool:
        if text == "slow":
            time.sleep(60)
        raise ValueError("no ears")
    register("slow", slow)

@hookimpl
def register_steps(register):
    def wait_long(event, text: str):
        if text == "broken":
            raise ValueError("no voice")
        time.sleep(60)
    register("wait_long", wait_long, plain="text")
"""
RULES = """
version: 1
rules:
  - name: step
    on: message.received
    if: event.body.startsWith('step')
    do: [wait_long: "${{ event.body == 'step late' ? 'late' : 'broken' }}"]
  - name: function
    on: message.received
    if:
      - event.body in ['slow', 'error']
      - slow(event.body)
    do: [notify: never]
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    for name, text in {"plugins/late.py": PLUGIN, "rules/all.yaml": RULES}.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    return Bench.load(tmp_path, settings=Settings(project=tmp_path, handler_seconds=0.3))


@pytest.mark.parametrize(("body", "seconds"), [("sleeps", 0.3), ("loops", 0.3), ("own", 0.2)])
def test_a_handler_that_is_late_is_given_up_on(bench: Bench, body: str, seconds: float) -> None:
    with pytest.raises(PluginBlocked, match=f"plugin late: took longer than {seconds} s") as told:
        bench.react(sms(body))
    assert told.value.owner == f"late.{body}"
    assert bench.react(sms("good")).texts == ["pong"]


def test_a_hook_that_is_late_is_given_up_on(bench: Bench) -> None:
    with pytest.raises(PluginBlocked, match=r"took longer than 0\.3 s"):
        bench.react(sms("hook"))


def test_a_step_is_given_up_on_and_fails_as_on_a_node(bench: Bench) -> None:
    with pytest.raises(RunFailed, match=r"`wait_long`.*plugin late: took longer than 0\.3 s"):
        bench.react(sms("step late"))
    with pytest.raises(RunFailed, match=r"plugin late: ValueError: no voice \(late\.py:44\)"):
        bench.react(sms("step broken"))


def test_what_a_function_does_is_the_verdict_of_a_node(bench: Bench) -> None:
    assert bench.react(sms("slow")).why_not("function") == (
        "error:2: plugin late: took longer than 1 s"
    )
    assert bench.react(sms("error")).why_not("function") == (
        "error:2: ValueError: no ears (late.py:37)"
    )


def test_an_attempt_to_end_the_process_is_an_error(bench: Bench) -> None:
    with pytest.raises(PluginError, match="plugin late: SystemExit: 3"):
        bench.react(sms("leaves"))
