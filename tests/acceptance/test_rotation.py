"""Changed tokens, secrets and other settings while the node runs and traffic flows: SIGHUP."""

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import termios
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from twilio.request_validator import RequestValidator

OLD, NEW = "0123456789abcdeffedcba9876543210", "fedcba98765432100123456789abcdef"
SECRETS = ("k3J9xQ2mT7vB5nR8wZ1cY6pL4hD0sG", "aB4cD5eF6gH7iJ8kL9mN0pQ1rS2tU3")
OURS = "+15550001111"
READ = "the settings were read again"
RULES = """
version: 1
rules:
  - name: echo
    on: message.received
    do:
      - reply: "got ${{ event.body }}"
"""


@pytest.fixture
def node(make_node: Callable[..., Any], gateway: Any) -> Any:
    """A node that has its tokens from `.env` and goes straight to the gateway."""
    made = make_node({"rules/all.yaml": RULES}, RINGBACK_SENDER=OURS)
    for name in ("TWILIO_AUTH_TOKEN", "MATON_API_KEY", "MATON_CONNECTION", "RINGBACK_CONTROL_URL"):
        del made.environ[name]
    made.environ["RINGBACK_GATEWAY_URL"] = gateway.url
    made.environ["RINGBACK_RECIPIENT_PER_HOUR"] = made.environ["RINGBACK_TOTAL_PER_HOUR"] = "0"
    return made


def configure(node: Any, **values: str) -> None:
    """Write `.env` as an editor would."""
    text = "".join(f"{name}={value}\n" for name, value in values.items())
    (node.project / ".env").write_text(text)


def hang_up(node: Any, line: str = READ) -> str:
    """SIGHUP, and what the node says about it."""
    node.process.send_signal(signal.SIGHUP)
    return str(node.lines.wait_for(line))


def wait_for_another(node: Any, worker: int) -> None:
    """Wait until another worker holds the lock and answers."""

    def there() -> bool:
        try:
            return bool(node.worker_pid() != worker)
        except ValueError:  # nobody's name is in the lock just now
            return False

    node.until(there)
    node.wait_ready()


def post(node: Any, token: str, body: str, path: str = "/twilio/message", http: Any = httpx) -> int:
    """A text of somebody new, signed with this token; the status of the answer."""
    seed = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
    form = {
        "AccountSid": node.account, "MessageSid": f"SM{seed}", "To": OURS, "Body": body,
        "From": f"+1415{int(seed, 16) % 10**7:07}", "SmsStatus": "received",
    }  # fmt: skip
    signed = RequestValidator(token).compute_signature(
        node.environ["RINGBACK_PUBLIC_URL"] + path, form
    )
    headers = {"X-Twilio-Signature": signed} if token else {}
    answer: httpx.Response = http.post(f"{node.url}{path}", data=form, headers=headers)
    return answer.status_code


class Traffic:
    """Texts signed with one token, one after the other, until it is stopped."""

    def __init__(self, node: Any, token: str) -> None:
        self.statuses: Counter[int] = Counter()
        self._node, self._token = node, token
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._pour, daemon=True)
        self._thread.start()

    def _pour(self) -> None:
        with httpx.Client() as http:
            while not self._stop.is_set():
                body = f"{self._token[:4]} {sum(self.statuses.values())}"
                self.statuses[post(self._node, self._token, body, http=http)] += 1

    def go_on(self, more: int = 20) -> None:
        """Wait until so many more texts have been answered."""
        goal = sum(self.statuses.values()) + more
        self._node.until(lambda: sum(self.statuses.values()) >= goal)

    def stop(self) -> int:
        """Stop it; how many texts it sent."""
        self._stop.set()
        self._thread.join()
        return sum(self.statuses.values())


@pytest.mark.slow
def test_a_token_is_rotated_while_traffic_flows(node: Any, gateway: Any) -> None:
    """Two tokens, then one: no valid text is refused, one with the removed token is, each
    text is answered once, and the worker signs in with the first token without a restart."""
    configure(node, TWILIO_AUTH_TOKEN=OLD)
    node.start()
    node.wait_ready()
    worker = node.worker_pid()
    before = Traffic(node, OLD)
    before.go_on()
    assert post(node, NEW, "too early") == 403
    node.until(lambda: gateway.asked)  # the worker signs in with the old token at least once
    configure(node, TWILIO_AUTH_TOKEN=f"{NEW},{OLD}")
    assert "changed: auth_tokens" in hang_up(node)
    after = Traffic(node, NEW)
    before.go_on()
    after.go_on()
    sent = before.stop()
    configure(node, TWILIO_AUTH_TOKEN=NEW)
    hang_up(node)
    assert post(node, OLD, "too late") == 403
    after.go_on()
    sent += after.stop()
    assert set(before.statuses) == set(after.statuses) == {200}
    node.until(lambda: len(gateway.asked) >= sent)
    node.until(lambda: not node.ask("select 1 from actions where state in ('planned', 'sending')"))
    assert max(Counter(body for _, body in gateway.asked).values()) == 1
    assert len(gateway.asked) == sent
    tokens = [token for token, _ in gateway.asked]
    assert tokens[0] == OLD
    assert tokens[-1] == NEW
    assert node.worker_pid() == worker


