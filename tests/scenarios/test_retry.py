"""Resending by a person: with the real worker, in a stepped world."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest

from ringback.errors import UsageError
from ringback.store.sqlite.sqlite_files import connect_reader
from ringback.store.upkeep.backup import backup
from simulation.story import Story

HOUR = 3600.0
ANN = "+15551000001"
RULES = """
rules:
  - name: once
    on: message.received
    if: event.body == 'once'
    do: [{send: {to: "${{ event.from }}", body: Only once., policy: at_most_once}}]
  - name: drafted
    on: message.received
    if: event.body == 'draft'
    state: draft
    do: [{reply: Shall we say so?}]
"""
Begin = Callable[..., Story]


def action(story: Story) -> tuple[str, str, str]:
    """The only action: its uid, state and reason."""
    reader = connect_reader(story.folder / "journal.db")
    try:
        (row,) = reader.execute("select uid, state, reason from actions").fetchall()
    finally:
        reader.close()
    return (row[0], row[1], row[2])


def retry(story: Story, **more: Any) -> dict[str, Any]:
    """A person says `actions retry` of the only action, and some seconds pass."""
    assert story.life is not None
    message = {"op": "retry", "uid": action(story)[0], **more}
    asked = story.life.loop.create_task(story.life.control.handle(message))
    story.run(story.clock.now + 20.0)
    return asked.result() or {}


def test_what_a_restored_journal_does_not_know_is_not_sent_again_unasked(begin: Begin) -> None:
    """It has never been tried, as far as this journal knows; it was sent all the same."""
    story = begin(rules=RULES)
    story.run(30.0)
    place = story.folder / "copy"
    assert len(list(backup(story.folder, place))) == 2
    story.receive(story.text("once", ANN))
    story.run(120.0)
    (record,) = story.twilio.records.values()
    record.listed_at = float("inf")
    story.kill()
    for old in story.folder.glob("journal.db*"):
        old.unlink()
    shutil.copy(place / "journal.db", story.folder / "journal.db")
    story.start()
    story.run(720.0)
    _, state, reason = action(story)
    assert state == "parked"
    assert reason.startswith("it may have been done since")
    with pytest.raises(UsageError, match="may have happened already"):
        retry(story)
    story.run(story.clock.now + 300.0)
    assert action(story)[1] == "parked"
    assert len(story.twilio.records) == 1
    assert retry(story, may_duplicate=True) == {"ok": True, "state": "planned"}
    assert len(story.twilio.records) == 2


@pytest.mark.slow
def test_a_person_may_take_as_long_as_they_like(begin: Begin) -> None:
    """A yes to a draft of hours ago, or to what Twilio refused then, is a request of now."""
    story = begin(rules=RULES)
    story.receive(story.text("draft", ANN))
    story.run(5 * HOUR)
    assert action(story)[1] == "parked"
    story.twilio.next_create = ["rejected"]
    retry(story)
    assert action(story)[2] == "refused by Twilio: not a valid number"
    story.run(10 * HOUR)
    retry(story)
    assert action(story)[1] == "settled"
    assert len(story.twilio.records) == 1
