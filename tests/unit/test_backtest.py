"""Backtest: a recorded log through rules, with every effect counted and none performed."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner

from ringback.action_kinds import DRAFTED
from ringback.actions import SendMessage, to_params
from ringback.cli.backtest import backtest as command
from ringback.cli.project_context import Place
from ringback.rules.model import WAITS_FOR_YES
from ringback.runtime import iso
from ringback.store.log import Entry, Log, LogReader
from ringback.store.migrations import migrate_journal
from ringback.store.replays import Performed, performed
from ringback.testing.backtest import Backtest, Origin, Report, compare, recorded
from ringback.testing.bench import Bench
from ringback.testing.events import ACCOUNT, OURS, THEIRS

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

Row = tuple[float, str, dict[str, str]]
"""Minutes after the start, the route, and the fields."""


def text(minutes: float, body: str, sender: str = THEIRS, sid: int = 0) -> Row:
    """Somebody texts us."""
    number = sid or int(minutes * 60) + 1
    fields = {"MessageSid": f"SM{number:032x}", "From": sender, "To": OURS, "Body": body}
    return minutes, "message", fields | {"NumMedia": "0", "SmsStatus": "received"}


def status(minutes: float, word: str, code: int = 0, sid: int = 1) -> Row:
    """News of a text that we sent."""
    fields = {"MessageSid": f"SM{sid:032x}", "From": OURS, "To": THEIRS, "MessageStatus": word}
    return minutes, "message/status", fields | ({"ErrorCode": str(code)} if code else {})


async def record(path: Path, rows: Iterable[Row]) -> None:
    """Write rows into a real log."""
    log = Log.open(path)
    for minutes, route, fields in rows:
        body = urlencode({"AccountSid": ACCOUNT, **fields}).encode()
        at = iso(START + timedelta(minutes=minutes))
        await log.append(
            Entry(at, route, "signed", "webhook", "", "application/x-www-form-urlencoded", body)
        )
    log.close()


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., object]:
    """Record rows, and run them through a project's rules and plugin."""

    async def run(
        rows: Iterable[Row], rules: str = "", plugin: str = "", since: str = ""
    ) -> Report:
        for name, head, body in (
            ("rules/r.yaml", "version: 1\nrules:\n", rules),
            ("plugins/p.py", "from ringback import *\n", plugin),
        ):
            if body:
                (tmp_path / name).parent.mkdir(exist_ok=True)
                (tmp_path / name).write_text(head + dedent(body))
        await record(tmp_path / "data" / "log.db", rows)
        bench = Bench.load(tmp_path)
        test = Backtest(bench.ruleset, bench.plugins)
        reader = LogReader(tmp_path / "data" / "log.db")
        for event in recorded(reader, since):
            test.feed(event)
        reader.close()
        return test.report()

    return run


THANKS = """
  - name: thanks
    on: message.received
    once_within: 1h
    do: [reply: "Thanks for ${{ event.body }}"]
"""


def bodies(report: Report) -> list[str]:
    """What would have been texted."""
    return [each.action.body for each in report.done if isinstance(each.action, SendMessage)]


async def test_throttles_live_in_the_time_of_the_record(run: Callable[..., Any]) -> None:
    """An hour between two texts is an hour, however fast it is played."""
    rows = [text(0, "a"), text(30, "b"), text(61, "c"), text(62, "d", "+14155550199")]
    report = await run(rows, THANKS)
    assert bodies(report) == ["Thanks for a", "Thanks for c", "Thanks for d"]
    assert report.rules["thanks"].why_not == {"once_within": 1}
    assert (report.events, report.rules["thanks"].fired, report.recipients) == (4, 3, 2)
    assert (report.first, report.last) == (START, START + timedelta(minutes=62))


async def test_a_delivery_that_came_twice_counts_once(run: Callable[..., Any]) -> None:
    """As the worker would have it."""
    report = await run([text(0, "a", sid=7), text(90, "a", sid=7)], THANKS)
    assert (report.events, bodies(report)) == (1, ["Thanks for a"])


