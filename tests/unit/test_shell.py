"""The shell itself: help, exit codes, projects, settings."""

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ringback.cli.main import COMMANDS, run

TOKEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of this machine reaches a test; the working folder is an empty one."""
    for name in list(os.environ):
        if name.startswith(("RINGBACK_", "TWILIO_", "MATON_")) or name == "PORT":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_help_names_every_command_and_loads_none(tmp_path: Path) -> None:
    """`ringback --help` lists all commands without importing what they need."""
    code = (
        "import sys; from ringback.cli.main import run; run(['--help']);"
        "heavy = 'aiohttp', 'httpx', 'starlette', 'pydantic', 'rich', 'sqlite_utils', 'twilio';"
        "print([m for m in heavy if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout
    assert done.stderr.strip() == "[]"


def test_help_of_a_plugin_s_command_is_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first sentence of its docstring, folded to the width and not cut off."""
    (tmp_path / "plugins").mkdir()
    about = "Tell whether Twilio takes TEXT for a word that ends everything between us."
    (tmp_path / "plugins" / "word.py").write_text(
        "from ringback import hookimpl\n@hookimpl\ndef register_commands(cli):\n"
        f"    @cli.command('word')\n    def word():\n        {about!r}\n"
    )
    assert run(["--help"]) == 0
    assert about.removesuffix(".") in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command of the table loads and explains itself."""
    assert run([name, "--help"]) == 0
    assert "Usage: ringback" in capsys.readouterr().out


def test_unknown_command_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error ends with 2 and names the command that is nearest."""
    assert run(["evnets"]) == 2
    assert "No such command 'evnets'. Did you mean 'events'?" in capsys.readouterr().err
    assert run(["zzz"]) == 2
    assert "Did you mean" not in capsys.readouterr().err


def test_wrong_settings_end_with_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each problem of the settings is one line on stderr."""
    (tmp_path / "ringback.toml").write_text('port = "x"\nprot = 1\n')
    assert run(["config", "show"]) == 78
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("ringback: ringback.toml:") for line in lines)


def test_config_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Values come with their sources; secrets are masked in both forms."""
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    (tmp_path / "ringback.toml").write_text("port = 9\n")
    assert run(["config", "show"]) == 0
    text = capsys.readouterr().out
    assert run(["config", "show", "--json"]) == 0
    raw = capsys.readouterr().out
    rows = {row["setting"]: row for row in map(json.loads, raw.splitlines())}
    assert TOKEN not in text + raw
    assert rows["port"]["value"] == "9"
    assert rows["port"]["source"] == "ringback.toml"
    assert rows["auth_tokens"]["source"] == "environment TWILIO_AUTH_TOKEN"
    assert rows["host"]["source"] == "default"


def test_project_is_found_upwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                  capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    """A command in a folder inside a project is about that project; -C names another one."""
    inner = tmp_path / "project" / "rules"
    inner.mkdir(parents=True)
    (tmp_path / "project" / "ringback.toml").write_text("port = 7\n")
    monkeypatch.chdir(inner)
    assert run(["config", "show"]) == 0
    assert f"project {tmp_path / 'project'}," in capsys.readouterr().err
    assert run(["-C", str(tmp_path), "config", "show"]) == 0
    assert f"project {tmp_path}," in capsys.readouterr().err


def test_init_makes_a_project_and_overwrites_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """init writes settings, rules and plugins, keeps what is there, and hides the secrets."""
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "ringback.toml").write_text("port = 7\n")
    assert run(["init", "new"]) == 0
    assert (tmp_path / "new" / "ringback.toml").read_text() == "port = 7\n"
    assert "kept   ringback.toml" in capsys.readouterr().out
    assert (tmp_path / "new" / ".env").stat().st_mode & 0o777 == 0o600
    assert "data/" in (tmp_path / "new" / ".gitignore").read_text()
    first = (tmp_path / "new" / ".env").read_text()
    assert run(["init", "other", "--bare"]) == 0
    assert (tmp_path / "other" / ".env").read_text() != first
    assert [path.name for path in (tmp_path / "other" / "rules").iterdir()] == ["rules.schema.json"]
    schema = json.loads((tmp_path / "other" / "rules" / "rules.schema.json").read_text())
    assert schema["$schema"].startswith("https://json-schema.org/")


