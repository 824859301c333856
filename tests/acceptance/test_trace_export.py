"""Export of an incident as a test, which fails until somebody decides what is right."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
from ringback import reply, rule

@rule("message.received", once_within="1h", trust=["signed"])
def thanks(event, contact):
    return reply(event, f"Thanks, number {contact.message_count}")
"""


@pytest.mark.slow
def test_an_event_becomes_a_test(make_node: Callable[..., Any], box: Any) -> None:
    """It plays what came before, tells what happened, and fails only at its last line."""
    # With the usual settle time nothing is fetched back while its webhook is still on its way.
    node = make_node(
        {"plugins/p.py": PLUGIN, "rules/none.yaml": "version: 1\nrules: []\n"},
        RINGBACK_SETTLE_SECONDS="60",
    )
    node.start()
    node.wait_ready()
    for number, body in enumerate(("first", "second"), 1):
        box.text("+14155550777", body)
        node.until(lambda seen=number: len(node.ask(
            "select uid from events where type = 'message.received'")) == seen)  # fmt: skip
        node.until(lambda: node.ask("select 1 from runs where state = 'done'"))
    node.until(lambda: node.ask("select 1 from events where type = 'message.delivered'"))
    first, second = (
        row[0] for row in node.ask("select uid from events where type = 'message.received'")
    )
    node.stop()

    from ringback.store.queries.questions import Questions
    from ringback.testing.export import regression

    (node.project / "tests").mkdir()
    with Questions(node.project / "data") as asked:
        for name, uid in (("first", first), ("second", second)):
            (node.project / "tests" / f"test_{name}.py").write_text(regression(asked, uid))
    assert outcome(node.project, "first") == "this is what happened"
    assert outcome(node.project, "second") == "this is what happened"

    wrong = (node.project / "plugins" / "p.py").read_text().replace("Thanks,", "Hello,")
    (node.project / "plugins" / "p.py").write_text(wrong)
    assert "Thanks, number 1" in outcome(node.project, "first")
    assert outcome(node.project, "second") == "this is what happened"


def outcome(project: Path, name: str) -> str:
    """How the exported test fails, in short."""
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short",
        f"tests/test_{name}.py",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 1, json.dumps([done.stdout, done.stderr])
    return (
        "this is what happened" if "Failed: this is what happened" in done.stdout else (done.stdout)
    )
