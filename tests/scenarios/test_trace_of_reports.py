"""Traces of texts whose reports began rules: each report names them, and leads to what they did."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ringback.cli.main import run
from simulation.faults import calm
from simulation.story import Story

RULES = """
rules:
  - {name: news, on: message.received, do: [{reply: Hello.}]}
  - {name: told, on: message.undelivered, do: [{notify: "${{ event.to }}"}]}
  - {name: again, on: action.failed, do: [retry]}
"""


@pytest.mark.slow
def test_a_report_names_the_rules_that_it_began(
    begin: Callable[..., Story], capsys: pytest.CaptureFixture[str]
) -> None:
    story = begin(replace(calm(), undelivered=1.0), rules=RULES)
    story.receive(story.text("hi", "+15551000001"))
    story.run(60.0)

    def trace(what: str) -> dict[str, str]:
        assert run(["--data", str(story.folder), "trace", what]) == 0
        lines = capsys.readouterr().out.splitlines()
        return {line.partition("→ ")[2]: line for line in lines if " evt_" in line}

    found = trace(story.ask("select uid from events where type = 'message.received'")[0][0])
    assert "message.undelivered" in found["told"]
    assert "action.failed" in found["again"]
    assert "→" not in next(line for line in found.values() if "message.sent" in line)
    event = found["again"].split()[-3]
    assert run(["--data", str(story.folder), "trace", event]) == 0
    assert "the same after" in capsys.readouterr().out
