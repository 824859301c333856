"""Lists in parts: they find what a look at every row finds, at a bounded cost for each part."""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ringback.runtime import iso
from ringback.store.migrations import migrate_journal
from ringback.store.queries import bounded_lists, filters
from ringback.store.queries.bounded_lists import Part
from ringback.store.queries.questions import Questions
from ringback.store.sqlite.sqlite_files import connect_writer

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
ROWS = 400
OURS, PEOPLE = "+15550001111", [f"+1202555{n:04}" for n in range(12)]
TYPES = ("message.received", "message.delivered", "message.failed", "call.received", "timer.due")
VERDICTS: tuple[dict[str, str], ...] = (
    {"a": "fired"},
    {"a": "if:2", "b": "fired"},
    {"a": "off"},
    {"b": "trust: claimed"},
    {},
)
STATES = ("settled", "failed", "parked", "planned", "accepted")
Row = dict[str, Any]


def at(number: int) -> str:
    return iso(START + timedelta(seconds=number))


def made(draw: random.Random) -> dict[str, list[Row]]:
    """Rows of the four tables, some of them out of the order of their times."""
    rows: dict[str, list[Row]] = {"events": [], "runs": [], "actions": [], "attempts": []}
    for n in range(1, ROWS + 1):
        who, kind = draw.choice(PEOPLE), draw.choice(TYPES)
        when = at(n + draw.choice((0, 0, 0, -7)))
        said = draw.choice(VERDICTS)
        own = kind == "timer.due"
        rows["events"].append({
            "uid": f"evt_{n}", "type": kind, "at": when, "received_at": when,
            "trust": draw.choice(("signed", "claimed")), "account_sid": "AC1",
            "source": "internal" if own else draw.choice(("webhook", "webhook", "repair")),
            "subject_sid": f"SM{n // 3}", "sender": who, "recipient": OURS,
            "conversation": f"{OURS}/{who}", "status": "", "tag": "",
            "error_code": draw.choice((0, 30003, 30007)) if kind == "message.failed" else 0,
            "verdicts": json.dumps(said), "dedupe_key": f"k{n}", "fields": "{}",
        })  # fmt: skip
        for rule in (rule for rule, verdict in said.items() if verdict == "fired"):
            state = draw.choice(STATES)
            rows["runs"].append({
                "uid": f"run_{n}", "event_uid": f"evt_{n}", "rule": rule, "rule_rev": "1",
                "key": who, "state": draw.choice(("done", "failed", "waiting")),
                "started_at": when,
            })  # fmt: skip
            rows["actions"].append({
                "uid": f"act_{n}", "run_uid": f"run_{n}", "event_uid": f"evt_{n}", "rule": rule,
                "ordinal": 0, "kind": draw.choice(("send_message", "notify")), "params": "{}",
                "policy": "never", "state": state, "planned_at": when, "effect": "message",
                "remote_sid": f"SM_{n}", "outcome": draw.choice(("", "delivered", "failed")),
                "error_code": 30003 if state == "failed" else 0,
                "conversation": f"{OURS}/{who}",
            })  # fmt: skip
            rows["attempts"].append({
                "uid": f"att_{n}", "action_uid": f"act_{n}", "n": 1, "tag": f"t{n}",
                "started_at": when, "result": draw.choice(("accepted", "failed", "")),
                "twilio_code": draw.choice((0, 20003)),
            })  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def rows() -> dict[str, list[Row]]:
    return made(random.Random(7))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, rows: dict[str, list[Row]]) -> Path:
    folder = tmp_path_factory.mktemp("listed")
    with closing(connect_writer(folder / "journal.db")) as connection:
        migrate_journal(connection)
        connection.execute("begin")
        for table, found in rows.items():
            names = list(found[0])
            connection.executemany(
                f"insert into {table} ({', '.join(names)}) values ({', '.join('?' * len(names))})",
                [list(row.values()) for row in found],
            )
        for who in PEOPLE:
            connection.execute(
                "insert into contacts (conversation, first_at) values (?, '')", (f"{OURS}/{who}",)
            )
        connection.execute("commit")
    return folder


@pytest.fixture
def asked(data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Questions]:
    monkeypatch.setattr(bounded_lists, "LOOKED_AT", 60)
    with Questions(data) as questions:
        yield questions


def whole(part: Callable[[int, int], Part], limit: int) -> tuple[list[str], int]:
    """The list from its parts, and how many of them ended at the bound."""
    found: list[str] = []
    cuts = before = 0
    while True:
        one = part(limit, before)
        assert len(one.rows) <= limit
        assert not before or one.before < before
        found += [row["uid"] for row in one.rows]
        cuts += bool(one.looked_back_to)
        before = one.before
        if not before:
            return found, cuts
        assert one.looked_back_to or len(one.rows) == limit


def fired(row: Row, rule: str) -> bool:
    return bool(json.loads(row["verdicts"]).get(rule) == "fired")


