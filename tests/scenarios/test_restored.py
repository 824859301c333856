"""A journal is put back from a copy, in a world whose clock we own: what was sent since then is
found at Twilio and not sent again, what was not is sent."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ringback.store.log import Log, insert
from ringback.store.migrations import migrate_log
from ringback.store.sqlite.file_writer import SqliteFile
from ringback.store.upkeep.backup import backup
from ringback.store.writer import GroupWriter
from ringback.worker.send import sender
from simulation.faults import Faults
from simulation.story import Story

PEOPLE = [f"+1555100000{number}" for number in range(6)]
JOURNAL, BOTH = ("journal.db",), ("journal.db", "log.db")
Begin = Callable[..., Story]


def held(story: Story) -> str:
    """Why sending is held; empty when it is not."""
    found = story.ask("select value from meta where key = 'held'")
    return str(json.loads(found[0][0])["why"]) if found and found[0][0] else ""


def copy(story: Story) -> Path:
    """What `ringback db backup` makes."""
    place = story.folder / f"copy {story.clock.now:g}"
    assert len(list(backup(story.folder, place))) == 2
    return place


def put_back(story: Story, place: Path, names: tuple[str, ...] = JOURNAL) -> None:
    """Stop the node wherever it is, put these files of a copy in place, start."""
    story.kill()
    if "log.db" in names:
        story.log.close()
    for name in names:
        for old in story.folder.glob(f"{name}*"):
            old.unlink()
        shutil.copy(place / name, story.folder / name)
    if "log.db" in names:
        path = story.folder / "log.db"
        story.log = Log(GroupWriter(SqliteFile(path, migrate_log), insert, threaded=False))
    wake_up(story)


def wake_up(story: Story) -> None:
    """The worker starts, and has looked at its file."""
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
    """Every text and call that Twilio made."""
    return Counter((record.to, record.body) for record in story.twilio.records.values())


@pytest.mark.slow
@pytest.mark.parametrize("names", [JOURNAL, BOTH], ids=["journal", "both"])
def test_ten_minutes_are_forgotten_and_no_text_goes_out_twice(
    begin: Begin, names: tuple[str, ...]
) -> None:
    """Texts with the same and with different answers before the copy, after it, and while the node
    is down: each is answered once, also those that waited for their time meanwhile."""
    story = begin()
    story.receive(story.text("echo 1", PEOPLE[0]))
    story.receive(story.text("hours 2", PEOPLE[1]))
    story.receive(story.text("later 3", PEOPLE[2]))
    story.run(60.0)
    place = copy(story)
    for number in range(3):
        story.receive(story.text("hours again", PEOPLE[1]))
        story.receive(story.text(f"echo after {number}", PEOPLE[3]))
        story.receive(story.text("alert", PEOPLE[number]))
        story.run(story.clock.now + 180.0)
    put_back(story, place, names)
    story.receive(story.text("echo new", PEOPLE[4]))
    assert "is a copy" in held(story)
    before = made(story)
    story.run(story.clock.now + 50.0)
    assert made(story) == before, "nothing leaves before Twilio was asked"
    let_go(story)
    assert made(story) == {
        (PEOPLE[0], "You said: echo 1"): 1,
        (PEOPLE[1], "We are open from 9 to 5."): 4,
        (PEOPLE[2], "It is later: later 3"): 1,
        **{(PEOPLE[3], f"You said: echo after {number}"): 1 for number in range(3)},
        ("+15550199999", "Somebody needs you."): 3,
        (PEOPLE[4], "You said: echo new"): 1,
    }
    states = dict(story.ask("select state, count(*) from actions group by state"))
    assert states == {"settled": 13}
    assert story.ask("select state from incidents where kind = 'held'") == [("resolved",)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed",
    [
        *(0, 13),  # in 13 the lost journal sent again what the restored one finds absent
        *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 20) if seed != 13),
    ],
)
def test_at_any_moment_of_a_stormy_day(begin: Begin, seed: int) -> None:
    """Requests get lost or land late, lists lag, callbacks fail, the worker dies: a copy of any
    moment, put back at any later one, doubles nothing. What is not sent has its reason, such as the
    loop governor's: what is fetched back comes in at machine speed."""
    rng = Random(seed)
    faults = replace(Faults(), webhook_lost=0.0, undelivered=0.0, slow_list=0.0, freeze=0.0)
    story = begin(faults, seed=seed)
    wanted: Counter[tuple[str, str]] = Counter()
    for number in range(30):
        person = rng.choice(PEOPLE)
        word = rng.choice(["echo", "hours", "alert"])
        answer = {
            "echo": (person, f"You said: echo {number}"),
            "hours": (person, "We are open from 9 to 5."),
            "alert": ("+15550199999", "Somebody needs you."),
        }[word]
        wanted[answer] += 1
        arrive = partial(_arrive, story, story.text(f"{word} {number}", person))
        story.twilio.after(rng.uniform(0.0, 400.0), arrive)
    story.run(rng.uniform(20.0, 200.0))
    place = copy(story)
    story.run(story.clock.now + rng.uniform(5.0, 300.0))
    put_back(story, place, BOTH if seed % 2 else JOURNAL)
    story.run(700.0)
    story.calm_down()
    let_go(story)
    story.run(story.clock.now + 600.0)
    assert story.crashes == []
    missing = wanted - made(story)
    assert not made(story) - wanted, "no text goes out twice"
    lost = story.ask("select count(*) from actions where state in ('failed', 'parked', 'refused') "
                      "and reason <> '' and outcome = ''")  # fmt: skip
    assert missing.total() <= lost[0][0], "what was not sent has its reason"
    assert story.ask("select 1 from actions where state in "
                      "('planned', 'deferred', 'sending', 'unknown')") == []  # fmt: skip


