"""`--json` of commands that show what strangers wrote."""

import json
from collections.abc import Callable

import pytest

from ringback.cli.main import run
from simulation.story import Story

PERSON = "+15551000000"
BODY = "echo \x9b31m\x9d0;title\x9c \u202egnp.exe\u2069 \u061c"


@pytest.mark.slow
def test_what_strangers_write_acts_on_no_terminal(
    begin: Callable[..., Story], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line is printable, and says the same to a program."""
    story = begin()
    story.receive(story.text(BODY, PERSON))
    story.run(30.0)
    action = story.ask("select uid from actions")[0][0]
    for command in (
        ["events", "list", "--json"],
        ["events", "tail", "--from-start", "--for", "0.000001", "--json"],
        ["events", "export", "-"],
        ["trace", PERSON, "--json"],
        ["trace", action, "--json"],
        ["actions", "list", "--json"],
        ["runs", "list", "--json"],
    ):
        assert run(["--data", str(story.folder), *command]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines, command
        assert [line for line in lines if not line.isprintable()] == [], command
        said = [text for line in lines for text in strings(json.loads(line))]
        assert command[0] == "runs" or any(BODY in text for text in said), command


def strings(value: object) -> list[str]:
    """All texts in a value."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []
