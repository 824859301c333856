"""Questions of the shell: a journal with one whole story in it, asked through the commands."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ringback.actions import SendMessage
from ringback.cli.main import run
from ringback.events import Event, conversation_of
from ringback.runtime import REAL, iso
from ringback.store.actions import NewAction
from ringback.store.attempts import Departure, Opening, Verdict
from ringback.store.journal import open_store
from ringback.store.log import Entry, Log
from ringback.store.matching import Matched, NewRun
from ringback.store.queries.questions import Questions
from ringback.store.runs import RunStep
from ringback.store.sqlite.sqlite_database import SqliteDatabase
from ringback.store.sqlite.sqlite_files import connect_writer

OURS, THEIRS = "+15550001111", "+12025550142"
START = datetime(2026, 3, 14, 9, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of this machine reaches a test; the working folder is the project."""
    for name in list(os.environ):
        if name.startswith(("RINGBACK_", "TWILIO_", "MATON_")) or name == "PORT":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@dataclass
class Story:
    """The ids of what happened: a text came in, one rule answered, two did not, it arrived."""

    data: Path
    event: str
    run: str
    action: str
    callback: str
    sid: str = "SM" + "a" * 32
    reply_sid: str = "SM" + "b" * 32


@pytest.fixture
async def story(tmp_path: Path) -> Story:
    """Write a story into log and journal with the functions that the worker uses."""
    data = tmp_path / "data"
    log = Log.open(data / "log.db")
    story = Story(data, *(REAL.uid(p) for p in ("evt", "run", "act", "evt")))
    body = (
        f"MessageSid={story.sid}&From=%2B12025550142&To=%2B15550001111&Body=hours%3F%1b&NumMedia="
    )
    log_id = await log.append(
        Entry(iso(START), "message", "signed", "webhook", "", "application/x-www-form-urlencoded",
              body.encode())
    )  # fmt: skip
    log.close()
    store = open_store(data, threaded=False)
    journal = store.journal
    event = Event(
        uid=story.event, type="message.received", at=START, received_at=START, account_sid="AC1",
        subject_sid=story.sid, sender=THEIRS, recipient=OURS, dedupe_key="one",
        conversation=conversation_of(OURS, THEIRS),
    )  # fmt: skip
    verdicts = {"hours": "fired", "closed": "if:2", "other-number": "to"}
    new_run = NewRun(story.run, story.event, "hours", "rev1", event.conversation, 0, iso(START))
    matched = Matched(event, log_id, json.dumps(verdicts), (new_run,))
    await journal.matching.record([matched], log_id)
    action = NewAction(
        uid=story.action, run_uid=story.run, event_uid=story.event, rule="hours", ordinal=0,
        action=SendMessage(THEIRS, "9 to 5", sender=OURS), state="planned", reason="",
        planned_at=iso(START), conversation=event.conversation, collision_key="k", depth=1,
    )  # fmt: skip
    await journal.runs.finish(RunStep(story.run, "done", "", [action]), iso(START))
    stored = (await journal.actions.sendable(iso(START), 1, far="9"))[0]
    sent = iso(START + timedelta(seconds=1))
    departure = Departure(sent, 1.0, "")
    await journal.attempts.open(stored, Opening("att_1", "t" * 24, departure, "b"))
    verdict = Verdict(
        "accepted", "accepted", "accepted by Twilio as queued", http_status=201,
        remote_sid=story.reply_sid, status="queued",
    )  # fmt: skip
    await journal.attempts.close(stored, "att_1", verdict, sent)
    later = START + timedelta(seconds=2)
    delivered = Event(
        uid=story.callback, type="message.delivered", at=later, received_at=later,
        account_sid="AC1", subject_sid=story.reply_sid, sender=OURS,
        recipient=THEIRS, dedupe_key="two",
        conversation=event.conversation, status="delivered", tag="t" * 24,
    )  # fmt: skip
    await journal.matching.record([Matched(delivered, None, "{}")], None)
    store.close()
    return story


@pytest.fixture
def asked(story: Story) -> Iterator[Questions]:
    """The questions to that story."""
    with Questions(story.data) as questions:
        yield questions


