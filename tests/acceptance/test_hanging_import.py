"""Commands that need the code of plugins: an import that hangs or ends the process is named, within
its time, and does not take the command with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = """
from ringback import hookimpl, reply, rule

@rule("message.received")
def pong(event):
    return reply(event, "pong")

@hookimpl
def register_commands(cli):
    @cli.command()
    def greet():
        print("hello")
"""
CASES = """version: 1
rules: []
cases:
  - name: pong
    given: [{message: hi}]
    then: [{reply: pong}]
"""
BODIES = {
    "leaves": ("import os\nos._exit(0)\n", "ended the process that imported it, with exit code 0"),
    "sleeps": ("import time\ntime.sleep(3600)\n", "took longer than 5 s to be imported"),
}


def shell(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """A command, which is over in time."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("RINGBACK_")}
    return subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", *words], cwd=folder, env=environ,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [pytest.param("leaves"), pytest.param("sleeps", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    "words", [("test",), pytest.param(("backtest",), marks=pytest.mark.slow)], ids=" ".join
)
def test_it_is_named_and_ends_the_command(
    tmp_path: Path, kind: str, words: tuple[str, ...]
) -> None:
    source, said = BODIES[kind]
    for name, text in {
        "plugins/good.py": GOOD, f"plugins/{kind}.py": source, "rules/all.yaml": CASES,
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    done = shell(tmp_path, *words)
    assert done.returncode not in (0, None), done.stdout
    assert f"plugins/{kind}.py" in done.stdout + done.stderr
    assert said in done.stdout + done.stderr


@pytest.mark.parametrize(
    "kind", [pytest.param(each, marks=pytest.mark.slow) for each in ("leaves", "sleeps")]
)
def test_commands_of_other_plugins_work_and_it_is_named(tmp_path: Path, kind: str) -> None:
    source, said = BODIES[kind]
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "good.py").write_text(GOOD)
    (tmp_path / "plugins" / f"{kind}.py").write_text(source)
    done = shell(tmp_path, "greet")
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
    assert kind in done.stderr
    assert said in done.stderr
