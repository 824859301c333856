"""`ringback doctor` on set-ups that are broken one way each: it names the cause and the mend."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ringback.cli.doctor_checks import sqlite_finding
from ringback.cli.main import run
from ringback.config import Settings
from ringback.gateway.client import Gateway
from ringback.gateway.credentials import Credentials
from ringback.receiver import refusals

RULES = """
version: 1
rules:
  - name: greet
    on: message.received
    do:
      - reply: Hello
"""


def post(twilio: dict[str, Any], path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        twilio["base_url"] + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return True
    except OSError:
        return False


def make_project(folder: Path) -> Path:
    (folder / "rules").mkdir(parents=True)
    (folder / "plugins").mkdir()
    (folder / "rules" / "a.yaml").write_text(RULES)
    (folder / "ringback.toml").write_text("")
    plugins = Path(__file__).parents[2] / "plugins"
    (folder / "plugins" / "opt_out.py").write_text((plugins / "opt_out.py").read_text())
    return folder


def clean_environ() -> dict[str, str]:
    ours = ("TWILIO_", "MATON_", "RINGBACK_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@pytest.fixture(scope="module")
def node(
    twilio: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, dict[str, str]]]:
    """A running node, its folder and the settings that are right for it."""
    folder = make_project(tmp_path_factory.mktemp("node") / "p")
    port = free_port()
    good = {
        "TWILIO_ACCOUNT_SID": twilio["account_sid"],
        "TWILIO_AUTH_TOKEN": twilio["auth_token"],
        "RINGBACK_GATEWAY_URL": twilio["base_url"],
        "RINGBACK_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "RINGBACK_PORT": str(port),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "ringback.cli.main", "serve"],
        cwd=folder, env=clean_environ() | good, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "serving on" in line:
            break
    else:
        pytest.fail("the node did not start")
    reading = threading.Thread(target=process.stderr.read, daemon=True)
    reading.start()
    deadline = time.monotonic() + 20
    while not is_ready(port):
        assert time.monotonic() < deadline, "the worker did not come up"
        time.sleep(0.1)
    yield folder, good
    process.terminate()
    process.wait(20)
    reading.join(5)
    process.stderr.close()


class Doctor:
    """Runs the doctor in a folder, with the right settings but for what a test breaks."""

    def __init__(
        self,
        folder: Path,
        good: dict[str, str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.folder = folder
        self._patch = monkeypatch
        self._capsys = capsys
        for name in set(os.environ) - set(clean_environ()):
            monkeypatch.delenv(name)
        for name, value in good.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(folder)

    def __call__(self, **settings: str) -> list[dict[str, str]]:
        for name, value in settings.items():
            self._patch.setenv(name, value)
        self._capsys.readouterr()
        ended = run(["doctor", "--json"])
        rows = [json.loads(line) for line in self._capsys.readouterr().out.splitlines()]
        assert ended == (1 if any(row["state"] == "bad" for row in rows) else 0)
        return rows

    def run(self, *words: str) -> str:
        self._capsys.readouterr()
        assert run(list(words)) == 0
        return self._capsys.readouterr().out


def bad(rows: list[dict[str, str]], check: str, state: str = "bad") -> dict[str, str]:
    found = [row for row in rows if row["check"] == check and row["state"] == state]
    assert found, f"no {state} {check} in {json.dumps(rows, indent=1)}"
    assert found[0]["mend"] or check in ("settings", "gateway")
    return found[0]


@pytest.fixture
def doctor(
    node: tuple[Path, dict[str, str]],
    twilio: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Doctor:
    folder, good = node
    for number in twilio["numbers"]:
        blank = dict.fromkeys(("sms_url", "voice_url", "status_callback"), "")
        post(twilio, f"/_sim/numbers/{number}", blank)
    (folder / "data" / "wiring.json").unlink(missing_ok=True)
    (folder / "data" / "refusals.json").unlink(missing_ok=True)
    return Doctor(folder, good, monkeypatch, capsys)


@pytest.fixture
def alone(
    node: tuple[Path, dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Doctor:
    """The doctor in a folder of its own, where no node runs."""
    return Doctor(make_project(tmp_path / "q"), node[1], monkeypatch, capsys)


@pytest.mark.slow
def test_a_good_set_up_is_called_good(doctor: Doctor, twilio: dict[str, Any]) -> None:
    doctor.run("connect", "--all")
    rows = doctor()
    assert [row for row in rows if row["state"] == "bad"] == []
    states = {row["check"]: row["state"] for row in rows}
    for check in ("settings", "gateway", "account", "clock", "node", "signature", "numbers",
                  "disk", "database", "sqlite", "rules", "plugins", "opt-out"):  # fmt: skip
        assert states[check] == "ok"
    assert "3 of 3" in next(row["says"] for row in rows if row["check"] == "numbers")
    shown = json.dumps(rows)
    assert twilio["auth_token"] not in shown
    text = doctor.run("doctor")
    assert "gateway" in text
    assert twilio["auth_token"] not in text


@pytest.mark.parametrize(
    ("route", "meant", "says", "mend"),
    [
        pytest.param(
            "call",
            "message",
            "texts to +15550001111 are posted to /twilio/call",
            "messaging URL",
            marks=pytest.mark.slow,
        ),
        ("message", "call", "calls to +15550001111 are posted to /twilio/message", "voice URL"),
    ],
)
def test_what_comes_to_a_wrong_address_is_told_and_is_no_refusal(
    alone: Doctor, route: str, meant: str, says: str, mend: str
) -> None:
    data = alone.folder / "data"
    data.mkdir()

    async def note() -> None:
        kept = refusals.Refusals(
            Settings(project=alone.folder, data=data, public_url="https://hooks.example.org")
        )
        kept.note_wiring(route, meant, "+15550001111")
        async with asyncio.timeout(10):
            while not refusals.read(data):
                await asyncio.sleep(0.01)

    asyncio.run(note())
    rows = alone()
    told = bad(rows, "wiring", "warn")
    assert told["says"] == says
    assert f"its {mend} to https://hooks.example.org/twilio/{meant}, as `ring" in told["mend"]
    assert not [row for row in rows if row["check"] == "refusals"]


@pytest.mark.slow
def test_it_sends_nothing_that_is_recorded(doctor: Doctor) -> None:
    from ringback.store.log import LogReader

    with closing(LogReader(doctor.folder / "data" / "log.db")) as log:
        before = log.last_id()
        doctor()
        assert log.last_id() == before


def test_no_proof_and_no_credentials(alone: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TWILIO_AUTH_TOKEN", "TWILIO_ACCOUNT_SID"):
        monkeypatch.delenv(name)
    says = " ".join(row["says"] for row in alone() if row["check"] == "settings")
    assert "TWILIO_AUTH_TOKEN" in says
    assert "MATON_API_KEY" in says


@pytest.mark.slow
def test_a_wrong_token(doctor: Doctor) -> None:
    rows = doctor(TWILIO_AUTH_TOKEN="0123456789abcdeffedcba9876543210")
    assert "401" in bad(rows, "gateway")["says"]
    assert "TWILIO_AUTH_TOKEN" in bad(rows, "gateway")["mend"]
    assert bad(rows, "signature")


def maton(twilio: dict[str, Any], **more: str) -> dict[str, str]:
    return {
        "MATON_API_KEY": twilio["maton_api_key"],
        "MATON_CONNECTION": twilio["connection_id"],
        "RINGBACK_GATEWAY_URL": twilio["maton_url"],
        "RINGBACK_CONTROL_URL": twilio["control_url"],
    } | more


@pytest.mark.slow
def test_maton_set_ups(doctor: Doctor, twilio: dict[str, Any]) -> None:
    rows = doctor(**maton(twilio))
    assert next(row for row in rows if row["check"] == "gateway")["state"] == "ok"
    wrong = bad(doctor(**maton(twilio, MATON_API_KEY="nonsense")), "gateway")
    assert "MATON_API_KEY" in wrong["mend"]
    elsewhere = "c0ffee00-0000-4000-8000-000000000000"
    finding = bad(doctor(**maton(twilio, MATON_CONNECTION=elsewhere)), "gateway")
    assert "is not active" in finding["says"]
    other = bad(doctor(**maton(twilio, TWILIO_ACCOUNT_SID="AC" + "9" * 32)), "gateway")
    assert "another account" in other["says"]


@pytest.mark.slow
def test_a_grant_that_has_run_out(doctor: Doctor, twilio: dict[str, Any]) -> None:
    path = f"/_sim/connections/{twilio['connection_id']}"
    post(twilio, path, {"status": "EXPIRED"})
    try:
        found = bad(doctor(**maton(twilio)), "gateway")
    finally:
        post(twilio, path, {"status": "ACTIVE"})
    assert "connection" in found["says"] + found["mend"]
    assert "new connection" in found["mend"] or "not active" in found["says"]


def test_a_node_that_does_not_run(alone: Doctor) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    rows = alone(RINGBACK_PORT=str(port), RINGBACK_PUBLIC_URL=url)
    assert "ringback serve" in bad(rows, "node")["mend"]
    assert "cannot be reached" in bad(rows, "public address")["says"]


class Stranger(ThreadingHTTPServer):
    """A web server in the place where the node should be."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __exit__(self, *args: object) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()


