"""Plugins that hang, fail or leave while they are imported: the node receives, the others work."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RULES = """version: 1
rules:
  - name: thanks
    on: message.received
    do:
      - reply: Thanks
  - name: shouting
    on: message.received
    do:
      - shout: Hello
"""
GOOD = """from ringback import reply, rule

@rule("message.received", if_="event.body == 'ping'")
def ping(event):
    return reply(event, "pong")
"""
BODIES = {
    "sleeps": "import time\ntime.sleep(3600)\n",
    "loops": "while True:\n    pass\n",
    "divides": "1 / 0\n",
    "leaves": "import os\nos._exit(0)\n",
}
SAID = {
    "sleeps": "took longer than 5 s to be imported",
    "loops": "took longer than 5 s to be imported",
    "divides": "ZeroDivisionError",
    "leaves": "ended the process that imported it",
}
ANN = "+14155550781"


def priorities(node: Any) -> set[int]:
    """How the processes of the node are ranked beside ours."""
    pids = [node.process.pid]
    for pid in pids:
        pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    return {os.getpriority(os.PRIO_PROCESS, pid) - ours for pid in pids}


def shell(node: Any, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", *words], cwd=node.project,
        env=dict(node.environ), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    [
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in BODIES),
    ],
)
def test_the_node_listens_and_names_it(kind: str, make_node: Callable[..., Any], box: Any) -> None:
    """It listens before the plugin's time is over, answers by the other rules and plugins, and
    names the plugin and the rule without it: on stderr, as an incident, in the list."""
    files = {"rules/all.yaml": RULES, "plugins/good.py": GOOD, f"plugins/{kind}.py": BODIES[kind]}
    node = make_node(files)
    started = time.monotonic()
    node.start()
    assert time.monotonic() - started < 15  # 5 s, on a machine that does nothing else
    node.wait_ready()
    if sys.platform == "linux":  # reception first, then the worker, then a host
        node.until(lambda: priorities(node) == {0, 5, 10})
    number = box.facts["numbers"][0]
    form = {"MessageSid": "SM" + "1" * 32, "From": ANN, "To": number, "Body": "ping"}
    assert node.post("/twilio/message", form).status_code == 200
    node.until(lambda: len(box.inbox(ANN)) == 2)
    assert {text["body"] for text in box.inbox(ANN)} == {"Thanks", "pong"}
    ((text,),) = node.until(
        lambda: node.ask("select text from incidents where kind = 'plugin' and state = 'open'")
    )
    said = node.lines.rest()
    for piece in (f"plugins/{kind}.py", SAID[kind], "shouting"):
        assert piece in text
        assert piece in said
    listed = shell(node, "plugins", "list", "--json")
    assert listed.returncode == 1
    assert f"plugins/{kind}.py" in listed.stderr
    states = {row["name"]: row["state"] for row in map(json.loads, listed.stdout.splitlines())}
    assert states["good"] == "good"
    assert states[kind].startswith("left out: ")
    assert SAID[kind] in states[kind]
    checked = shell(node, "check")
    assert checked.returncode == 1
    assert SAID[kind] in checked.stdout
    assert "unknown step 'shout'" in checked.stdout


@pytest.mark.slow
def test_a_reload_keeps_what_is_good_and_takes_the_mended_plugin(
    make_node: Callable[..., Any], box: Any
) -> None:
    """A plugin that begins to leave at import changes nothing at a reload. A worker that starts
    leaves it out; mended, it is taken, and its incident is over."""
    node = make_node({"plugins/good.py": GOOD}).start()
    node.wait_ready()
    plugin = node.project / "plugins" / "good.py"
    plugin.write_text(BODIES["leaves"])
    refused = shell(node, "rules", "reload")
    assert refused.returncode == 1
    assert SAID["leaves"] in refused.stderr
    box.text(ANN, "ping")
    node.until(lambda: len(box.inbox(ANN)) == 1)
    plugin.write_text(GOOD.replace("pong", "mended"))
    assert shell(node, "rules", "reload").returncode == 0
    box.text(ANN, "ping")
    node.until(lambda: [each["body"] for each in box.inbox(ANN)] == ["pong", "mended"])


@pytest.mark.slow
def test_wrong_rules_refuse_the_start_all_the_same(make_node: Callable[..., Any]) -> None:
    """Also beside a plugin that could not say what it brings."""
    rules = RULES + "  - name: third\n    on: message.received\n    dont: [{reply: x}]\n"
    node = make_node({"rules/all.yaml": rules, "plugins/leaves.py": BODIES["leaves"]})
    refused = shell(node, "serve")
    assert refused.returncode == 1
    assert "unknown key 'dont'" in refused.stderr
    assert "shout" not in refused.stderr


@pytest.mark.slow
def test_a_reload_works_beside_a_plugin_that_is_left_out(
    make_node: Callable[..., Any], box: Any
) -> None:
    """One plugin was left out when the node started. Rules and the other plugins can be changed all
    the same; each reload tries it again, and takes it when it is mended. What works is not given up
    for a rule or a plugin that has become wrong."""
    files = {"plugins/good.py": GOOD, "plugins/bad.py": BODIES["divides"], "rules/all.yaml": RULES}
    node = make_node(files).start()
    node.wait_ready()
    rules, good = node.project / "rules" / "all.yaml", node.project / "plugins" / "good.py"
    rules.write_text(RULES.replace("Thanks", "Many thanks"))
    done = shell(node, "rules", "reload")
    assert done.returncode == 0, done.stderr
    box.text(ANN, "hello")
    node.until(lambda: any(text["body"] == "Many thanks" for text in box.inbox(ANN)))
    assert node.ask("select state from incidents where kind = 'plugin'") == [("open",)]
    rules.write_text(RULES.replace("reply: Thanks", "rpely: Thanks"))
    refused = shell(node, "rules", "reload")
    assert refused.returncode == 1
    assert "rpely" in refused.stderr
    rules.write_text(RULES)
    good.write_text(BODIES["divides"])
    refused = shell(node, "rules", "reload")
    assert refused.returncode == 1
    assert "plugins/good.py" in refused.stderr
    good.write_text(GOOD)
    (node.project / "plugins" / "bad.py").write_text(GOOD.replace("ping", "ding"))
    rules.write_text(RULES.partition("  - name: shouting")[0])
    done = shell(node, "rules", "reload")
    assert done.returncode == 0, done.stderr
    node.until(
        lambda: node.ask("select state from incidents where kind = 'plugin'") == [("resolved",)]
    )
