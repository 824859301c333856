"""Completion in the shell: what is offered, and that nothing else is ever said."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from ringback.cli.main import cli
from simulation.story import Story

RULES = """
version: 1
rules:
  - name: greet
    on: message.received
    do:
      - reply: Hello
  - {name: later, on: message.received, if: "event.body == 'x'", do: [{reply: Later}]}
"""


def offered(folder: Path, *words: str) -> list[str]:
    """What is offered behind these words for the last one, which may be empty."""
    shell = ShellComplete(cli, {}, "ringback", "_RINGBACK_COMPLETE")
    found = shell.get_completions(["-C", str(folder), *words[:-1]], words[-1])
    return [item.value for item in found]


@pytest.fixture
def story(begin: Callable[..., Story], tmp_path: Path) -> Story:
    """A node that has answered a text."""
    story = begin(rules=RULES)
    story.receive(story.text("hi", "+15550000001"))
    story.run(30.0)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "all.yaml").write_text(RULES)
    return story


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["rules", "show", ""], ["greet", "later"]),
        (["rules", "show", "gr"], ["greet"]),
        (["runs", "list", "--rule", "l"], ["later"]),
        (["replay", "--rule", "g"], ["greet"]),
        (["events", "list", "--type", "call.ans"], ["call.answered"]),
        (["events", "tail", "--type", "incident.r"], ["incident.resolved"]),
        (["heal"], ["healthcheck"]),
    ],
)  # fmt: skip
def test_names_of_the_project_are_offered(
    story: Story, tmp_path: Path, words: list[str], wanted: list[str]
) -> None:
    assert offered(tmp_path, *words) == wanted


@pytest.mark.parametrize(
    ("words", "table"),
    [(["events", "show"], "events"), (["actions", "retry"], "actions"), (["trace"], "runs"),
     (["runs", "cancel"], "runs"), (["replay"], "events")],
)  # fmt: skip
def test_ids_on_record_are_offered(
    story: Story, tmp_path: Path, words: list[str], table: str
) -> None:
    known = {uid for (uid,) in story.ask(f"select uid from {table}")}
    assert known
    assert known <= set(offered(tmp_path, "--data", str(story.folder), *words, ""))


@pytest.mark.parametrize("broken", ["no data", "data of another program", "rules that are none"])
def test_nothing_is_said_where_nothing_is_known(
    tmp_path: Path, broken: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "rules").mkdir()
    if broken == "data of another program":
        (tmp_path / "data" / "journal.db").write_bytes(b"a letter" * 999)
    if broken == "rules that are none":
        (tmp_path / "rules" / "all.yaml").write_bytes(b"\xff: [name: \n - name")
    for words in (["events", "show", ""], ["trace", ""], ["rules", "show", ""]):
        assert offered(tmp_path, *words) == []
    assert capfd.readouterr() == ("", "")


def test_bash_gets_what_the_page_promises(tmp_path: Path) -> None:
    """The line of the manual, and one answer of the program that it calls."""
    program = [sys.executable, "-c", "from ringback.cli.start import main; main()"]
    source = subprocess.run(
        program, env=os.environ | {"_RINGBACK_COMPLETE": "bash_source"}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert "complete -o nosort -F _ringback_completion ringback" in source.stdout
    asked = {"_RINGBACK_COMPLETE": "bash_complete", "COMP_WORDS": "ringback events list --type cal",
             "COMP_CWORD": "4"}  # fmt: skip
    answer = subprocess.run(
        program, env=os.environ | asked, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "plain,call.received" in answer.stdout.splitlines()
    assert answer.stderr == ""
