"""TwilioBox: a Twilio of one's own for a test, in a process of its own, over real HTTP.

What a program under test sees is Twilio's API and signed webhooks; what the test holds in its hand
are the phones of the people outside. No account, no money, no tunnel.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from ringback.errors import RingbackError
from ringback.testing.events import THEIRS

_PATIENCE = 30.0


class BoxError(RingbackError):
    """The box did not start, or refused what the test asked of it. The message says why."""


@dataclass(frozen=True)
class TwilioBox:
    """A running box. `base_url` stands in front of `/2010-04-01`, `numbers` are ours."""

    base_url: str
    maton_url: str
    control_url: str
    account_sid: str
    auth_token: str
    maton_api_key: str
    connection_id: str
    numbers: tuple[str, ...]
    _http: httpx.Client = field(repr=False)

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables that make a node use this box."""
        return {
            "TWILIO_ACCOUNT_SID": self.account_sid,
            "TWILIO_AUTH_TOKEN": self.auth_token,
            "RINGBACK_GATEWAY_URL": self.base_url,
            "RINGBACK_CONTROL_URL": self.control_url,
            "RINGBACK_SENDER": self.numbers[0],
        }

    def point(self, url: str, *, number: str = "") -> None:
        """Let a number (the first one) send its webhooks to the node at `url`."""
        there = url.rstrip("/")
        self.ask(
            "POST",
            f"/numbers/{number or self.numbers[0]}",
            sms_url=f"{there}/twilio/message",
            voice_url=f"{there}/twilio/call",
            status_callback=f"{there}/twilio/call/status",
        )

    def text(
        self, body: str, *, from_: str = THEIRS, to: str = "", media: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Let somebody text one of our numbers. Returns the message as the API shows it."""
        to = to or self.numbers[0]
        sent: dict[str, Any] = self.ask(
            "POST", "/messages", **{"from": from_, "to": to, "body": body, "media": list(media)}
        )
        return sent

    def ring(
        self, *, from_: str = THEIRS, to: str = "", keys: str = "", say: str = ""
    ) -> dict[str, Any]:
        """Let somebody call one of our numbers, press `keys` and say something when asked."""
        given = {"from": from_, "to": to or self.numbers[0], "keys": keys, "say": say}
        call: dict[str, Any] = self.ask("POST", "/calls", **given)
        return call

    def call(self, sid: str) -> dict[str, Any]:
        """How a call stands: its `state`, what was `heard`, the `queue` that it waits in."""
        found: dict[str, Any] = self.ask("GET", f"/calls/{sid}")
        return found

    def inbox(self, number: str = THEIRS) -> list[str]:
        """The texts that arrived on somebody's phone, oldest first."""
        phone = self.ask("GET", f"/handsets/{number}")
        return [message["body"] for message in phone["inbox"]]

    def phone(self, number: str = THEIRS, **behaviour: object) -> None:
        """Say how somebody's phone behaves: `messages="undelivered:30003"` or `calls="busy"`."""
        self.ask("POST", f"/handsets/{number}", **behaviour)

    def settle(self, within: float = 60.0, timeout: float = 15.0) -> bool:
        """Wait until nothing is on its way: deliveries, callbacks, retries, keys to be pressed.

        What is due later than `within` seconds of the box's own time does not count. Returns False
        when there was still something after `timeout` seconds of ours.
        """
        return bool(self.ask("POST", "/idle", within=within, timeout=timeout)["idle"])

    def reset(self) -> None:
        """Back to how it was after the start."""
        self.ask("POST", "/reset")

    def ask(self, method: str, path: str, **given: object) -> Any:
        """Use the box's control API, `/_sim` + `path`. Raises BoxError with its own words."""
        body = given if given or method == "POST" else None
        answer = self._http.request(method, f"{self.base_url}/_sim{path}", json=body)
        if answer.is_success:
            return answer.json() if answer.content else {}
        try:
            why = answer.json()["error"]
        except (ValueError, KeyError):
            why = f"status {answer.status_code}"
        raise BoxError(f"{method} /_sim{path}: {why}")


@contextmanager
def running_box(*options: str) -> Iterator[TwilioBox]:
    """Start a box for the time of a `with`. `options` are those of `ringback simulator`.

    Waits in it take a twentieth of their time, unless `--speed` says otherwise. Raises BoxError
    when it does not come up.
    """
    command = [sys.executable, "-m", "ringback.cli.main", "simulator", "--port", "0"]
    command += ["--speed", "20", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            with httpx.Client(timeout=_PATIENCE, trust_env=False) as http:
                assert process.stdout is not None
                yield _box(process.stdout.readline(), http)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _box(line: str, http: httpx.Client) -> TwilioBox:
    try:
        card: Mapping[str, Any] = json.loads(line)
    except ValueError:
        raise BoxError("the simulator did not start; its own message is above") from None
    names = (
        "base_url", "maton_url", "control_url", "account_sid", "auth_token", "maton_api_key",
        "connection_id",
    )  # fmt: skip
    return TwilioBox(
        **{name: card[name] for name in names}, numbers=tuple(card["numbers"]), _http=http
    )
