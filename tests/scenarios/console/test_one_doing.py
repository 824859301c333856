"""Audit trail: each operation, by page, JSON API and shell, is one row of `doings`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from admission.stories import PEOPLE, status, text
from ringback.cli.main import run
from ringback.console.api.resource import PREFIX
from ringback.ipc import serve, socket_path
from ringback.runtime import REAL, iso
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.worker.operations.envelope import SORTS
from scenarios.test_console_calls import QUEUE, called
from scenarios.test_console_operations import RULES, Desk, desk, fresh

__all__ = ["desk"]
ANN, ZOE = PEOPLE[0], "+442071838799"
NUMBERS = count(1)
Make = Callable[[Desk], Awaitable[str]]
Words = tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """One operation: what makes its subject, and how it is said by each way; None where it is not
    there. `{}` stands for the subject. `rows` are added to the audit trail."""

    make: Make
    shell: Words | None = None
    api: tuple[str, str, Mapping[str, Any]] | None = None
    page: tuple[str, Mapping[str, str]] | None = None
    rows: int = 1
    op: str = ""


def sql(desk: Desk, statement: str, *values: object) -> None:
    with closing(connect_writer(desk.settings.data / "journal.db")) as journal:
        journal.execute(statement, values)
        journal.commit()


async def nothing(_: Desk) -> str:
    return ""


async def in_group(desk: Desk) -> str:
    card = {"address": ZOE, "joins": ["news"]}
    await desk.control.handle({"op": "cards", "cards": [card]})
    return ""


async def paused(desk: Desk) -> str:
    await desk.control.handle({"op": "pause"})
    return ""


async def running(desk: Desk) -> str:
    await desk.control.handle({"op": "resume"})
    return ""


async def draft(desk: Desk) -> str:
    await desk.node.happen(text(f"draft {next(NUMBERS)}", ANN))
    return desk.actions()[-1][0]


async def declined(desk: Desk) -> str:
    uid = await draft(desk)
    await desk.control.handle({"op": "decline", "uid": uid})
    return uid


async def deferred(desk: Desk) -> str:
    uid, soon = await draft(desk), iso(REAL.now() + timedelta(hours=1))
    sql(desk, "update actions set state = 'deferred', reason = 'quiet hours', due_at = ? "
        "where uid = ?", soon, uid)  # fmt: skip
    return uid


async def waiting(desk: Desk) -> str:
    await desk.node.happen(text("later", ANN))
    row = desk.node.reader.execute("select uid from runs order by id desc limit 1").fetchone()
    return str(row[0])


async def event(desk: Desk) -> str:
    await desk.node.happen(text("hello", ANN))
    row = desk.node.reader.execute("select uid from events order by id desc limit 1").fetchone()
    return str(row[0])


async def conversation(desk: Desk) -> str:
    await desk.node.happen(text("hello", ANN))
    rows = (await desk.client.get(f"{PREFIX}/conversations")).json()["items"]
    return str(rows[0]["uid"])


async def call(desk: Desk) -> str:
    sid = f"CA{next(NUMBERS):032x}"
    queued = {"QueueSid": QUEUE, "QueuePosition": "1", "QueueTime": "4", "CurrentQueueSize": "1"}
    await desk.node.happen(called(CallSid=sid, CallStatus="ringing"))
    await desk.node.happen(called("call/step", CallSid=sid, **queued))
    return sid


async def incident(desk: Desk) -> str:
    await desk.node.engine.incidents.open(f"loop:{next(NUMBERS)}", "loop", "It goes round.")
    row = desk.node.reader.execute("select uid from incidents order by id desc limit 1").fetchone()
    return str(row[0])


async def failed(desk: Desk) -> str:
    await desk.node.happen(status("undelivered", ANN, 30003))
    return "30003"


async def struck(desk: Desk) -> str:
    sql(desk, "insert or replace into strikes (rule, plugin, count, last_at, reason) "
        "values ('later', '', 3, ?, 'it blocked')", iso(REAL.now()))  # fmt: skip
    return "later"


async def previewed(desk: Desk) -> str:
    await draft(desk)
    answer = await desk.control.handle({"op": "bulk", "bulk": "decline", "filter": {}})
    assert answer is not None
    return str(answer["uid"])


async def begun(desk: Desk) -> str:
    uid = await previewed(desk)
    await desk.control.handle({"op": "bulk_start", "uid": uid})
    return uid


def action(op: str, deed: str, shell: Words, make: Make = draft, **body: Any) -> Case:
    """An operation on an action, whose page is confirmed by a form."""
    name = {"cancel_action": "cancel"}.get(op, op)
    return Case(make, shell, ("POST", f"/actions/{{}}/{name}", body),
                (f"/console/actions/{{}}/{deed}", {}))  # fmt: skip


SOON = iso(REAL.now() + timedelta(hours=2))
CASES: dict[str, Case] = {
    "pause": Case(running, ("pause",), ("POST", "/node/pause", {}), ("/console/node/pause", {})),
    "resume": Case(paused, ("resume",), ("POST", "/node/resume", {}), ("/console/node/resume", {})),
    "retry": action("retry", "retry", ("actions", "retry", "{}"), declined),
    "cancel_action": action("cancel_action", "cancel", ("actions", "cancel", "{}"), deferred),
    "approve": action("approve", "approve", ("approve", "{}")),
    "decline": action("decline", "decline", ("decline", "{}")),
    "resolve": action("resolve", "not-sent", ("actions", "resolve", "{}", "--not-sent"),
                      outcome="not_sent"),
    "cancel_run": Case(waiting, ("runs", "cancel", "{}"), ("POST", "/runs/{}/cancel", {}),
                       ("/console/runs/{}/end", {})),
    "wake_run": Case(waiting, ("runs", "wake", "{}"), ("POST", "/runs/{}/wake", {}),
                     ("/console/runs/{}/wake", {})),
    "postpone": Case(deferred, ("actions", "postpone", "{}", "--until", "3h"),
                     ("POST", "/actions/{}/postpone", {"until": SOON}),
                     ("/console/actions/{}/later", {"until": "3h"})),
    "postpone of a run": Case(waiting, None, ("POST", "/runs/{}/postpone", {"until": SOON}),
                              ("/console/runs/{}/later", {"until": "3h"}), op="postpone"),
    "consent": Case(conversation, ("consents", "set", "out", ZOE, "--reason", "by telephone"),
                    ("PUT", "/conversations/{}/consent", {"state": "in", "reason": "so"}),
                    ("/console/conversations/{}/consent", {"state": "in", "reason": "so"})),
    "write": Case(conversation, None, ("POST", "/conversations/{}/messages", {"text": "Hello"}),
                  ("/console/conversations/{}/messages", {"body": "Hello again"})),
    "hang_up": Case(call, None, ("POST", "/calls/{}/hang_up", {}),
                    ("/console/calls/{}/hang_up", {})),
    "dequeue": Case(call, None, ("POST", "/calls/{}/dequeue", {"to": ZOE}),
                    ("/console/calls/{}/dequeue", {"to": ZOE})),
    "replay": Case(event, ("replay", "{}", "--send", "--yes"),
                   ("POST", "/events/{}/replay", {"send": True})),
    "start": Case(nothing, ("start", "later", "--to", ANN),
                  ("POST", "/rules/later/start", {"to": ANN, "json": {"a": 1}})),
    "incident": Case(incident, ("incidents", "ack", "{}"), ("POST", "/incidents/{}/seen", {}),
                     ("/console/health/incidents/{}", {"do": "seen"})),
    "incident muted": Case(incident, ("incidents", "mute", "{}"),
                           ("POST", "/incidents/{}/seen", {"mute": 60}),
                           ("/console/health/incidents/{}", {"do": "mute", "for": "2h"}),
                           op="incident"),
    "incident noted": Case(incident, ("incidents", "note", "{}", "known"),
                           ("POST", "/incidents/{}/seen", {"note": "known"}),
                           ("/console/health/incidents/{}", {"do": "note", "note": "known"}),
                           op="incident"),
    "rule_state": Case(nothing, ("rules", "state", "later", "off", "--reason", "a test"),
                       ("PUT", "/rules/later/state", {"state": "shadow", "reason": "a test"}),
                       ("/console/rules/later/state", {"state": "draft", "reason": "a test"})),
    "problem": Case(failed, ("failures", "state", "{}", "seen"),
                    ("PUT", "/failures/{}/state", {"state": "resolved"}),
                    ("/console/failures/{}/state", {"state": "open"})),
    "bulk": Case(draft, ("bulks", "preview", "decline"),
                 ("POST", "/bulks", {"op": "decline", "filter": {}}),
                 ("/console/bulks", {"op": "decline"}), rows=0),
    "bulk_start": Case(previewed, ("bulks", "start", "{}"), ("POST", "/bulks/{}/start", {}),
                       ("/console/bulks/{}/start", {})),
    "bulk begun at once": Case(draft, None, ("POST", "/bulks", {"op": "decline", "filter": {},
                                                                "dry": False}), op="bulk_start"),
    "bulk_stop": Case(begun, ("bulks", "stop", "{}"), ("POST", "/bulks/{}/stop", {}),
                      ("/console/bulks/{}/stop", {})),
    "release": Case(struck, ("rules", "release", "{}"), ("POST", "/rules/{}/release", {}),
                    ("/console/rules/{}/release", {})),
    "reload": Case(nothing, ("rules", "reload"), ("POST", "/reload", {})),
    "broadcast": Case(in_group, ("broadcast", "groups.news", "Hello", "--yes", "--no-wait")),
    "cards": Case(nothing, ("contacts", "set", ZOE, "name=Zoe")),
    "mute": Case(conversation, None, ("PUT", "/conversations/{}/mute", {"until": SOON}),
                 ("/console/conversations/{}/mute", {"hours": "4"})),
}  # fmt: skip
"""All that a person can change by the worker; a preview changes nothing."""


def test_every_operation_has_a_case() -> None:
    assert {case.op or name for name, case in CASES.items()} == set(SORTS)


@pytest.fixture
async def console(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    """The same console with the socket that commands of the shell ask."""
    (tmp_path / "ringback.toml").write_text(f'sender = "{desk.settings.sender}"\n')
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "all.yaml").write_text(RULES)
    monkeypatch.chdir(tmp_path)
    desk.role = "admin"
    server = await serve(socket_path(desk.settings.data), desk.control.handle)
    yield desk
    await server.close()


def rows(desk: Desk) -> list[tuple[str, str, str, str]]:
    """The audit trail: the operation, the way, the outcome, the subject."""
    return [tuple(row) for row in desk.node.reader.execute(
        "select op, via, outcome, subject from doings order by id")]  # fmt: skip


async def said(desk: Desk, case: Case, subject: str, way: str) -> Any:
    """Say it by a way, and by page and API once more, as the same request."""
    key = fresh()
    desk.names = iter([f"ada {next(NUMBERS)}"] * 3)
    if way == "shell":
        assert case.shell is not None
        words = [word.format(subject) for word in case.shell]
        return await asyncio.to_thread(run, words)
    found = []
    for _ in range(2):
        if way == "api":
            assert case.api is not None
            method, path, body = case.api
            answer = await desk.post(path.format(subject), key, method, **body)
        else:
            assert case.page is not None
            path, fields = case.page
            answer = await desk.client.post(path.format(subject), data={**fields, "request": key})
        found.append(answer.status_code)
        assert answer.status_code < 400, (way, path, answer.text)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("way", ["console", "api", "shell"])
async def test_each_change_is_one_row(console: Desk, way: str) -> None:
    """Also when the same request comes twice."""
    for name, case in CASES.items():
        if {"console": case.page, "api": case.api, "shell": case.shell}[way] is None:
            continue
        subject = await case.make(console)
        before = rows(console)
        await said(console, case, subject, way)
        added = rows(console)[len(before) :]
        assert [each[:3] for each in added] == [(case.op or name, way, "done")] * case.rows, (
            name,
            added,
        )
        console.names = count(next(NUMBERS) * 1000)