def test_questions_before_the_first_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before any node has run there is no data: exit 74, and the mend is named."""
    assert run(["events", "list"]) == 74
    assert "`ringback serve` or `ringback dev` creates it" in capsys.readouterr().err


def test_pause_without_a_worker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Talking to a worker that is not there says so at once."""
    (tmp_path / "data").mkdir()
    started = time.monotonic()
    assert run(["pause"]) == 75
    assert time.monotonic() - started < 4, "at once, not after the time-out of 5 s"
    assert "worker did not answer" in capsys.readouterr().err


def test_broken_pipe_is_quiet(tmp_path: Path) -> None:
    """A reader that leaves early (`| head`) gets no traceback."""
    done = subprocess.run(
        f"{sys.executable} -m ringback.cli.main config show | true",
        shell=True, capture_output=True, text=True, cwd=tmp_path, check=True,
    )  # fmt: skip
    assert done.stderr.startswith("project ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("no_colour", [False, True])
def test_colour_only_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_colour: bool
) -> None:
    """On a terminal a table has colour; with NO_COLOR, or into a pipe, it is plain text."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1" if no_colour else "")
    monkeypatch.setenv("COLUMNS", "300")
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "ringback.cli.main", "config", "show"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=slave, stderr=slave) as process:
        os.close(slave)
        seen = b""
        while True:
            try:
                part = os.read(master, 4096)
            except OSError:
                break
            if not part:
                break
            seen += part
    os.close(master)
    assert process.returncode == 0
    assert b"RINGBACK_PORT" in seen
    assert (b"\x1b[" in seen) is not no_colour
    piped = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    assert b"\x1b[" not in piped


def test_check_names_wrong_channels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A channel that cannot work is a problem of the project."""
    (tmp_path / "ringback.toml").write_text('[channels.ops]\nkind = "pigeon"\n')
    assert run(["check"]) == 1
    assert "ringback.toml:2:1: config: [channels.ops] kind: is 'pigeon'" in capsys.readouterr().out


def test_check_takes_files_and_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of rule files, or one, can be checked without a project; nothing is no success."""
    (tmp_path / "mine").mkdir()
    bad = tmp_path / "mine" / "bad.yaml"
    bad.write_text("rules:\n  - name: a\n    on: message.recieved\n    do: [{reply: hi}]\n")
    assert run(["check", str(tmp_path / "mine")]) == 1
    assert "mine/bad.yaml:3:9: " in capsys.readouterr().out
    assert run(["check", str(bad)]) == 1
    capsys.readouterr()
    bad.write_text("rules:\n  - name: a\n    on: message.received\n    do: [{reply: hi}]\n")
    assert run(["check", str(bad)]) == 0
    assert "1 rule, all good" in capsys.readouterr().out
    (tmp_path / "void").mkdir()
    assert run(["check", str(tmp_path / "void")]) == 2
    assert "nothing to check" in capsys.readouterr().err
    assert run(["check", str(tmp_path / "missing")]) == 2


def test_cases_beside_the_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`ringback test` runs the cases of the rule files; one that fails is shown, with exit 1."""
    (tmp_path / "rules").mkdir()
    assert run(["test"]) == 0
    assert "a rule file may have a list `cases`" in capsys.readouterr().out
    file = tmp_path / "rules" / "a.yaml"
    file.write_text(
        "version: 1\nrules:\n  - name: parking\n    on: message.received\n"
        "    if: event.body.keyword('parking')\n    do:\n      - reply: Behind the station.\n"
        "cases:\n  - name: somebody asks\n    given:\n      - text: parking?\n"
        "    expect:\n      - reply: Behind the station.\n"
    )
    assert run(["test"]) == 0
    assert "✓ rules/a.yaml:9 somebody asks\n1 passed, 0 failed" in capsys.readouterr().out
    file.write_text(
        file.read_text().replace(
            "expect:\n      - reply: Behind", "expect:\n      - reply: In front of"
        )
    )
    assert run(["test"]) == 1
    assert "✗ rules/a.yaml:9 somebody asks" in capsys.readouterr().out
    assert run(["test", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["problem"].startswith("rules/a.yaml:13:")


def test_a_system_without_the_reader_of_conditions_is_told_what_to_use(tmp_path: Path) -> None:
    """On musl there is no wheel of it: whoever installs without it reads why, and no traceback."""
    code = (
        "import sys; sys.modules['cel_expr_python'] = None; "
        "from ringback.cli.main import run; sys.exit(run(['rules', 'list']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 78
    assert "cel-expr-python" in done.stderr
    assert "musl" in done.stderr
    assert "Traceback" not in done.stderr
