"""Journals of older versions, which kept a person under whichever spelling their number had."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from sqlite_utils import Database

from ringback.events import person
from ringback.store.migrations import journal_migrations, migrate_journal
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.store.upkeep import people
from scenarios.test_gate import Begin, ends, refused, says
from scenarios.test_spellings import TWINS
from simulation.story import Story
from simulation.twilio import OURS

RULES = """
rules:
  - name: answer
    on: message.received
    if: event.body.startsWith('ask')
    do: [{send: {to: "${{ event.body.part(4, 99) }}", body: "Hello ${{ event.sid }}"}}]
  - {name: keep, on: message.received, if: event.body == 'I am Ann', do: [{remember: {who: Ann}}]}
  - name: name
    on: message.received
    if: event.body == 'me'
    do: [{reply: "${{ remembered('who') }} ${{ string(message_count()) }}"}]
  - name: once
    on: message.received
    if: event.body == 'once'
    once_within: 1h
    do: [{notify: once}]
  - name: book
    on: message.received
    if: event.body == 'book'
    do: [{wait_for: {if: reply.body == 'Monday', timeout: 1h}}, {notify: booked}]
"""


FIRST = "0011_one_spelling_for_each_person"


@contextmanager
def older(story: Story) -> Iterator[sqlite3.Connection]:
    """The journal of a stopped node as it was before each person had one spelling."""
    story.kill()
    with closing(connect_writer(story.folder / "journal.db")) as journal:
        take_back(journal)
        yield journal
        journal.execute("pragma wal_checkpoint(truncate)")
    story.start()


def take_back(journal: sqlite3.Connection) -> None:
    """Give a journal the tables, indexes and triggers that it had before that migration."""
    with closing(Database(memory=True)) as then:
        journal_migrations.library.apply(then, stop_before=FIRST)
        had = defined(then.conn)
        columns = {name: set(then[name].columns_dict) for name in then.table_names()}
    for name, (kind, sql) in defined(journal).items():
        if had.get(name, ("", ""))[1] != sql and not (kind == "table" and name in had):
            journal.execute(f"drop {kind} if exists {name}")
    for table, known in columns.items():
        for _, column, *_ in journal.execute(f"pragma table_info({table})").fetchall():
            if column not in known:
                journal.execute(f"alter table {table} drop column {column}")
    for name in had.keys() - defined(journal).keys():
        journal.execute(had[name][1])
    journal.execute("delete from _sqlite_migrations where name >= ?", (FIRST,))


def defined(connection: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    """Kind and definition of all that a database has, triggers first."""
    rows = connection.execute(
        "select name, type, sql from sqlite_master where sql is not null order by type desc"
    )
    return {name: (kind, sql) for name, kind, sql in rows}


def respelt(journal: sqlite3.Connection, one: str, other: str) -> None:
    """Whatever is kept under one spelling is kept under the other."""
    for table, columns in {
        "events": ("conversation",), "actions": ("conversation",), "contacts": ("conversation",),
        "runs": ("key", "memory"), "consents": ("sender", "recipient"), "meta": ("key",),
    }.items():  # fmt: skip
        for column in columns:
            journal.execute(f"update {table} set {column} = replace({column}, ?, ?)", (one, other))


@pytest.mark.parametrize("channel", ["", pytest.param("whatsapp:", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("first", "second"), TWINS)
def test_what_an_older_journal_kept_of_a_person_is_found(
    begin: Begin, first: str, second: str, channel: str
) -> None:
    """The opt-out holds, the memory, the count, `once_within` and the question are there."""
    ours, here, there = f"{channel}{OURS}", f"{channel}{first}", f"{channel}{second}"
    story = begin(rules=RULES)
    for body in ("I am Ann", "once", "book"):
        says(story, body, who=here, to=ours)
    with older(story) as journal:
        respelt(journal, here, there)
    says(story, "Monday", who=there, to=ours)
    says(story, "once", who=there, to=ours)
    assert story.notices == ["once", "booked"]
    says(story, "me", who=there, to=ours)
    assert [record.body for record in story.twilio.records.values()] == ["Ann 6"]
    says(story, "STOP", who=here, to=ours)
    with older(story) as journal:
        respelt(journal, here, there)
    says(story, f"ask {here}")
    says(story, f"ask {there}")
    assert all(refused(ended, "opted out of") for ended in ends(story))
    says(story, "START", who=there, to=ours)
    says(story, f"ask {here}")
    assert ends(story)[2] == "sent"


def test_two_rows_of_one_person_become_one(begin: Begin) -> None:
    """Counts are added, of what was remembered twice the last counts, and the last word on consent
    whichever spelling it came under."""
    one, other = TWINS[0]
    story = begin(rules=RULES)
    says(story, "hello", who=one)
    with older(story) as journal:
        for number, at, memory, state in (
            (one, "2026-01-01T00:00:00.000Z", '{"who": "old", "a": "1"}', "in"),
            (other, "2026-01-02T00:00:00.000Z", '{"who": "new", "b": "2"}', "out"),
        ):
            place = f"{OURS}/{number}"
            journal.execute(
                "insert or replace into contacts (conversation, first_at, last_inbound_at, "
                "inbound, outbound, memory) values (?, ?, ?, 3, 1, ?)", (place, at, at, memory),
            )  # fmt: skip
            journal.execute(
                "insert or replace into consents values (?, ?, ?, 'text STOP', ?, '')",
                (OURS, number, state, at),
            )
    assert story.ask("select * from contacts") == [
        (f"{OURS}/{one}", "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z", None, 6, 2,
         '{"who":"new","a":"1","b":"2"}')
    ]  # fmt: skip
    assert story.ask("select recipient, state, at from consents") == [
        (one, "out", "2026-01-02T00:00:00.000Z")
    ]


def test_a_start_that_is_cut_short_is_taken_up_by_the_next(
    monkeypatch: pytest.MonkeyPatch, begin: Begin
) -> None:
    """Batches are written one by one; what was done stays done."""
    one, other = TWINS[0]
    story = begin(rules=RULES)
    for number in range(10):
        says(story, f"hello {number}", who=one)
    monkeypatch.setattr(people, "BATCH", 3)
    with older(story) as journal:
        respelt(journal, one, other)
        old = f"from events where conversation like '%{other}'"
        journal.execute(
            f"create temp trigger cut before update on events when (select count(*) {old}) < 6 "
            "begin select raise(abort, 'the power is gone'); end"
        )
        with pytest.raises(sqlite3.IntegrityError, match="the power is gone"):
            migrate_journal(journal)
        journal.execute("drop trigger cut")
        assert journal.execute(f"select count(*) {old}").fetchone() == (7,)
    assert story.ask("select distinct conversation from events") == [(f"{OURS}/{one}",)]


@pytest.mark.parametrize("channel", ["", pytest.param("whatsapp:", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("first", "second"), TWINS)
def test_a_yes_to_a_draft_that_names_an_older_spelling_is_about_the_same_person(
    begin: Begin, first: str, second: str, channel: str
) -> None:
    ours, here, there = f"{channel}{OURS}", f"{channel}{first}", f"{channel}{second}"
    story = begin(rules=RULES.replace("{name: keep,", "{name: keep, state: draft,"))
    says(story, "I am Ann", who=here, to=ours)
    kept = person(here)
    with older(story) as journal:
        other = there if kept == here else here
        journal.execute("update actions set params = replace(params, ?, ?)", (kept, other))
        assert journal.execute("select changes()").fetchone() == (1,)
    assert story.life is not None
    ((uid,),) = story.ask("select uid from actions where kind = 'remember' and state = 'parked'")
    task = story.life.loop.create_task(story.life.control.handle({"op": "retry", "uid": uid}))
    story.run(story.clock.now + 5.0)
    assert task.result() == {"ok": True, "state": "settled"}
    says(story, "me", who=there, to=ours)
    assert [record.body for record in story.twilio.records.values()] == ["Ann 2"]