def _arrive(story: Story, entry: Any) -> None:
    if not story.receive(entry):
        story.twilio.after(5.0, partial(_arrive, story, entry))


def test_a_webhook_that_is_repeated_afterwards_is_not_news(begin: Begin) -> None:
    """The log is forgotten too, so nobody here knows the repeated webhook. Twilio knows that
    its text is older than the hold. One that is not is looked for by nobody, and answered."""
    story = begin()
    story.run(10.0)
    place = copy(story)
    old = story.text("echo old", PEOPLE[0])
    story.receive(old)
    story.run(60.0)
    put_back(story, place, BOTH)
    story.receive(old)
    story.receive(story.text("hours", PEOPLE[1]))
    story.receive(story.text("hours", PEOPLE[1]))
    let_go(story)
    assert made(story) == {
        (PEOPLE[0], "You said: echo old"): 1, (PEOPLE[1], "We are open from 9 to 5."): 2,
    }  # fmt: skip


def test_what_cannot_be_told_is_parked(begin: Begin) -> None:
    """A text whose record was redacted since; a call of which no record is there, because calls are
    made at most once; a text with neither is sent."""
    story = begin()
    story.run(10.0)
    place = copy(story)
    story.receive(story.text("echo secret", PEOPLE[0]))
    story.receive(story.text("ring me", PEOPLE[1]))
    story.run(100.0)
    for record in story.twilio.records.values():
        record.body = ""
    story.life.engine.sender.paused = True  # type: ignore[union-attr]
    story.receive(story.text("ring too", PEOPLE[2]))
    story.receive(story.text("echo plain", PEOPLE[3]))
    story.run(200.0)
    put_back(story, place)
    let_go(story)
    found = dict(story.ask("select kind || ' ' || conversation, state || ': ' || reason "
                            "from actions where conversation <> ''"))  # fmt: skip
    secret = found[f"send_message +15550000001/{PEOPLE[0]}"]
    assert secret.startswith("parked")
    assert "redaction" in secret
    assert found[f"place_call +15550000001/{PEOPLE[1]}"].startswith("settled")
    assert "at_most_once" in found[f"place_call +15550000001/{PEOPLE[2]}"]
    assert found[f"send_message +15550000001/{PEOPLE[3]}"].startswith("settled")
    assert len(story.twilio.records) == 3


