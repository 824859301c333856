"""`ringback actions list`: whom each action is for, what it says, and those that are looked for."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ringback.cli.main import run
from ringback.store.queries import action_search
from simulation.faults import calm
from simulation.story import Story
from simulation.twilio import OURS

ANN, BOB, EVA = "+12065550142", "+442079460123", "whatsapp:+493012345678"
RULES = """
version: 1
rules:
  - name: hours
    on: message.received
    if: event.body == 'hours'
    do:
      - reply: We are open.
      - notify: {text: "hours for ${{ event.from }}", via: log}
  - name: picture
    on: message.received
    if: event.body == 'map'
    do: [{reply: {media: ["https://example.org/map.png"]}}]
  - name: note
    on: message.received
    if: event.body == 'hours'
    do: [{remember: {asked: hours}}]
"""
Rows = list[dict[str, Any]]


@pytest.fixture
def story(begin: Callable[..., Story]) -> Story:
    """Ann and Bob ask for the hours, and no answer arrives (30003); Eva's map does, later."""
    lived = begin(replace(calm(), undelivered=1.0), rules=RULES)
    for who in (ANN, BOB):
        lived.receive(lived.text("hours", who))
    lived.run(60.0)
    lived.calm_down()
    lived.run(90.0)
    lived.receive(lived.text("map", EVA))
    lived.run(120.0)
    return lived


@pytest.fixture
def listed(story: Story, capsys: pytest.CaptureFixture[str]) -> Callable[..., Rows]:
    """The rows that the command gives as JSON."""

    def ask(*words: str) -> Rows:
        assert run(["--data", str(story.folder), "actions", "list", "--json", *words]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return ask


def test_each_says_whom_it_is_for_and_what_it_says(listed: Callable[..., Rows]) -> None:
    rows = listed()
    assert [(row["kind"], row["to"], row["text"]) for row in rows] == [
        ("send_message", ANN, "We are open."),
        ("notify", "log", f"hours for {ANN}"),
        ("remember", "", "asked = “hours”"),
        ("send_message", BOB, "We are open."),
        ("notify", "log", f"hours for {BOB}"),
        ("remember", "", "asked = “hours”"),
        ("send_message", EVA, "(1 picture)"),
    ]


def test_those_that_are_looked_for(listed: Callable[..., Rows], story: Story) -> None:
    ((later,),) = story.ask("select planned_at from actions where rule = 'picture'")
    for words, texts in (
        (("--number", ANN), 3), (("--number", EVA), 1), (("--number", OURS), 6),
        (("--number", OURS, "--kind", "notify"), 2), (("--number", "+19995550100"), 0),
        (("--outcome", "undelivered"), 2), (("--outcome", "delivered"), 1),
        (("--outcome", "undelivered", "--number", BOB), 1), (("--code", "30003"), 2),
        (("--code", "30007"), 0), (("--code", "30003", "--rule", "hours"), 2),
        (("--since", later), 1), (("--since", later, "--code", "30003"), 0),
        (("--rule", "hours", "--kind", "notify"), 2), (("--rule", "note"), 2),
        (("--state", "failed", "--number", ANN), 1), (("--state", "settled"), 5),
    ):  # fmt: skip
        assert len(listed(*words)) == texts, words


def test_what_was_not_looked_at_is_said(
    story: Story, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rare one is looked for among the newest of a busy rule, and the answer says how far."""
    command = ["--data", str(story.folder), "actions", "list", "--kind", "notify"]
    assert run([*command, "--number", OURS]) == 0
    assert "looked at" not in capsys.readouterr().err
    monkeypatch.setattr(action_search, "READ", 1)
    assert run([*command, "--number", OURS]) == 0
    assert "only the newest 1 were looked at, those since" in capsys.readouterr().err


def test_an_outcome_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["actions", "list", "--outcome", "lost"]) == 2
    assert "'undelivered'" in capsys.readouterr().err
