"""The page of questions in the manual: every command of it runs, and prints what it shows.

The data are a story of some minutes in virtual time. Ids are of chance: the page has `act_…`.
`python tests/scenarios/test_docs_questions.py` writes the page's outputs anew.
"""

import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest

from ringback.cli import actions, contacts, events, output
from ringback.cli.main import cli, run
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from simulation import life
from simulation.faults import calm
from simulation.story import Story, quiet

PAGE = Path(__file__).parents[2] / "docs" / "questions.md"
BLOCK = re.compile(r"```console\n\$ (.*)\n((?:.*\n)*?)```")
ID = re.compile(r"\b(?:(?:evt|act|run)_[0-9A-Z]{26}|(?:SM|CA)[0-9a-f]{32})")
ANN, BOB, EVA = "+12065550142", "+442079460123", "+12065550177"
WIDTH = 100
RULES = """version: 1
rules:
  - name: hours
    on: message.received
    if: event.body.keyword('hours')
    budget: {per_day: 200}
    do:
      - remember: {asked_for: hours}
      - reply: We are open from 9 to 5.
  - name: booking
    on: message.received
    if: event.body.keyword('book')
    state: draft
    do:
      - remember: {asked: "${{ event.body }}"}
      - reply: For which day?
      - wait_for: {timeout: 10m}
  - name: complaint
    on: message.received
    if:
      - country(event.from) == 'US'
      - event.body.keyword('complaint')
    do: [{notify: "A complaint from ${{ event.from }}"}]
  - name: report
    schedule: "0 8 * * *"
    do: [{notify: Good morning.}]
"""
ASKED = {
    *(("actions", each) for each in ("list",)), ("approve",), ("decline",), ("failures",),
    ("deliveries",), ("consents", "list"), ("contacts", "show"), ("conversation",), ("spend",),
    ("rules", "list"), ("rules", "functions"), ("rules", "steps"), ("eval",), ("explain",),
}  # fmt: skip
"""The commands that the page has to answer by; those that decide need a node and are not run."""
MILLISECONDS = re.compile(r"(?<=:\d\d)\.\d{3}\b")
"""Of a time: how many turns of the loop a story took is not what the page is about."""
MORE = "…\n"
"""What ends an output of which the page shows the beginning."""
LONG: dict[tuple[str, ...], int] = {("rules", "functions"): 6, ("rules", "steps"): 8}
"""How many lines of it."""
DECISIONS = {("approve",), ("decline",)}


def lived(folder: Path, use: Callable[[life.Rules], None]) -> Story:
    """Ann and Bob ask for the hours; Bob gets no answer; Eva leaves; Ann wants to book."""
    (folder / "rules").mkdir()
    (folder / "rules" / "all.yaml").write_text(RULES)
    (folder / "ringback.toml").write_text("")
    loaded = load_rules([folder / "rules" / "all.yaml"])
    assert loaded.problems == []
    use(life.Rules(RuleSet(loaded.rules, loaded.language)))
    quiet()
    story = Story(1, folder, faults=calm(), settings=life.settings_for(folder))
    story.receive(story.text("hours?", ANN))
    story.run(20.0)
    story.twilio.faults = replace(calm(), undelivered=1.0)
    story.receive(story.text("What are your hours?", BOB))
    story.run(40.0)
    story.calm_down()
    story.receive(story.text("STOP", EVA))
    story.receive(story.text("I want to book", ANN))
    story.run(60.0)
    story.end()
    return story


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the story; the clock of the commands stands some minutes after it."""
    with pytest.MonkeyPatch.context() as patch:
        yield ready(tmp_path_factory.mktemp("asked"), patch)
    time.tzset()


def ready(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Live the story in a folder, and set the scene for commands: a terminal, UTC, its time."""
    for name in list(os.environ):
        if name.startswith(("RINGBACK_", "TWILIO_", "MATON_")) or name == "PORT":
            patch.delenv(name)
    story = lived(folder, lambda given: patch.setattr(life, "rules", lambda: given))
    patch.setenv("TZ", "UTC")
    patch.setenv("COLUMNS", str(WIDTH))
    patch.chdir(folder)
    time.tzset()
    for module in (output, events, actions, contacts):
        patch.setattr(module, "fancy", lambda: True)
    patch.setattr("ringback.cli.project_context.time", story.clock.wall)
    return folder


def example(folder: Path, command: str) -> list[str]:
    """The words of a command of the page; an id of it stands for the first one of its kind."""
    if "evt_…" in command:
        from ringback.store.queries.questions import Questions

        with Questions(folder) as asked:
            command = command.replace("evt_…", asked.events(limit=10)[-1]["uid"])
    return ["--data", str(folder), *shlex.split(command)[1:]]


def masked(text: str) -> str:
    """An output without colours, ids and milliseconds; what stands behind an id keeps its place."""
    plain = MILLISECONDS.sub("…", click.unstyle(text))
    plain = ID.sub(lambda found: f"{found[0][:4].rstrip('0123456789abcdef')}…".ljust(
        len(found[0])), plain)  # fmt: skip
    return "".join(f"{line.rstrip()}\n" for line in plain.splitlines())


@pytest.mark.parametrize("number", range(len(BLOCK.findall(PAGE.read_text("utf-8")))))
def test_each_command_prints_what_the_page_shows(
    project: Path, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    command, shown = BLOCK.findall(PAGE.read_text("utf-8"))[number]
    if tuple(shlex.split(command)[1:2]) in DECISIONS:
        return
    assert run(example(project, command)) == 0, command
    printed = masked(capsys.readouterr().out)
    shown = MILLISECONDS.sub("…", shown)
    if shown.endswith(MORE):  # what plugins and later versions add makes columns wider
        named = {line.split()[0] for line in shown.splitlines()[1:-1] if line[:1].strip()}
        assert named <= set(printed.split()), command
        return
    assert printed == shown, command


def test_the_page_answers_by_every_command_that_is_there_for_questions() -> None:
    """And its table has each section of it."""
    page = PAGE.read_text("utf-8")
    words = [tuple(shlex.split(command)[1:]) for command, _ in BLOCK.findall(page)]
    missing = [each for each in ASKED if not any(found[: len(each)] == each for found in words)]
    assert missing == []
    headings = re.findall(r"^## (.*)$", page, re.M)
    assert re.findall(r"^\| \[(.*)\]\(#", page, re.M) == headings
    for each in ASKED:
        found = cli
        for word in each:
            assert isinstance(found, click.Group)
            found = found.get_command(click.Context(found), word)  # type: ignore[assignment]
        assert found is not None


def write() -> None:
    """Write the outputs of the page anew."""
    import contextlib
    import io
    from tempfile import TemporaryDirectory

    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as made:
        folder = ready(Path(made), patch)

        def answered(found: re.Match[str]) -> str:
            if tuple(shlex.split(found[1])[1:2]) in DECISIONS:
                return found[0]
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                run(example(folder, found[1]))
            printed, lines = masked(out.getvalue()), LONG.get(tuple(shlex.split(found[1])[1:3]))
            if lines:
                printed = "".join(printed.splitlines(keepends=True)[:lines]) + MORE
            return f"```console\n$ {found[1]}\n{printed}```"

        page = PAGE.read_text("utf-8")
        PAGE.write_text(BLOCK.sub(answered, page), "utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    write()