def rows(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """What a command printed as JSON lines."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def test_everything_leads_to_the_first_event(story: Story, asked: Questions) -> None:
    """An id of ours, either SID and either number lead to the event where it began."""
    for what in (
        story.event, story.run, story.action, "att_1", story.sid, story.reply_sid, OURS, THEIRS,
    ):  # fmt: skip
        assert asked.find(what) == [story.event], what
    assert asked.find("SM" + "0" * 32) == []
    assert asked.find("+1%") == []


async def test_trace_prints_the_whole_tree(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    """Webhook, rules with ✓ and ✗, run, action, attempt, SID, callback with time, final status."""
    assert run(["trace", story.reply_sid]) == 0
    text = capsys.readouterr().out
    parts = (
        "message.received", "“hours?·”", "✓ hours", "run done",
        "send_message to +12025550142: 9 to 5",
        "settled: delivered reported by Twilio", story.reply_sid, "attempt 1 HTTP 201 accepted",
        "message.delivered", "= delivered after 1.0 s",
        "✗ closed  line 2 of its conditions does not hold", "✗ other-number  another number",
    )  # fmt: skip
    place = -1
    for part in parts:
        place = text.find(part, place + 1)
        assert place >= 0, f"{part!r} is missing or out of order in\n{text}"


async def test_trace_as_json(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    """The same tree for programs."""
    assert run(["trace", story.event, "--json"]) == 0
    (tree,) = rows(capsys)
    rules = {rule["rule"]: rule for rule in tree["rules"]}  # type: ignore[attr-defined]
    assert rules["closed"]["verdict"] == "if:2"
    action = rules["hours"]["run"]["actions"][0]
    assert (action["outcome"], action["remote_sid"]) == ("delivered", story.reply_sid)
    assert [each["type"] for each in action["callbacks"]] == ["message.delivered"]
    assert tree["event"]["fields"]["NumMedia"] == ""  # type: ignore[index]
    assert "tag" not in json.dumps(tree["event"])


async def test_trace_of_a_callback_names_its_cause(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    """A status callback leads back to the action and the event that caused it."""
    assert run(["trace", story.callback]) == 0
    text = capsys.readouterr().out
    assert f"caused by {story.action} of rule hours: trace {story.event}" in text
    assert "no rule listens to this type" in text


async def test_trace_of_nothing(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not known is said, with exit 2."""
    assert run(["trace", "+19998887777"]) == 2
    assert "nothing is known about '+19998887777'" in capsys.readouterr().err


async def test_events_list_filters(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    """By type, by prefix of a type, by number, by SID and by time."""
    for options, found in (
        ([], [story.event, story.callback]),
        (["--type", "message.*"], [story.event, story.callback]),
        (["--type", "message.delivered"], [story.callback]),
        (["--type", "messag.*"], []),
        (["--number", THEIRS], [story.event, story.callback]),
        (["--number", "+1"], []),
        (["--sid", story.sid], [story.event]),
        (["--since", "2026-03-14T09:30:01+00:00"], [story.callback]),
        (["--since", "2026-03-14T09:30:00+00:00"], [story.event, story.callback]),
        (["--since", "2026-03-14T09:31:00+00:00"], []),
        (["--errors"], []),
        (["--limit", "1"], [story.callback]),
    ):
        assert run(["events", "list", "--json", *options]) == 0
        assert [row["uid"] for row in rows(capsys)] == found, options
    assert run(["events", "list", "--since", "yesterday"]) == 2


async def test_events_list_for_people(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    """Columns, and no control character of a stranger's text."""
    assert run(["events", "list"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == [
        "at",
        "uid",
        "type",
        "from",
        "to",
        "trust",
        "error",
        "text",
    ]
    assert "hours?·" in out
    assert "\x1b" not in out


async def test_events_show_and_raw(
    story: Story, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """One event with all its fields; --raw gives the body byte for byte."""
    assert run(["events", "show", story.event]) == 0
    assert b"Body                   hours?" in capsysbinary.readouterr().out
    assert run(["events", "show", story.event, "--raw"]) == 0
    assert capsysbinary.readouterr().out.endswith(b"&Body=hours%3F%1b&NumMedia=\n")
    assert run(["events", "show", "evt_none"]) == 2


async def test_events_tail_and_export(
    story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """tail follows for as long as it is asked to; export writes everything in order."""
    assert run(["events", "tail", "--from-start", "--for", "0.3", "--json"]) == 0
    assert [row["uid"] for row in rows(capsys)] == [story.event, story.callback]
    assert run(["events", "export", str(tmp_path / "all.jsonl")]) == 0
    lines = (tmp_path / "all.jsonl").read_text().splitlines()
    assert [json.loads(line)["uid"] for line in lines] == [story.event, story.callback]
    assert capsys.readouterr().err == "2 events\n"


async def test_runs_and_actions_list(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs and actions by state and rule, as JSON lines."""
    assert run(["runs", "list", "--json", "--state", "done"]) == 0
    assert [row["uid"] for row in rows(capsys)] == [story.run]
    assert run(["runs", "list", "--json", "--state", "failed"]) == 0
    assert rows(capsys) == []
    assert run(["actions", "list", "--json", "--rule", "hours"]) == 0
    (action,) = rows(capsys)
    assert (action["state"], action["params"]["body"]) == ("settled", "9 to 5")  # type: ignore[index]
    assert run(["actions", "list"]) == 0
    assert "send_message" in capsys.readouterr().out
    assert run(["actions", "list", "--state", "nonsense"]) == 2


async def test_backup_and_check(
    story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A backup answers the same questions; a damaged copy is found and ends with 65."""
    copy = tmp_path / "copy"
    assert run(["db", "backup", str(copy)]) == 0
    assert run(["db", "backup", str(copy)]) == 74
    assert "exists already" in capsys.readouterr().err
    with Questions(copy) as asked:
        assert asked.find(THEIRS) == [story.event]
    assert run(["--data", str(copy), "db", "check"]) == 0
    (copy / "journal.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    assert run(["--data", str(copy), "db", "check"]) == 65
    assert "journal.db" in capsys.readouterr().err


async def test_dev_data_is_read_when_no_node_has_run(
    story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After `ringback dev` the questions go to its data, unless a real node has data here."""
    (tmp_path / "other" / "data").mkdir(parents=True)
    story.data.rename(tmp_path / "other" / "data" / "dev")
    os.chdir(tmp_path / "other")
    assert run(["events", "list", "--json"]) == 0
    assert len(rows(capsys)) == 2


@pytest.mark.slow
async def test_questions_stay_quick(tmp_path: Path) -> None:
    """With 100,000 events and actions each question of the shell takes a few milliseconds."""
    path = tmp_path / "journal.db"
    SqliteDatabase(path, threaded=False).close()
    connection = connect_writer(path)
    connection.execute("begin")
    connection.execute(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000) "
        "insert into events (uid, type, at, received_at, trust, source, account_sid, subject_sid, "
        "sender, recipient, conversation, status, error_code, tag, verdicts, dedupe_key, fields) "
        "select 'evt_' || i, case i % 50 when 0 then 'message.failed' when 1 then 'call.received' "
        "else 'message.delivered' end, strftime('%Y-%m-%dT%H:%M:%fZ', 1700000000 + i, 'unixepoch'),"
        " strftime('%Y-%m-%dT%H:%M:%fZ', 1700000000 + i, 'unixepoch'), 'signed', 'webhook', 'AC', "
        "'SM' || i, '+1' || (i % 5000), '+9', '+9/+1' || (i % 5000), '', (i % 50 = 0) * 30003, '', "
        "'{}', 'k' || i, '{}' from n"
    )
    connection.execute(
        "insert into actions (uid, run_uid, event_uid, rule, ordinal, kind, effect, params, "
        "policy, state, planned_at, remote_sid) select 'act_' || id, 'run_' || id, uid, 'r', 0, "
        "'send_message', 'message', '{}', 'checked', case id % 1000 when 0 then 'failed' "
        "else 'settled' end, at, 'SM9' || id from events"
    )
    connection.execute("commit")
    connection.close()
    slow = {}
    with Questions(tmp_path) as asked:
        for name, ask in {
            "newest": lambda: asked.events(),
            "one type": lambda: asked.events(type="call.received"),
            "all of a kind": lambda: asked.events(type="message.*"),
            "a kind that is not there": lambda: asked.events(type="debugger.*"),
            "one number": lambda: asked.events(number="+1123"),
            "since a moment": lambda: asked.events(since="2023-11-15T22:00:00.000Z"),
            "since later than all": lambda: asked.events(since="2030-01-01T00:00:00.000Z"),
            "one message": lambda: asked.events(sid="SM77"),
            "settled actions": lambda: asked.actions(state="settled"),
            "failed actions": lambda: asked.actions(state="failed"),
            "a trace": lambda: [asked.trace(uid) for uid in asked.find("SM977")],
        }.items():
            times = []
            for _ in range(3):
                started = time.perf_counter()
                ask()
                times.append(time.perf_counter() - started)
            if min(times) > 0.03:
                slow[name] = min(times)
        assert len(asked.events(since="2023-11-15T22:00:00.000Z", limit=200_000)) == 14_401
    assert slow == {}


async def test_trace_as_a_test(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    """--pytest prints a Python file about the event that the id leads to."""
    assert run(["trace", story.reply_sid, "--pytest"]) == 0
    text = capsys.readouterr().out
    compile(text, "test_exported.py", "exec")
    assert f"`ringback trace {story.event} --pytest`" in text
    assert "def test_message_received_" in text
