"""Little space left, and few files to open: said while there is time to mend it."""

import resource
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ringback import disk_space
from ringback.cli.main import run
from ringback.store.log import Log
from simulation.story import Story


def test_an_incident_opens_while_little_space_is_left(
    begin: Callable[..., Story], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rules hear of it and of its end, before webhooks must be refused."""
    story = begin()
    story.run(61.0)
    ask = "select state from incidents where kind = 'disk'"
    assert story.ask(ask) == []
    monkeypatch.setattr(disk_space, "LEAST_BYTES", 1 << 62)
    story.run(130.0)
    assert story.ask(ask) == [("open",)]
    ((text,),) = story.ask("select text from incidents where kind = 'disk'")
    assert str(story.folder) in text
    assert "make room" in text
    monkeypatch.undo()
    story.run(200.0)
    assert story.ask(ask) == [("resolved",)]


async def test_the_node_and_the_doctor_say_so(
    receiver: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "disk" not in (await receiver.node.health()).degraded
    monkeypatch.setattr(disk_space, "LEAST_BYTES", 1 << 62)
    assert "MiB are free" in (await receiver.node.health()).degraded["disk"]
    monkeypatch.setattr("ringback.receiver.node.LEAST_FREE_BYTES", 1 << 62)
    health = await receiver.node.health()
    assert health.problems["log"].endswith("the disk is full")
    assert "disk" not in health.degraded


def test_the_doctor_names_a_disk_with_little_space(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Log.open(tmp_path / "data" / "log.db").close()
    monkeypatch.setattr(disk_space, "LEAST_BYTES", 1 << 62)
    run(["-C", str(tmp_path), "doctor"])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if " disk " in line]
    assert line.startswith("bad")
    assert "MiB are free" in line


ALLOW = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
from ringback.receiver import server
server._allow_connections()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("soft", "hard", "after", "said"),
    [(256, 2000, 1072, ""), (1500, 2000, 1500, ""), (100, 300, 300, "252 connections at once")],
)
def test_a_node_takes_as_many_files_as_it_may(soft: int, hard: int, after: int, said: str) -> None:
    """The usual limit on macOS is 256, which would be 208 connections."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < hard:
        pytest.skip("fewer are allowed here")
    done = subprocess.run(
        [sys.executable, "-c", ALLOW, str(soft), str(hard)], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert int(done.stdout) == after
    assert said in done.stderr
    assert bool(done.stderr) == bool(said)
