"""`ringback demo` from the shell: a week in a folder, and what is there to look at afterwards."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def ringback(*words: str, folder: Path, ends: int = 0) -> str:
    """What a command prints."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RINGBACK_", "TWILIO_", "MATON_")) and name != "PORT"
    }
    done = subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", *words], cwd=folder, env=environ,
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == ends, done.stderr
    return done.stdout + done.stderr


def test_a_week_is_played_once_and_shows_every_kind_of_end(tmp_path: Path) -> None:
    assert "The shop is open" in ringback("demo", "shop", "--days", "5", "--end", folder=tmp_path)
    shop = tmp_path / "shop"
    lines = ringback("actions", "list", "--limit", "1000", "--json", folder=shop).splitlines()
    states = {json.loads(line)["state"] for line in lines if line.startswith("{")}
    assert {"settled", "failed", "parked", "captured", "refused"} <= states
    failures = ringback("failures", "--since", "7d", folder=shop)
    assert "30003" in failures
    assert "30007" in failures
    assert "points" in ringback("runs", "list", "--state", "failed", folder=shop)
    before = ringback("events", "list", "--json", folder=shop).splitlines()[0]
    assert "is played" not in ringback("demo", "shop", "--end", folder=tmp_path)
    assert ringback("events", "list", "--json", folder=shop).splitlines()[0] == before


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    said = ringback("demo", "mine", folder=tmp_path, ends=2)
    assert "is not empty, and no demo" in said
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]