@pytest.mark.parametrize(
    ("status", "headers", "says", "mend"),
    [
        (200, {}, "something else than a node", "RINGBACK_PUBLIC_URL"),
        pytest.param(
            301,
            {"Location": "https://www.x.example/"},
            "redirects (301) to https://www.x",
            "final",
            marks=pytest.mark.slow,
        ),
        (401, {"WWW-Authenticate": "Basic"}, "asks for a password", "/twilio/"),
        pytest.param(403, {}, "forbids the request", "firewall", marks=pytest.mark.slow),
        pytest.param(
            404, {}, "does not lead to the node's route", "prefix", marks=pytest.mark.slow
        ),
        pytest.param(413, {}, "refuses a form", "64 KiB", marks=pytest.mark.slow),
        pytest.param(502, {}, "does not reach the node", "start the node", marks=pytest.mark.slow),
    ],
)
def test_something_stands_in_the_way(
    doctor: Doctor, status: int, headers: dict[str, str], says: str, mend: str
) -> None:
    with Stranger(status, headers, b"<html>") as stranger:
        found = bad(doctor(RINGBACK_PUBLIC_URL=stranger.url), "public address")
    assert says in found["says"]
    assert mend in found["mend"]


@pytest.mark.slow
def test_numbers_that_call_somebody_else(doctor: Doctor, twilio: dict[str, Any]) -> None:
    assert "none of 3 numbers" in bad(doctor(), "numbers")["says"]
    number = twilio["numbers"][0]
    doctor.run("connect", number)
    post(twilio, f"/_sim/numbers/{number}", {"sms_url": "https://somebody.example/else"})
    found = bad(doctor(), "numbers")
    assert "was changed since it was connected: sms_url" in found["says"]
    assert f"ringback connect {number}" in found["mend"]


