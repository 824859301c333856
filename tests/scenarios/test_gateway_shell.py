"""Gateway commands against a simulated Twilio over real HTTP, direct and through Maton."""

import asyncio
import json
import os
import pty
import re
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ringback.cli.main import run

THEM = "+12025550142"
SPEED = "60"


@pytest.fixture(scope="module", autouse=True)
def unhurried(twilio: dict[str, Any]) -> None:
    plan = urllib.request.Request(
        f"{twilio['base_url']}/_sim/plan",
        data=json.dumps({"maton": {"rate": 1000}}).encode(),
        headers={"Content-Type": "application/json"},
        method="PUT",
    )
    urllib.request.urlopen(plan, timeout=10).close()  # a quick machine pages faster than Maton lets


class Shell:
    """Runs commands as a person would, and reads their JSON."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.err = ""

    def text(self, *words: str, code: int = 0) -> str:
        self._capsys.readouterr()
        ended = run(list(words))
        out, self.err = self._capsys.readouterr()
        assert ended == code, self.err
        return out

    def __call__(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text(*words, "--json", code=code).splitlines()]

    def one(self, *words: str) -> dict[str, Any]:
        (row,) = self(*words)
        return row


@pytest.fixture(params=["maton", "direct"])
def mode(
    request: pytest.FixtureRequest,
    twilio: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> str:
    """A project folder with nothing in it, and the credentials in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("TWILIO_API_KEY", "TWILIO_API_SECRET", "RINGBACK_PROJECT", "TWILIO_ACCOUNT_SID",
                 "TWILIO_AUTH_TOKEN", "MATON_API_KEY", "MATON_CONNECTION"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    if request.param == "maton":
        monkeypatch.setenv("MATON_API_KEY", twilio["maton_api_key"])
        monkeypatch.setenv("MATON_CONNECTION", twilio["connection_id"])
        monkeypatch.setenv("RINGBACK_GATEWAY_URL", twilio["maton_url"])
        monkeypatch.setenv("RINGBACK_CONTROL_URL", twilio["control_url"])
    else:
        monkeypatch.setenv("TWILIO_ACCOUNT_SID", twilio["account_sid"])
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", twilio["auth_token"])
        monkeypatch.setenv("RINGBACK_GATEWAY_URL", twilio["base_url"])
    return str(request.param)


@pytest.fixture
def shell(mode: str, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def test_accounts(shell: Shell, twilio: dict[str, Any]) -> None:
    account = twilio["account_sid"]
    assert account in [row["sid"] for row in shell("gateway", "accounts", "list")]
    row = shell.one("gateway", "accounts", "get", account)
    assert row["status"] == "active"
    assert twilio["auth_token"] not in json.dumps(row)


def test_a_message_from_sending_to_deletion(shell: Shell, twilio: dict[str, Any]) -> None:
    ours = twilio["numbers"][0]
    words = ("gateway", "messages")
    send = (*words, "send", "--to", THEM, "--from", ours, "--body", "Hello & grüße")
    assert "Hello & grüße" in shell.text(*send, "--dry-run")
    assert twilio["maton_api_key"] not in shell.text(*send, "--dry-run")
    sent = shell.one(*send)
    assert sent["status"] in ("queued", "accepted")
    sid = sent["sid"]
    until(lambda: shell.one(*words, "get", sid)["status"] == "delivered")
    assert sid in [row["sid"] for row in shell(*words, "list", "--to", THEM)]
    assert sid not in [row["sid"] for row in shell(*words, "list", "--to", "+12025550199")]
    table = shell.text(*words, "list", "--to", THEM)
    assert table.splitlines()[0].split()[:2] == ["sid", "date_sent"]
    assert "Hello & grüße" in table
    assert shell.one(*words, "redact", sid)["body"] == ""
    assert shell.one(*words, "delete", sid) == {"deleted": sid}
    shell.text(*words, "get", sid, code=1)
    assert "20404" in shell.err
    assert "ringback: Twilio answered 404" in shell.err


def test_what_twilio_refuses_is_said_with_its_mend(shell: Shell, twilio: dict[str, Any]) -> None:
    send = ("gateway", "messages", "send", "--body", "x")
    shell.text(*send, "--to", "nonsense", "--from", twilio["numbers"][0], code=1)
    assert "21211" in shell.err
    assert "country code" in shell.err
    shell.text(*send, "--to", THEM, code=2)
    assert "needs from_ or messaging_service_sid" in shell.err
    shell.text("gateway", "calls", "get", "CA12", code=2)
    assert "not a SID" in shell.err


def test_long_listings_page_and_say_when_they_stop(shell: Shell, twilio: dict[str, Any]) -> None:
    to = "+12025550177"
    for number in range(7):
        shell("gateway", "messages", "send", "--to", to, "--from", twilio["numbers"][0],
              "--body", f"n{number}")  # fmt: skip
    words = ("gateway", "messages", "list", "--to", to, "--page-size", "3")
    rows = shell(*words, "--all")
    assert len(rows) >= 7
    assert len({row["sid"] for row in rows}) == len(rows)
    assert len(shell(*words, "--limit", "4")) == 4
    shell.text(*words, "--limit", "4")
    assert "the first 4" in shell.err


def test_a_call_from_making_to_deletion(shell: Shell, twilio: dict[str, Any]) -> None:
    words = ("gateway", "calls")
    made = shell.one(*words, "make", "--to", THEM, "--from", twilio["numbers"][0], "--twiml",
                     "<Response><Pause length='3000'/></Response>")  # fmt: skip
    sid = made["sid"]
    until(lambda: shell.one(*words, "get", sid)["status"] == "in-progress")
    assert sid in [row["sid"] for row in shell(*words, "list", "--status", "in-progress")]
    shell.one(*words, "end", sid)
    until(lambda: shell.one(*words, "get", sid)["status"] == "completed")
    assert shell(*words, "recordings", sid) == []
    assert shell.one(*words, "delete", sid) == {"deleted": sid}


def test_numbers(shell: Shell, mode: str) -> None:
    words = ("gateway", "numbers")
    sid = shell(*words, "list")[0]["sid"]
    before = shell.one(*words, "get", sid)
    name = f"Front desk {mode}"
    changed = shell.one(
        *words, "update", sid, "--friendly-name", name, "--voice-url", "https://example.com/voice"
    )
    assert (changed["friendly_name"], changed["voice_url"]) == (name, "https://example.com/voice")
    assert changed["sms_url"] == before["sms_url"]
    assert shell.one(*words, "update", sid, "--voice-url", "")["voice_url"] in ("", None)


@pytest.mark.parametrize(
    ("resource", "create", "update"),
    [
        ("applications", ("--friendly-name", "My App"), ("--friendly-name", "Newer App")),
        ("queues", ("--friendly-name", "Line", "--max-size", "9"), ("--friendly-name", "Row")),
    ],
)
def test_things_that_are_made_changed_and_deleted(
    shell: Shell, resource: str, create: tuple[str, ...], update: tuple[str, ...]
) -> None:
    words = ("gateway", resource)
    sid = shell.one(*words, "create", *create)["sid"]
    assert sid in [row["sid"] for row in shell(*words, "list", "--all")]
    assert shell.one(*words, "update", sid, *update)["friendly_name"] == update[1]
    assert shell.one(*words, "get", sid)["friendly_name"] == update[1]
    if resource == "queues":
        assert shell(*words, "members", sid) == []
        shell.text(*words, "dequeue", sid, "Front", "--url", "https://e.com/x", code=1)
        assert "404" in shell.err
    assert shell.one(*words, "delete", sid) == {"deleted": sid}


def test_addresses_and_usage(shell: Shell) -> None:
    made = shell.one("gateway", "addresses", "create", "--customer-name", "Acme Inc",
                     "--street", "123 Main St", "--city", "San Francisco", "--region", "CA",
                     "--postal-code", "94105", "--iso-country", "US")  # fmt: skip
    listed = shell("gateway", "addresses", "list", "--all")
    assert made["sid"] in [row["sid"] for row in listed]
    rows = shell("gateway", "usage", "list", "--category", "sms")
    assert [row["category"] for row in rows] == ["sms"]


def test_connections(shell: Shell, mode: str, twilio: dict[str, Any]) -> None:
    if mode == "direct":
        shell.text("connections", "list", code=2)
        assert "MATON_API_KEY" in shell.err
        return
    rows = shell("connections", "list", "--status", "active")
    assert [row["connection_id"] for row in rows] == [twilio["connection_id"]]
    assert rows[0]["used"] == "pinned"
    made = shell.one("connections", "create", "--no-wait")
    assert made["status"] == "PENDING"
    assert "session_token" in shell.err
    sid = made["connection_id"]
    assert "session_token" not in json.dumps(shell("connections", "get", sid))
    assert shell.one("connections", "delete", sid) == {"deleted": sid}
    shell.text("connections", "get", sid, code=1)
    assert "404" in shell.err


def test_a_wrong_key_is_said_to_be_one(
    shell: Shell, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mode == "maton":
        monkeypatch.setenv("MATON_API_KEY", "wrong-canary-key")
    else:
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", "0123456789abcdef0123456789abcdef")
    shell.text("gateway", "messages", "list", code=1)
    assert "401" in shell.err
    assert ("MATON_API_KEY" if mode == "maton" else "TWILIO_AUTH_TOKEN") in shell.err
    assert "canary" not in shell.err
    assert "0123456789abcdef" not in shell.err


def test_without_any_credentials_it_says_what_to_set(
    capsys: pytest.CaptureFixture[str], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MATON_API_KEY", "TWILIO_AUTH_TOKEN", "TWILIO_ACCOUNT_SID"):
        monkeypatch.delenv(name, raising=False)
    shell = Shell(capsys)
    shell.text("gateway", "messages", "list", code=78)
    assert "set MATON_API_KEY, or TWILIO_ACCOUNT_SID" in shell.err


def test_the_examples_of_the_manual_run(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "gateway.md").read_text("utf-8")
    first, second = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    scope: dict[str, Any] = {}
    exec(first, scope)
    asyncio.run(scope["main"]())
    sent = capsys.readouterr().out
    assert sent.startswith("SM")
    assert "Your table is ready." in sent
    exec(second, scope)
    scope["script"]()
    assert "+14155550100" in capsys.readouterr().out


def at_a_terminal(typed: str, *words: str) -> tuple[int, str]:
    """Run a command on a pseudo-terminal, type an answer, and read all that it showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "ringback.cli.main", *words])
    shown = b""
    try:
        while True:
            shown += os.read(terminal, 4096)
            if b"[y/N]" in shown and typed:
                os.write(terminal, typed.encode())
                typed = ""
    except OSError:
        pass
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown.decode()


@pytest.mark.slow
def test_on_a_terminal_a_write_is_shown_and_asked_about(
    shell: Shell, twilio: dict[str, Any]
) -> None:
    to = "+12025550188"
    words = ("gateway", "messages", "send", "--to", to, "--from", twilio["numbers"][0],
             "--body", "Shall I?")  # fmt: skip

    def sent() -> int:
        return len(shell("gateway", "messages", "list", "--to", to, "--all"))

    before = sent()
    code, shown = at_a_terminal("n\n", *words)
    assert code == 130
    assert "Body = Shall I?" in shown
    assert "Send this?" in shown
    assert sent() == before
    code, _ = at_a_terminal("y\n", *words)
    assert (code, sent()) == (0, before + 1)
    code, shown = at_a_terminal("", *words, "--yes")
    assert (code, sent()) == (0, before + 2)
    assert "Send this?" not in shown


@pytest.mark.slow
def test_a_picture_that_came_with_a_message_is_saved(
    shell: Shell, twilio: dict[str, Any], tmp_path: Path
) -> None:
    ours = twilio["numbers"][0]
    words = ("gateway", "messages")
    sent = shell.one(*words, "send", "--to", THEM, "--from", ours, "--media-url",
                     "https://example.com/cat.png")  # fmt: skip
    (medium,) = shell(*words, "media", sent["sid"])
    target = tmp_path / "cat.png"
    said = shell.text(*words, "download", sent["sid"], medium["sid"], "--output", str(target))
    assert said.startswith(str(target))
    assert target.stat().st_size > 0
    shell.text(*words, "download", sent["sid"], medium["sid"], "-o", str(target), code=2)
    assert "there already" in shell.err
    shell.text("gateway", "recordings", "download", "RE" + "0" * 32, code=1)
    assert "404" in shell.err
