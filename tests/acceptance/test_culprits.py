"""Culprits: whatever code of a plugin does, on a real node, the plugins beside it do not pay.

Beside each culprit 60 texts go to good rules. What a text waits is measured from outside: from the
webhook to the arrival of its answer at the gateway, against the same before the culprit has begun.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")

BEFORE, BESIDE = 20, 60
PACE_SECONDS = 0.03
BEYOND_SECONDS = 1.0
"""So much longer than before may the slowest answer take beside a culprit, on a machine whose cores
are enough for what runs there; with twice as much to do twice as long."""

GOOD = """
import asyncio
from ringback import hookimpl, reply, rule

@rule("message.received", if_="event.body.startsWith('ping')")
def pong(event):
    return reply(event, event.body)

@rule("message.received", if_="event.body.startsWith('ding')")
async def dong(event):
    await asyncio.sleep(0.001)
    return reply(event, event.body)

@hookimpl
def on_event(event):
    return None
"""

HEAD = """
import asyncio, ctypes, os, re, signal, sys, threading, time
from ringback import Event, hookimpl, reply, rule, send

"""
TEXTED = """@rule("message.received", if_="event.body == 'bad'"{limit})
{kind} culprit(event):
    {body}
"""
HOOK = """
@hookimpl
def on_event(event):
    if event.body == "bad":
        time.sleep(3600)
"""
FUNCTION = """
def hang(text: str, sid: str) -> bool:
    while text == "bad":
        pass
    return False

@hookimpl
def register_functions(register):
    register("hang", hang)

@rule("message.received", if_="hang(event.body, event.sid)")
def culprit(event):
    return None
"""
STEP = """
def hang(event: Event):
    time.sleep(3600)

@hookimpl
def register_steps(register):
    register("hang", hang)
"""
STEP_RULES = """
version: 1
rules:
  - name: culprit
    on: message.received
    if: event.body == 'bad'
    limit: 0.5s
    do:
      - hang: {}
"""


@dataclass(frozen=True)
class Culprit:
    """A plugin `bad`, what it is found to have done, and how that ends.

    `texts` to it come beside the good ones, spread among them, or all `first`. `owner` is who is
    blamed. It ends `quarantined`, `failed` (each of its runs has, and no more), `named` (as
    failing), or `done`; one that is `left out` is imported once more while the good texts come.
    """

    name: str
    plugin: str
    reason: str
    ends: str = "quarantined"
    owner: str = "bad.culprit"
    texts: int = 3
    first: bool = False
    files: dict[str, str] = field(default_factory=dict)


def texted(
    name: str, body: str, reason: str, *, limit: str = "60s", kind: str = "def", **facts: Any
) -> Culprit:
    """A rule that does `body` for the text `bad`. Those that only wait are given half a second, the
    others as long as a busy machine takes."""
    limited = f', limit="{limit}"'
    source = HEAD + TEXTED.format(limit=limited, kind=kind, body=body.replace("\n", "\n    "))
    return Culprit(name, source, reason, **facts)


def waits(name: str, body: str, **facts: Any) -> Culprit:
    """One that never ends."""
    return texted(name, body, r"took longer than 0\.5 s", limit="0.5s", **facts)


FORKS = """
for _ in range(50):
    if os.fork() == 0:
        os.setsid()
        while True:
            pass
time.sleep(3600)
"""
LEAK = """
kept = []
for _ in range(128):
    kept.append(b"x" * (1 << 24))
"""
THREADS = """
for _ in range(500):
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
"""
PRINTS = """
for number in range(300_000):
    print("line", number)
