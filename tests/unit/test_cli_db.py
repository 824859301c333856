"""`ringback db`: what it says when a file is missing, damaged, empty, or knows nothing."""

import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringback.cli.main import run
from ringback.store.journal import open_store
from ringback.store.log import Entry, Log

FORM = "application/x-www-form-urlencoded"
BODY = (
    f"AccountSid=AC{0:032x}&MessageSid=SM{1:032x}&From=%2B12025550142&To=%2B15550001111"
    f"&Body={'x' * 30_000}"
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of this machine reaches a test; the working folder is the project."""
    for name in list(os.environ):
        if name.startswith(("RINGBACK_", "TWILIO_", "MATON_")) or name == "PORT":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """The data folder of a node that stands still and has recorded one text."""
    folder = tmp_path / "data"
    log = Log.open(folder / "log.db")
    open_store(folder, threaded=False).close()
    at = "2026-01-01T00:00:00.000Z"
    await log.append(Entry(at, "message", "signed", "webhook", "", FORM, BODY.encode()))
    log.close()
    return folder


def damage(file: Path) -> None:
    """Overwrite pages in the middle of a database."""
    for page in (3, 4, 5):
        with file.open("r+b") as handle:
            handle.seek(page * 4096)
            handle.write(b"\xa5" * 4096)


def test_check_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without databases, such as a misspelt one, is not sound."""
    assert run(["--data", str(tmp_path / "misspelt"), "db", "check"]) == 74
    said = capsys.readouterr().err
    assert f"{tmp_path / 'misspelt'}: there is nothing to check" in said
    assert "RINGBACK_DATA" in said


def test_check_names_what_is_missing(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half a node is not sound, and the mend is named; a node that only records has no journal."""
    assert run(["db", "check"]) == 0
    assert "journal.db and log.db sound" in capsys.readouterr().out
    (data / "journal.db").unlink()
    assert run(["db", "check"]) == 0
    assert f"{data}: log.db sound" in capsys.readouterr().out
    (data / "journal.mark").write_text("{}")
    assert run(["db", "check"]) == 65
    shown = capsys.readouterr().err
    assert f"{data / 'journal.db'}: is missing" in shown
    assert "`ringback db rebuild`" in shown
    (data / "journal.db").touch()
    assert run(["db", "check"]) == 65
    assert "journal.db: is empty" in capsys.readouterr().err
    (data / "log.db").unlink()
    assert run(["db", "check"]) == 65
    assert f"{data / 'log.db'}: is missing" in capsys.readouterr().err


@pytest.fixture
def read_only(data: Path, tmp_path: Path) -> Iterator[Path]:
    """The data folder where nobody can write it: without the right to, or for root in a mount."""
    if os.geteuid():
        data.chmod(0o555)
        yield data
        data.chmod(0o755)
        return
    place = tmp_path / "mounted"
    place.mkdir()
    for words in (["--bind", str(data), str(place)], ["-o", "remount,ro,bind", str(place)]):
        if subprocess.run(["mount", *words], capture_output=True, check=False).returncode:
            pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_read_only_folder_is_not_called_damaged(
    read_only: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be read for want of a writable folder is not reported as damaged."""
    assert run(["--data", str(read_only), "db", "check"]) == 74
    assert "you cannot write into" in capsys.readouterr().err
    assert run(["--data", str(read_only), "db", "backup", str(tmp_path / "copy")]) == 74
    assert "copy log.db and journal.db to a folder" in capsys.readouterr().err


def test_copies_and_rebuilt_files_are_for_the_owner(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the umask; and a folder of an earlier version is mended by whoever takes it."""
    for path in (data, *data.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    old = os.umask(0)
    try:
        assert run(["db", "backup", str(tmp_path / "copies")]) == 0
        assert run(["db", "rebuild"]) == 0
    finally:
        os.umask(old)
    folders = [data, tmp_path / "copies"]
    for path in [*folders, *(file for folder in folders for file in folder.iterdir())]:
        assert path.stat().st_mode & 0o077 == 0, path
    assert len(list(data.glob("journal*.db"))) == 2


def test_a_damaged_backup_is_told(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copy of a damaged file is damaged, too: nobody shall throw older copies away for it."""
    damage(data / "log.db")
    assert run(["db", "backup", str(tmp_path / "copy")]) == 65
    assert "this copy is not sound" in capsys.readouterr().err


@pytest.mark.parametrize("told_by", ["the log", "the mark"])
async def test_a_backup_without_the_journal_is_told(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], told_by: str
) -> None:
    """The log is copied all the same; so is a copy of such a copy no sound one."""
    (data / "journal.db").unlink()
    if told_by == "the log":
        log = Log.open(data / "log.db")
        await log.note_journal()
        log.close()
    else:
        (data / "journal.mark").write_text("{}")
    copy = tmp_path / "copy"
    assert run(["db", "backup", str(copy)]) == 65
    shown = capsys.readouterr()
    assert f"{data / 'journal.db'}: is missing" in shown.err
    assert str(copy / "log.db") in shown.out
    if told_by == "the log":
        assert run(["--data", str(copy), "db", "check"]) == 65


def test_a_backup_that_failed_leaves_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was copied before the failure is taken away; what was there before stays."""
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "log.db").write_text("older")
    assert run(["db", "backup", str(copy)]) == 74
    assert "log.db: exists already" in capsys.readouterr().err
    assert [(file.name, file.read_text()) for file in copy.iterdir()] == [("log.db", "older")]


def test_rebuild_says_what_it_lost(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tables of which the old journal tells nothing are named."""
    (data / "journal.db").write_bytes(b"rubbish" * 1000)
    assert run(["db", "rebuild", "--json"]) == 0
    assert "actions" in json.loads(capsys.readouterr().out)["lost"]
    shutil.copy(data / "log.db", data / "journal.db")
    assert run(["db", "rebuild"]) == 0
    assert "actions: nothing of it could be read" in capsys.readouterr().out
    assert run(["db", "rebuild", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lost"] == []


def test_erase_of_what_is_not_known(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A number without its plus is refused; one that nobody knows is called that; short codes and
    names count as senders."""
    assert run(["db", "erase", "12025550142", "--yes"]) == 2
    assert "write it as Twilio does" in capsys.readouterr().err
    for number in ("+12025550199", "12345", "ACME"):
        assert run(["db", "erase", number, "--yes"]) == 0
        assert f"nothing was known about {number}" in capsys.readouterr().err
    assert run(["db", "erase", "+12025550142", "--yes"]) == 0
    shown = capsys.readouterr()
    assert "log rows   1" in shown.out
    assert shown.err == ""


@pytest.mark.parametrize(
    "written",
    [
        "+1 (202) 555-0142", "(202) 555-0142", "202-555-0142", "2025550142", "1 202 555 0142",
        "12025550142", "whatsapp:+12025550142", "+12025550142",
    ],
)  # fmt: skip
def test_a_person_is_erased_by_any_spelling_of_their_number(
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    written: str,
) -> None:
    """As the other commands read numbers: by the country of our own sender."""
    monkeypatch.setenv("RINGBACK_SENDER", "+14155550100")
    assert run(["db", "erase", written, "--yes"]) == 0
    shown = capsys.readouterr()
    assert "number     +12025550142" in shown.out
    assert "log rows   1" in shown.out


def test_erase_asks(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody can be asked, nothing is done, and the option that does not ask is named."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run(["db", "erase", "+12025550142"]) == 130
    assert "nothing was done; --yes does not ask" in capsys.readouterr().err
    assert b"12025550142" in b"".join(file.read_bytes() for file in data.glob("log.db*"))
    shutil.rmtree(data)
    assert run(["db", "erase", "+12025550142"]) == 74
    assert "Erase everything" not in capsys.readouterr().err
