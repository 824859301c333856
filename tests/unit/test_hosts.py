"""Plugin hosts: what any code of plugins may do costs its own call, and nobody else's.

Real processes: a pool, its forkserver and its hosts. Beside each culprit run calls of another rule.
"""

import asyncio
import heapq
import logging
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ringback.config import Settings
from ringback.errors import PluginBlocked, PluginError
from ringback.plugins.manifest import Manifest
from ringback.plugins.requests import FunctionCalls, HandlerCall, HookCall, StepCall
from ringback.rules.interpreter.machine import Wake
from ringback.testing import sms
from ringback.worker.hosts.pool import Pool
from ringback.worker.hosts.server_link import command_for
from ringback.worker.hosts.turns import Turns

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")

GOOD = """
from ringback import reply, rule

@rule("message.received")
def good(event):
    return reply(event, "pong")

@rule("message.received")
async def later(event):
    import asyncio
    await asyncio.sleep(0.001)
    return reply(event, "later")
"""

BAD = """
import asyncio, ctypes, os, re, signal, subprocess, sys, threading, time
from ringback import reply, rule, send

kept = []

def bad(function):
    return rule("message.received")(function)

@bad
def regex(event):
    re.match(r"(a+)+$", "a" * 40 + "!")

@bad
def gil(event):
    ctypes.PyDLL(None).sleep(3600)

@bad
def sleeps(event):
    time.sleep(3600)

@bad
def exits(event):
    os._exit(3)

@bad
def segfault(event):
    ctypes.string_at(0)

@bad
def closes(event):
    os.closerange(0, 4096)

@bad
def stops(event):
    os.kill(os.getpid(), signal.SIGSTOP)

@bad
def kills(event):
    os.kill(os.getpid(), signal.SIGKILL)

@bad
def forks(event):
    for _ in range(50):
        if os.fork() == 0:
            os.setsid()
            while True:
                pass
    time.sleep(3600)

@bad
def leaves_children(event):
    for _ in range(5):
        if os.fork() == 0:
            os.setsid()
            time.sleep(3600)
    return reply(event, "left")

@bad
def child_returns(event):
    os.fork()
    return reply(event, "one")

@bad
def leaks(event):
    while True:
        kept.append(bytearray(1 << 24))

@bad
def keeps(event):
    kept.append(bytearray(200 << 20))
    return reply(event, "kept")

@bad
def prints(event):
    for number in range(300_000):
        print("line", number)
    os.system("echo from a shell")
    return reply(event, "printed")

@bad
def threads(event):
    for _ in range(500):
        threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()

@bad
def leaves_thread(event):
    threading.Thread(target=time.sleep, args=(3600,)).start()
    return reply(event, str(os.getpid()))

@bad
def recursion(event):
    return recursion(event)

@bad
def yields(event):
    yield reply(event, "no")

class Mute(Exception):
    def __str__(self):
        raise RuntimeError

@bad
def mute(event):
    raise Mute

@bad
def surrogate(event):
    return reply(event, "\\ud83d")

@bad
def no_data(event):
    return reply(event, object())

@bad
def quits(event):
    sys.exit(4)

@bad
def many(event):
    return [send("+15550000001", str(number)) for number in range(5000)]

@bad
def many_and_a_thread(event):
    threading.Thread(target=time.sleep, args=(3600,)).start()
    return [send("+15550000001", str(number)) for number in range(5000)]

@bad
def alarm(event):
    signal.alarm(1)
    return reply(event, "alarm")

@bad
async def blocks(event):
    time.sleep(3600)

@bad
async def blocks_a_while(event):
    time.sleep(0.4)
    return reply(event, "done")

@bad
async def waits(event):
    await asyncio.sleep(3600)

@bad
async def ignores(event):
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

@bad
async def async_exits(event):
    await asyncio.sleep(0)
    os._exit(5)

@bad
async def async_quits(event):
    sys.exit(4)

@bad
async def leaves_task(event):
    async def other():
        await asyncio.sleep(0.05)
        time.sleep(3600)
    asyncio.create_task(other())
    return reply(event, "left a task")
"""

