"""`ringback dev` as a newcomer meets it: real processes, real HTTP, this repository's rules."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
STRANGER = "+12025550142"


class Dev:
    """A running `ringback dev`, and the shell beside it."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RINGBACK_", "TWILIO_", "MATON_")) and name != "PORT"
        }
        # What somebody has exported for a real account must not leave the machine.
        self.environ["TWILIO_AUTH_TOKEN"] = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
        self.environ["MATON_API_KEY"] = "a-real-key-that-must-not-be-used"
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ringback.cli.main", "dev"],
            cwd=project, env=self.environ, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.until(lambda: self.said("is up: node"), "dev did not start")

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def said(self, text: str) -> bool:
        """Whether dev has printed this."""
        return any(text in line for line in self.lines)

    def until(self, happened: Any, otherwise: str, seconds: float = 60.0) -> Any:
        """Wait until something is true; its value."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = happened()
            if found:
                return found
            assert self.process.poll() is None, "".join(self.lines)
            time.sleep(0.05)
        raise AssertionError(f"{otherwise}\n{''.join(self.lines)}")

    def shell(self, *words: str, code: int = 0, **environ: str) -> str:
        """Run a command in another shell, in the same folder; what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "ringback.cli.main", *words],
            cwd=self.project, env=self.environ | environ, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr + "".join(self.lines)
        return done.stdout

    def note(self) -> dict[str, Any]:
        """What dev wrote about itself."""
        facts: dict[str, Any] = json.loads((self.project / "data/dev/dev.json").read_text())
        return facts

    def family(self) -> list[int]:
        """The processes that dev has started, and those that they have."""
        listed = subprocess.run(
            ["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True
        )
        pairs = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
        found = [self.process.pid]
        for parent in found:
            found += [pid for pid, ppid in pairs if ppid == parent]
        return found[1:]

    def stop(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(timeout=40)
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def real_project(folder: Path) -> Path:
    """A copy of this project, which is set up for a real account."""
    for name in ("rules", "plugins"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "ringback.toml", folder)
    (folder / ".env").write_text(
        f"TWILIO_ACCOUNT_SID=AC{7:032x}\nRINGBACK_PUBLIC_URL=https://hooks.example.org\n"
    )
    return folder


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """`ringback dev` in such a project."""
    running = Dev(real_project(tmp_path_factory.mktemp("project")))
    yield running
    running.stop(signal.SIGTERM)


@pytest.mark.slow
def test_the_first_screen_names_no_fault_where_there_is_none(dev: Dev) -> None:
    """Nor that a real account is left alone, which is what dev is for."""
    dev.until(lambda: dev.said("Ctrl-C ends"), "dev did not say how it ends")
    screen = "".join(dev.lines)
    for word in ("WARNING", "ERROR", "is not used", "simulated mode"):
        assert word not in screen


@pytest.mark.slow
def test_its_numbers_are_connected_as_they_should_be(dev: Dev) -> None:
    """Nothing is to be changed on them, in the words of the command that would change it."""
    note = dev.note()
    rows = dev.shell(
        "connect", "--all", "--dry-run", "--json", MATON_API_KEY="",
        TWILIO_ACCOUNT_SID=note["account_sid"], TWILIO_AUTH_TOKEN=note["auth_token"],
        RINGBACK_GATEWAY_URL=note["base_url"], RINGBACK_PUBLIC_URL=note["node_url"],
    )  # fmt: skip
    found = {row["name"]: row["changes"] for row in map(json.loads, rows.splitlines())}
    assert sorted(found) == sorted(note["numbers"])
    assert not any(found.values()), found


@pytest.mark.slow
def test_text_reply_delivery_and_the_whole_tree(dev: Dev) -> None:
    """A text is answered; its reply is delivered; trace shows everything from the webhook on."""
    said = dev.shell("simulate", "message", "hours?")
    sent = re.search(r"→ \+12025550142 to (\+\d+): hours\?  (SM[0-9a-f]{32})", said)
    reply = re.search(r"← (\+\d+): We are open Mon-Fri 9-17\.  (SM[0-9a-f]{32})", said)
    assert sent, said
    assert reply, said
    assert sent[1] == reply[1] == dev.note()["numbers"][0]

    def delivered() -> str:
        tree = dev.shell("trace", sent[2])
        return tree if "= delivered after" in tree else ""

    tree = dev.until(delivered, "the reply was not delivered")
    dev.until(lambda: dev.said("message.delivered"), "dev did not print what came in")
    in_order = (
        f"message.received  {STRANGER} → {sent[1]}  “hours?”  (simulated webhook)", sent[2],
        "✓ auto_reply.opening_hours", "✓ if event.body.keyword(", "run done",
        f"send_message to {STRANGER}: We are open Mon-Fri 9-17.", "settled", reply[2],
        "attempt 1 HTTP 201 accepted", "message.delivered", "= delivered after", "✗ ",
    )  # fmt: skip
    place = -1
    for part in in_order:
        place = tree.find(part, place + 1)
        assert place >= 0, f"{part!r} is missing or out of order in\n{tree}"
    assert "✗ auto_reply.received  backstop:" in tree
    assert dev.shell("trace", reply[2]) == tree
    (by_json,) = [json.loads(line) for line in dev.shell("trace", sent[2], "--json").splitlines()]
    actions = [
        action for rule in by_json["rules"] if rule["run"] for action in rule["run"]["actions"]
    ]
    assert [action["outcome"] for action in actions] == ["delivered"]


MAILBOX = """
rules:
  - name: mailbox
    on: call.received
    to: OURS
    priority: 900
    do:
      - stop: {reason: A mailbox., others: true}
      - record: {max_length: 20s, timeout: 2s, else: [{say: Nothing was heard.}, hangup]}
      - say: Thank you.
      - hangup
"""


@pytest.mark.slow
def test_a_caller_is_listened_to_until_the_recording_is_over(dev: Dev) -> None:
    """And hears what comes behind it, with words and without."""
    ours = dev.note()["numbers"][2]
    (dev.project / "rules" / "mailbox.yaml").write_text(MAILBOX.replace("OURS", ours))
    dev.until(lambda: dev.said("mailbox.yaml: loaded"), "the rule was not loaded")
    assert "Thank you." in dev.shell("simulate", "call", "--to", ours, "--say", "Hello")
    assert "Nothing was heard." in dev.shell("simulate", "call", "--to", ours)


@pytest.mark.slow
def test_what_twilio_answers_itself_is_shown_each_time(dev: Dev) -> None:
    """STOP, START and HELP are answered by the simulated Twilio, without a SID."""
    for word, answer in (("STOP", "unsubscribed"), ("START", "re-subscribed"), ("HELP", "STOP")):
        replies = json.loads(dev.shell("simulate", "message", "--json", word))["replies"]
        assert [answer in each["body"] for each in replies] == [True]


@pytest.mark.slow
def test_call_hears_the_answer_and_ends_in_the_queue(dev: Dev) -> None:
    """A caller hears the greeting of the support line and waits in its queue; then hangs up."""
    said = dev.shell("simulate", "call", "--from", "+12025550150")
    sid = re.search(r"calls \+\d+  (CA[0-9a-f]{32})", said)
    assert sid, said
    assert "Thanks for calling. Someone will be with you soon." in said
    assert "in-progress (queued, in queue support)" in said
    tree = dev.shell("trace", sid[1])
    assert "✓ support-line" in tree
    assert "enqueue_call say Thanks for calling" in tree
    assert "written into the answer that the call waited for" in tree
    ended = dev.shell("simulate", "hangup", sid[1])
    assert "the call is completed" in ended

    def missed() -> bool:
        listed = dev.shell("actions", "list", "--json", "--rule", "missed_call.missed_call")
        return bool(listed)

    dev.until(missed, "nobody texted the caller who gave up")


@pytest.mark.slow
def test_saving_a_rule_loads_it(dev: Dev) -> None:
    """A new rule works at once; a broken one is named, and the good ones stay."""
    rule = dev.project / "rules" / "parking.yaml"
    rule.write_text(
        "version: 1\nrules:\n  - name: parking\n    on: message.received\n"
        "    if: event.body.keyword('parking')\n    priority: 10\n    do:\n"
        "      - reply: Behind the station.\n      - stop: answered\n"
    )
    dev.until(lambda: dev.said("rules/parking.yaml: loaded"), "the rule was not loaded")
    said = dev.shell("simulate", "message", "--from", "+12025550151", "parking?")
    assert re.findall(r"← \S+: (.*)  SM", said) == ["Behind the station."]
    rule.write_text(rule.read_text().replace("event.body", "event.boddy"))
    dev.until(lambda: dev.said("not loaded, the old ones stay"), "the mistake was not noticed")
    assert dev.said("rules/parking.yaml:5:")
    said = dev.shell("simulate", "message", "--from", "+12025550152", "parking?")
    assert "Behind the station." in said
    rule.unlink()


@pytest.mark.slow
def test_the_listings_show_what_happened(dev: Dev) -> None:
    """events, runs, rules and plugins list in both forms, from a shell beside it."""
    dev.shell("simulate", "message", "--from", "+12025550153", "--wait", "0", "hours?")

    def arrived() -> list[dict[str, Any]]:
        listed = dev.shell("events", "list", "--json", "--number", "+12025550153")
        return [json.loads(line) for line in listed.splitlines()]

    event = dev.until(arrived, "the text did not arrive")[0]
    assert (event["type"], event["trust"]) == ("message.received", "simulated")
    assert event["fields"]["Body"] == "hours?"
    assert "support-line" in dev.shell("rules", "list")
    names = [
        json.loads(line)["name"] for line in dev.shell("plugins", "list", "--json").splitlines()
    ]
    assert {"auto_reply", "call_queue", "delivery_alerts", "missed_call", "opt_out"} <= set(names)
    assert "retry_failed" in names
    assert dev.shell("runs", "list").startswith("started")


@pytest.mark.slow
def test_pause_holds_what_goes_out(dev: Dev) -> None:
    """After `pause` nothing is sent, and `resume` lets it out."""
    dev.shell("pause")
    said = dev.shell("simulate", "message", "--from", "+12025550154", "--wait", "1", "hours?")
    assert "←" not in said
    dev.shell("resume")

    def sent() -> bool:
        tree = dev.shell("trace", "+12025550154")
        return "= delivered" in tree

    dev.until(sent, "the reply did not go out after resume")


@pytest.mark.slow
def test_a_second_dev_is_refused(dev: Dev) -> None:
    """One project has one dev: the second names the first and ends with 75."""
    done = subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", "dev"],
        cwd=dev.project, env=dev.environ, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 75
    assert f"pid {dev.process.pid}" in done.stderr


def still_there(pids: Iterable[int], seconds: float = 20.0) -> list[int]:
    """The processes that have not ended after this time."""
    end = time.monotonic() + seconds
    left = list(pids)
    while left and time.monotonic() < end:
        time.sleep(0.02)
        for pid in list(left):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                left.remove(pid)
    return left


@pytest.mark.slow
def test_end_leaves_nothing_behind(tmp_path: Path) -> None:
    """SIGTERM ends dev with 0, and every process that it has started; the note is removed."""
    running = Dev(real_project(tmp_path))
    running.shell("simulate", "message", "--from", "+12025550155", "--wait", "0", "hours?")
    running.until(lambda: "hours?" in running.shell("events", "list"), "the text is not recorded")
    family = running.family()
    assert len(family) >= 3, "simulator, receiver and worker"
    assert running.stop(signal.SIGTERM) == 0
    # What a forkserver has forked is no child of ours: it ends with its connection, a moment later.
    assert still_there(family) == []
    assert not (running.project / "data/dev/dev.json").exists()
    assert not [line for line in running.lines if "Traceback" in line or "ERROR" in line]
    assert "hours?" in running.shell("events", "list")


@pytest.mark.slow
def test_ctrl_c_ends_a_start_without_anything(tmp_path: Path) -> None:
    """An empty folder is a project too; Ctrl-C ends it quietly with 0; the history stays."""
    running = Dev(tmp_path)
    family = running.family()
    said = running.shell("simulate", "message", "--wait", "0", "anybody?")
    assert "anybody?" in said
    assert running.stop(signal.SIGINT) == 0
    assert still_there(family) == []
    again = Dev(tmp_path)
    said = again.shell("simulate", "message", "--wait", "0", "anybody again?")
    again.until(
        lambda: "anybody again?" in again.shell("events", "list"), "the second text got lost"
    )
    assert "anybody?" in again.shell("events", "list")
    assert again.stop(signal.SIGINT) == 0
