"""`ringback connect` against a simulated Twilio: a text then reaches the node, `restore` puts back
what was there, and a crash in between leaves nothing that cannot be undone."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ringback.cli.main import run
from ringback.config import Settings
from ringback.gateway.client import Gateway
from ringback.gateway.webhook_setup import drifted
from ringback.store.log import LogReader

THEM = "+12025550142"
SPEED = "60"


@pytest.fixture
def project(twilio: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("TWILIO_", "MATON_", "RINGBACK_")):
            monkeypatch.delenv(name)
    (tmp_path / "ringback.toml").write_text(
        f'account_sid = "{twilio["account_sid"]}"\n'
        f'gateway_url = "{twilio["base_url"]}"\n'
        'public_url = "https://hooks.example.com"\n'
    )
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", twilio["auth_token"])
    post(twilio, "/_sim/reset", {})
    return tmp_path


def post(twilio: dict[str, Any], path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        twilio["base_url"] + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


class Shell:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.err = ""

    def __call__(self, *words: str, code: int = 0) -> str:
        self._capsys.readouterr()
        ended = run(list(words))
        out, self.err = self._capsys.readouterr()
        assert ended == code, self.err
        return out

    def number(self, number: str) -> dict[str, Any]:
        out = self("gateway", "numbers", "list", "--phone-number", number, "--json")
        row: dict[str, Any] = json.loads(out.splitlines()[0])
        keys = [key for key in row if key.endswith(("_url", "_method", "_sid", "callback"))]
        return {key: row[key] or "" for key in keys}


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], project: Path) -> Shell:
    return Shell(capsys)


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def test_connect_shows_then_sets_and_restore_puts_back(
    shell: Shell, twilio: dict[str, Any], project: Path
) -> None:
    number = twilio["numbers"][1]
    post(twilio, f"/_sim/numbers/{number}", {"sms_url": "https://old.example/sms?a=1"})
    before = shell.number(number)
    shown = shell("connect", number, "--dry-run")
    assert "- https://old.example/sms?a=1" in shown
    assert "+ https://hooks.example.com/twilio/message#ct=2000" in shown
    assert shell.number(number) == before
    assert not (project / "data" / "wiring.json").exists()

    shell("connect", number)
    now = shell.number(number)
    assert (
        now["sms_url"]
        == "https://hooks.example.com/twilio/message#ct=2000&rt=5000&rc=2&rp=ct,rt,5xx"
    )
    assert now["voice_url"].startswith("https://hooks.example.com/twilio/call#")
    assert now["voice_fallback_url"].startswith("https://hooks.example.com/twilio/call#")
    assert (
        now["status_callback"]
        == "https://hooks.example.com/twilio/call/status#ct=3000&rc=3&rp=ct,5xx"
    )
    assert "nothing to change" in shell("connect", number)
    assert (project / "data" / "wiring.json").stat().st_mode & 0o077 == 0

    assert "+ https://old.example/sms?a=1" in shell("connect", "restore", "--dry-run")
    assert shell.number(number) == now
    shell("connect", "restore", number)
    assert shell.number(number) == before
    shell("connect", "restore")
    assert "nothing to restore" in shell.err


def test_connecting_twice_keeps_the_first_memory(shell: Shell, twilio: dict[str, Any]) -> None:
    number = twilio["numbers"][0]
    before = shell.number(number)
    shell("connect", number)
    shell("connect", number, "--fallback", "https://static.example/sorry.xml")
    assert shell.number(number)["sms_fallback_url"] == "https://static.example/sorry.xml"
    shell("connect", "restore")
    assert shell.number(number) == before


def test_all_numbers_and_an_application(shell: Shell, twilio: dict[str, Any]) -> None:
    app = json.loads(
        shell("gateway", "applications", "create", "--friendly-name", "A", "--sms-url",
              "https://old.example/app", "--json")
    )["sid"]  # fmt: skip
    number = twilio["numbers"][0]
    sid = json.loads(shell("gateway", "numbers", "list", "--phone-number", number, "--json"))["sid"]
    shell("gateway", "numbers", "update", sid, "--sms-application-sid", app)
    before = [shell.number(number) for number in twilio["numbers"]]
    shell("connect", "--all")
    for each in twilio["numbers"]:
        assert shell.number(each)["sms_url"].startswith("https://hooks.example.com/")
        assert shell.number(each)["sms_application_sid"] == ""
    shell("connect", app)
    row = json.loads(shell("gateway", "applications", "get", app, "--json"))
    assert row["message_status_callback"].startswith(
        "https://hooks.example.com/twilio/message/status#"
    )
    shell("connect", "restore")
    assert [shell.number(number) for number in twilio["numbers"]] == before
    row = json.loads(shell("gateway", "applications", "get", app, "--json"))
    assert row["sms_url"] == "https://old.example/app"


@pytest.fixture
def sub_account(shell: Shell, twilio: dict[str, Any], project: Path) -> tuple[str, str]:
    """A sub-account under [accounts], and its number."""
    request = urllib.request.Request(
        twilio["base_url"] + "/2010-04-01/Accounts.json", b"FriendlyName=Shop"
    )
    key = b64encode(f"{twilio['account_sid']}:{twilio['auth_token']}".encode()).decode()
    request.add_header("Authorization", f"Basic {key}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        made = json.loads(answer.read())
    sid, number = made["sid"], "+12125550177"
    with (project / "ringback.toml").open("a") as file:
        file.write(f'[accounts]\n{sid} = ["{made["auth_token"]}"]\n')
    shell("gateway", "--account", sid, "numbers", "buy", "--phone-number", number, "--json")
    return sid, number


def of_sub(shell: Shell, account: str) -> str:
    """Where the texts to the number of a sub-account go."""
    row = json.loads(shell("gateway", "--account", account, "numbers", "list", "--json"))
    return str(row["sms_url"] or "")


@pytest.mark.parametrize("named", [True, False])
def test_numbers_of_sub_accounts_are_connected_in_their_own_account(
    shell: Shell,
    twilio: dict[str, Any],
    project: Path,
    sub_account: tuple[str, str],
    named: bool,
) -> None:
    """By name and with --all; what somebody changed there is seen there, and restore knows whose
    each number is."""
    account, number = sub_account
    shown = shell("connect", number if named else "--all")
    assert f"{number} (PN" in shown
    assert f" of {account}" in shown
    assert of_sub(shell, account).startswith("https://hooks.example.com/twilio/message")
    assert shell.number(twilio["numbers"][0])["sms_url"].startswith("https://hooks") is not named
    assert watched(project) == []
    row = json.loads(shell("gateway", "--account", account, "numbers", "list", "--json"))
    moved = ("update", row["sid"], "--sms-url", "https://x.example")
    shell("gateway", "--account", account, "numbers", *moved)
    assert watched(project) == [f"{number} was changed since it was connected: sms_url"]
    shell("connect", "restore", *([number] if named else []))
    assert of_sub(shell, account) == ""


def test_a_number_of_nobody_is_looked_for_in_every_account(
    shell: Shell, sub_account: tuple[str, str]
) -> None:
    shell("connect", "+12125550166", code=2)
    assert "is neither of this account nor of one of [accounts]" in shell.err


def findings(shell: Shell, check: str, code: int = 1) -> list[tuple[str, str]]:
    rows = [json.loads(line) for line in shell("doctor", "--json", code=code).splitlines()]
    return [(row["state"], row["says"]) for row in rows if row["check"] == check]


def test_the_doctor_looks_at_each_account(
    shell: Shell, twilio: dict[str, Any], sub_account: tuple[str, str]
) -> None:
    """Whether its numbers call this node, whether it is active, whether its token is good."""
    account, number = sub_account
    assert ("bad", f"{account}: none of 1 numbers calls https://hooks.example.com") in findings(
        shell, "numbers"
    )
    shell("connect", number)
    assert findings(shell, "numbers") == [
        ("bad", "none of 3 numbers calls https://hooks.example.com"),
        ("ok", f"{account}: 1 of 1 call this node"),
    ]
    assert ("ok", f"{account}, Shop: active") in findings(shell, "account")
    shell("gateway", "accounts", "update", account, "--status", "suspended", "--yes")
    assert ("bad", f"{account} is suspended: Twilio refuses everything") in findings(
        shell, "account"
    )


def watched(project: Path) -> list[str]:
    async def work() -> list[str]:
        settings = Settings.load(project, os.environ, {})
        async with Gateway.from_settings(settings) as gateway:
            return await drifted(gateway, settings.data)

    return asyncio.run(work())


def test_what_somebody_changed_meanwhile_is_said(
    shell: Shell, twilio: dict[str, Any], project: Path
) -> None:
    number = twilio["numbers"][0]
    before = shell.number(number)
    shell("connect", number)
    assert watched(project) == []
    post(twilio, f"/_sim/numbers/{number}", {"sms_url": "https://somebody.example/else"})
    assert watched(project) == [f"{number} was changed since it was connected: sms_url"]
    shell("connect", "restore")
    assert watched(project) == []
    assert "changed since by somebody else, to https://somebody.example/else" in shell.err
    assert shell.number(number) == before


def test_without_a_public_address_nothing_is_touched(
    shell: Shell, twilio: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("connect", code=2)
    shell("connect", "+15550009999", code=2)
    assert "not a number of this account" in shell.err
    shell("connect", "restore", "+15550009999", code=2)
    assert "nothing is remembered" in shell.err
    monkeypatch.setenv("RINGBACK_PUBLIC_URL", "")
    shell("connect", twilio["numbers"][0], code=78)
    assert "RINGBACK_PUBLIC_URL" in shell.err


def test_the_secret_of_the_path_is_not_shown(
    shell: Shell, twilio: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGBACK_HOOK_SECRET", "canary-secret-0123456789abcdef")
    monkeypatch.delenv("TWILIO_AUTH_TOKEN")
    monkeypatch.setenv("MATON_API_KEY", twilio["maton_api_key"])
    monkeypatch.setenv("MATON_CONNECTION", twilio["connection_id"])
    monkeypatch.setenv("RINGBACK_GATEWAY_URL", twilio["maton_url"])
    monkeypatch.setenv("RINGBACK_CONTROL_URL", twilio["control_url"])
    number = twilio["numbers"][2]
    shown = shell("connect", number)
    assert "canary" not in shown + shell.err
    assert "https://hooks.example.com/twilio/~…/message" in shown
    assert "/twilio/~canary-secret-0123456789abcdef/message#" in shell.number(number)["sms_url"]
    shell("connect", "restore")


@pytest.mark.parametrize(
    ("member", "asked", "seen"),
    [(True, "text", True), (True, "nothing", False), (False, "text", False)],
)
def test_a_messaging_service_that_answers_for_the_number_is_named(
    shell: Shell, twilio: dict[str, Any], member: bool, asked: str, seen: bool
) -> None:
    """Its texts go to the address of the service, whatever is set on the number."""
    number, service = twilio["numbers"][0], twilio["service_sid"]
    pool = [number] if member else []
    post(twilio, f"/_sim/services/{service}", {"senders": pool})
    if asked == "text":
        post(twilio, "/_sim/messages", {"from": THEM, "to": number, "body": "Hello"})
    shown = json.loads(shell("connect", number, "--dry-run", "--json"))
    assert shown["messaging_service"] == (service if seen else "")
    assert (f"Messaging Service {service}" in shell.err) == seen
    assert ("https://hooks.example.com/twilio/message#" in shell.err) == seen


def test_the_messaging_service_of_a_sub_account_s_number_is_named(
    shell: Shell, twilio: dict[str, Any], sub_account: tuple[str, str]
) -> None:
    """Its last text is among those of its own account."""
    _, number = sub_account
    service = twilio["service_sid"]
    post(twilio, f"/_sim/services/{service}", {"senders": [number]})
    post(twilio, "/_sim/messages", {"from": THEM, "to": number, "body": "Hello"})
    shown = json.loads(shell("connect", number, "--dry-run", "--json"))
    assert shown["messaging_service"] == service


def test_the_doctor_reads_the_log_of_each_account(
    shell: Shell, twilio: dict[str, Any], sub_account: tuple[str, str]
) -> None:
    account, number = sub_account
    row = json.loads(shell("gateway", "--account", account, "numbers", "list", "--json"))
    closed = ("--sms-url", "http://127.0.0.1:9/closed")
    shell("gateway", "--account", account, "numbers", "update", row["sid"], *closed)
    post(twilio, "/_sim/messages", {"from": THEM, "to": number, "body": "Hello"})
    post(twilio, "/_sim/idle", {"timeout": 10})
    assert any(
        state == "warn" and says.startswith(f"{account}: 1 x 11202 since yesterday")
        for state, says in findings(shell, "webhook errors")
    )


KILLED = """
import os, signal, sys
from ringback.gateway import webhook_setup
from ringback.cli import connect as module
from ringback.cli.main import run
real = webhook_setup.set_on
done = []
async def deadly(gateway, sid, values):
    if len(done) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(sid)
    await real(gateway, sid, values)
