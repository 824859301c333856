"""The pages on deployment and upgrade, followed: their `.env`, their unit, and their commands as
they are printed, in a fresh folder. Only the paths are others."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ringback.cli.main import run

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "deployment.md").read_text("utf-8")
UPGRADE = (DOCS / "upgrade.md").read_text("utf-8")
UNIT = (DOCS / "systemd" / "ringback.service").read_text("utf-8")
PROGRAM = f"{sys.executable} -m ringback.cli.main"
HIDDEN = ("RINGBACK_", "TWILIO_", "MATON_", "PORT")


def block(page: str, holds: str) -> str:
    """The block of shell lines that holds this."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S)
    (found,) = [each for each in blocks if holds in each]
    return str(found)


def printed(page: str, command: str) -> list[str]:
    """The lines of the page that call this command of ours."""
    lines = [line for each in re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S)
             for line in each.splitlines()]  # fmt: skip
    return [line for line in lines if re.search(rf"\bringback {command}\b", line)]


class Machine:
    """A fresh folder in place of those of the page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project, self.data = folder / "hotline", folder / "state"
        self.data.mkdir(mode=0o700)  # what StateDirectory makes
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith(HIDDEN)}

    def here(self, text: str) -> str:
        """A text of the page with the paths of this machine."""
        for theirs, ours in (
            ("/srv/hotline/.venv/bin/ringback", PROGRAM), ("/srv/hotline", str(self.project)),
            ("/var/lib/ringback", str(self.data)), ("/backups", str(self.folder / "backups")),
        ):  # fmt: skip
            text = text.replace(theirs, ours)
        return re.sub(r"(?<![\w./-])ringback (?=\w)", f"{PROGRAM} ", text)

    def shell(self, line: str) -> "subprocess.CompletedProcess[str]":
        """A line of the page, as an operator says it in the folder of the project."""
        return subprocess.run(
            ["sh", "-c", self.here(line)], cwd=self.project, env=self.environ, text=True,
            capture_output=True, timeout=100, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    @contextmanager
    def unit(self) -> Iterator["subprocess.Popen[str]"]:
        """What systemd starts, in the environment that the unit names."""
        (command,) = re.findall(r"^ExecStart=(.*)$", UNIT, re.M)
        named = dict(line.split("=", 1) for line in re.findall(r"^Environment=(.*)$", UNIT, re.M))
        environ = {**self.environ, **{name: self.here(value) for name, value in named.items()}}
        with subprocess.Popen(
            shlex.split(self.here(command)), cwd=self.project, env=environ, text=True,
            stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stderr is not None
            try:
                said = next((line for line in process.stderr if "serving on" in line), "")
                assert said, "it did not start"
                yield process
            finally:
                process.terminate()
                process.stderr.read()
            assert process.wait(60) == 0


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A project as `ringback init` makes it, with the `.env` of the page."""
    found = Machine(tmp_path)
    assert run(["init", str(found.project)]) == 0
    dotenv = block(PAGE, "TWILIO_AUTH_TOKEN=").replace("AC…", "AC" + "01" * 16)
    (found.project / ".env").write_text(found.here(dotenv.replace("=…", "=" + "3f9c1a7b" * 4)))
    with (found.project / ".env").open("a") as more:
        more.write("RINGBACK_PORT=0\nRINGBACK_GATEWAY_URL=http://127.0.0.1:9\n")
    return found


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_commands_of_the_pages_find_the_node_of_the_unit(machine: Machine) -> None:
    """A copy is made, checked, put back as the page says, and the node holds its sends then."""
    (line,) = re.findall(r"`(ringback check && ringback config show)`", PAGE)
    done = machine.shell(line)
    assert (done.returncode, "is not used" in done.stdout) == (0, False), done.stdout + done.stderr
    with machine.unit():
        while machine.shell("ringback resume").returncode == 75:
            pass
        for line in (*printed(PAGE, "db"), *printed(PAGE, "rules reload")):
            done = machine.shell(line)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        (before,) = (machine.folder / "backups").iterdir()
        before.rename(machine.folder / "backups" / "before")
        (again,) = printed(UPGRADE, "db backup")
        assert machine.shell(again).returncode == 0
        assert machine.shell("ringback resume").stdout == "sending again\n"
    copies = machine.folder / "backups" / "before"
    assert sorted(each.name for each in copies.iterdir()) == ["journal.db", "log.db"]
    for name in ("journal.db", "log.db"):
        for companion in ("-wal", "-shm"):
            (machine.data / f"{name}{companion}").unlink(missing_ok=True)
        (machine.data / name).write_bytes((copies / name).read_bytes())
    with machine.unit():
        while (done := machine.shell("ringback resume")).returncode == 75:
            pass  # the worker does not listen yet
        assert done.stdout.startswith("held: the journal is a copy"), done.stderr
    assert not (machine.project / "data").exists()