@pytest.mark.slow
def test_wrong_settings_change_nothing_and_are_named_once(node: Any) -> None:
    """A token that cannot be one, and a value that is none: the last good ones stay."""
    configure(node, TWILIO_AUTH_TOKEN=OLD)
    node.start()
    node.wait_ready()
    said = "the new settings are wrong, the last good ones stay"
    configure(node, TWILIO_AUTH_TOKEN="changeme")
    assert "TWILIO_AUTH_TOKEN looks like a placeholder" in hang_up(node, said)
    configure(node, TWILIO_AUTH_TOKEN=NEW, RINGBACK_SETTLE="soon", RINGBACK_ANSWER_SECONDS="soon")
    assert "answer_seconds is 'soon'" in hang_up(node, said)
    assert post(node, NEW, "new") == 403
    assert post(node, OLD, "old") == 200
    node.until(lambda: node.ask("select 1 from actions where state = 'accepted'"))
    assert node.stop() == 0
    assert node.lines.rest().count(said) == 2


@pytest.mark.slow
def test_a_hook_secret_is_rotated(node: Any) -> None:
    """The old path is closed, the new one open, and the worker gives out the new one."""
    key = {"MATON_API_KEY": "mk" + OLD, "MATON_CONNECTION": "c1"}
    configure(node, RINGBACK_HOOK_SECRET=SECRETS[0], **key)
    node.start()
    node.wait_ready()
    worker = node.worker_pid()
    paths = [f"/twilio/~{secret}/message" for secret in SECRETS]
    assert [post(node, "", "one", path) for path in paths] == [200, 403]
    configure(node, RINGBACK_HOOK_SECRET=SECRETS[1], **key)
    hang_up(node)
    assert [post(node, "", "two", path) for path in paths] == [403, 200]
    wait_for_another(node, worker)


@pytest.mark.slow
def test_other_settings_reach_a_new_worker_and_nothing_is_lost(node: Any, gateway: Any) -> None:
    """The worker ends in order and the next one has them. What only a restart can change is named
    and stays as it is, in the new worker too."""
    configure(node, TWILIO_AUTH_TOKEN=OLD)
    del node.environ["RINGBACK_SENDER"]
    node.start()
    node.wait_ready()
    worker = node.worker_pid()
    traffic = Traffic(node, OLD)
    traffic.go_on()
    configure(
        node, TWILIO_AUTH_TOKEN=OLD, RINGBACK_SENDER="+15550002222", RINGBACK_DATA="elsewhere"
    )
    hang_up(node, "restart the node to use the new data")
    wait_for_another(node, worker)
    traffic.go_on()
    sent = traffic.stop()
    assert set(traffic.statuses) == {200}
    node.until(lambda: len(gateway.asked) >= sent)
    assert max(Counter(body for _, body in gateway.asked).values()) == 1
    assert not (node.project / "elsewhere").exists()


@pytest.mark.slow
def test_rules_that_do_not_load_keep_the_worker_with_all_that_it_has(node: Any) -> None:
    """New settings and broken rules: no worker is started that would know no rule."""
    configure(node, TWILIO_AUTH_TOKEN=OLD)
    node.start()
    node.wait_ready()
    worker = node.worker_pid()
    (node.project / "rules" / "all.yaml").write_text(RULES.replace("event.body", "event.boddy"))
    configure(node, TWILIO_AUTH_TOKEN=OLD, RINGBACK_SETTLE_SECONDS="2", RINGBACK_QUIET_ZONE="UTC")
    hang_up(node, "the last good rules stay in use")
    assert post(node, OLD, "still there?") == 200
    node.until(lambda: node.ask("select 1 from actions where state = 'accepted'"))
    assert node.worker_pid() == worker


@pytest.mark.slow
def test_a_node_ends_with_the_terminal_that_it_was_started_in(node: Any) -> None:
    """The SIGHUP of a terminal that goes away does not ask for a reload."""
    configure(node, TWILIO_AUTH_TOKEN=OLD)
    master, terminal = os.openpty()
    node.process = subprocess.Popen(
        [sys.executable, "-m", "ringback.cli.main", "serve", str(node.project), "--no-worker"],
        env=node.environ, stdin=terminal, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(terminal)
    assert any("serving on" in line for line in node.process.stderr)
    os.close(master)
    assert node.process.wait(20) == 0
    assert READ not in node.process.stderr.read()
    node.process.stderr.close()
    del node.process
