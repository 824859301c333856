"""The application of docs/embedding.md as it stands there: a FastAPI application that mounts the
receiver, run by uvicorn as a process."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "embedding.md").read_text("utf-8")


def example(language: str) -> str:
    """The first block of the page in a language."""
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)
    assert found
    return found.group(1)


RINGBACK = [sys.executable, "-m", "ringback.cli.main"]
FILES = {"main.py": example("python"), "rules/thanks.yaml": example("yaml")}
SENDER = "+14155550123"


def uvicorn(node: Any, *arguments: str) -> None:
    """Run the example instead of `ringback serve`."""
    node.environ["RINGBACK_PUBLIC_URL"] = node.url = (
        f"http://127.0.0.1:{node.environ['RINGBACK_PORT']}/hooks"
    )
    port = node.environ["RINGBACK_PORT"]
    node.run([sys.executable, "-m", "uvicorn", "main:app", "--port", port, *arguments])


def replies(box: Any) -> list[str]:
    return [text["body"] for text in box.inbox(SENDER)]


@pytest.mark.slow
def test_the_example_takes_signed_webhooks_and_the_worker_answers(
    make_node: Callable[..., Any], box: Any
) -> None:
    assert len(FILES["main.py"].splitlines()) <= 20
    node = make_node(FILES)
    uvicorn(node)
    node.wait_ready()
    number = box.facts["numbers"][0]
    form = {"MessageSid": "SM" + "5" * 32, "From": SENDER, "To": number, "Body": "hi"}
    assert node.post("/twilio/message", form).status_code == 200
    node.until(lambda: replies(box) == ["Thanks, we have got it."])

    changed = box.http.post(
        f"/_sim/numbers/{number.replace('+', '%2B')}",
        json={"sms_url": f"{node.url}/twilio/message"},
    )
    changed.raise_for_status()
    box.text(SENDER, "hello from a handset")
    node.until(lambda: replies(box) == ["Thanks, we have got it."] * 2)
    (
        node.until(
            lambda: node.ask("select state, outcome from actions") == [("settled", "delivered")] * 2
        ),
        "status callbacks come back through the mount point",
    )
    assert "text us" in httpx.get(node.url.removesuffix("hooks")).json()

    shell = [*RINGBACK, "-C", str(node.project), "simulate", "message", "from the shell"]
    subprocess.run(shell, env=dict(node.environ), check=True, capture_output=True)
    received = "select trust from events where type = 'message.received'"
    node.until(lambda: node.ask(received) == [("signed",)] * 3)

    doctor = [*RINGBACK, "-C", str(node.project), "doctor"]
    found = subprocess.run(doctor, env=dict(node.environ), capture_output=True, text=True).stdout
    assert f"runs on port {node.environ['RINGBACK_PORT']}" in found

    node.stop()
    lock = node.project / "data" / "worker.lock"
    assert lock.read_text() == "", "the worker has ended in order"
    assert node.ask("select count(*) from log where route = 'message'", file="log.db") == [(3,)]


@pytest.mark.slow
def test_two_processes_on_one_data_folder_are_refused(make_node: Callable[..., Any]) -> None:
    node = make_node(FILES)
    uvicorn(node, "--workers", "2")
    line = node.lines.wait_for("the receiver does not start")
    assert re.search(r"data is already in use: the receiver with pid \d+ on .* holds it", line)
    assert "start the server with one worker process" in line
    node.process.wait(30)
    for lock in (node.project / "data").glob("*.lock"):
        assert lock.read_text() == "", "the one that had begun has ended in order"