module.set_on = deadly
run(sys.argv[2:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_crash_while_connecting_can_be_undone(
    shell: Shell, twilio: dict[str, Any], project: Path, after: int
) -> None:
    before = [shell.number(number) for number in twilio["numbers"]]
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(after), "connect", "--all"],
        cwd=project, capture_output=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == -signal.SIGKILL
    now = [shell.number(number) for number in twilio["numbers"]]
    assert sum(one != other for one, other in zip(now, before, strict=True)) == after
    shell("connect", "restore")
    assert [shell.number(number) for number in twilio["numbers"]] == before


@pytest.mark.slow
def test_a_text_to_a_connected_number_reaches_the_node(
    shell: Shell, twilio: dict[str, Any], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("RINGBACK_PUBLIC_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("RINGBACK_PORT", str(port))
    node = subprocess.Popen(
        [sys.executable, "-m", "ringback.cli.main", "serve", "--no-worker"],
        cwd=project, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert node.stderr is not None
        for line in node.stderr:
            if "serving on" in line:
                break
        else:
            pytest.fail("the node did not start")
        number = twilio["numbers"][0]
        shell("connect", number)
        post(twilio, "/_sim/messages", {"from": THEM, "to": number, "body": "hello node"})
        with closing(LogReader(project / "data" / "log.db")) as log:
            until(lambda: log.last_id() > 0)
            row = log.get(log.last_id())
        assert row is not None
        assert (row.route, row.trust) == ("message", "signed")
        assert b"hello+node" in row.body
        shell("connect", "restore")
    finally:
        node.terminate()
        node.wait(20)
        assert node.stderr is not None
        node.stderr.close()
