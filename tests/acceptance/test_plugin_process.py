"""Process that imports the plugins: a fork of a command that runs alone, else a program."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ringback.cli.main import run

NOTING = """
import json, os, signal, sys
from pathlib import Path
from ringback import reply, rule

Path(__file__).with_name("noted.json").write_text(json.dumps({
    "words": sys.argv, "pid": os.getpid(), "group": os.getpgrp(),
    "stdin": os.readlink("/proc/self/fd/0"), "data": os.environ.get("RINGBACK_DATA"),
    "blocked": [each.name for each in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
    "engine": "ringback.worker.engine" in sys.modules,
}))

@rule("message.received")
def pong(event):
    return reply(event, "pong")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "noting.py").write_text(NOTING)
    (tmp_path / "ringback.toml").write_text("")
    return tmp_path


def noted(project: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((project / "plugins" / "noted.json").read_text())
    assert facts["group"] == facts["pid"]
    assert facts["stdin"] == os.devnull
    assert facts["blocked"] == []
    return facts


@pytest.mark.slow
def test_a_command_forks_it_once_the_engine_is_imported(project: Path) -> None:
    main = [sys.executable, "-m", "ringback.cli.main", "-C", str(project)]
    done = subprocess.run(
        [*main, "--data", str(project / "other"), "check"],
        stdin=subprocess.PIPE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 rule and 1 plugin, all good" in done.stdout
    facts = noted(project)
    assert facts["words"][-1] == "check"
    assert facts["data"] == str(project / "other")
    assert not facts["engine"]
    assert not Path(f"/proc/{facts['pid']}").exists()


def test_beside_other_work_it_is_a_program_of_its_own(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    assert run(["check"]) == 0
    assert "plugin-hosts" in noted(project)["words"]
