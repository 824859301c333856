"""Choices of a `gather`: those that no caller can make are mistakes."""

from pathlib import Path

import pytest

from ringback.rules.files.load import load_rules

RULE = "version: 1\nrules: [{name: a, on: call.received, do: [{gather: {say: Press., GATHER}}]}]\n"


def problems(tmp_path: Path, gather: str) -> list[str]:
    path = tmp_path / "rules.yaml"
    path.write_text(RULE.replace("GATHER", gather))
    return [problem.message for problem in load_rules([path]).problems]


@pytest.mark.parametrize(
    ("gather", "why"),
    [
        ("choices: {'1': [hangup], else: [hangup]}", "write `else` beside `choices`"),
        ("input: speech, choices: {sales: [hangup], else: [hangup]}", "beside `choices`"),
        ("choices: {sales: [hangup]}", "has no keys of a telephone; with `input: both`"),
        ("digits: 1, choices: {'12': [hangup]}", "has more keys than `digits`, which is 1"),
        ("digits: 1, choices: {'#': [hangup]}", "is never heard, as # ends the keys"),
        ("digits: 2, finish_on: '*', choices: {'1*': [hangup]}", "as * ends the keys"),
    ],
)
def test_a_choice_that_no_caller_can_make_is_a_mistake(
    tmp_path: Path, gather: str, why: str
) -> None:
    (message,) = problems(tmp_path, gather)
    assert message.startswith("gather: ")
    assert why in message


@pytest.mark.parametrize(
    "gather",
    [
        "digits: 1, choices: {'1': [hangup], '*': [hangup]}, else: [hangup]",
        "choices: {'12': [hangup], 7: [hangup]}",
        "input: both, digits: 1, choices: {'1': [hangup], sales: [hangup], Rückruf: [hangup]}",
        "digits: 1, finish_on: '', choices: {'#': [hangup]}",
    ],
)
def test_what_can_be_keyed_or_said_is_none(tmp_path: Path, gather: str) -> None:
    assert problems(tmp_path, gather) == []
