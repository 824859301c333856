"""A node starts on another machine from a warm copy: log and journal were followed apart, and each
ends somewhere in the last seconds. Nothing goes out twice, nothing stays unanswered."""

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ringback.store.log import Log, insert
from ringback.store.migrations import migrate_log
from ringback.store.sqlite.file_writer import SqliteFile
from ringback.store.writer import GroupWriter
from simulation.story import Story

PEOPLE = [f"+1555100000{number}" for number in range(6)]
Begin = Callable[..., Story]


def held(story: Story) -> str:
    """Why sending is held; empty when it is not."""
    found = story.ask("select value from meta where key = 'held'")
    return str(json.loads(found[0][0])["why"]) if found and found[0][0] else ""


def follow(story: Story, name: str) -> Path:
    """What somebody who follows a database page by page has of it now. It does not know that it is
    a copy, as one of `ringback db backup` does."""
    copy = story.folder / "followed" / f"{story.clock.now:g} {name}"
    copy.parent.mkdir(exist_ok=True)
    with (
        closing(sqlite3.connect(f"file:{story.folder / name}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    return copy


def start_elsewhere(story: Story, log: Path, journal: Path) -> None:
    """The machine is lost; another one has these two files and nothing else."""
    story.kill()
    story.log.close()
    for old in story.folder.glob("*.*"):
        if old.is_file():
            old.unlink()
    shutil.copy(log, story.folder / "log.db")
    shutil.copy(journal, story.folder / "journal.db")
    path = story.folder / "log.db"
    story.log = Log(GroupWriter(SqliteFile(path, migrate_log), insert, threaded=False))
    story.start()
    story.run(story.clock.now + 2.0)


def let_go(story: Story) -> None:
    """Let time pass until nothing is held any more, and what was held has left."""
    limit = story.clock.now + 1800.0
    while held(story) and story.clock.now < limit:
        story.run(story.clock.now + 10.0)
    assert not held(story)
    story.run(story.clock.now + 300.0)


def made(story: Story) -> Counter[tuple[str, str]]:
    """Every text that Twilio made."""
    return Counter((record.to, record.body) for record in story.twilio.records.values())


def begun(story: Story) -> None:
    """Let the worker take its new journal into use, and do nothing more."""
    while not (mark := story.ask("select value from meta where key = 'mark'")):
        story.run(story.clock.now + 0.001)
    assert json.loads(mark[0][0])["number"] == 1


@pytest.mark.parametrize(
    ("log_ends", "journal_ends"),
    [(1, 2), (2, 1), (1, 1), (0, 2), (2, 0)],
    ids=["log behind", "journal behind", "both behind", "log far behind", "journal far behind"],
)
def test_each_text_is_answered_once_wherever_the_two_copies_end(
    begin: Begin, log_ends: int, journal_ends: int
) -> None:
    """A webhook that the copy of the log lacks is fetched back, whether the journal knows it or
    not; a text that the copy of the journal does not know is found at Twilio. Those that come in
    on the other machine get numbers in the log that the journal has read others under."""
    story = begin()
    logs: list[Path] = []
    journals: list[Path] = []
    for round_ in range(3):
        for person in PEOPLE[:3]:
            story.receive(story.text(f"echo {round_}", person))
        story.run(story.clock.now + 30.0)
        logs.append(follow(story, "log.db"))
        journals.append(follow(story, "journal.db"))
    story.receive(story.text("echo lost", PEOPLE[3]))
    story.run(story.clock.now + 1.0)
    start_elsewhere(story, logs[log_ends], journals[journal_ends])
    assert held(story)
    before = made(story)
    for person in PEOPLE[4:]:
        story.receive(story.text("echo new", person))
    story.run(story.clock.now + 30.0)
    assert made(story) == before, "nothing leaves before Twilio was asked"
    let_go(story)
    assert made(story) == {
        **{(person, f"You said: echo {n}"): 1 for person in PEOPLE[:3] for n in range(3)},
        (PEOPLE[3], "You said: echo lost"): 1,
        **{(person, "You said: echo new"): 1 for person in PEOPLE[4:]},
    }
    open_ = "select 1 from actions where state in ('planned', 'deferred', 'sending', 'unknown')"
    assert story.ask(open_) == []
    assert story.crashes == []


def test_a_copy_of_the_first_minute_is_held_too(begin: Begin) -> None:
    """A journal that has just begun may have no mark beside it, after a kill; the file tells the
    copy from it."""
    story = begin()
    begun(story)
    log, journal = follow(story, "log.db"), follow(story, "journal.db")
    story.receive(story.text("echo 1", PEOPLE[0]))
    story.run(20.0)
    start_elsewhere(story, log, journal)
    assert held(story)
    let_go(story)
    assert made(story) == {(PEOPLE[0], "You said: echo 1"): 1}


def test_a_kill_before_the_first_mark_beside_the_journal_holds_nothing(begin: Begin) -> None:
    story = begin()
    begun(story)
    story.kill()
    (story.folder / "journal.mark").unlink()
    story.start()
    story.receive(story.text("echo 1", PEOPLE[0]))
    story.run(20.0)
    assert held(story) == ""
    assert len(story.twilio.records) == 1