def test_a_damaged_database(alone: Doctor) -> None:
    data = alone.folder / "data"
    data.mkdir()
    (data / "log.db").write_bytes(b"SQLite format 3\0" + os.urandom(8192))
    assert "log.db" in bad(alone(), "database")["says"]


@pytest.mark.slow
def test_a_data_folder_that_cannot_be_written(alone: Doctor) -> None:
    (alone.folder / "data").write_text("a file where the folder should be")
    assert "cannot be written" in bad(alone(), "disk")["says"]


def test_it_makes_no_data_folder(alone: Doctor) -> None:
    """Under `sudo` it would be root's, and the node could not start."""
    assert not (alone.folder / "data").exists()
    found = [each for each in alone() if each["check"] == "disk"]
    assert [each["state"] for each in found] == ["ok"]
    assert not (alone.folder / "data").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_than_its_folder(alone: Doctor) -> None:
    data = alone.folder / "data"
    data.mkdir()
    (data / "journal.db").touch()
    os.chown(data / "journal.db", 54321, -1)
    found = bad(alone(), "disk")
    assert "journal.db belongs to another user" in found["says"]
    assert found["mend"] == f"chown {os.geteuid()} {data / 'journal.db'}"


def test_broken_rules_and_plugins(alone: Doctor) -> None:
    (alone.folder / "rules" / "b.yaml").write_text("version: 1\nrules:\n  - nme: x\n")
    (alone.folder / "plugins" / "broken.py").write_text("import no_such_module_anywhere\n")
    (alone.folder / "plugins" / "opt_out.py").unlink()
    rows = alone()
    assert "rules/b.yaml:3" in bad(rows, "rules")["says"]
    assert "broken" in bad(rows, "plugins")["says"]
    assert "STOP" in bad(rows, "opt-out", "warn")["says"]


def test_webhook_errors_that_twilio_saw(doctor: Doctor, twilio: dict[str, Any]) -> None:
    number = twilio["numbers"][0]
    with Stranger(500, {}) as stranger:
        post(twilio, f"/_sim/numbers/{number}", {"voice_url": stranger.url})
        post(twilio, "/_sim/calls", {"from": "+12025550143", "to": number})
        post(twilio, "/_sim/idle", {"timeout": 10})
        deadline = time.monotonic() + 20
        rows = doctor()
        while "11200" not in json.dumps(rows):
            assert time.monotonic() < deadline, rows
            time.sleep(0.3)
            rows = doctor()
    assert stranger.url in bad(rows, "webhook errors", "warn")["says"]


def test_settings_that_cannot_be_read(alone: Doctor) -> None:
    (alone.folder / "ringback.toml").write_text("port = 'many'\n")
    rows = alone()
    assert {row["check"] for row in rows} == {"settings"}
    assert "port" in rows[0]["says"]


def test_which_sqlite_is_what() -> None:
    assert sqlite_finding("3.7.17").state == "bad"
    assert "cannot strike" in sqlite_finding("3.40.1").says
    for fixed in ("3.51.3", "3.50.7", "3.44.6", "4.0.0"):
        assert sqlite_finding(fixed).says == fixed


@pytest.mark.parametrize(("offset", "expected"), [(0, 0), (-3600, 3600), (90, -90)])
def test_the_gateways_clock_is_read_from_its_answers(offset: int, expected: int) -> None:
    theirs = formatdate(time.time() + offset, usegmt=True)

    async def skew(url: str) -> float:
        access = Credentials.direct("AC" + "0" * 32, "t" * 32, base_url=url)
        async with Gateway(access) as gateway:
            server = await gateway.server_time()
        assert server is not None
        return time.time() - server

    with Stranger(200, {}) as stranger:
        stranger.RequestHandlerClass.date_time_string = lambda self, *_: theirs  # type: ignore[attr-defined]
        measured = asyncio.run(skew(stranger.url))
    assert abs(measured - expected) < 5