async def test_waits_fall_due_between_the_events(run: Callable[..., Any]) -> None:
    """A reminder at its own moment; what still waits at the end is counted."""
    rules = """
      - name: remind
        on: message.received
        do: [wait: 10m, reply: "still there?"]
    """
    report = await run([text(0, "a"), text(30, "b")], rules)
    assert bodies(report) == ["still there?"]
    assert report.done[0].at == START + timedelta(minutes=10)
    assert report.waiting == 1


async def test_conversations_live(run: Callable[..., Any]) -> None:
    """Answers of then are answers now."""
    plugin = """
    @rule("message.received", if_="event.body == 'book'")
    async def book(convo: Conversation):
        day = await convo.ask("Which day?", timeout="1h")
        convo.tell(f"See you on {day}.")
    """
    rows = [text(0, "book"), text(5, "Monday"), text(100, "book"), text(300, "too late")]
    report = await run(rows, plugin=plugin)
    assert bodies(report) == ["Which day?", "See you on Monday.", "Which day?"]


async def test_who_left_would_get_nothing(run: Callable[..., Any]) -> None:
    """By STOP until START, and by Twilio's own refusal."""
    rows = [
        text(0, "STOP"), text(70, "hello"), text(140, "START"), status(200, "failed", 21610),
        text(210, "hello"),
    ]  # fmt: skip
    report = await run(rows, THANKS)
    by_text = f"{THEIRS} opted out of {OURS} (text 'STOP', {iso(START)})"
    by_error = f"{THEIRS} opted out of {OURS} (error 21610, {iso(START + timedelta(minutes=200))})"
    assert [(origin.action.body, origin.held) for origin in report.made] == [
        ("Thanks for STOP", by_text),
        ("Thanks for hello", by_text),
        ("Thanks for START", ""),
        ("Thanks for hello", by_error),
    ]
    assert report.rules["thanks"].held == {"opted out": 3}


async def test_shadow_rules_are_counted_apart(run: Callable[..., Any]) -> None:
    """What they ask for is not carried out."""
    report = await run([text(0, "a")], THANKS.replace("do:", "state: shadow\n    do:"))
    assert report.done == []
    assert report.rules["thanks"].held == {"shadow": 1}


async def test_a_rule_that_fails_is_counted_and_the_rest_goes_on(
    run: Callable[..., Any],
) -> None:
    """In Python and in a rule file."""
    plugin = """
    @rule("message.received")
    def breaks(event):
        raise LookupError(event.body)
    """
    rules = THANKS + '  - name: number\n    on: message.received\n    do: [reply: "${{ string('
    rules += 'event.body.number()) }}"]\n'
    report = await run([text(0, "a"), text(1, "a", sid=99)], rules, plugin)
    assert report.rules["p.breaks"].failed == {"LookupError: a": 2}
    assert sum(report.rules["number"].failed.values()) == 2
    assert bodies(report) == ["Thanks for a"]


async def test_texts_cost_by_their_segments(run: Callable[..., Any]) -> None:
    """160 letters are one, 161 are two; one that is not GSM-7 makes it 70."""
    rules = THANKS.replace("Thanks for ${{ event.body }}", "${{ event.body }}")
    rows = [text(0, "x" * 160), text(70, "x" * 161), text(140, "ж" * 71)]
    report = await run(rows, rules)
    assert report.segments == 1 + 2 + 2


async def test_only_what_came_since_then(run: Callable[..., Any]) -> None:
    """Found by halving the log, at the very row."""
    rows = [text(minute, f"{minute}", f"+1415555{minute:04d}") for minute in range(100)]
    for minute in (0, 1, 57, 99):
        report = await run(rows if minute == 0 else [], THANKS,
                           since=iso(START + timedelta(minutes=minute)))  # fmt: skip
        assert report.events == 100 - minute
    assert (await run([], THANKS, since=iso(START + timedelta(days=1)))).events == 0


async def test_the_same_record_gives_the_same_report(run: Callable[..., Any]) -> None:
    """To the last figure and moment."""
    rows = [text(minute, "hello", f"+1415555{minute % 7:04d}") for minute in range(200)]
    plugin = """
    @rule("message.received", once_after="5m")
    def joined(event, texts):
        return reply(event, f"{len(texts)} texts")
    """
    first = await run(rows, THANKS, plugin)
    second = await run([], THANKS, plugin)
    assert first == second
    assert len(first.made) > 20


