"""Warm copy by Litestream: a real one follows a real node with the settings of the manual, the
machine is lost, and another one starts from what was followed. Needs Litestream 0.5.17 or later."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("litestream") is None and not os.environ.get("CI"), reason="needs litestream"
    ),
]
PAGE = (Path(__file__).parents[2] / "docs" / "deployment.md").read_text("utf-8")
PEOPLE = [f"+1415555500{number}" for number in range(9)]
RULES = """
version: 1
rules:
  - name: echo
    on: message.received
    do:
      - reply: "Got ${{ event.body }}"
"""
HELD = "select value from meta where key = 'held' and value <> ''"
DELIVERED = "select count(*) from actions where outcome = 'delivered'"
OPEN = "select count(*) from actions where state in ('planned', 'deferred', 'sending', 'unknown')"
FOUND = "select count(*) from actions where reason like 'found in Twilio%'"
Follow = Callable[[Any], "subprocess.Popen[bytes]"]


@pytest.fixture
def speed() -> str:
    """What the box has made is compared with the node's clock, so they run alike."""
    return "1"


def settings_of(node: Any, copies: Path) -> Path:
    """The manual's `litestream.yml`, for this node's data and a folder instead of a bucket."""
    found = re.search(r"```yaml\n(# /etc/litestream.yml.*?)```", PAGE, re.DOTALL)
    assert found is not None
    text = found[1].replace("/var/lib/ringback", str(node.project / "data"))
    text = text.replace("s3://your-bucket/ringback", f"file://{copies}")
    path = Path(node.project) / "litestream.yml"
    path.write_text(text)
    return path


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Follow]:
    """Let Litestream follow a node."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(node: Any) -> "subprocess.Popen[bytes]":
        settings = settings_of(node, tmp_path / "copies")
        command = ["litestream", "replicate", "-config", str(settings)]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.wait()


def restore(node: Any, copies: Path) -> None:
    """What the manual says on the other machine."""
    found = re.search(r"```sh\n(umask 077\nrestore=[^`]*)```", PAGE)
    assert found is not None
    commands = found[1].replace("/etc/litestream.yml", str(settings_of(node, copies)))
    data = node.project / "data"
    data.mkdir(mode=0o700)
    shell = ["sh", "-ec", commands.replace("/var/lib/ringback", str(data))]
    subprocess.run(shell, check=True, stdout=subprocess.DEVNULL)
    assert [file.name for file in data.iterdir() if file.stat().st_mode & 0o077] == []


def shell(node: Any, *arguments: str) -> tuple[int, str]:
    """A command on the node's project: how it ended, what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", *arguments],
        cwd=node.project, env=dict(node.environ), capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def sent(node: Any, count: int) -> None:
    """Wait until so many texts have been delivered, as far as the journal knows."""
    node.until(lambda: node.ask(DELIVERED) == [(count,)])


def copied(node: Any, copies: Path, count: int, place: Path, *, at_least: bool = False) -> None:
    """Wait until a copy of the journal has so many delivered texts, or `at_least` that."""
    settings = settings_of(node, copies)

    def holds() -> bool:
        place.unlink(missing_ok=True)
        journal = str(node.project / "data" / "journal.db")
        command = ["litestream", "restore", "-config", str(settings), "-o", str(place), journal]
        subprocess.run(command, check=False, capture_output=True)
        with closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True)) as connection:
            (found,) = connection.execute(DELIVERED).fetchone()
            return found == count or (at_least and found > count)

    node.until(holds)


