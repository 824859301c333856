"""Warnings of `check` about rules that try the same failed texts again: people would get both."""

from pathlib import Path

import pytest

from ringback.cli.main import run

ROOT = Path(__file__).parents[2]
PLUGIN = "retry_failed"
HEAD = """
version: 1
rules:
  - {name: news, on: message.received, do: [{reply: Hello.}]}
  - {name: other, on: message.received, do: [{reply: Hello.}]}
  - {name: first, on: action.failed, do: [{retry: {rules: news, classes: carrier_failed}}]}
"""
OTHERS = """
  - {name: both, on: action.failed, do: [{retry: {rules: [other, news]}}]}
  - {name: any, on: action.failed, do: [retry]}
  - {name: inside, on: action.failed, do: [{choose: [{else: [retry]}]}]}
  - {name: elsewhere, on: action.failed, do: [{retry: {rules: other}}]}
  - {name: class, on: action.failed, do: [{retry: {classes: recipient_unreachable}}]}
  - {name: idle, on: action.failed, state: "off", do: [retry]}
"""


@pytest.mark.slow
def test_two_rules_that_make_tries_of_the_same_texts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Named by hand, by none, within another step; not of other rules, of other errors, or off."""
    (tmp_path / "a.yaml").write_text(HEAD + OTHERS.lstrip("\n"))
    assert run(["check", str(tmp_path / "a.yaml")]) == 0
    lines = capsys.readouterr().err.splitlines()
    found = [line for line in lines if "tries texts of news again, as 'first' does" in line]
    assert [line.split("'")[1] for line in found] == ["both", "any", "inside"]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ('["news"]', True),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (('["*"]', True), ('["other"]', False), ("3", False))
        ),
    ],
)
def test_a_rule_beside_the_plugin(
    rules: str, said: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name in ("rules", "plugins"):
        (tmp_path / name).mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(HEAD)
    source = (ROOT / "plugins" / f"{PLUGIN}.py").read_text("utf-8")
    (tmp_path / "plugins" / f"{PLUGIN}.py").write_text(source)
    (tmp_path / "ringback.toml").write_text(f"[plugins.{PLUGIN}]\nrules = {rules}\n")
    monkeypatch.chdir(tmp_path)
    assert run(["check"]) == (1 if rules == "3" else 0)
    assert ("as the plugin retry_failed does" in capsys.readouterr().err) is said