@pytest.mark.parametrize(("minutes", "holds"), [(10, False), (60, True)])
def test_sends_that_lay_still_for_long_are_looked_for_first(
    begin: Begin, minutes: int, holds: bool
) -> None:
    """A journal that nobody touched for long, and that has something to send, may be one of a whole
    machine that was put back."""
    story = begin()
    story.run(10.0)
    story.life.engine.sender.paused = True  # type: ignore[union-attr]
    story.receive(story.text("echo 1", PEOPLE[0]))
    story.run(20.0)
    story.kill()
    story.run(story.clock.now + 60.0 * minutes)
    story.start()
    story.run(story.clock.now + 5.0)
    assert bool(held(story)) == holds
    assert len(story.twilio.records) == int(not holds)
    let_go(story)
    assert len(story.twilio.records) == 1


def test_an_hour_without_anything_to_send_holds_nothing(begin: Begin) -> None:
    story = begin()
    story.receive(story.text("echo 1", PEOPLE[0]))
    story.run(20.0)
    story.kill()
    story.run(story.clock.now + 3600.0)
    story.start()
    story.receive(story.text("echo 2", PEOPLE[0]))
    story.run(story.clock.now + 5.0)
    assert held(story) == ""
    assert len(story.twilio.records) == 2


def test_a_hold_survives_the_worker_and_what_is_found_meanwhile(begin: Begin) -> None:
    """Killed again and again while it is held, it begins to look anew each time."""
    story = begin()
    story.run(10.0)
    place = copy(story)
    story.receive(story.text("hours", PEOPLE[0]))
    story.receive(story.text("hours", PEOPLE[0]))
    story.run(60.0)
    put_back(story, place)
    for _ in range(4):
        story.run(story.clock.now + 45.0)
        assert held(story)
        story.kill()
        wake_up(story)
    let_go(story)
    assert len(story.twilio.records) == 2


def test_a_journal_that_was_thrown_away_is_noticed(begin: Begin) -> None:
    """The log is read from its beginning then, and the rules ask for everything again."""
    story = begin()
    story.receive(story.text("echo 1", PEOPLE[0]))
    story.run(100.0)
    story.kill()
    for old in story.folder.glob("journal.db*"):
        old.unlink()
    wake_up(story)
    assert "here before" in held(story)
    let_go(story)
    assert len(story.twilio.records) == 1


@pytest.mark.slow
def test_a_log_that_was_put_back_alone_is_read_on(begin: Begin) -> None:
    """The journal has read further than the log now goes: what comes next is new all the same."""
    story = begin()
    story.run(10.0)
    place = copy(story)
    for number in range(5):
        story.receive(story.text(f"echo {number}", PEOPLE[0]))
    story.run(100.0)
    put_back(story, place, ("log.db",))
    story.receive(story.text("echo new", PEOPLE[1]))
    story.run(200.0)
    assert made(story)[PEOPLE[1], "You said: echo new"] == 1
    assert len(story.twilio.records) == 6


def test_a_copy_of_the_journal_never_knows_more_than_that_of_the_log(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes in while the copies are made is in the log's at least."""
    story = begin()
    story.run(10.0)
    place = story.folder / "copy"
    for number, _ in enumerate(backup(story.folder, place)):
        story.receive(story.text(f"echo {number}", PEOPLE[0]))
        story.run(story.clock.now + 20.0)
    put_back(story, place, BOTH)
    let_go(story)
    assert made(story) == {(PEOPLE[0], f"You said: echo {number}"): 1 for number in range(2)}


def test_more_than_memory_holds_can_be_held(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full memory asks for more as soon as it is empty; while sending is held it must not."""
    monkeypatch.setattr(sender, "READY_LIMIT", 10)
    story = begin()
    story.run(10.0)
    place = copy(story)
    for number in range(30):
        story.receive(story.text(f"echo {number}", f"+1555100{number:04d}"))
    story.run(60.0)
    put_back(story, place)
    let_go(story)
    assert story.crashes == []
    assert len(story.twilio.records) == 30