EVENTS: list[tuple[dict[str, Any], Callable[[Row], bool]]] = [
    ({}, lambda r: True),
    ({"type": "message.received"}, lambda r: r["type"] == "message.received"),
    ({"type": "message.*"}, lambda r: r["type"].startswith("message.")),
    ({"number": PEOPLE[3]}, lambda r: r["sender"] == PEOPLE[3]),
    ({"number": PEOPLE[3], "type": "call.*"},
     lambda r: r["sender"] == PEOPLE[3] and r["type"] == "call.received"),
    ({"number": OURS, "error": True}, lambda r: r["error_code"] > 0),
    ({"sid": "SM9"}, lambda r: r["subject_sid"] == "SM9"),
    ({"error": True}, lambda r: r["error_code"] > 0),
    ({"code": 30007}, lambda r: r["error_code"] == 30007),
    ({"code": 30007, "trust": "claimed"},
     lambda r: r["error_code"] == 30007 and r["trust"] == "claimed"),
    ({"trust": "claimed"}, lambda r: r["trust"] == "claimed"),
    ({"trust": "signed", "source": "repair"},
     lambda r: r["trust"] == "signed" and r["source"] == "repair"),
    ({"since": at(100)}, lambda r: r["received_at"] >= at(100)),
    ({"until": at(100)}, lambda r: r["received_at"] < at(100)),
    ({"since": at(100), "until": at(130), "type": "message.*"},
     lambda r: at(100) <= r["received_at"] < at(130) and r["type"].startswith("message.")),
    ({"own": True}, lambda r: r["source"] == "internal"),
    ({"own": False}, lambda r: r["source"] != "internal"),
    ({"rule": "a"}, lambda r: fired(r, "a")),
    ({"rule": "a", "type": "call.received"},
     lambda r: fired(r, "a") and r["type"] == "call.received"),
    ({"rule": "a", "since": at(50), "until": at(300)},
     lambda r: fired(r, "a") and at(50) <= r["received_at"] < at(300)),
    ({"rule": "a", "number": PEOPLE[2]}, lambda r: fired(r, "a") and r["sender"] == PEOPLE[2]),
    ({"rule": "a", "verdict": "silent"},
     lambda r: json.loads(r["verdicts"]).get("a", "fired") != "fired"),
    ({"rule": "a", "verdict": "if"}, lambda r: json.loads(r["verdicts"]).get("a") == "if:2"),
    ({"rule": "b", "verdict": "trust: claimed"},
     lambda r: json.loads(r["verdicts"]).get("b") == "trust: claimed"),
    ({"verdict": "silent"}, lambda r: "fired" not in json.loads(r["verdicts"]).values()),
    ({"verdict": "off"}, lambda r: "off" in json.loads(r["verdicts"]).values()),
    ({"rule": "no-such"}, lambda r: False),
    ({"sid": "no-such"}, lambda r: False),
]  # fmt: skip


@pytest.mark.parametrize("limit", [1, 7, 200])
@pytest.mark.parametrize(("wanted", "fits"), EVENTS)
def test_events_are_found_as_by_a_look_at_every_row(
    asked: Questions,
    rows: dict[str, list[Row]],
    wanted: dict[str, Any],
    fits: Callable[[Row], bool],
    limit: int,
) -> None:
    chosen = filters.Events(**wanted)
    found, _ = whole(lambda size, before: asked.events_part(chosen, size, before), limit)
    assert found == [row["uid"] for row in rows["events"][::-1] if fits(row)]


MORE: list[tuple[str, Any, Callable[[Row], bool]]] = [
    ("runs", filters.Runs(), lambda r: True),
    ("runs", filters.Runs(state="waiting"), lambda r: r["state"] == "waiting"),
    ("runs", filters.Runs(state="failed", rule="b"),
     lambda r: r["state"] == "failed" and r["rule"] == "b"),
    ("runs", filters.Runs(state="done", rule="a", since=at(200)),
     lambda r: r["state"] == "done" and r["rule"] == "a" and r["started_at"] >= at(200)),
    ("runs", filters.Runs(event="evt_5"), lambda r: r["event_uid"] == "evt_5"),
    ("actions", filters.Actions(), lambda r: True),
    ("actions", filters.Actions(state="failed", code=30003), lambda r: r["state"] == "failed"),
    ("actions", filters.Actions(code=30003), lambda r: r["error_code"] == 30003),
    ("actions", filters.Actions(state="parked", kind="notify"),
     lambda r: r["state"] == "parked" and r["kind"] == "notify"),
    ("actions", filters.Actions(number=PEOPLE[4]),
     lambda r: r["conversation"].endswith(PEOPLE[4])),
    ("actions", filters.Actions(number=OURS, rule="a", outcome="delivered"),
     lambda r: r["rule"] == "a" and r["outcome"] == "delivered"),
    ("actions", filters.Actions(sid="SM_77"), lambda r: r["remote_sid"] == "SM_77"),
    ("actions", filters.Actions(kind="notify", until=at(90)),
     lambda r: r["kind"] == "notify" and r["planned_at"] < at(90)),
    ("attempts", filters.Attempts(result="failed"), lambda r: r["result"] == "failed"),
    ("attempts", filters.Attempts(code=20003), lambda r: r["twilio_code"] == 20003),
    ("attempts", filters.Attempts(action="act_9"), lambda r: r["action_uid"] == "act_9"),
    ("attempts", filters.Attempts(event="evt_9"), lambda r: r["action_uid"] == "act_9"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "wanted", "fits"), MORE)
def test_runs_actions_and_attempts_are_found_too(
    asked: Questions,
    rows: dict[str, list[Row]],
    table: str,
    wanted: Any,
    fits: Callable[[Row], bool],
) -> None:
    ask = getattr(asked, f"{table}_part")
    found, _ = whole(lambda size, before: ask(wanted, size, before), 7)
    assert found == [row["uid"] for row in rows[table][::-1] if fits(row)]


def test_a_part_says_how_far_it_looked(asked: Questions, rows: dict[str, list[Row]]) -> None:
    """A filter that fits nothing ends a part after so many rows, and does not end the list."""
    part = asked.events_part(filters.Events(verdict="no such verdict"), 50)
    assert (part.rows, part.before) == ([], ROWS - 59)
    assert part.looked_back_to == rows["events"][ROWS - 60]["received_at"]
    found, cuts = whole(
        lambda size, before: asked.events_part(filters.Events(verdict="none"), size, before), 50
    )
    assert (found, cuts) == ([], ROWS // 60)
