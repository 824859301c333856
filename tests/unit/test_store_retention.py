"""Retention: what is kept, for how long, and how it is forgotten or brought back."""

import json
import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from sqlite3 import Connection

import pytest

from ringback.actions import SendMessage
from ringback.cli.main import run
from ringback.runtime import REAL, iso
from ringback.store.actions import NewAction
from ringback.store.console.pairs import Pairs
from ringback.store.journal import open_store
from ringback.store.log import Entry, Log, LogReader
from ringback.store.matching import CURSOR, Matched, NewRun
from ringback.store.meta import set_meta
from ringback.store.queries.questions import Questions
from ringback.store.runs import RunStep
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.store.upkeep import log_retention, retention
from ringback.store.upkeep.backup import check
from ringback.store.upkeep.locks import hold
from ringback.twilio.webhooks import events_from

START = datetime(2026, 1, 1, tzinfo=UTC)
OURS = "+15550001111"
FORM = "application/x-www-form-urlencoded"
ACCOUNT = "AC" + "0" * 32


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of this machine reaches a test; the working folder is the project."""
    for name in list(os.environ):
        if name.startswith(("RINGBACK_", "TWILIO_", "MATON_")) or name == "PORT":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def day(number: int) -> str:
    """The stored time of a day after the start."""
    return iso(START + timedelta(days=number))


def text_of(number: int, sender: str) -> bytes:
    """The body of the text that came on a day."""
    return (
        f"AccountSid={ACCOUNT}&MessageSid=SM{number:032x}&From=%2B{sender[1:]}&To=%2B15550001111"
        f"&Body=secret+number+{number}&FromCity=PARIS&NumMedia=0"
    ).encode()


async def fill(data: Path, days: int) -> None:
    """One text a day from two people in turn, each answered by one action that was settled."""
    log = Log.open(data / "log.db")
    store = open_store(data, threaded=False)
    journal = store.journal
    for number in range(days):
        sender = f"+1202555010{number % 2}"
        entry = Entry(day(number), "message", "signed", "webhook", "", FORM,
                      text_of(number, sender))  # fmt: skip
        log_id = await log.append(entry)
        row = store.log.get(log_id)
        assert row is not None
        (event,) = events_from(row, lambda: REAL.uid("evt"))
        started = NewRun(REAL.uid("run"), event.uid, "r", "1", event.conversation, 0, day(number))
        matched = Matched(event, log_id, '{"r": "fired"}', (started,))
        await journal.matching.record([matched], log_id)
        action = NewAction(
            uid=REAL.uid("act"), run_uid=started.uid, event_uid=event.uid, rule="r", ordinal=0,
            action=SendMessage(sender, f"answer {number}", sender=OURS), state="settled",
            reason="", planned_at=day(number), conversation=event.conversation,
            collision_key=f"k{number}", depth=1, settled_at=day(number),
        )  # fmt: skip
        step = RunStep(action.run_uid, "done", "", [action], twiml="<x/>")
        await journal.runs.finish(step, action.planned_at)
    store.close()
    log.close()


def write(path: Path) -> Connection:
    """A write connection with an open transaction."""
    connection = connect_writer(path)
    connection.execute("begin")
    return connection


def counts(data: Path) -> dict[str, int]:
    """How many rows each table has."""
    found = {}
    for file in ("log.db", "journal.db"):
        connection = connect_writer(data / file)
        names = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
        for (name,) in names:
            if not name.startswith(("_", "sqlite_")):
                found[name] = connection.execute(f"select count(*) from {name}").fetchone()[0]
        connection.close()
    return found


def holds(data: Path, text: str) -> list[str]:
    """The database files in which some page still holds this text."""
    return [path.name for path in data.glob("*.db*") if text.encode() in path.read_bytes()]


async def test_old_rows_go_and_what_is_open_stays(tmp_path: Path) -> None:
    """Events older than the moment leave with all that hangs on them; an open one stays."""
    await fill(tmp_path, 10)
    connection = write(tmp_path / "journal.db")
    connection.execute("update actions set state = 'parked' where id = 2")
    connection.execute("update runs set state = 'waiting' where id = 3")
    connection.execute("commit")
    connection.close()
    store = open_store(tmp_path, threaded=False)
    steps = [await store.journal.retention.retire(day(6), limit=3) for _ in range(3)]
    store.close()
    assert steps == [3, 1, 0]
    left = counts(tmp_path)
    assert (left["events"], left["runs"], left["actions"], left["answers"]) == (6, 6, 6, 6)
    with Questions(tmp_path) as asked:
        assert len(asked.actions(state="parked")) == 1
        assert min(each["received_at"] for each in asked.events()) == day(1)
    assert left["contacts"] == 2


async def test_old_texts_are_blanked(tmp_path: Path) -> None:
    """Blanking takes what was said and leaves who, when, what became of it; parked ones keep it."""
    await fill(tmp_path, 6)
    connection = write(tmp_path / "journal.db")
    connection.execute("update actions set state = 'parked' where id = 2")
    connection.execute("commit")
    store = open_store(tmp_path, threaded=False)
    steps = [await store.journal.retention.blank(day(4), limit=3) for _ in range(3)]
    store.close()
    assert steps == [3, 1, 0]
    rows = [json.loads(row[0]) for row in connection.execute("select params from actions")]
    connection.close()
    assert [row["body"] for row in rows] == ["", "answer 1", "", "", "answer 4", "answer 5"]
    assert [row["to"] for row in rows] == ["+12025550100", "+12025550101"] * 3
    assert counts(tmp_path)["answers"] == 3


async def test_the_log_goes_only_as_far_as_it_was_matched(tmp_path: Path) -> None:
    """Rows go in steps, never beyond the worker's cursor, and the newest one stays."""
    await fill(tmp_path, 6)
    assert retention.matched_up_to(tmp_path) == 6
    connection = write(tmp_path / "log.db")
    assert log_retention.retire_log(connection, day(9), matched=2, limit=10) == 2
    assert log_retention.retire_log(connection, day(9), matched=6, limit=2) == 2
    assert log_retention.retire_log(connection, day(9), matched=6, limit=2) == 1
    assert log_retention.retire_log(connection, day(9), matched=6, limit=2) == 0
    connection.execute("commit")
    connection.close()
    with closing(LogReader(tmp_path / "log.db")) as log:
        assert log.last_id() == 6


