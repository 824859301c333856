"""Channels that reach people, in the shell: one that cannot leave without a sender says so."""

import json
from pathlib import Path

import pytest

from ringback.cli.main import run

TABLES = """
[channels.anna]
kind = "text"
to = "+12025550101"

[channels.ben]
kind = "call"
to = "+12025550102"
from = "+12025550199"
"""


@pytest.mark.parametrize(("sender", "missing"), [("", ["anna"]), ("+12025550198", [])])
def test_who_cannot_be_reached_without_a_sender_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    sender: str, missing: list[str],
) -> None:  # fmt: skip
    """Before the night in which it matters, and not only by a test of the channel."""
    (tmp_path / "ringback.toml").write_text(TABLES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RINGBACK_SENDER", sender)
    assert run(["channels", "list", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["name"] for row in rows if row["trouble"]] == missing
    for row in rows:
        assert row["name"] not in missing or "RINGBACK_SENDER" in row["trouble"]
