"""Files of a data folder that are deleted, copied or moved, in a world whose clock we own: nothing
is answered twice, and a node that was merely moved goes on."""

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from ringback.receiver.node import note_journal
from ringback.store.log import Log, insert
from ringback.store.migrations import migrate_log
from ringback.store.sqlite.file_writer import SqliteFile
from ringback.store.upkeep.file_identity import file_identity
from ringback.store.upkeep.rebuild import rebuild
from ringback.store.writer import GroupWriter
from simulation.story import Story

PEOPLE = [f"+1555100000{number}" for number in range(6)]
FILES = ("journal.db", "journal.db-wal", "journal.db-shm", "journal.mark")
Begin = Callable[..., Story]


@pytest.fixture
def story(begin: Begin) -> Story:
    """A story of a node whose receiver has noted that there is a journal."""
    story = begin()
    story.run(5.0)
    assert asyncio.run(note_journal(story.log, story.folder))
    return story


def incidents(story: Story) -> list[tuple[str, str]]:
    """What the incidents about holding say, and whether they are over."""
    return story.ask("select text, state from incidents where kind = 'held'")


def made(story: Story) -> Counter[tuple[str, str]]:
    """Every text that Twilio made."""
    return Counter((record.to, record.body) for record in story.twilio.records.values())


def passes(story: Story, minutes: float) -> None:
    """Let time pass."""
    story.run(story.clock.now + 60.0 * minutes)


def delete(story: Story, *names: str) -> None:
    """Delete files while the node stands still; the log is begun anew then, as a receiver does."""
    if "log.db" in names:
        story.log.close()
    for name in names:
        for old in story.folder.glob(f"{name}*"):
            old.unlink()
    if "log.db" in names:
        path = story.folder / "log.db"
        story.log = Log(GroupWriter(SqliteFile(path, migrate_log), insert, threaded=False))


def paused(story: Story, pause: bool) -> None:
    assert story.life is not None
    story.life.engine.sender.paused = pause


@pytest.mark.parametrize(
    "mark",
    [pytest.param("journal.mark", marks=pytest.mark.slow), "journal.db"],
    ids=["no mark", "mark"],
)
def test_a_log_without_its_journal_is_the_past(story: Story, mark: str) -> None:
    """What is old was answered, or is answered no more. What is young is looked for at Twilio."""
    story.receive(story.text("echo 1", PEOPLE[0]))
    story.receive(story.text("later 2", PEOPLE[1]))
    story.receive(story.text("STOP", PEOPLE[4]))
    passes(story, 5)
    story.receive(story.text("echo 3", PEOPLE[2]))
    passes(story, 20)
    story.receive(story.text("hours", PEOPLE[3]))
    story.receive(story.text("later 4", PEOPLE[3]))
    passes(story, 5)
    before = made(story)
    assert before.total() == 5
    paused(story, True)
    story.receive(story.text("echo young", PEOPLE[5]))
    passes(story, 1)
    story.kill()
    delete(story, "journal.db", mark)
    story.start()
    story.receive(story.text("hours new", PEOPLE[3]))
    passes(story, 1)
    assert made(story) == before, "nothing leaves before Twilio was asked"
    passes(story, 20)
    assert made(story) == before + Counter({
        (PEOPLE[5], "You said: echo young"): 1, (PEOPLE[3], "We are open from 9 to 5."): 1,
    })  # fmt: skip
    [(text, state)] = incidents(story)
    assert "not the one that was here before" in text
    assert state == "resolved"
    stale = story.ask(
        "select count(*) from events where type = 'message.received' and verdicts like '%stale%'"
    )
    assert stale == [(3,)]
    assert (PEOPLE[4], "out") in story.ask("select recipient, state from consents")


@pytest.mark.slow
def test_a_node_that_lost_everything_but_its_mark_is_held(story: Story) -> None:
    """What is fetched back from Twilio's list is looked for there."""
    story.receive(story.text("echo 1", PEOPLE[0]))
    passes(story, 1)
    story.kill()
    delete(story, "journal.db", "log.db")
    story.start()
    passes(story, 20)
    assert made(story) == {(PEOPLE[0], "You said: echo 1"): 1}
    assert [state for _, state in incidents(story)] == ["resolved"]


def test_a_log_that_waited_for_its_first_journal_is_answered(begin: Begin) -> None:
    """On the first day there is a log before there is a journal."""
    story = begin()
    story.kill()
    delete(story, "journal.db", "journal.mark")
    assert not asyncio.run(note_journal(story.log, story.folder))
    story.receive(story.text("echo 1", PEOPLE[0]))
    passes(story, 60)
    story.start()
    story.run(story.clock.now + 10.0)
    assert made(story) == {(PEOPLE[0], "You said: echo 1"): 1}
    assert incidents(story) == []