"""

CULPRITS = (
    waits("regex", "re.match(r'(a+)+$', 'a' * 40 + '!')"),
    waits("GIL held in C", "ctypes.PyDLL(None).sleep(3600)"),
    waits("sleep x64", "time.sleep(3600)", texts=64, first=True),
    texted("os._exit", "os._exit(3)", "ended its process with exit code 3"),
    texted("closed descriptors", "os.closerange(0, 4096)", "closed the connection|exit code"),
    waits("SIGSTOP to itself", "os.kill(os.getpid(), signal.SIGSTOP)"),
    waits("fork bomb", FORKS),
    texted("leak of 2 GB", LEAK, "more memory than its process may have"),
    texted("300,000 prints", PRINTS, "", ends="done"),
    texted("500 threads", THREADS, "can't start new thread", ends="failed"),
    texted("deep recursion", "return culprit(event)", "RecursionError", ends="failed"),
    texted("generator", "yield reply(event, 'no')", "instead of using yield", ends="failed"),
    texted("raises", "raise RuntimeError('on purpose')", "RuntimeError: on purpose", ends="failed"),
    texted("SystemExit", "sys.exit(4)", "SystemExit: 4", ends="failed"),
    texted("returns a number", "return 42", "42|int", ends="failed"),
    texted(
        "5,000 actions", "return [send(event.sender, str(number)) for number in range(5000)]",
        "", ends="done", texts=1,
    ),
    Culprit("import hangs", "import time; time.sleep(3600)", "to be imported", ends="left out"),
    Culprit("import exits", "import os; os._exit(0)", "exit code 0", ends="left out"),
    waits("blocking coroutine", "time.sleep(3600)", kind="async def"),
    Culprit(
        "blocking hook", HEAD + HOOK, "took longer than 1 s", ends="named", owner="bad.on_event",
        files={"ringback.toml": "handler_seconds = 1.0\n"},
    ),
    Culprit(
        "blocking function", HEAD + FUNCTION, "took longer than 1 s", owner="bad.hang",
    ),
    Culprit(
        "blocking step", HEAD + STEP, r"took longer than 0\.5 s", owner="culprit",
        files={"rules/bad.yaml": STEP_RULES},
    ),
)  # fmt: skip


class Crowd:
    """People who text a node, each once, and see when the answer comes."""

    def __init__(self, node: Any, gateway: Any, number: str) -> None:
        self.node = node
        self.gateway = gateway
        self.number = number
        self.people = 0

    def text(self, body: str) -> str:
        """Somebody new texts this; the SID of the message."""
        self.people += 1
        sid = f"SM{self.people:032x}"
        form = {
            "MessageSid": sid, "SmsSid": sid, "From": f"+1415557{self.people:04d}",
            "To": self.number, "Body": body, "NumMedia": "0", "SmsStatus": "received",
        }  # fmt: skip
        assert self.node.post("/twilio/message", form).status_code == 200
        return sid

    def good(self, count: int, beside: Iterable[int] = ()) -> tuple[float, list[str]]:
        """So many texts to the good rules, and one to the culprit before those `beside` which.

        The longest wait for an answer, and the SIDs of the culprit's texts.
        """
        bad, sent = [], {}
        turns = set(beside)
        for index in range(count):
            due = time.monotonic() + PACE_SECONDS
            if index in turns:
                bad.append(self.text("bad"))
            body = f"{('ping', 'ding')[index % 2]} {self.people}"
            sent[body] = time.monotonic()
            self.text(body)
            time.sleep(max(0.0, due - time.monotonic()))
        self.node.until(lambda: sent.keys() <= self.gateway.arrived.keys())
        return max(self.gateway.arrived[body] - began for body, began in sent.items()), bad


def crowding() -> float:
    """How much more there is to do than the cores can, at least 1: what has run lately, and
    culprits that may keep all of them busy."""
    return 1.0 + os.getloadavg()[0] / len(os.sched_getaffinity(0))


def shell(node: Any, *words: str) -> str:
    """What a command says, whether all is well or not."""
    done = subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", *words],
        cwd=node.project, env=dict(node.environ), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.stdout + done.stderr


def states(node: Any) -> dict[str, str]:
    """How each plugin fares, as `plugins list` says."""
    rows = [
        json.loads(line)
        for line in shell(node, "plugins", "list", "--json").splitlines()
        if line.startswith("{")
    ]
    return {row["name"]: row["state"] for row in rows}


@pytest.fixture
def start(make_node: Callable[..., Any], box: Any, gateway: Any) -> Callable[..., Crowd]:
    """Start a node with these files beside the good plugin."""

    def start(files: dict[str, str]) -> Crowd:
        node = make_node(
            {"plugins/good.py": GOOD, **files},
            RINGBACK_GATEWAY_RATE="100",
            RINGBACK_GATEWAY_URL=gateway.url,
            RINGBACK_RECIPIENT_PER_HOUR="0",
            RINGBACK_TOTAL_PER_HOUR="0",
        )
        return Crowd(node.start(), gateway, box.facts["numbers"][0])

    return start


@pytest.mark.slow
@pytest.mark.parametrize("culprit", CULPRITS, ids=lambda each: each.name)
def test_nobody_else_pays(culprit: Culprit, start: Callable[..., Crowd]) -> None:
    """Every good text is answered about as quickly as before, nobody but the culprit is blamed, and
    the culprit is named; what blocks or dies is quarantined after three times."""
    crowd = start({"plugins/bad.py": culprit.plugin, **culprit.files})
    node = crowd.node
    node.wait_ready()
    before, _ = crowd.good(BEFORE)
    bad, turns = [], range(0)
    if culprit.ends == "left out":
        node.process.send_signal(signal.SIGHUP)
    elif culprit.first:
        bad = [crowd.text("bad") for _ in range(culprit.texts)]
    else:
        turns = range(0, BESIDE, BESIDE // culprit.texts)
    beside, more = crowd.good(BESIDE, turns)
    busy = crowding()
    assert beside <= before + BEYOND_SECONDS * busy, (before, beside, busy)
    judge(culprit, crowd, bad + more)
    assert node.ask("select rule from strikes where plugin <> 'bad'") == []
    assert node.process.poll() is None


def judge(culprit: Culprit, crowd: Crowd, bad: list[str]) -> None:
    """The culprit has got what it deserves, and people can see for what."""
    node = crowd.node
    open_runs = "select 1 from runs where ended_at is null"
    node.until(lambda: node.ask(open_runs) == [])
    strikes = "select plugin, count, quarantined_at is not null from strikes where rule = ?"
    if culprit.ends == "quarantined":
        node.until(lambda: node.ask(f"{strikes} and count >= 3", culprit.owner))
        assert all(plugin == "bad" and out for plugin, _, out in node.ask(strikes, culprit.owner))
        assert "quarantined" in shell(node, "trace", crowd.text("bad"))
    elif culprit.ends == "named":
        node.until(lambda: node.ask(f"{strikes} and count >= 3", culprit.owner))
    if culprit.ends != "named":
        assert node.ask("select 1 from strikes where quarantined_at is null") == []
    state = states(node)["bad"]
    assert re.search(culprit.reason, state), state
    if culprit.ends == "left out":
        assert "good.pong" in shell(node, "trace", crowd.text("ping"))
        return
    assert state == "good" if culprit.ends == "done" else state.startswith(culprit.owner), state
    tree = shell(node, "trace", bad[0])
    if culprit.ends != "named":
        assert "bad" in tree, tree
        assert re.search(culprit.reason, tree), tree


@pytest.mark.slow
def test_functions_of_three_plugins_that_block_at_once(start: Callable[..., Crowd]) -> None:
    """Each text to them blocks a function of each: the good texts beside go their way, and each of
    the three is quarantined for what it did itself."""
    names = ("one", "two", "three")
    plugins = {
        f"plugins/{name}.py": HEAD + FUNCTION.replace("hang", f"hang_{name}") for name in names
    }
    crowd = start(plugins)
    node = crowd.node
    node.wait_ready()
    before, _ = crowd.good(BEFORE)
    beside, bad = crowd.good(BESIDE, range(0, BESIDE, 12))
    busy = crowding()
    assert beside <= before + BEYOND_SECONDS * busy, (before, beside, busy)
    out = "select rule from strikes where quarantined_at is not null"
    node.until(
        lambda: {row[0] for row in node.ask(out)} == {f"{each}.hang_{each}" for each in names}
    )
    assert node.ask("select 1 from strikes where plugin = 'good'") == []
    assert "took longer than 1 s" in shell(node, "trace", bad[0])


FOUR = """
from ringback import reply, rule