def origin(event: str, body: str, to: str = THEIRS) -> Origin:
    """One text that a rule asked for."""
    return Origin(START, event, "r", SendMessage(to=to, body=body))


def done(event: str, body: str, to: str = THEIRS) -> Performed:
    """One sent text."""
    params = json.loads(json.dumps(to_params(SendMessage(to=to, body=body, sender=OURS))))
    return Performed(event, "other rule", "send_message", params)


def test_the_difference_to_what_was_done() -> None:
    """By event, kind, recipient and words; each occurrence counts."""
    made = (
        origin("e1", "a"),
        origin("e1", "b"),
        origin("e2", "a"),
        origin("e2", "a"),
        origin("e3", "a"),
    )
    report = Report(3, START, START, {}, made, 0)
    before = [done("e1", "a"), done("e2", "a"), done("e3", "a", to=OURS), done("e4", "a")]
    difference = compare(report, before)
    assert difference.same == 2
    assert [(each.event, each.identity[3]) for each in difference.added] == [
        ("e1", "b"), ("e2", "a"), ("e3", "a"),
    ]  # fmt: skip
    assert [each.event for each in difference.missing] == ["e3", "e4"]


def test_what_people_did_is_left_out_and_counted_apart() -> None:
    """A text that one wrote; a draft that is one still, also in other words. A draft that the rule
    does not make any more, and a text of a rule that has become a draft, are missing."""
    made = (
        replace(origin("e2", "a"), held="draft"),
        replace(origin("e3", "a"), held="draft"),
        replace(origin("e4", "a"), held="draft"),
    )
    in_other_words = done("e3", "A!")
    in_other_words.params[DRAFTED] = "a"
    before = [
        replace(done("e1", "hello"), written=True),
        replace(done("e2", "a"), approved=True),
        replace(in_other_words, approved=True),
        done("e4", "a"),
        replace(done("e5", "a"), approved=True),
    ]
    difference = compare(Report(5, START, START, {}, made, 0), before)
    assert sorted(each.event for each in difference.by_people) == ["e1", "e2", "e3"]
    assert [each.event for each in difference.missing] == ["e4", "e5"]


def test_who_asked_for_an_action_is_read_from_the_journal(tmp_path: Path) -> None:
    """A rule that is called `person` is a rule."""
    path = tmp_path / "journal.db"
    journal(path, [(key, "accepted", n, "person") for n, key in enumerate("abc", 1)])
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for n, rev in enumerate(("", "1f2e3d4c", "1f2e3d4c")):
            connection.execute(
                "INSERT INTO runs (uid, event_uid, rule, rule_rev, key, state, priority,"
                " started_at) VALUES (?, ?, 'person', ?, '', 'done', 0, ?)",
                (f"run_{n}", f"evt_{n}", rev, iso(START)),
            )
            connection.execute(
                "UPDATE actions SET run_uid = ? WHERE uid = ?", (f"run_{n}", f"act_{n}")
            )
        connection.execute(
            "INSERT INTO doings (uid, at, who, role, via, peer, op, subject, wanted, was, became,"
            " outcome, reason, answer) VALUES ('op_1', ?, 'ann', 'operate', 'api', '', 'approve',"
            " 'act_2', '{}', 'parked', 'planned', 'done', '', '{}')",
            (iso(START),),
        )
    found = [(each.event, each.written, each.approved) for each in performed(tmp_path)]
    assert found == [("a", True, False), ("b", False, False), ("c", False, True)]


def test_a_draft_that_waits_was_not_done(tmp_path: Path) -> None:
    """What is parked for another reason may have been."""
    path = tmp_path / "journal.db"
    journal(path, [("a", "parked", 1, "hours"), ("b", "parked", 2, "hours")])
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE actions SET reason = ? WHERE uid = 'act_0'", (WAITS_FOR_YES,))
    assert [each.event for each in performed(tmp_path)] == ["b"]


