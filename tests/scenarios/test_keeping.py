"""Retention and erasure: the words of people after their texts were blanked and rows retired."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ringback.cli.main import run
from ringback.store.sqlite.sqlite_files import connect_reader
from simulation.story import Story
from simulation.twilio import OURS

ANN, BEN = "+15551000001", "+15551000002"
SECRET = "pin4711"
DAY = 86_400.0
RULES = """
rules:
  - name: all
    on: message.received
    key: ${{ event.body }}
    once_within: 30d
    do:
      - reply: You said ${{ event.body }}.
      - notify: {text: "Said ${{ event.body }}", key: "${{ event.body }}"}
      - http: {url: "https://crm.example.org/in/${{ event.body }}?q=${{ event.body }}"}
      - remember: {last: "${{ event.body }}"}
      - remember: {kind: text}
  - name: halts
    on: message.received
    do: [{stop: "${{ event.body }}"}]
  - name: fails
    on: message.received
    do: [{reply: "${{ int(event.body) > 1 ? 'a' : 'b' }}"}]
  - name: judges
    on: message.received
    if: timestamp(event.body) > event.at
    do: [{reply: Later.}]
  - name: hears
    on: action.settled
    if: event.cause.rule == 'all' && event.field('Kind') == 'send_message'
    do: [{notify: "It went: ${{ event.cause.body }}"}]
"""
Begin = Callable[..., Story]


def where(path: Path, what: str) -> set[str]:
    """The columns of a journal in which something stands, but for the table of the simulation."""
    found = set()
    reader = connect_reader(path)
    try:
        listed = reader.execute("select name from sqlite_master where type = 'table'").fetchall()
        for (table,) in listed:
            columns = [row[1] for row in reader.execute(f"pragma table_info({table})")]
            for column in columns if not table.startswith("sim_") else ():
                query = f"select count(*) from {table} where instr(cast({column} as text), ?) > 0"
                if reader.execute(query, (what,)).fetchone()[0]:
                    found.add(f"{table}.{column}")
    finally:
        reader.close()
    return found


def later(story: Story, days: int) -> None:
    """What is under way is done, then it is so many days after the story began."""
    story.run(story.clock.now + 60.0)
    story.set_clock(days * DAY)
    story.run(story.clock.now + 90.0)


def retire(story: Story) -> None:
    """Let the worker's daily retention do its work now."""
    assert story.life is not None
    story.life.loop.create_task(story.life.engine.watch.retire())
    story.run(story.clock.now + 5.0)


def test_blanking_leaves_nothing_of_what_was_said_in_the_journal(begin: Begin) -> None:
    """Neither in runs nor in keys, notices, addresses, verdicts or contacts; what a rule needs to
    keep to `once_within` is kept."""
    story = begin(rules=RULES, keep_bodies_days=3)
    story.receive(story.text(SECRET, ANN))
    story.run(60.0)
    before = where(story.folder / "journal.db", SECRET)
    assert {
        "runs.key",
        "runs.reason",
        "actions.params",
        "contacts.memory",
        "events.fields",
    } <= before
    later(story, 2)
    retire(story)
    assert {"runs.key", "contacts.memory"} <= where(story.folder / "journal.db", SECRET), (
        "it is not time yet"
    )
    later(story, 4)
    retire(story)
    assert where(story.folder / "journal.db", SECRET) == set()
    urls = story.ask("select json_extract(params, '$.url') from actions where kind = 'http'")
    assert urls == [("https://crm.example.org/…",)]
    sent = len(story.twilio.records)
    story.receive(story.text(SECRET, ANN))
    story.run(story.clock.now + 60.0)
    verdicts = story.ask("select verdicts from events where type = 'message.received'")
    assert "once_within: fired" in verdicts[-1][0]
    assert len(story.twilio.records) <= sent + 1


def test_what_waited_is_blanked_when_it_has_ended(begin: Begin) -> None:
    rules = """
rules:
  - name: asks
    on: message.received
    key: ${{ event.body }}
    do: [{wait: 5d}, {stop: "${{ event.body }}"}]
"""
    story = begin(rules=rules, keep_bodies_days=3)
    story.receive(story.text(SECRET, ANN))
    later(story, 4)
    retire(story)
    assert "runs.key" in where(story.folder / "journal.db", SECRET)
    later(story, 6)
    retire(story)
    assert where(story.folder / "journal.db", SECRET) == set()


def test_what_was_remembered_again_is_kept(begin: Begin) -> None:
    rules = """
rules:
  - name: notes
    on: message.received
    do: [{remember: {last: "${{ event.body }}"}}]
"""
    story = begin(rules=rules, keep_bodies_days=3)
    for day, body in ((0, "first"), (0, SECRET), (2, "third")):
        later(story, day)
        story.receive(story.text(body, ANN))
        story.receive(story.text(body, BEN if day == 0 else ANN))
    later(story, 4)
    retire(story)
    memories = dict(story.ask("select conversation, memory from contacts where memory <> '{}'"))
    assert memories == {f"{OURS}/{ANN}": '{"last": "third"}'}


def test_rows_retention_lets_go_of_contacts_who_are_silent(begin: Begin) -> None:
    rules = "rules:\n  - {name: hello, on: message.received, do: [{reply: Hello.}]}\n"
    story = begin(rules=rules, keep_rows_days=10)
    story.receive(story.text("Hi", ANN))
    story.receive(story.text("STOP", BEN))
    story.twilio.heard.clear()  # what is in Twilio's lists would be fetched back
    later(story, 10)
    story.receive(story.text("Hi", ANN))
    later(story, 12)
    retire(story)
    assert [row[0] for row in story.ask("select conversation from contacts")] == [f"{OURS}/{ANN}"]
    assert {row[0] for row in story.ask("select state from consents")} == {"out"}


@pytest.mark.parametrize("leftover", [False, True])
def test_erase_reaches_journals_that_rebuild_put_aside(
    begin: Begin,
    leftover: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    story = begin(rules=RULES)
    story.receive(story.text(SECRET, ANN))
    story.receive(story.text("kept4711", BEN))
    story.run(60.0)
    story.end()
    folder = story.folder
    for name in ("RINGBACK_DATA", "RINGBACK_SENDER"):
        monkeypatch.delenv(name, raising=False)
    at = ["-C", str(folder), "--data", str(folder)]
    assert run([*at, "db", "rebuild"]) == 0
    (aside,) = folder.glob("journal.*.db")
    if leftover:
        (folder / "journal.new.db").write_bytes(aside.read_bytes())
    assert run([*at, "db", "erase", ANN, "--yes"]) == 0
    assert sorted(path.name for path in folder.glob("journal*.db*")) == [aside.name, "journal.db"]
    for path in (aside, folder / "journal.db"):
        assert SECRET.encode() not in path.read_bytes()
        assert where(path, ANN) == set()
    assert b"kept4711" in aside.read_bytes()
    aside.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    assert run([*at, "db", "erase", ANN, "--yes"]) == 74
    assert "delete it" in capsys.readouterr().err