RAISES = {
    "leaks": "memory", "recursion": "RecursionError", "yields": "instead of using yield",
    "mute": "its message cannot be read", "surrogate": "half a character",
    "no_data": "not a text", "quits": "SystemExit: 4", "async_quits": "SystemExit: 4",
    "threads": "can't start new thread",
}  # fmt: skip
"""Culprits whose call fails with these words."""

BLOCKED = {
    "regex": "took longer than 0.4 s", "gil": "took longer than 0.4 s",
    "sleeps": "took longer than 0.4 s", "exits": "exit code 3", "segfault": "signal SIGSEGV",
    "closes": "closed the connection|exit code", "stops": "took longer than 0.4 s",
    "kills": "killed twice", "forks": "took longer than 0.4 s",
    "blocks": "took longer than 0.4 s", "waits": "took longer than 0.4 s",
    "ignores": "goes on although it is cancelled|took longer", "async_exits": "exit code 5",
}  # fmt: skip
"""Culprits whose call is blamed."""

ANSWERS = {
    "leaves_children": "left", "child_returns": "one", "keeps": "kept", "prints": "printed",
    "leaves_thread": "", "many_and_a_thread": "0", "alarm": "alarm", "blocks_a_while": "done",
    "leaves_task": "left a task",
}  # fmt: skip
"""Culprits whose call has an answer: what they leave behind must hurt nobody."""


@asynccontextmanager
async def pool_of(
    folder: Path, faults: list[Any] | None = None, **plugins: str
) -> AsyncIterator[tuple[Pool, Manifest]]:
    (folder / "plugins").mkdir(exist_ok=True)
    for name, text in plugins.items():
        (folder / "plugins" / f"{name}.py").write_text(text)
    settings = Settings.load(folder, {"RINGBACK_HOST_MEMORY": "256"})
    pool = Pool(
        replace(command_for(settings, dict(os.environ)), import_seconds=1.0), hook_seconds=1.0,
        on_fault=lambda *fault: (faults if faults is not None else []).append(fault),
    )  # fmt: skip
    try:
        yield pool, await pool.start()
    finally:
        await pool.close()


def call(name: str) -> HandlerCall:
    return HandlerCall(name, name.partition(".")[0], sms("hello"))


async def said(pool: Pool, name: str, limit: float = 0.4) -> str:
    answer = await pool.call(call(name), limit=limit)
    return str(answer.actions[0].body)


async def beside(pool: Pool, culprits: Awaitable[Any], rules: tuple[str, ...] = ("good",)) -> Any:
    """Good calls, one after the other, until the culprits are done. None is lost or waits long."""
    task = asyncio.ensure_future(culprits)
    slowest, number = 0.0, 0
    while not task.done() or number < 5:
        for rule in rules:
            began = time.monotonic()
            expected = {"good": "pong", "later": "later"}[rule]
            assert await said(pool, f"good.{rule}", limit=5.0) == expected
            slowest = max(slowest, time.monotonic() - began)
        number += 1
        await asyncio.sleep(0.005)
    assert slowest < 8.0  # it is under a second where nothing else runs
    return await task


async def tried(pool: Pool, name: str, limit: float = 0.4) -> PluginError:
    with pytest.raises(PluginError) as caught:
        await pool.call(call(name), limit=limit)
    return caught.value


async def judged(pool: Pool, name: str) -> None:
    """Call a culprit, and see that it gets what it deserves."""
    if name in BLOCKED:
        error = await tried(pool, f"bad.{name}")
        assert re.search(BLOCKED[name], str(error)), (name, error)
        assert isinstance(error, PluginBlocked), name
        assert (error.owner, error.plugin) == (f"bad.{name}", "bad")
    elif name in RAISES:
        error = await tried(pool, f"bad.{name}", limit=10.0)
        assert RAISES[name] in str(error), (name, error)
    else:
        answer = await said(pool, f"bad.{name}", limit=20.0)
        assert answer == ANSWERS[name] or not ANSWERS[name], name