def journal(path: Path, states: Iterable[tuple[str, str, int | None, str]]) -> None:
    """A journal with one action for each (event, state, log row, rule)."""
    path.parent.mkdir(exist_ok=True)
    connection = sqlite3.connect(path)
    migrate_journal(connection)
    for number, (key, state, log_id, rule) in enumerate(states):
        connection.execute(
            "INSERT INTO events (log_id, uid, type, at, received_at, trust, source, account_sid,"
            " subject_sid, sender, recipient, conversation, status, error_code, tag, dedupe_key)"
            " VALUES (?, ?, 'message.received', ?, ?, 'signed', 'webhook', '', '', '', '', '', '',"
            " 0, '', ?)",
            (log_id, f"evt_{number}", iso(START), iso(START), key),
        )
        connection.execute(
            "INSERT INTO actions (uid, run_uid, event_uid, rule, ordinal, kind, params, policy,"
            " state, planned_at) VALUES (?, 'run', ?, ?, 0, 'send_message', ?, 'checked', ?, ?)",
            (f"act_{number}", f"evt_{number}", rule, json.dumps({"to": THEIRS, "body": "x"}),
             state, iso(START)),
        )  # fmt: skip
    connection.commit()
    connection.close()


def test_what_was_really_done_comes_from_the_journal(tmp_path: Path) -> None:
    """Not what was held back, not what internal events caused, not what a hook saw at the end."""
    journal(
        tmp_path / "journal.db",
        [
            ("a", "accepted", 1, "r"), ("b", "captured", 2, "r"), ("c", "refused", 3, "r"),
            ("d", "failed", 4, "r"), ("e", "accepted", None, "r"),
            ("f", "accepted", 5, "p.on_settled"),
            ("g", "deferred", 6, "r"),
        ],
    )  # fmt: skip
    assert [each.event for each in performed(tmp_path)] == ["a", "d"]
    assert list(performed(tmp_path, iso(START + timedelta(seconds=1)))) == []


async def test_the_command_prints_figures_and_differences(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    """For people, with the price; as JSON lines for programs; with new rules in a file."""
    await run([text(0, "a"), text(30, "b")], THANKS)
    (tmp_path / "new.yaml").write_text("version: 1\nrules:\n" + THANKS.replace("1h", "1m"))
    journal(tmp_path / "data" / "journal.db", [("other", "accepted", 1, "old.rule")])
    place = Place(tmp_path, {})

    def shell(*arguments: str) -> str:
        result = CliRunner().invoke(command, arguments, obj=place, catch_exceptions=False)
        assert result.exit_code == 0
        return result.output

    output = shell("--price", "0.01")
    assert "2 events, 2026-03-02T12:00:00.000Z to 2026-03-02T12:30:00.000Z" in output
    assert "1 action, 1 segment of text, 0.01 at 0.01 a segment, to 1 person" in output
    assert "0 the same, 1 only now, 1 only then" in output
    assert "only then  old.rule  send_message to +14155550123  x" in output
    lines = [json.loads(line) for line in shell("--json", "--rules", str(tmp_path / "new.yaml"))
             .splitlines()]  # fmt: skip
    assert lines[0]["actions"] == 2
    assert [line["rule"] for line in lines if line["line"] == "rule"] == ["thanks"]
    assert [line["params"]["body"] for line in lines if line["line"] == "only now"] == [
        "Thanks for a", "Thanks for b",
    ]  # fmt: skip


@pytest.mark.slow
async def test_new_rules_may_be_a_whole_project(run: Callable[..., Any], tmp_path: Path) -> None:
    """With its own plugins; one that does not load is reported and nothing is run."""
    await run([text(0, "a")], THANKS)
    new = tmp_path / "new"
    (new / "plugins").mkdir(parents=True)
    (new / "plugins" / "p.py").write_text(
        "from ringback import reply, rule\n@rule('message.received')\ndef f(event):\n"
        "    return reply(event, 'from Python')\n"
    )

    async def invoke(*words: str) -> Any:  # it starts a loop of its own, in which plugins are asked
        return await asyncio.to_thread(
            CliRunner().invoke, command, [*words, "--rules", str(new)], obj=Place(tmp_path, {})
        )

    good = await invoke("--json")
    assert "from Python" in good.output
    (new / "plugins" / "p.py").write_text("1/0\n")
    bad = await invoke()
    assert "ZeroDivisionError" in str(bad.exception)