async def test_the_log_is_blanked_and_can_still_be_read(tmp_path: Path) -> None:
    """A blanked row keeps SIDs and numbers, and gives the same event without its words."""
    await fill(tmp_path, 6)
    connection = write(tmp_path / "log.db")
    assert log_retention.blank_log(connection, day(4), matched=6, limit=3) == 3
    assert log_retention.blank_log(connection, day(4), matched=6, limit=3) == 1
    assert log_retention.blank_log(connection, day(4), matched=6, limit=3) == 0
    connection.execute("commit")
    connection.close()
    with closing(LogReader(tmp_path / "log.db")) as log:
        rows = log.after(0, 10)
    events = [events_from(row, str)[0] for row in rows]
    assert [event.body for event in events] == [""] * 4 + ["secret number 4", "secret number 5"]
    assert all(event.subject_sid and event.sender for event in events)
    assert events[0].fields["FromCity"] == ""
    assert events[0].dedupe_key == f"in:SM{0:032x}"


def test_json_bodies_are_blanked() -> None:
    """Event Streams carry their words in an object."""
    body = json.dumps([{"id": "1", "data": {"body": "secret", "to": "+1", "mediaUrl0": "x"}}])
    blanked = json.loads(log_retention.blank_body("application/json", body.encode()))
    assert blanked == [{"id": "1", "data": {"body": "", "to": "+1", "mediaUrl0": ""}}]
    assert log_retention.blank_body("application/json", b"\xff") == b""


