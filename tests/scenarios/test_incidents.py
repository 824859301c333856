"""Incidents from their first moment to their last, with the real worker: who hears of them."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ringback.store.log import Log, insert
from ringback.store.meta import set_meta
from ringback.store.migrations import migrate_journal, migrate_log
from ringback.store.sqlite.file_writer import SqliteFile
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.store.writer import GroupWriter
from ringback.worker.recovery import repair
from simulation.faults import calm
from simulation.story import Story
from simulation.twilio import OURS

ANN = "+15551000001"
RULES = """
rules:
  - name: answer
    on: message.received
    do: [{reply: "You said: ${{ event.body }}"}]
  - name: alarm
    on: [incident.opened, incident.resolved]
    do: [{notify: "${{ event.type }} ${{ event.status }}"}]
"""
Begin = Callable[..., Story]


@pytest.mark.slow
def test_rules_hear_of_a_text_that_was_carried_out_twice(begin: Begin) -> None:
    """A request lands minutes after it was asked, when another went out: the late callback opens an
    incident, and its event is there in the same commit, for rules and for `events list`."""
    story = begin(replace(calm(), landing=300.0), rules=RULES)
    story.twilio.next_create = ["timeout_after"] * 12
    for number in range(12):
        story.receive(story.text(f"echo {number}", f"+155510001{number:02d}"))
    duplicates = "select count(*) from incidents where kind = 'duplicate'"
    while story.ask(duplicates) == [(0,)] and story.clock.now < 1200.0:
        story.run(story.clock.now + 60.0, steps=1)
    story.kill()  # whatever is not in that commit never comes
    story.start()
    story.run(1300.0)
    story.finish()
    events = story.ask(
        "select i.uid, i.text, json_extract(e.fields, '$.Text'), json_extract(e.fields, '$.Key') "
        "= i.key, e.status from incidents i left join events e on e.subject_sid = i.uid "
        "and e.type = 'incident.opened' where i.kind = 'duplicate'",
    )
    assert events
    for _, text, said, same_key, status in events:
        assert (said, same_key, status) == (text, 1, "duplicate")
    assert story.notices.count("incident.opened duplicate") == len(events)
    assert story.ask("select count(*), count(distinct uid) from events where verdicts is null") == [
        (0, 0)
    ]


@pytest.mark.slow
def test_what_was_fetched_back_is_over_when_nothing_more_is_missing(begin: Begin) -> None:
    """A webhook is lost. The look that fetches it back opens an incident; the next, which brings
    nothing, ends it and says so."""
    story = begin(rules=RULES)
    story.run(60.0)
    story.text("lost", ANN)
    states = "select state from incidents where kind = 'repair'"
    while not story.ask(states) and story.clock.now < 900.0:
        story.run(story.clock.now + 5.0)
    assert story.ask(states) == [("open",)]
    story.run(story.clock.now + 700.0)
    assert story.ask(states) == [("resolved",)]
    assert [text for text in story.notices if text.endswith("repair")] == [
        "incident.opened repair", "incident.resolved repair",
    ]  # fmt: skip


@pytest.mark.parametrize(("minutes", "answers"), [(5, 1), (16, 0)])
def test_a_node_that_knows_nothing_answers_what_is_younger_than_15_minutes(
    begin: Begin, minutes: int, answers: int
) -> None:
    """An earlier node answered a text, its data is lost. The text is fetched back by the next one,
    which answers again unless it starts late enough."""
    story = begin(rules=RULES)
    story.kill()  # before its first look: nothing is known
    assert story.ask("select count(*) from events") == [(0,)]
    story.text("answered by the earlier node", ANN)
    story.run(60.0 * minutes)
    story.start()
    story.run(story.clock.now + 120.0)
    assert story.ask("select source from events where type = 'message.received'") == [("repair",)]
    assert story.ask("select count(*) from actions where rule = 'answer'") == [(answers,)]


@pytest.mark.slow
@pytest.mark.parametrize("paused", ["yes", ""])
def test_a_worker_that_starts_paused_says_how_to_end_it(tmp_path: Path, paused: str) -> None:
    """Nothing would leave, and its log would not say why."""
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "ringback.toml").write_text("")
    Log(GroupWriter(SqliteFile(data / "log.db", migrate_log), insert, threaded=False)).close()
    journal = connect_writer(data / "journal.db")
    migrate_journal(journal)
    set_meta(journal, "paused", paused)
    journal.close()
    with subprocess.Popen(
        [sys.executable, "-m", "ringback.cli.main", "worker", str(tmp_path),
         "--data", str(data), "--supervised"],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    ) as worker:  # fmt: skip
        _, said = worker.communicate("", timeout=30.0)  # its standard input ends, so it ends, too
    assert worker.returncode == 0, said
    assert ("nothing is sent until `ringback resume`" in said) == bool(paused)


def test_a_gap_with_more_texts_than_can_be_read_is_told(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest are fetched; that older ones are not is said, and not left for a next time that
    never comes."""
    monkeypatch.setattr(repair, "PAGE_SIZE", 5)
    monkeypatch.setattr(repair, "MOST_PAGES", 2)
    story = begin(rules=RULES)
    story.kill()
    for number in range(20):
        story.twilio.hear(f"echo {number}", f"+155510002{number:02d}", OURS, "")
    story.start()
    story.run(story.clock.now + 200.0)
    assert story.ask("select count(*) from events where source = 'repair'") == [(10,)]
    texts = [text for (text,) in story.ask("select text from incidents where kind = 'repair'")]
    assert any(text.startswith("only the newest 10 messages since ") for text in texts), texts