@pytest.mark.slow
async def test_all_culprits_at_once_pay_for_themselves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    names = [*BLOCKED, *RAISES, *ANSWERS]
    async with pool_of(tmp_path, good=GOOD, bad=BAD) as (pool, manifest):
        assert manifest.problems == ()
        culprits = asyncio.gather(*(judged(pool, name) for name in names))
        await beside(pool, culprits, ("good", "later"))
        assert left_processes(pool) == set()
    lines = [each.getMessage() for each in caplog.records if each.name == "ringback.plugin.bad"]
    assert len(lines) == 101  # what the one of 300,000 lines prints is bounded
    assert (lines[3], lines[-1]) == ("line 3", "299901 more lines were dropped")


@pytest.mark.slow
async def test_each_culprit_pays_for_itself(tmp_path: Path) -> None:
    async with pool_of(tmp_path, good=GOOD, bad=BAD) as (pool, _):
        for name in (*BLOCKED, *RAISES, *ANSWERS):
            await beside(pool, judged(pool, name), ("good", "later"))
        assert len((await pool.call(call("bad.many"), limit=5.0)).actions) == 5000
        assert left_processes(pool) == set()


@pytest.mark.slow
async def test_sleeping_calls_of_one_rule_leave_hosts_to_the_others(tmp_path: Path) -> None:
    async with pool_of(tmp_path, good=GOOD, bad=BAD) as (pool, _):
        culprits = asyncio.gather(*(tried(pool, "bad.sleeps", 0.5) for _ in range(64)))
        errors = await beside(pool, culprits)
        assert all(isinstance(error, PluginBlocked) for error in errors)


@pytest.mark.slow
def test_a_limit_that_is_over_at_once_ends_its_call(tmp_path: Path) -> None:
    """Also on the loop of a worker, whose timers know no time when they are due already."""
    uvloop = pytest.importorskip("uvloop")

    async def story() -> None:
        async with asyncio.timeout(30), pool_of(tmp_path, good=GOOD, bad=BAD) as (pool, _):
            for _ in range(2):
                assert isinstance(await tried(pool, "bad.sleeps", 0.0001), PluginBlocked)
            assert await said(pool, "good.good", 5.0) == "pong"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())


@pytest.mark.slow
async def test_who_is_killed_from_outside_is_called_again(tmp_path: Path) -> None:
    slow = (
        GOOD
        + """
@rule("message.received")
def slow(event):
    import os, time
    print(f"pid {os.getpid()}")
    time.sleep(0.3)
    return reply(event, "slow")
"""
    )
    async with pool_of(tmp_path, good=slow) as (pool, _):
        generation = pool._current
        assert generation is not None

        async def busy() -> int:
            while True:
                for host in generation.sync._hosts:
                    if host.job is not None and host.job.owner == "good.slow":
                        mark = generation.server.marks.read(host.link.slot)
                        if mark.number == host.job.number and host.link.pid:
                            return host.link.pid
                await asyncio.sleep(0.005)

        first = asyncio.ensure_future(said(pool, "good.slow", 5.0))
        os.kill(await busy(), signal.SIGKILL)
        assert await first == "slow"
        again = asyncio.ensure_future(tried(pool, "good.slow", 5.0))
        for _ in range(2):
            pid = await busy()
            os.kill(pid, signal.SIGKILL)
            while not again.done() and await busy() == pid:
                await asyncio.sleep(0.005)
        assert isinstance(await again, PluginBlocked)
        both = asyncio.gather(said(pool, "good.slow", 5.0), said(pool, "good.later", 5.0))
        await busy()
        os.kill(generation.server.pid, signal.SIGKILL)
        assert list(await both) == ["slow", "later"]
        assert pool._current is not generation


@pytest.mark.slow
async def test_whatever_an_import_does_the_others_are_there(tmp_path: Path) -> None:
    async with pool_of(
        tmp_path, good=GOOD,
        hangs="import time; time.sleep(3600)", leaves="import os; os._exit(0)",
        raises="1/0",
        floods="for _ in range(10000): print('x' * 100)\n" + GOOD,
    ) as (pool, manifest):  # fmt: skip
        assert [plugin.name for plugin in manifest.plugins.plugins] == ["floods", "good"]
        problems = {problem.file: problem.message for problem in manifest.problems}
        assert "took longer than 1 s to be imported" in problems["plugins/hangs.py"]
        assert "with exit code 0" in problems["plugins/leaves.py"]
        assert "ZeroDivisionError" in problems["plugins/raises.py"]
        assert await said(pool, "good.good", 5.0) == "pong"


