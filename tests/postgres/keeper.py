"""The folder of all servers of a test run, which goes when the last process of the run has ended.

A process that uses it holds a shared lock on a file in it, which the kernel takes back however
the process ends. `python -m postgres.keeper FOLDER` waits for the lock in the background, then
kills what still runs there and removes the folder.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from postgres import processes
from postgres.server import Server, initialise, own_folder, server

IN_USE = "in-use"
PRISTINE = "pristine"
SHARED = "shared"


@contextmanager
def run_folder(base: Path, binaries: Path) -> Iterator[Path]:
    """The folder of the run that `base` belongs to, with the files for new servers; whichever
    process comes first makes it."""
    with ExitStack() as kept:
        with _alone(base):
            told = base / "postgres-folder"
            folder = Path(told.read_text()) if told.exists() else None
            if folder is None or not _join(folder, kept):
                folder = _new_folder(binaries, kept)
                told.write_text(str(folder))
        yield folder


def shared_server(base: Path, folder: Path, binaries: Path) -> Server:
    """The one server that all tests of a run may use, none of which may end it."""
    place = folder / SHARED
    with _alone(base):
        if processes.postmaster(place / "data") is None:
            shutil.rmtree(place, ignore_errors=True)
            return server(binaries, folder / PRISTINE, place)
    return Server(binaries, place, processes.port(place / "data"))


@contextmanager
def _alone(base: Path) -> Iterator[None]:
    with (base / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _join(folder: Path, kept: ExitStack) -> bool:
    """Hold a folder that exists; False when the last one of its users has ended."""
    try:
        file = kept.enter_context((folder / IN_USE).open())
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        return False
    return (folder / IN_USE).exists()


def _new_folder(binaries: Path, kept: ExitStack) -> Path:
    # pytest's own folders lie in one that only its user may enter.
    root = os.environ.get("PYTEST_DEBUG_TEMPROOT") or tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix="ringback-pg-", dir=root))
    own_folder(folder)
    (folder / IN_USE).touch()
    assert _join(folder, kept)
    subprocess.run(
        [sys.executable, "-S", "-m", "postgres.keeper", str(folder)],
        cwd=Path(__file__).parents[1], check=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    initialise(binaries, folder / PRISTINE)
    return folder


def _wait_and_remove(folder: Path) -> None:
    with (folder / IN_USE).open() as file:
        _lock_in_background(file)
        for data in folder.glob("*/data"):
            processes.kill(data)
        shutil.rmtree(folder)


def _lock_in_background(file: IO[str]) -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    fcntl.flock(file, fcntl.LOCK_EX)


if __name__ == "__main__":
    _wait_and_remove(Path(sys.argv[1]))
