"""The end of an action whose plugin is no longer there, with the real worker."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from simulation.story import Story

RULES = """
rules:
  - name: drafted
    on: message.received
    state: draft
    do: [{reply: Shall we say so?}]
"""


@pytest.mark.parametrize(
    ("state", "ends"), [("planned", "failed"), ("unknown", "parked")], ids=["planned", "unknown"]
)
def test_it_comes_to_an_end_that_says_so(
    begin: Callable[..., Story], state: str, ends: str
) -> None:
    """It is not tried for ever, and what stands behind it goes on."""
    story = begin(rules=RULES)
    story.receive(story.text("hello", "+15551000001"))
    story.run(30.0)
    story.kill()
    with closing(sqlite3.connect(story.folder / "journal.db")) as journal:
        journal.execute(
            "update actions set kind = 'ghost', state = ?, due_at = '2000-01-01T00:00:00.000Z'",
            (state,),
        )
        journal.commit()
    story.start()
    story.run(120.0)
    with closing(sqlite3.connect(story.folder / "journal.db")) as journal:
        ((now, reason),) = journal.execute("select state, reason from actions").fetchall()
    assert now == ends
    assert "nothing here knows the kind 'ghost'" in reason
    assert story.twilio.records == {}