class Rounded(asyncio.TimerHandle):
    """A timer that names a moment just behind the one at which it rings, as uvloop's rounding does
    for one in nine."""

    def when(self) -> float:
        return super().when() + 1e-3


class RoundedLoop(asyncio.SelectorEventLoop):
    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> Any:
        timer = Rounded(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer


@pytest.mark.slow
def test_an_import_that_hangs_is_given_up_however_clocks_round(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            asyncio.timeout(20),
            pool_of(tmp_path, hangs="while True: pass") as (_, manifest),
        ):
            assert [problem.file for problem in manifest.problems] == ["plugins/hangs.py"]

    with asyncio.Runner(loop_factory=RoundedLoop) as runner:
        runner.run(story())


ALL = """
from ringback import Event, hookimpl, notify, reply, rule

begun = []

@hookimpl
def startup(ctx):
    begun.append(1)

@hookimpl
async def shutdown(ctx):
    print("ends")

@hookimpl
async def on_event(event, ctx):
    if event.body == "bad":
        raise ValueError("no")
    return notify(event.body + str(len(begun)))

@hookimpl
def register_functions(register):
    from datetime import datetime, timedelta
    def half(number: int) -> int:
        return 10 // number
    def span(moment: datetime) -> timedelta:
        return timedelta(days=1, microseconds=3)
    def hang(text: str) -> str:
        while text == "hang": pass
        return text
    for each in (half, span, hang):
        register(each.__name__, each)

@hookimpl
def register_steps(register):
    def shout(event: Event, text: str, often: int = 1):
        return reply(event, text.upper())
    register("shout", shout)

@rule("message.received", cancel_on="message.failed")
async def talk(event, convo):
    name = await convo.ask("Your name?")
    return reply(event, f"Hello {name}")
"""


@pytest.mark.slow
async def test_every_kind_of_request_has_its_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    faults: list[Any] = []
    async with pool_of(tmp_path, faults, p=ALL) as (pool, manifest):
        assert manifest.problems == ()
        assert manifest.asyncs == {"p.on_event"}
        (kind,) = manifest.plugins.steps
        needed = {name: field.is_required() for name, field in kind.model.model_fields.items()}
        assert needed == {"text": True, "often": False}
        event = sms("hi")
        asked = await pool.call(HandlerCall("p.talk", "p", event), limit=5.0)
        assert asked.wait is not None
        assert asked.wait.due_at.tzinfo is not None
        turn = HandlerCall("p.talk", "p", event, (), asked.state, Wake(sms("Ada")))
        assert (await pool.call(turn, limit=5.0)).actions[0].body == "Hello Ada"
        hook = HookCall("p", "on_event", (event, sms("bad"), event))
        seen = await pool.call(hook, limit=5.0)
        assert [each if isinstance(each, str) else each[0].text for each in seen] == [
            "hi1", "ValueError: no (p.py:17)", "hi1",
        ]  # fmt: skip
        step = StepCall("shout", "p", "r", event, {"text": "hey"})
        assert (await pool.call(step, limit=5.0))[0].body == "HEY"
        calls = (("half", (2,)), ("half", (0,)), ("span", (event.at,)), ("gone", ()))
        values = await pool.call(FunctionCalls("p", calls), limit=5.0)
        assert values[0] == (True, 5)
        assert "ZeroDivisionError" in values[1][1]
        assert values[2] == (True, timedelta(days=1, microseconds=3))
        assert not values[3][0]
        batch = (("hang", ("fine",)), ("hang", ("hang",)), ("half", (1,)))
        with pytest.raises(PluginBlocked, match="function 'hang' took longer") as caught:
            await pool.call(FunctionCalls("p", batch), limit=0.4)
        assert caught.value.owner == "p.hang"
    assert faults == []
    assert "ends" in [record.getMessage() for record in caplog.records]


async def test_a_batch_of_events_fits_through_the_wire(tmp_path: Path) -> None:
    async with pool_of(tmp_path, p=ALL) as (pool, _):
        texts = [f"{number} " + "x" * 1000 for number in range(500)]
        call = HookCall("p", "on_event", tuple(map(sms, texts)))
        seen = await pool.call(call, limit=20.0)
        assert [each[0].text for each in seen] == [text + "1" for text in texts]


async def test_a_project_without_plugins_needs_no_process(tmp_path: Path) -> None:
    async with pool_of(tmp_path) as (pool, manifest):
        assert manifest.plugins.plugins == ()
        assert pool._current is None
        assert pool._old == []
        assert "is not loaded" in str(await tried(pool, "good.good"))
        (tmp_path / "plugins" / "good.py").write_text(GOOD)
        await pool.reload(lambda manifest: True)
        assert await said(pool, "good.good", 5.0) == "pong"


@pytest.mark.slow
async def test_who_kills_the_forkserver_is_blamed(tmp_path: Path) -> None:
    """Once a person may have done it. The second time, with no other call under way, it is proof;
    the calls beside it were made again, and nobody else is blamed."""
    bad = """
import os, signal
from ringback import rule
@rule("message.received")
def bad(event):
    os.kill(os.getppid(), signal.SIGKILL)
    signal.pause()
"""
    async with pool_of(tmp_path, good=GOOD, bad=bad) as (pool, _):
        culprit = asyncio.ensure_future(said(pool, "bad.bad", 20.0))
        assert await said(pool, "good.good", 20.0) == "pong"
        with pytest.raises(PluginBlocked, match="ended the process of all plugins twice") as caught:
            await culprit
        assert caught.value.plugin == "bad"
        assert await said(pool, "good.good", 5.0) == "pong"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_who_kills_the_forkserver_of_a_busy_node_is_blamed(tmp_path: Path, kind: str) -> None:
    """Other calls run each time, sync and async ones: each has its answer, and the culprit alone
    is found by making half of those that were there again at a time."""
    slow = """
import asyncio, time
from ringback import reply, rule
@rule("message.received")
def slow(event):
    time.sleep(1.0)
    return reply(event, "slow")
@rule("message.received")
async def slowly(event):
    await asyncio.sleep(1.0)
    return reply(event, "slowly")
"""
    bad = f"""
import os, signal, time
from ringback import rule
@rule("message.received")
{kind} bad(event):
    time.sleep(0.2)
    os.kill(os.getppid(), signal.SIGKILL)
    signal.pause()
"""
    async with pool_of(tmp_path, good=GOOD, slow=slow, bad=bad) as (pool, _):
        names = ["slow.slow"] * 3 + ["slow.slowly"] * 3
        calls = [asyncio.ensure_future(said(pool, name, 30.0)) for name in names]
        error = await tried(pool, "bad.bad", 30.0)
        assert "ended the process of all plugins twice" in str(error)
        assert isinstance(error, PluginBlocked)
        assert await asyncio.gather(*calls) == ["slow"] * 3 + ["slowly"] * 3
        assert await said(pool, "good.good", 10.0) == "pong"
        assert left_processes(pool) == set()


@pytest.mark.slow
@pytest.mark.parametrize("most", [2, 9])
async def test_a_pool_that_ends_in_a_trial_leaves_nothing(tmp_path: Path, most: int) -> None:
    """In the middle of its calls, and while what was on trial ends in order."""
    together, ends = tmp_path / "together", tmp_path / "ends"
    bad = f"""
import os, signal, time
from pathlib import Path
from ringback import hookimpl, rule
together, ends = Path({str(together)!r}), Path({str(ends)!r})
def over():
    return ends.exists() and ends.stat().st_size >= {most}
@rule("message.received")
def bad(event):
    if over():
        return
    while not together.exists():
        time.sleep(0.001)
    together.unlink()
    with ends.open("a") as file:
        file.write("x")
    os.kill(os.getppid(), signal.SIGKILL)
    signal.pause()
@rule("message.received")
def waits(event):
    if not over():
        together.touch()
        signal.pause()
@hookimpl
def shutdown():
    time.sleep(1)
"""
    async with pool_of(tmp_path, bad=bad) as (pool, _):
        calls = [
            asyncio.ensure_future(pool.call(call(f"bad.{name}"), limit=10.0))
            for name in ("bad", "waits")
        ]
        while (generation := pool._trial._generation) is None:
            await asyncio.sleep(0.001)
        while most == 2 and pool._trial._generation is generation:
            await asyncio.sleep(0.001)
        await pool.close()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(answer, PluginError) for answer in answers] == [most > 2] * 2
        with pytest.raises(ProcessLookupError):
            os.kill(generation.server.pid, 0)


