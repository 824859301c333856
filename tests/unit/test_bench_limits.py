"""Limits of a bench: code of plugins that is late is given up on, in the words of a node."""

import os
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
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


STUBBORN = """
import contextvars, time
from ringback import reply, rule

WORD = contextvars.ContextVar("word", default="none")

@rule("message.received", if_="event.body == 'swallows'")
def swallows(event):
    for _ in range(2):
        try:
            time.sleep(60)
        except BaseException:
            continue
    time.sleep(60)

@rule("message.received", if_="event.body == 'clears away'")
def clears(event):
    try:
        time.sleep(60)
    finally:
        print("cleared away")

@rule("message.received", if_="event.body == 'word'")
def word(event):
    before = WORD.get()
    WORD.set("said")
    time.sleep(0.02)
    return reply(event, before)
"""


def stubborn(folder: Path) -> Bench:
    (folder / "plugins").mkdir()
    (folder / "plugins" / "late.py").write_text(STUBBORN)
    return Bench.load(folder, settings=Settings(project=folder, handler_seconds=0.2))


def test_a_handler_that_swallows_what_it_is_thrown_is_given_up_on(tmp_path: Path) -> None:
    bench = stubborn(tmp_path)
    began = time.monotonic()
    with pytest.raises(PluginBlocked, match=r"took longer than 0\.2 s"):
        bench.react(sms("swallows"))
    assert time.monotonic() - began < 10


def test_a_handler_that_is_given_up_on_clears_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, before = stubborn(tmp_path), set(threading.enumerate())
    with pytest.raises(PluginBlocked):
        bench.react(sms("clears away"))
    assert "cleared away" in capsys.readouterr().out
    begun = {each.name for each in set(threading.enumerate()) - before}
    assert "ringback-bench" not in begun


def test_calls_leave_no_context_behind_and_share_no_time(tmp_path: Path) -> None:
    bench = stubborn(tmp_path)
    for number in range(12):  # all of them together take longer than one may
        reaction = bench.react(sms("word", from_=f"+1415555{number:04d}"))
        assert reaction.texts == ["none"]


async def test_a_late_handler_beside_a_running_loop_is_given_up_on(tmp_path: Path) -> None:
    with pytest.raises(PluginBlocked, match=r"took longer than 0\.2 s"):
        stubborn(tmp_path).react(sms("clears away"))


def test_a_late_handler_in_another_thread_is_given_up_on(tmp_path: Path) -> None:
    bench = stubborn(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(bench.react, sms("clears away"))
        assert isinstance(late.exception(), PluginBlocked)
        assert pool.submit(bench.react, sms("word")).result().texts == ["none"]


def test_the_limit_of_a_process_that_was_forked_is_watched_too(tmp_path: Path) -> None:
    bench = stubborn(tmp_path)
    assert bench.react(sms("word")).texts == ["none"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the threads that do not come along
        child = os.fork()
    if not child:
        try:
            bench.react(sms("clears away"))
        except PluginBlocked:
            os._exit(3)
        os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