async def test_erase_forgets_a_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything about a number leaves both files, down to the last page; a refusal stays."""
    data = tmp_path / "data"
    await fill(data, 6)
    connection = write(data / "journal.db")
    connection.executemany(
        "insert into consents (sender, recipient, state, source, at) values (?, ?, ?, ?, ?)",
        [(OURS, "+12025550101", "out", "text 'STOP please'", day(1)),
         (OURS, "+12025550100", "out", "text 'STOP'", day(1))],
    )  # fmt: skip
    connection.executemany(
        "insert into mutes (conversation, uid, until, by, reason, at) values (?, ?, ?, '', ?, ?)",
        [(f"{OURS}/+12025550101", "con_a", day(9), "mad at us", day(1)),
         (f"{OURS}/+12025550100", "con_b", day(9), "a friend of +12025550101", day(1))],
    )  # fmt: skip
    connection.execute("commit")
    connection.close()
    with closing(Pairs(data)) as pairs:
        assert pairs.follow(1.0)
        assert len(pairs.newest(9)) == 2
    assert holds(data, "mad at us")
    assert holds(data, "secret+number+1")
    assert holds(data, "answer 1")
    assert holds(data, "STOP please")
    assert run(["db", "erase", "+12025550101", "--yes", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["log_rows"], row["events"], row["contacts"], row["consents"]) == (3, 3, 1, 1)
    assert not (data / "pairs.db").exists()
    gone = ("secret+number+1", "answer 1", "answer 5", "STOP please", "mad at us", "a friend of")
    for text in gone:
        assert holds(data, text) == [], text
    assert holds(data, "secret+number+4") == ["log.db"]
    with Questions(data) as asked:
        assert asked.find("+12025550101") == []
        assert len(asked.events(number="+12025550100")) == 3
    assert check(data) == []
    with closing(LogReader(data / "log.db")) as log:
        assert log.last_id() == 6
    assert run(["db", "erase", "a;b", "--yes"]) == 2


async def test_rebuild_brings_the_journal_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the log and the old journal: the same ids, verdicts, actions; only the cursor's rows."""
    data = tmp_path / "data"
    await fill(data, 6)
    connection = write(data / "journal.db")
    set_meta(connection, CURSOR, "5")
    connection.execute("delete from events where log_id = 6")
    connection.execute("commit")
    connection.close()
    with Questions(data) as asked:
        before = [asked.trace(each["uid"]) for each in asked.events()[::-1]]
    counted = counts(data)
    assert run(["db", "rebuild", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["rows"], done["events"], done["unreadable"]) == (5, 5, 0)
    with Questions(data) as asked:
        after = [asked.trace(each["uid"]) for each in asked.events()[::-1]]
    assert after == before
    assert counts(data) == counted
    assert retention.matched_up_to(data) == 5
    assert Path(done["aside"]).exists()


async def test_rebuild_without_a_journal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A journal that is lost or broken comes back with all events, and no rule fires again."""
    data = tmp_path / "data"
    await fill(data, 6)
    for path in data.glob("journal.db*"):
        path.unlink()
    (data / "journal.db").write_bytes(b"SQLite format 3\0" + b"\x99" * 9000)
    connection = write(data / "log.db")
    connection.execute("update log set body = x'ff' where id = 3")
    connection.execute("commit")
    connection.close()
    assert run(["db", "rebuild"]) == 0
    assert "6 requests read, 5 events, 1 unreadable" in capsys.readouterr().out
    left = counts(data)
    assert (left["events"], left["actions"], left["contacts"]) == (5, 0, 2)
    assert retention.matched_up_to(data) == 6


async def test_a_running_node_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """rebuild and erase hold both locks: while a node runs they end with 75 and say who it is."""
    data = tmp_path / "data"
    await fill(data, 1)
    with hold(data, "worker"):
        assert run(["db", "rebuild"]) == 75
        assert run(["db", "erase", "+12025550100", "--yes"]) == 75
    assert "stop the node first" in capsys.readouterr().err
    assert counts(data)["events"] == 1
