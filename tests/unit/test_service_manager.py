"""Socket and variables from a service manager, and the units in the manual."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ringback.errors import StorageError
from ringback.receiver import service_manager
from ringback.receiver.service_manager import ServiceManager, inherited, without_variables

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "docs" / "systemd"


def handed(found: socket.socket, monkeypatch: pytest.MonkeyPatch, **more: str) -> dict[str, str]:
    """An environment that hands over this socket."""
    monkeypatch.setattr(service_manager, "FIRST_DESCRIPTOR", os.dup(found.fileno()))
    return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x", **more}


def test_a_socket_is_taken_over_and_no_child_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", 0))
        environ = handed(mine, monkeypatch)
        taken = inherited(environ)
        assert taken is not None
        with taken:
            assert taken.getsockname() == mine.getsockname()
            assert not os.get_inheritable(taken.fileno())
        assert environ == {}


def test_a_child_that_begins_before_they_are_taken_hears_of_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/root"}
    with socket.socket() as mine:
        environ = handed(mine, monkeypatch, **told)
        before = dict(environ)
        assert without_variables(environ) == {"HOME": "/root"}
        assert environ == before


@pytest.mark.parametrize(
    "change", [{"LISTEN_PID": "1"}, {"LISTEN_FDS": "0"}, {"LISTEN_FDS": ""}, {"LISTEN_PID": ""}]
)
def test_what_is_meant_for_another_process_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, str]
) -> None:
    with socket.socket() as mine:
        assert inherited(handed(mine, monkeypatch, **change)) is None
    assert inherited({}) is None


@pytest.mark.parametrize(
    ("family", "kind", "count", "said"),
    [
        (socket.AF_UNIX, socket.SOCK_STREAM, "1", "ListenStream=127.0.0.1:8080"),
        (socket.AF_INET, socket.SOCK_DGRAM, "1", "ListenStream=127.0.0.1:8080"),
        (socket.AF_INET, socket.SOCK_STREAM, "2", "2 sockets"),
    ],
)
def test_a_socket_that_cannot_be_served_is_refused(
    monkeypatch: pytest.MonkeyPatch, family: int, kind: int, count: str, said: str
) -> None:
    with socket.socket(family, kind) as mine, pytest.raises(StorageError, match=re.escape(said)):
        inherited(handed(mine, monkeypatch, LISTEN_FDS=count))


def test_a_manager_that_is_gone_or_deaf_stops_nothing(tmp_path: Path) -> None:
    """Nor one that has asked for nothing."""
    for address in ("", str(tmp_path / "nobody"), "@nobody-listens-here"):
        ServiceManager.of({"NOTIFY_SOCKET": address}).tell("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "deaf"))
        manager = ServiceManager.of({"NOTIFY_SOCKET": str(tmp_path / "deaf")})
        for _ in range(10_000):
            manager.tell("WATCHDOG=1")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_watchdog_hears_twice_in_its_time(environ: dict[str, str], seconds: float) -> None:
    given = {"NOTIFY_SOCKET": "@x", **environ}
    assert ServiceManager.of(given).watchdog == seconds
    assert given == {}


@pytest.mark.parametrize("name", ["ringback.service", "ringback.socket", "litestream.service"])
def test_the_page_shows_the_unit_that_ships(name: str) -> None:
    page = (ROOT / "docs" / "deployment.md").read_text()
    assert f"```ini\n{(UNITS / name).read_text()}```\n" in page


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
def test_systemd_finds_the_units_good_and_safe(tmp_path: Path) -> None:
    """As written, but for the program's place; and what it may do is little enough ("OK")."""
    service = (UNITS / "ringback.service").read_text()
    program = tmp_path / "ringback"
    program.symlink_to(sys.executable)
    placed = service.replace("/srv/hotline/.venv/bin/ringback", str(program))
    assert placed != service
    (tmp_path / "ringback.service").write_text(placed)
    shutil.copy(UNITS / "ringback.socket", tmp_path)
    units = [str(tmp_path / name) for name in ("ringback.service", "ringback.socket")]
    verified = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    ours = [line for line in verified.stderr.splitlines() if str(tmp_path) in line]
    assert (verified.returncode, ours) == (0, [])
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", units[0]],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout.splitlines()[-1]


def test_the_commands_of_the_page_find_the_data_of_the_unit() -> None:
    """They read the `.env` of the page, and nothing of the unit."""
    unit = (UNITS / "ringback.service").read_text()
    named = re.findall(r"^Environment=(RINGBACK_DATA=.*)$", unit, re.M)
    dotenv = (ROOT / "docs" / "deployment.md").read_text().partition("TWILIO_AUTH_TOKEN=")[2]
    lines = dotenv.partition("```")[0].splitlines()
    assert [line for line in lines if line.startswith("RINGBACK_DATA")] == named != []
