"""Hostile code of plugins: what it writes to the connection of its process, what it leaves there.

Real processes, as in `test_hosts.py`. Beside each culprit run calls of other rules, which use what
a culprit may have spoiled: processor time, memory, open files, depth.
"""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from ringback.errors import PluginBlocked, PluginError
from ringback.worker.hosts.pool import Pool
from unit.test_hosts import GOOD, pool_of, said

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")

WORKS = """
@rule("message.received")
def works(event):
    def deep(number):
        return number and deep(number - 1)
    deep(100)
    files = [open("/dev/null") for _ in range(100)]
    memory = bytearray(20 << 20)
    end = time.process_time() + 0.015
    while time.process_time() < end:
        pass
    return reply(event, "works")
"""

HEAD = """
import os, resource, signal, stat, struct, sys, time
from ringback import reply, rule

kept = []

def connection():
    for number in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode) and os.get_blocking(number):
                return number
        except OSError:
            pass

def write(kind, payload=b"", number=7):
    os.write(connection(), struct.pack("=IBQ", len(payload), kind, number) + payload)
"""

WRITES = {
    "an_answer_of_another_call": "write(1, b'[]')",
    "no_kind_of_answer": "write(0)",
    "a_length_of_gigabytes": "os.write(connection(), b'\\xff' * 64)",
    "that_it_is_ready_again": "write(6)",
    "a_hook_of_another": 'write(7, b\'["good", "startup"]\')',
    "a_fault_of_another": 'write(8, b\'["good", "startup", "no"]\')',
    "no_line_of_the_log": "write(9, b'{{')",
    "a_flood_of_lines": 'while True: write(9, b\'[20, "good", "no"]\')',
    "a_flood": "while True: os.write(connection(), b'x' * 60000)",
}

LEAVES = {
    "a_limit_of_processor_time": "resource.setrlimit(resource.RLIMIT_CPU, (1, 1))",
    "a_limit_of_memory": "resource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))",
    "a_limit_of_files": "resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))",
    "a_timer_of_its_time": "signal.setitimer(signal.ITIMER_VIRTUAL, 0.01)",
    "a_timer_of_all_time": "signal.setitimer(signal.ITIMER_PROF, 0.01)",
    "a_limit_of_depth": "sys.setrecursionlimit(60)",
    "open_files": "kept.extend(os.open('/dev/null', 0) for _ in range(100))",
}


def plugin(lines: dict[str, str]) -> str:
    rules = (
        f'@rule("message.received")\ndef {name}(event):\n    {line}\n    return reply(event, "x")\n'
        for name, line in lines.items()
    )
    return HEAD + "\n".join(rules)


async def innocent(pool: Pool, done: asyncio.Event) -> None:
    """Calls of other rules, one after the other: each is answered."""
    while not done.is_set():
        for name, expected in (("good.good", "pong"), ("good.works", "works")):
            async with asyncio.timeout(20):
                assert await said(pool, name, 5.0) == expected


async def tried(pool: Pool, name: str) -> str | PluginError:
    try:
        async with asyncio.timeout(20):
            return await said(pool, name, 1.0)
    except PluginError as error:
        return error


async def beside(folder: Path, lines: dict[str, str]) -> dict[str, str | PluginError]:
    """What became of each culprit. Nobody else has paid."""
    faults: list[object] = []
    good = "import time\n" + GOOD + WORKS
    async with pool_of(folder, faults, good=good, bad=plugin(lines)) as (pool, manifest):
        assert manifest.problems == ()
        done = asyncio.Event()
        others = [asyncio.ensure_future(innocent(pool, done)) for _ in range(3)]
        found = {name: await tried(pool, f"bad.{name}") for name in lines for _ in range(4)}
        done.set()
        await asyncio.gather(*others)
    assert faults == []
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [("that_it_is_ready_again", "no_kind_of_answer"), pytest.param(WRITES, marks=pytest.mark.slow)],
    ids=["some", "all"],
)
async def test_who_writes_to_the_connection_of_its_process_is_blamed(
    tmp_path: Path, names: Iterable[str]
) -> None:
    found = await beside(tmp_path, {name: WRITES[name] for name in names})
    for name, error in found.items():
        assert isinstance(error, PluginBlocked), (name, error)
        assert error.owner == f"bad.{name}"
        assert re.search("wrote to the connection of its process", str(error)), (name, error)


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [("a_timer_of_its_time", "a_limit_of_depth"), pytest.param(LEAVES, marks=pytest.mark.slow)],
    ids=["some", "all"],
)
async def test_what_a_call_has_left_in_its_process_hurts_no_other(
    tmp_path: Path, names: Iterable[str]
) -> None:
    found = await beside(tmp_path, {name: LEAVES[name] for name in names})
    assert found == dict.fromkeys(names, "x")


ENDS_OTHERS = """
import ctypes, time
from ringback import reply, rule

system = ctypes.CDLL(None)

@rule("message.received")
def soon(event):
    timer = ctypes.c_void_p()
    assert system.timer_create(1, None, ctypes.byref(timer)) == 0
    half_a_second = (ctypes.c_long * 4)(0, 0, 0, 500_000_000)
    assert system.timer_settime(timer, 0, half_a_second, None) == 0
    return reply(event, "x")

@rule("message.received")
def waits(event):
    time.sleep(0.6)
    return reply(event, "waited")
"""


@pytest.mark.slow
async def test_a_process_that_ends_through_what_another_left_is_no_proof(tmp_path: Path) -> None:
    """What no look finds, here a timer of C that ends the process later (SIGALRM): the call that is
    under way then is made again, in a process of its own."""
    async with pool_of(tmp_path, both=ENDS_OTHERS) as (pool, _):
        assert await said(pool, "both.soon", 5.0) == "x"
        assert await said(pool, "both.waits", 20.0) == "waited"


FOUND = """
import sys
from ringback.worker.hosts.process.host_limits import Residue

residue = Residue(1 << 40)
before = residue.found(quick=True)
sys.setrecursionlimit(sys.getrecursionlimit() - 1)
print([before, residue.found(quick=True)])
"""


def test_a_limit_of_depth_that_a_call_has_set_is_found() -> None:
    """Before the next call of another could fail by it. In a process that has no alarm."""
    done = subprocess.run([sys.executable, "-c", FOUND], capture_output=True, text=True, check=True)
    assert done.stdout == "['', 'another limit of recursion']\n"
