"""`ringback explain`: codes, words, classes, unknown codes; the manual's page that it prints."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from ringback.cli.error_page import error_page
from ringback.cli.main import run
from ringback.error_codes import CLASS_TABLE, FAULTS, explain_error, listed

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _outside_of_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def asked(captured: Captured, *words: str) -> str:
    """What the command prints."""
    assert run(["explain", *words]) == 0
    return captured.readouterr().out


@pytest.mark.parametrize("given", ["30007", "#30007", "E30007", "30007:"])
def test_a_code_is_explained_with_its_steps(given: str, capsys: Captured) -> None:
    out, known = asked(capsys, given), explain_error(30007)
    assert out.startswith(f"30007  {known.title}\n")
    for text in ("carrier_filtered", FAULTS["ours"], known.retry, known.url, *known.steps):
        assert text in out
    assert f"  {len(known.steps)}. " in out


@pytest.mark.parametrize("words", [("error", "21610"), ("Error:", "21610"), ("code", "21610")])
def test_the_word_error_before_a_code_is_no_word_to_look_for(
    words: tuple[str, ...], capsys: Captured
) -> None:
    assert asked(capsys, *words).startswith("21610  ")


def test_several_codes_come_in_the_order_of_the_question(capsys: Captured) -> None:
    out = asked(capsys, "30034", "21610")
    assert out.index("30034  ") < out.index("\n\n21610  ")


def test_json_has_one_object_for_each_code_with_all_that_is_known(capsys: Captured) -> None:
    first, second = map(json.loads, asked(capsys, "30008", "63049", "--json").splitlines())
    known = explain_error(30008)
    assert (first["code"], second["code"]) == (30008, 63049)
    assert first["steps"] == list(known.steps)
    assert (first["class"], first["fault"], first["affects"]) == (
        "carrier_failed", "carrier", "recipient",
    )  # fmt: skip
    assert (first["retryable"], first["retry_after"], first["twice"]) == ("later", 1800, True)
    assert first["charged"] is True
    assert second["instead"] == ["channel", "content"]
    assert first["remedy"] == known.remedy
    assert first["url"].endswith("/30008")


@pytest.mark.parametrize(
    ("code", "range_", "near"),
    [
        ("30777", "30000 to 30999: delivery of texts", "30640"),
        ("63999", "63000 to 63999: channels such as WhatsApp", "63112"),
        ("23001", "nearest is 22000 to 22999: the queue of calls", "22005"),
        ("60200", "nearest is 63000 to 63999: channels such as WhatsApp", "63001"),
        ("99", "nearest is 10000 to 10999: the account", "10001"),
        ("450001", "of a product that Ringback does not use", "92007"),
    ],
)
def test_an_unknown_code_names_its_range_its_neighbours_and_the_page(
    code: str, range_: str, near: str, capsys: Captured
) -> None:
    if code == "99":
        code = "099"
    out = asked(capsys, code)
    assert range_ in out
    assert near in out
    assert f"https://www.twilio.com/docs/api/errors/{int(code)}" in out
    fact = json.loads(asked(capsys, code, "--json"))
    assert fact["listed"] is False
    assert int(near) in fact["nearest"]


def test_words_find_codes_by_meaning_and_steps(capsys: Captured) -> None:
    out = asked(capsys, "quiet", "hours")
    lines = out.splitlines()
    assert lines[0].split() == ["code", "class", "retry", "meaning"]
    assert [line.split()[0] for line in lines[1:]] == ["30610", "30615"]
    assert asked(capsys, "Template", "PAUSED").startswith("63041  ")


@pytest.mark.parametrize("name", CLASS_TABLE)
def test_a_class_finds_its_codes_alone(name: str, capsys: Captured) -> None:
    rows = [json.loads(line) for line in asked(capsys, name, "--json").splitlines()]
    assert [row["code"] for row in rows] == [e.code for e in listed() if e.error_class == name]


def test_without_a_word_the_classes_are_listed(capsys: Captured) -> None:
    rows = [json.loads(line) for line in asked(capsys, "--json").splitlines()]
    assert [row["class"] for row in rows] == list(CLASS_TABLE)
    assert sum(row["codes"] for row in rows) == len(listed())


def test_words_that_nothing_is_about_are_a_mistake_of_the_command(capsys: Captured) -> None:
    assert run(["explain", "flying", "saucers"]) == 2
    assert "no error is about 'flying saucers'" in capsys.readouterr().err


@pytest.mark.parametrize("columns", [60, 80])
def test_no_line_is_longer_than_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert shutil.get_terminal_size().columns == columns
    codes = [str(each.code) for each in listed() if len(each.title) < columns - 8]
    for words in (codes, ["opted", "out"], []):
        for line in asked(capsys, *words).splitlines():
            plain = line.replace("\x1b[36m", "").replace("\x1b[1m", "").replace("\x1b[0m", "")
            assert len(plain) <= columns, plain


def test_the_page_of_the_manual_is_made_from_the_catalogue(capsys: Captured) -> None:
    """When this fails: `ringback explain --markdown > docs/errors.md`."""
    assert PAGE.read_text("utf-8") == error_page()
    assert asked(capsys, "--markdown") == error_page()
    for each in listed():
        assert f"| [{each.code}]({each.url}) |" in error_page()