def quick(name):
    @rule("message.received", name=name, if_="event.body == 'bad'")
    def answer(event):
        return reply(event, f"{name} answers")
    return answer

one, two, three, four = map(quick, ("one", "two", "three", "four"))
"""


@pytest.mark.slow
def test_rules_of_one_text_do_not_wait_for_the_one_that_sleeps(
    start: Callable[..., Crowd], gateway: Any
) -> None:
    """Five rules fire on the same text, one of them sleeps: the other four answer at once, and only
    the sleeper has failed."""
    sleeper = texted("", "time.sleep(3600)", "", limit="8s")
    crowd = start({"plugins/bad.py": sleeper.plugin, "plugins/few.py": FOUR})
    node = crowd.node
    node.wait_ready()
    before, _ = crowd.good(2)
    began = time.monotonic()
    crowd.text("bad")
    answers = {f"{name} answers" for name in ("one", "two", "three", "four")}
    node.until(lambda: answers <= gateway.arrived.keys())
    assert max(gateway.arrived[answer] for answer in answers) - began <= before + 4.0
    ended = "select rule, state from runs where rule not like 'good.%' and ended_at is not null"
    runs = dict(node.until(lambda: len(found := node.ask(ended)) == 5 and found))
    assert {rule for rule, state in runs.items() if state == "failed"} == {"bad.culprit"}
    assert {rule for rule, state in runs.items() if state == "done"} == {
        f"few.{name}" for name in ("one", "two", "three", "four")
    }