@pytest.mark.slow
async def test_a_forkserver_that_is_stopped_is_replaced(tmp_path: Path) -> None:
    async with pool_of(tmp_path, good=GOOD) as (pool, _):
        assert await said(pool, "good.good", 5.0) == "pong"
        assert pool._current is not None
        os.kill(pool._current.server.pid, signal.SIGSTOP)
        for host in pool._current.sync._hosts:
            if host.link.pid:
                os.kill(host.link.pid, signal.SIGKILL)
        assert await said(pool, "good.good", 5.0) == "pong"


@pytest.mark.slow
async def test_hooks_of_a_host_have_a_limit(tmp_path: Path) -> None:
    hooks = """
from ringback import hookimpl
@hookimpl
def startup(ctx):
    while True: pass
"""
    ends = """
from ringback import hookimpl
@hookimpl
def shutdown(ctx):
    while True: pass
"""
    faults: list[Any] = []
    async with pool_of(tmp_path, faults, good=GOOD, hooks=hooks, ends=ends) as (pool, _):
        assert await said(pool, "good.good", 10.0) == "pong"
        assert [fault[:2] for fault in faults] == [("hooks", "startup")]
        assert isinstance(faults[0][2], PluginBlocked)
        assert await said(pool, "good.later", 10.0) == "later"
        assert len(faults) == 1
    assert ("ends", "shutdown") in [fault[:2] for fault in faults]