@pytest.mark.parametrize("rows", [0, 2, pytest.param(9, marks=pytest.mark.slow)])
def test_a_journal_without_its_log_reads_the_new_one_whole(story: Story, rows: int) -> None:
    """Also when the new log has as many rows by the start as were read of the old one."""
    for number in range(4):
        story.receive(story.text(f"echo {number}", PEOPLE[0]))
    passes(story, 2)
    story.kill()
    delete(story, "log.db")
    for number in range(rows):
        story.receive(story.text(f"echo new {number}", PEOPLE[1]))
    story.start()
    passes(story, 2)
    story.receive(story.text("echo last", PEOPLE[2]))
    passes(story, 20)
    assert made(story) == Counter(
        [(PEOPLE[0], f"You said: echo {number}") for number in range(4)]
        + [(PEOPLE[1], f"You said: echo new {number}") for number in range(rows)]
        + [(PEOPLE[2], "You said: echo last")]
    )
    assert story.ask("select 1 from events where source = 'repair'") == [], "none was passed over"
    assert incidents(story) == []


@pytest.mark.slow
def test_a_copy_of_both_files_with_their_mark_is_known_by_its_file(story: Story) -> None:
    """A plain copy of the folder, minutes old, is put back as a whole."""
    place = story.folder / "copy"
    place.mkdir()
    story.receive(story.text("echo 1", PEOPLE[0]))
    passes(story, 1)
    story.kill()
    for name in FILES:
        if (story.folder / name).exists():
            shutil.copy2(story.folder / name, place / name)
    story.start()
    story.receive(story.text("hours", PEOPLE[0]))
    story.receive(story.text("later 1", PEOPLE[1]))
    passes(story, 3)
    before = made(story)
    assert before.total() == 3
    story.kill()
    delete(story, "journal.db", "journal.mark")
    for copy in place.iterdir():
        shutil.copy2(copy, story.folder / copy.name)
    story.start()
    passes(story, 20)
    assert made(story) == before
    [(text, state)] = incidents(story)
    assert "its file is not the one" in text
    assert state == "resolved"


def test_a_file_is_told_from_its_copy_and_from_a_later_one_of_its_name(tmp_path: Path) -> None:
    """A new file often gets the inode number of the one that was just deleted."""
    file, copy = tmp_path / "file", tmp_path / "copy"
    file.write_text("the same")
    identity = file_identity(file)
    shutil.copy2(file, copy)
    assert file_identity(copy) != identity
    assert file_identity(file.rename(tmp_path / "renamed")) == identity
    (tmp_path / "renamed").unlink()
    time.sleep(0.02)  # a file system's clock ticks every few milliseconds
    file.write_text("the same")
    assert file_identity(file) != identity
    assert file_identity(tmp_path / "renamed") == ""


def test_a_folder_that_was_renamed_goes_on_at_once(story: Story, tmp_path: Path) -> None:
    """It is the same file under another name."""
    story.receive(story.text("echo 1", PEOPLE[0]))
    passes(story, 1)
    story.kill()
    for name in FILES:
        if (story.folder / name).exists():
            (story.folder / name).rename(tmp_path / name)
            (tmp_path / name).rename(story.folder / name)
    story.start()
    story.receive(story.text("hours", PEOPLE[0]))
    story.run(story.clock.now + 10.0)
    assert made(story).total() == 2
    assert incidents(story) == []


def test_a_rebuilt_journal_goes_on_at_once(story: Story) -> None:
    """It is a new file, made on purpose, and knows what the old one knew."""
    story.receive(story.text("echo 1", PEOPLE[0]))
    passes(story, 1)
    story.kill()
    assert rebuild(story.folder, iter("abcdef").__next__, "old").kept["actions"] == 1
    story.start()
    story.receive(story.text("hours", PEOPLE[0]))
    story.run(story.clock.now + 10.0)
    assert made(story).total() == 2
    assert incidents(story) == []


def test_a_moved_node_with_nothing_to_send_is_free_within_four_minutes(story: Story) -> None:
    """A disk with another number makes a copy of every file on it, as far as a node can tell."""
    passes(story, 1)
    story.kill()
    whole = (story.folder / "journal.db").read_bytes()
    (story.folder / "moved").write_bytes(whole)
    delete(story, "journal.db-shm")
    (story.folder / "moved").replace(story.folder / "journal.db")
    story.start()
    story.receive(story.text("hours", PEOPLE[0]))
    passes(story, 4)
    assert made(story) == {(PEOPLE[0], "We are open from 9 to 5."): 1}
    assert [state for _, state in incidents(story)] == ["resolved"]
