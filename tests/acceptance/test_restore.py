"""Restored backups: real nodes, real copies, and a Twilio that counts every text."""

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PEOPLE = [f"+1415555500{number}" for number in range(8)]
RULES = """
version: 1
rules:
  - name: echo
    on: message.received
    if: "!event.body.contains('later')"
    do:
      - reply: "Got ${{ event.body }}"
  - name: later
    on: message.received
    if: "event.body.contains('later')"
    do:
      - wait: 4s
      - reply: "It is later"
"""
HELD = "select value from meta where key = 'held'"


@pytest.fixture
def speed() -> str:
    """What the box has made is compared with the node's clock, so they run alike."""
    return "1"


def shell(node: Any, *arguments: str, code: int = 0) -> str:
    """A command on the node's project; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", *arguments],
        cwd=node.project, env=dict(node.environ), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def put_back(copies: Path, data: Path, names: tuple[str, ...]) -> None:
    """Restore as the manual says it."""
    for name in names:
        for old in data.glob(f"{name}*"):
            old.unlink()
        shutil.copy(copies / name, data / name)


def sent(node: Any, count: int) -> None:
    """Wait until so many texts have been delivered, as far as the journal knows."""
    node.until(
        lambda: node.ask("select count(*) from actions where outcome = 'delivered'") == [(count,)],
        timeout=60,
    )


def held(node: Any) -> dict[str, str]:
    """Why the node holds what it would send."""
    found = node.ask(HELD)
    return dict(json.loads(found[0][0])) if found and found[0][0] else {}


def free(node: Any) -> None:
    """Wait until the node holds nothing back any more."""
    node.until(lambda: not held(node), timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "names"), [("backup", ("journal.db", "log.db")), ("copy", ("journal.db",))], ids=str
)
def test_what_was_sent_after_a_backup_is_not_sent_again(
    make_node: Callable[..., Any], box: Any, tmp_path: Path, names: tuple[str, ...], way: str
) -> None:
    """Both files, made by `db backup` while the node runs, or the journal alone, by a plain copy
    while it stands still: no text goes out twice, and the one that never went out goes."""
    node = make_node({"rules/all.yaml": RULES}, RINGBACK_GATEWAY_RATE="100").start()
    node.wait_ready()
    copies = tmp_path / "copies"
    box.text(PEOPLE[0], "one")
    sent(node, 1)
    box.text(PEOPLE[1], "later")
    node.until(lambda: node.ask("select 1 from runs where state = 'waiting'"))
    if way == "backup":
        shell(node, "db", "backup", str(copies))
    else:
        assert node.stop() == 0
        copies.mkdir()
        for name in ("journal.db", "log.db"):
            shutil.copy(node.project / "data" / name, copies / name)
        node.start()
        node.wait_ready()
    assert held(node) == {}
    for person in PEOPLE[2:5]:
        box.text(person, "two")
        box.text(person, "two")
    sent(node, 8)
    # A backup knows that it is one, however the node ended; a plain copy is known by its mark.
    assert node.stop(signal.SIGKILL if way == "backup" else signal.SIGTERM) in (0, -signal.SIGKILL)
    box.text(PEOPLE[5], "three")
    put_back(copies, node.project / "data", names)

    node.start()
    node.until(lambda: held(node))
    if way == "backup":
        said = shell(node, "resume", code=1)
        assert "is a copy that was made at" in said, said
        assert "--may-duplicate" in said
    free(node)
    sent(node, 9)
    box.text(PEOPLE[6], "four")
    sent(node, 10)
    made = Counter((message["to"], message["body"]) for message in box.messages())
    assert made == {
        (PEOPLE[0], "Got one"): 1, (PEOPLE[1], "It is later"): 1,
        **{(person, "Got two"): 2 for person in PEOPLE[2:5]},
        (PEOPLE[5], "Got three"): 1, (PEOPLE[6], "Got four"): 1,
    }  # fmt: skip
    claimed = node.ask("select count(*) from actions where reason like '%delivered%' "
                       "or reason like 'found in Twilio%'")  # fmt: skip
    assert claimed[0][0] >= 7
    assert node.ask("select state from incidents where kind = 'held'") == [("resolved",)]
    node.stop()
    assert held(node.start()) == {}, "it is held once"


@pytest.mark.slow
def test_a_log_whose_journal_was_deleted_is_not_answered_again(
    make_node: Callable[..., Any], box: Any
) -> None:
    """The receiver has noted in the log that there was a journal."""
    node = make_node({"rules/all.yaml": RULES}).start()
    node.wait_ready()
    for person in PEOPLE[:3]:
        box.text(person, "one")
    sent(node, 3)
    node.until(lambda: node.ask("pragma user_version", file="log.db") == [(1,)])
    node.stop()
    for old in (node.project / "data").glob("journal*"):
        old.unlink()
    node.start()
    node.until(lambda: held(node))
    free(node)
    assert len(box.messages()) == 3
    assert node.ask("select state from incidents where kind = 'held'") == [("resolved",)]


@pytest.mark.slow
def test_only_a_doubtful_journal_is_held(make_node: Callable[..., Any], box: Any) -> None:
    """Not the first start, not the one after an orderly end, not those after kill -9; but the one
    of a data folder that was carried here without its mark, until a person lets it go."""
    node = make_node({"rules/all.yaml": RULES}, RINGBACK_SETTLE_SECONDS="600").start()
    node.wait_ready()
    box.text(PEOPLE[0], "one")
    sent(node, 1)
    for count, number in enumerate((signal.SIGTERM, signal.SIGKILL, signal.SIGKILL), 2):
        node.stop(number)
        node.start()
        node.wait_ready()
        box.text(PEOPLE[1], "again")
        sent(node, count)
        assert held(node) == {}
    node.stop()
    (node.project / "data" / "journal.mark").unlink()
    node.start()
    node.wait_ready()
    node.until(lambda: held(node))  # the receiver is ready before the worker
    assert "from elsewhere" in held(node)["why"]
    box.text(PEOPLE[2], "now")
    node.until(lambda: node.ask("select 1 from actions where state = 'planned'"))
    assert "still be under way" in shell(node, "resume", code=1)
    doctor = subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", "doctor"],
        cwd=node.project, env=dict(node.environ), capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    assert "held: the journal was put here from elsewhere" in doctor
    assert len(box.messages()) == 4
    assert "sending again" in shell(node, "resume", "--may-duplicate")
    node.until(lambda: len(box.messages()) == 5)
    assert held(node) == {}