@pytest.mark.slow
async def test_reload_changes_code_and_loses_no_call(tmp_path: Path) -> None:
    async with pool_of(tmp_path, good=GOOD) as (pool, _):
        texts: list[str] = []

        async def asking() -> None:
            while "new" not in texts:
                texts.append(await said(pool, "good.good", 5.0))

        task = asyncio.ensure_future(asking())
        (tmp_path / "plugins" / "good.py").write_text(GOOD.replace("pong", "new"))
        await pool.reload(lambda manifest: False)
        assert await said(pool, "good.good", 5.0) == "pong"
        await pool.reload(lambda manifest: not manifest.problems)
        await task
        assert set(texts) == {"pong", "new"}


def test_turns_are_fair_by_owner() -> None:
    turns: Turns[int] = Turns(8)
    for number in range(20):
        turns.wait("hog", number)
    taken = []
    while found := turns.next():
        turns.take(found[0])
        taken.append(found[1])
    assert taken == [0, 1, 2, 3, 4, 5]  # a quarter stays free for owners that have none
    turns.wait("other", 100)
    turns.wait("other", 101)
    turns.wait("third", 200)
    assert turns.next() == ("other", 100)
    turns.take("other")
    assert turns.next() == ("third", 200)
    turns.take("third")
    assert turns.next() is None
    turns.free("hog")
    assert turns.next() is None  # one place is free, and all who wait have one
    for _ in range(2):
        turns.free("hog")
    first, second = turns.next(), turns.next()
    assert {first and first[0], second and second[0]} == {"hog", "other"}  # in turns
    assert turns.drop("hog", 19)
    assert not turns.drop("hog", 19)


def left_processes(pool: Pool) -> set[str]:
    """The processes below the forkserver that are neither a host nor its spare."""
    generation = pool._current
    assert generation is not None
    server = generation.server.pid
    hosts = {link.pid for link in generation._links.values()}
    if generation.server._spare is not None:
        hosts.add(generation.server._spare.process.pid)
    found = set()
    for _ in range(100):
        found = {
            path.parent.name
            for path in Path("/proc").glob("[0-9]*/stat")
            if parent(path) == server and int(path.parent.name) not in hosts
        }
        if not found:
            break
        time.sleep(0.1)
    return found


def parent(path: Path) -> int:
    try:
        return int(path.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
