"""`ringback serve` and `check` with bad input: real processes, one clear line per problem."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

TOKEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
SID = "AC" + "0123456789abcdef" * 2


def ringback(project: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a project, with these settings and none of this machine's."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RINGBACK_", "TWILIO_", "MATON_")) and name != "PORT"
    }
    return subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", *words], cwd=project,
        env={**clean, **environ}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip


GOOD = {
    "TWILIO_ACCOUNT_SID": SID,
    "TWILIO_AUTH_TOKEN": TOKEN,
    "RINGBACK_PUBLIC_URL": "https://hooks.example.com",
    "RINGBACK_PORT": "0",
}


def test_nothing_configured(tmp_path: Path) -> None:
    """An empty project cannot serve: exit 78, one line for each of the three things it needs."""
    done = ringback(tmp_path, "serve")
    assert done.returncode == 78
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("ringback: ") for line in lines)
    for part in ("TWILIO_AUTH_TOKEN", "gateway", "public_url"):
        assert any(part in line for line in lines), done.stderr


def test_wrong_settings_of_every_layer(tmp_path: Path) -> None:
    """Problems of the file, .env and the environment come together, and nothing is a traceback."""
    (tmp_path / "ringback.toml").write_text('prot = 80\nsettle_seconds = "soon"\n')
    (tmp_path / ".env").write_text("RINGBACK_PORT=http\n")
    done = ringback(tmp_path, "serve", RINGBACK_PUBLIC_URL="hooks.example.com")
    assert done.returncode == 78
    starts = [
        line.removeprefix("ringback: ").partition(": ")[0] for line in done.stderr.splitlines()
    ]
    assert starts == [
        "ringback.toml:1",
        "ringback.toml:2",
        ".env:1 RINGBACK_PORT",
        "environment RINGBACK_PUBLIC_URL",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"TWILIO_AUTH_TOKEN": "your_auth_token_goes_here_please"}, "placeholder"),
        ({"TWILIO_AUTH_TOKEN": "deadbeef"}, "too short"),
        ({"TWILIO_AUTH_TOKEN": f"{TOKEN},"}, "blank item"),
        ({"RINGBACK_PUBLIC_URL": ""}, "public_url is not set"),
        ({"RINGBACK_SIMULATED": "1", "RINGBACK_HOST": "0.0.0.0"}, "loopback only"),
        ({"RINGBACK_CONSOLE_PASSWORD": "canary"}, "RINGBACK_CONSOLE_PASSWORD is too short"),
        ({"RINGBACK_API_TOKEN": "canary"}, "RINGBACK_API_TOKEN is too short"),
        ({"RINGBACK_CONSOLE_USER_HEADER": "X-User"}, "RINGBACK_TRUSTED_PROXIES"),
        (
            {"RINGBACK_PORT": "8391", "RINGBACK_CONSOLE_PORT": "8391"},
            "console_port is the port of the node",
        ),
    ],
)
def test_unsafe_settings(tmp_path: Path, change: dict[str, str], part: str) -> None:
    """What would make a node unsafe is refused by name, and no secret is printed."""
    done = ringback(tmp_path, "serve", **(GOOD | change))
    assert done.returncode == 78, done.stderr
    (line,) = done.stderr.splitlines()
    assert part in line
    assert TOKEN not in line


def test_broken_rules_stop_serve(tmp_path: Path) -> None:
    """A rule that does not load ends serve before it listens; its place is named."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(
        "version: 1\nrules:\n  - name: a\n    on: message.recieved\n    do:\n      - reply: hi\n"
    )
    done = ringback(tmp_path, "serve", **GOOD)
    assert done.returncode == 1
    assert "rules/a.yaml:4:9: schema: unknown event type 'message.recieved'" in done.stderr
    assert "serving on" not in done.stderr


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """Another program on the port: exit 75."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = ringback(tmp_path, "serve", **(GOOD | {"RINGBACK_PORT": port}))
    assert done.returncode == 75
    assert f"127.0.0.1:{port} is already in use" in done.stderr
    assert not (tmp_path / "data" / "journal.db").exists()  # its worker had begun, and waited


@pytest.mark.slow
def test_a_worker_that_nobody_tells_to_go_on_touches_nothing(tmp_path: Path) -> None:
    """The receiver has ended before it owned what a node needs: so does the worker, quietly."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "one.py").write_text("")
    done = ringback(tmp_path, "worker", "--supervised", "--checking", **GOOD)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "data").exists()