def test_a_lost_machine_is_replaced_and_no_text_goes_out_twice(
    make_node: Callable[..., Any], box: Any, follow: Follow, tmp_path: Path
) -> None:
    """What was sent after the last thing that was copied is found at Twilio; what came in meanwhile
    is fetched back. The next copy goes to the same place, and a third machine starts from that."""
    copies = tmp_path / "copies"
    first = make_node({"rules/all.yaml": RULES}).start()
    first.wait_ready()
    litestream = follow(first)
    for person in PEOPLE[:3]:
        box.text(person, "one")
    sent(first, 3)
    copied(first, copies, 3, tmp_path / "look.db")
    assert shell(first, "db", "check")[0] == 0
    assert "0 bad" in shell(first, "doctor")[1]
    for file in (first.project / "data").rglob("*"):
        assert file.stat().st_mode & 0o077 == 0, file
    litestream.kill()
    for person in PEOPLE[3:6]:
        box.text(person, "two")
    sent(first, 6)
    first.stop(signal.SIGKILL)
    box.text(PEOPLE[6], "three")

    second = make_node({"rules/all.yaml": RULES})
    restore(second, copies)
    second.start()
    second.until(lambda: second.ask(HELD))
    code, said = shell(second, "resume")
    assert code == 1
    assert "the journal was put here from elsewhere" in said
    litestream = follow(second)
    second.until(lambda: not second.ask(HELD))
    sent(second, 7)
    assert second.ask(FOUND) == [(3,)]
    box.text(PEOPLE[7], "four")
    sent(second, 8)
    copied(second, copies, 8, tmp_path / "look.db")
    litestream.kill()
    second.stop(signal.SIGKILL)

    third = make_node({"rules/all.yaml": RULES})
    restore(third, copies)
    third.start()
    third.until(lambda: third.ask(HELD))
    third.until(lambda: not third.ask(HELD))
    box.text(PEOPLE[8], "five")
    sent(third, 9)
    assert third.ask(FOUND) == [(3,)]
    assert shell(third, "db", "check")[0] == 0
    made = Counter((message["to"], message["body"]) for message in box.messages())
    assert made == {
        **{(person, "Got one"): 1 for person in PEOPLE[:3]},
        **{(person, "Got two"): 1 for person in PEOPLE[3:6]},
        (PEOPLE[6], "Got three"): 1, (PEOPLE[7], "Got four"): 1, (PEOPLE[8], "Got five"): 1,
    }  # fmt: skip


def test_a_machine_that_is_lost_amid_its_sends_is_replaced(
    make_node: Callable[..., Any], box: Any, follow: Follow, tmp_path: Path
) -> None:
    """The two files are copied at moments of their own while texts come in and go out."""
    first = make_node({"rules/all.yaml": RULES}, RINGBACK_GATEWAY_RATE="5").start()
    first.wait_ready()
    litestream = follow(first)
    people = [f"+141555560{number:02}" for number in range(40)]
    for person in people[:20]:
        box.text(person, "one")
    sent(first, 3)
    copied(first, tmp_path / "copies", 3, tmp_path / "look.db", at_least=True)
    for person in people[20:]:
        box.text(person, "one")
    already = len(box.messages())
    first.until(lambda: len(box.messages()) > already + 3)
    litestream.kill()
    first.stop(signal.SIGKILL)
    made = len(box.messages())
    assert made < len(people), "some are still to be sent"

    second = make_node({"rules/all.yaml": RULES})
    restore(second, tmp_path / "copies")
    second.start()
    second.until(lambda: second.ask(HELD))
    assert len(box.messages()) == made
    second.until(lambda: not second.ask(HELD))
    second.until(lambda: len(box.messages()) >= len(people))
    second.until(lambda: second.ask(OPEN) == [(0,)])
    made_to = Counter((message["to"], message["body"]) for message in box.messages())
    assert made_to == {(person, "Got one"): 1 for person in people}


@pytest.mark.parametrize("how", ["erase", "rebuild"])
def test_what_was_made_anew_is_followed_from_its_beginning(
    make_node: Callable[..., Any], box: Any, follow: Follow, tmp_path: Path, how: str
) -> None:
    """As the manual says: both stand still, the hidden folders go, both start."""
    copies = tmp_path / "copies"
    node = make_node({"rules/all.yaml": RULES}).start()
    node.wait_ready()
    litestream = follow(node)
    for person in PEOPLE[:3]:
        box.text(person, "one")
    sent(node, 3)
    copied(node, copies, 3, tmp_path / "look.db")
    assert node.stop() == 0
    if how == "erase":
        code, said = shell(node, "db", "erase", PEOPLE[0], "--yes")
        assert code != 0
        assert "another program reads it" in said
    litestream.terminate()
    assert litestream.wait(30) == 0
    code, said = shell(node, "db", how, *([PEOPLE[0], "--yes"] if how == "erase" else []))
    assert code == 0, said
    for hidden in (node.project / "data").glob(".*-litestream"):
        shutil.rmtree(hidden)
    left = 2 if how == "erase" else 3
    node.start()
    node.wait_ready()
    follow(node)
    box.text(PEOPLE[4], "two")
    sent(node, left + 1)
    copied(node, copies, left + 1, tmp_path / "look.db")
