"""Private files: modes whatever the umask, and data folders of earlier versions that are mended."""

import ctypes
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringback.private_files import foreign, make_file, make_folder, mend, write_nowhere
from ringback.store.log import Log
from ringback.store.upkeep.locks import hold


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o277], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    old = os.umask(request.param)
    yield
    os.umask(old)


@pytest.mark.usefixtures("umask")
def test_what_is_made_is_for_its_owner(tmp_path: Path) -> None:
    make_folder(tmp_path / "data")
    make_file(tmp_path / "data" / "log.db")
    assert mode(tmp_path / "data") == 0o700
    assert mode(tmp_path / "data" / "log.db") == 0o600


def test_what_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "file").chmod(0o640)
    make_file(tmp_path / "file")
    make_folder(tmp_path)
    assert (tmp_path / "file").read_text() == "kept"
    assert mode(tmp_path / "file") == 0o640
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file")


def test_a_folder_is_mended_with_a_line_for_each_file(tmp_path: Path) -> None:
    """Its copies and sockets too; files of others in it, and what a link points to, stay."""
    data, outside = tmp_path / "data", tmp_path / "outside.db"
    (data / "backup").mkdir(parents=True)
    outside.write_text("")
    theirs = [data / "package.json", outside]
    theirs[0].write_text("")
    (data / "link.db").symlink_to(outside)
    ours = [data / "log.db", data / "log.db-wal", data / "backup" / "journal.db"]
    for file in ours:
        file.write_text("")
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(data / "worker.sock"))
    bound.close()
    ours.append(data / "worker.sock")
    for path in [*ours, *theirs, data]:
        path.chmod(0o755 if path.is_dir() else 0o664)
    lines = list(mend(data))
    assert len(lines) == len(ours) + 1
    assert f"{data}: was open to other users (0755); it is 0700 now" in lines
    assert f"{ours[0]}: was open to other users (0664); it is 0600 now" in lines
    assert {mode(file) for file in ours} == {0o600}
    assert {mode(file) for file in theirs} == {0o664}
    assert list(mend(data)) == []


def test_a_folder_of_everybody_stays_open(tmp_path: Path) -> None:
    """A data folder named /tmp must not take it from the others of the machine."""
    tmp_path.chmod(0o1777)
    (tmp_path / "log.db").write_text("")
    lines = list(mend(tmp_path))
    assert mode(tmp_path) == 0o1777
    assert "sticky" in lines[0]
    assert mode(tmp_path / "log.db") == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_root_makes_in_somebody_s_folder_belongs_to_that_person(tmp_path: Path) -> None:
    """`sudo ringback db rebuild` left a journal that the node could not write."""
    os.chown(tmp_path, 54321, 54322)
    make_file(tmp_path / "file.db")
    make_folder(tmp_path / "folder")
    Log.open(tmp_path / "data" / "log.db").close()
    hold(tmp_path / "data", "worker").release()
    made = {path: path.stat() for path in tmp_path.rglob("*")}
    assert len(made) >= 4
    assert {(each.st_uid, each.st_gid) for each in made.values()} == {(54321, 54322)}
    assert foreign(tmp_path / "data") == []
    os.chown(tmp_path / "data" / "log.db", 0, 0)
    assert foreign(tmp_path / "data") == ["log.db"]


def test_a_page_is_written_and_leaves_nothing(tmp_path: Path) -> None:
    """Not even for a moment, in which a node could see it."""
    write_nowhere(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match="No such file"):
        write_nowhere(tmp_path / "nowhere")


CLOSED = [".", "log.db", "journal.db", "journal.db-wal", "journal.mark", "worker.lock"]
HOLD = """
import sys
from pathlib import Path
from ringback.errors import StorageError
from ringback.store.upkeep.locks import hold
try:
    hold(Path(sys.argv[1]), "receiver").release()
except StorageError as error:
    print(error)
"""


def without_rights() -> None:
    """Root that may not read and write what is of others: CAP_DAC_OVERRIDE and its like are gone.

    https://man7.org/linux/man-pages/man7/capabilities.7.html
    """
    for capability in (1, 2, 3):
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


@pytest.mark.skipif(
    os.geteuid() != 0 or sys.platform != "linux", reason="only root can give a file away"
)
@pytest.mark.parametrize("name", CLOSED)
def test_what_is_another_user_s_keeps_a_node_from_starting(tmp_path: Path, name: str) -> None:
    """With its file, whichever of those that it will write; the mark was found out about when the
    node had said that it serves, and its worker ended again and again."""
    data = tmp_path / "data"
    hold(data, "worker").release()
    for each in CLOSED[1:]:
        make_file(data / each)
    os.chown(data / name, 54321, 54321)
    done = subprocess.run(
        [sys.executable, "-c", HOLD, str(data)],
        preexec_fn=without_rights, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith(f"{data / name}: belongs to another user")
    os.chown(data / name, os.geteuid(), os.getegid())
    done = subprocess.run(
        [sys.executable, "-c", HOLD, str(data)],
        preexec_fn=without_rights, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == ""