def test_an_unusable_database_is_named(tmp_path: Path) -> None:
    """A file that is no database: exit 65, and it is left as it is."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "log.db").write_bytes(b"this is no database, but a letter\n" * 50)
    done = ringback(tmp_path, "serve", **GOOD)
    assert done.returncode == 65
    assert "log.db" in done.stderr
    assert (tmp_path / "data" / "log.db").read_bytes().startswith(b"this is no database")


BROKEN = {
    "syntax.yaml": ("version: 1\nrules:\n  - name: [a\n", "yaml"),
    "unknown.yaml": (
        "version: 1\nrules:\n  - name: a1\n    on: message.received\n    dooo:\n      - reply: x\n",
        "unknown key 'dooo'",
    ),
    "event.yaml": (
        "version: 1\nrules:\n  - name: b1\n    on: mesage.received\n    do:\n      - reply: x\n",
        "did you mean 'message.received'?",
    ),
    "field.yaml": (
        "version: 1\nrules:\n  - name: c1\n    on: message.received\n"
        "    if: event.boddy == 'x'\n    do:\n      - reply: x\n",
        "did you mean 'event.body'?",
    ),
    "type.yaml": (
        "version: 1\nrules:\n  - name: d1\n    on: message.received\n"
        "    if: event.error_code == '30003'\n    do:\n      - reply: x\n",
        "type",
    ),
    "step.yaml": (
        "version: 1\nrules:\n  - name: e1\n    on: message.received\n    do:\n      - replly: x\n",
        "did you mean 'reply'?",
    ),
    "text.yaml": (
        "version: 1\nrules:\n  - name: f1\n    on: message.received\n"
        "    do:\n      - reply: hello ${{ event.nobody }}\n",
        "event.nobody",
    ),
    "regex.yaml": (
        "version: 1\nrules:\n  - name: g1\n    on: message.received\n"
        "    if: event.body.matches('(')\n    do:\n      - reply: x\n",
        "regex",
    ),
    "double.yaml": (
        "version: 1\nrules:\n  - name: h1\n    on: message.received\n    do:\n      - reply: x\n"
        "  - name: h1\n    on: message.received\n    do:\n      - reply: y\n",
        "h1",
    ),
}


@pytest.mark.slow
def test_check_names_every_mistake_of_every_file(tmp_path: Path) -> None:
    """Nine broken files and a broken plugin: each problem with its place, in one run, exit 1."""
    (tmp_path / "rules").mkdir()
    for name, (text, _) in BROKEN.items():
        (tmp_path / "rules" / name).write_text(text)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "bad.py").write_text("from ringback import rule\n\n1 / 0\n")
    done = ringback(tmp_path, "check", "--format", "json")
    assert done.returncode == 1
    problems = json.loads(done.stdout)
    for name, (_, part) in BROKEN.items():
        ours = [each for each in problems if each["file"] == f"rules/{name}"]
        words = " ".join(f"{e['kind']} {e['message']} {e['hint']}" for e in ours)
        assert part in words, (name, ours)
        assert all(each["line"] > 0 for each in ours), ours
    (plugin,) = [each for each in problems if each["file"].startswith("plugins/")]
    assert (plugin["line"], "division by zero" in plugin["message"]) == (3, True)


@pytest.mark.slow
def test_check_names_as_many_in_each_form(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    for name, (text, _) in BROKEN.items():
        (tmp_path / "rules" / name).write_text(text)
    problems = json.loads(ringback(tmp_path, "check", "--format", "json").stdout)
    shown = ringback(tmp_path, "check").stdout
    assert len(re.findall(r"^\S+:\d+:\d+: \w+: ", shown, re.M)) == len(problems) > 0
    github = ringback(tmp_path, "check", "--format", "github").stdout
    assert github.count("::error file=") == len(problems)


@pytest.mark.slow
def test_dev_names_what_its_node_refuses(tmp_path: Path) -> None:
    """`ringback dev` with a broken rule ends with the node's code, and leaves no note behind."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text("version: 1\nrules:\n  - name: a\n    on: nothing\n")
    done = ringback(tmp_path, "dev")
    assert done.returncode == 1
    assert "rules/a.yaml:4:9: schema: unknown event type 'nothing'" in done.stderr
    assert "the node did not start" in done.stderr
    assert not (tmp_path / "data" / "dev" / "dev.json").exists()


@pytest.mark.slow
def test_logs_as_json_lines(tmp_path: Path) -> None:
    """With RINGBACK_LOG_FORMAT=json each log line is one object with time, level and message."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ringback.cli.main", "serve"], cwd=tmp_path, text=True,
        env={"PATH": os.environ["PATH"], "RINGBACK_LOG_FORMAT": "json",
             "RINGBACK_SIMULATED": "1", **GOOD},
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("ringback: serving on"):
            break
    process.terminate()
    lines += process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 0
    logged = [json.loads(line) for line in lines if not line.startswith("ringback: ")]
    assert any("simulated mode" in each["message"] for each in logged)
    assert {"at", "level", "logger", "message"} <= set(logged[0])
