"""JSON for programs that a person's terminal shows: the same strings, and no sign that acts."""

import json
import logging
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.cli.main import run
from ringback.cli.serve import JsonLines
from ringback.printed_json import printed_json

ENGINE = Path(__file__).parents[2] / "engine" / "ringback"
ACTS = "\x7f\x85\x9b31m\x9d0;title\x9c \u061c\u200e\u202e\u2066 \u2028 \U000e0041"


def harmless(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


@given(st.text(st.characters(exclude_categories=[]), max_size=40), st.sampled_from([None, 2]))
def test_a_program_reads_the_same_strings(text: str, indent: int | None) -> None:
    shown = printed_json({text: [text, {"inner": text}]}, indent=indent)
    assert harmless(shown)
    shown.encode()  # half a surrogate pair is written as well
    assert json.loads(shown) == {text: [text, {"inner": text}]}


def test_letters_of_all_languages_stay() -> None:
    assert (
        printed_json({"body": "Grüße, здравствуйте, 你好 👍"})
        == '{"body": "Grüße, здравствуйте, 你好 👍"}'
    )


def test_check_escapes_what_a_rule_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line of a rule is shown in the problem, and may come from a stranger's pull request."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(
        "version: 1\nrules:\n  - name: a\n    on: message.received\n    do:\n"
        '      - reply: "\u202e\u2066 ${{ event.bodi }}"\n'
    )
    assert run(["-C", str(tmp_path), "check", "--format", "json"]) == 1
    shown = capsys.readouterr().out
    assert harmless(shown)
    assert "\u202e" in json.loads(shown)[0]["source"]


def test_log_lines_escape_what_they_quote() -> None:
    record = logging.LogRecord("a", logging.INFO, "", 0, "they said %s", (ACTS,), None)
    shown = JsonLines().format(record)
    assert harmless(shown)
    assert json.loads(shown)["message"] == f"they said {ACTS}"


def test_no_command_writes_json_by_itself() -> None:
    """What the shell prints goes through one function."""
    raw = re.compile(r"json\.dumps\((?:[^()]|\([^()]*\))*ensure_ascii=False")
    files = [*(ENGINE / "cli").glob("*.py"), *(ENGINE / "rules" / "files").glob("*.py")]
    assert [file.name for file in files if raw.search(file.read_text())] == []
