"""One truth: the JSON API, `--json` of the shell and the pages say the same of the same journal."""

import asyncio
import html
import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from admission.console import Api
from admission.stories import PEOPLE, Happens, status, text
from ringback.cli.main import run
from ringback.console.api.listed import RESOURCES
from ringback.console.entry import entry_of
from ringback.runtime import REAL, iso
from ringback.store.console import passwords
from ringback.store.console.access import Access, Session
from scenarios.test_console_calls import QUEUE, called
from scenarios.test_console_operations import RULES, Desk, desk

__all__ = ["desk"]
Row = Mapping[str, Any]
FOR_PEOPLE = {"id", "started", "due", "planned", "began", "when"}
"""Fields that the shell prints besides: the number of a row, and what it words for people."""
NOT_PRINTED: dict[str, str] = {
    "/attempts": "a trace prints them",
    "/backtests": "they are kept by the console alone", "/backtests/{id}": "so is each",
    "/doctor": "it is what `ringback doctor` prints", "/numbers": "so is what `connect` prints",
    "/events/{id}/raw": "no JSON", "/logs": "the memory of processes",
    "/looks": "for who is signed in as admin", "/me": "whoever asks",
    "/node": "the state of processes", "/openapi.json": "`api schema`, of the code",
    "/plugins": "what the worker has loaded", "/rules/{name}/revisions": "a trace prints its lines",
    "/rules/{name}/shadow": "what the page compares", "/stream": "`events tail`, as they come",
    "/waiting": "runs and actions print what waits",
}  # fmt: skip
"""What of the API the shell does not print, and why."""
LISTS: dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    "/events": (("events", "list", "--limit", "200"), "/console/", ("uid",)),
    "/runs": (("runs", "list", "--limit", "200"), "", ()),
    "/actions": (("actions", "list", "--limit", "200"), "", ()),
    "/conversations": (("conversations", "list"), "/console/conversations", ("uid",)),
    "/failures": (("failures",), "/console/failures", ("code", "failures")),
    "/delivery": (("deliveries",), "/console/delivery", ("texts", "delivered")),
    "/costs": (("spend",), "/console/costs", ("texts", "segments")),
    "/calls": (("calls",), "/console/calls", ("sid",)),
    "/queues": (("queues",), "/console/calls", ("waiting", "longest")),
    "/incidents": (("incidents", "list"), "/console/health", ("uid", "count")),
    "/doings": (("doings", "--limit", "200"), "/console/settings/audit", ("who", "subject")),
    "/rules": (("rules", "list"), "/console/rules", ("name", "state", "fired", "failed", "held")),
    "/settings": (("config", "show"), "/console/settings", ("setting",)),
    "/people": (("console", "users", "list"), "/console/settings/people", ("name", "role")),
    "/sessions": (("console", "sessions", "list"), "/console/settings/people", ()),
    "/tokens": (("console", "tokens", "list"), "/console/settings/people", ("name", "role")),
    "/bulks": (("bulks", "list"), "/console/bulks", ("uid", "total", "done", "skipped")),
}  # fmt: skip
"""Each list of the API with the command that prints it, and the page with these fields of it."""
OLDEST_FIRST = {"/events", "/runs", "/actions", "/doings", "/bulks"}
"""What the shell prints with the newest last."""
OBJECTS: dict[str, tuple[tuple[str, ...], str, str, tuple[str, ...]]] = {
    "/events/{id}": (("events", "show"), "/events", "/console/events/{id}", ("uid",)),
    "/traces/{id}": (("trace",), "/events", "/console/t/{id}", ()),
    "/runs/{id}": (("trace",), "/runs", "/console/t/{id}", ("uid", "state")),
    "/actions/{id}": (("trace",), "/actions", "/console/t/{id}", ("uid", "state")),
    "/conversations/{id}": (
        ("conversations", "show"), "/conversations", "/console/conversations/{id}", ("uid",),
    ),
    "/conversations/{id}/items": (
        ("conversations", "items"), "/conversations", "/console/conversations/{id}", ("text",),
    ),
    "/failures/{key}": (
        ("failures", "--code"), "/failures", "/console/failures/{id}", ("failures",),
    ),
    "/incidents/{id}": (
        ("incidents", "show"), "/incidents", "/console/health/incidents/{id}", ("text", "count"),
    ),
    "/rules/{name}": (("rules", "show"), "/rules", "/console/rules/{id}", ("fired", "failed")),
    "/bulks/{id}": (
        ("bulks", "show"), "/bulks", "/console/bulks/{id}",
        ("total", "done", "refused", "skipped"),
    ),
}  # fmt: skip
"""Each object of the API with the command that prints it, the list that names it, and its page with
these fields of it."""


async def fill(desk: Desk) -> None:
    """Three people text, one leaves, one calls and waits; texts fail; a person decides."""
    node = desk.node
    node.time -= 60.0  # so that nothing of it lies ahead
    for who in PEOPLE:
        for body in ("draft", "later", "hello", "break"):
            await node.happen(text(body, who))
    (uid, _), *_ = desk.actions()
    assert (await desk.post(f"/actions/{uid}/approve")).status_code == 202
    await node.wait(1.0)
    for number, code in enumerate((30003, 30003, 30007)):
        news = status("undelivered", PEOPLE[0], code)
        sid = f"SM{number + 900:032x}"
        await node.happen(Happens(news.route, {**news.fields, "MessageSid": sid}))
    await node.happen(text("STOP", PEOPLE[1]))
    await node.happen(called(CallStatus="ringing"))
    queued = {"QueueSid": QUEUE, "QueuePosition": "1", "QueueTime": "42", "AvgQueueTime": "42",
              "CurrentQueueSize": "1"}  # fmt: skip
    await node.happen(called("call/step", **queued))
    bulk = await desk.post("/bulks", op="approve", filter={"rule": "drafted"})
    assert (await desk.post(f"/bulks/{bulk.json()['uid']}/start")).status_code == 202
    for path in ("/node/pause", "/node/resume"):
        assert (await desk.post(path)).status_code == 202
    await desk.post("/failures/30003/state", method="PUT", state="muted", above=20, note="known")
    await desk.post("/rules/later/state", method="PUT", state="shadow", reason="a test")
    await node.engine.incidents.open("loop:a", "loop", "It goes round.")


@pytest.fixture
async def api(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    (tmp_path / "ringback.toml").write_text(f'sender = "{desk.settings.sender}"\n')
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "all.yaml").write_text(RULES)
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("RINGBACK_", "TWILIO_", "MATON_")) or name == "PORT":
            monkeypatch.delenv(name)
    await fill(desk)
    found = Api(tmp_path, "admin", unmasked=True)
    access, now, late = Access(desk.settings.data), iso(REAL.now()), "2999-01-01T00:00:00.000Z"
    access.put_person("ada", "operate", passwords.kept("a long password"), now)
    access.new_token("wall", "read", "", now, late)
    access.begin_session("a secret", Session("ada", "operate", now, now, late))
    console = found.app.state.console
    found.app.state.console = replace(console, entry=entry_of(console.settings, access))
    yield found
    found.close()
    access.close()


def printed(capsys: pytest.CaptureFixture[str], *command: str) -> list[dict[str, Any]]:
    """What a command prints with `--json`."""
    capsys.readouterr()
    assert run([*command, "--json"]) == 0, (command, capsys.readouterr().err)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def parts(row: Any, of: Any) -> Any:
    """What of a row has the names of another."""
    if isinstance(row, list) and isinstance(of, list):
        return [parts(*each) for each in zip(row, of, strict=True)]
    return {name: row[name] for name in row if name in of} if isinstance(row, dict) else row


def within(tree: Any, uid: str) -> Any:
    """The part of a trace that has this id."""
    if isinstance(tree, dict):
        found = (within(each, uid) for each in tree.values())
        return tree if tree.get("uid") == uid else next(filter(None, found), None)
    if isinstance(tree, list):
        return next(filter(None, (within(each, uid) for each in tree)), None)
    return None


async def page(api: Api, path: str) -> str:
    answer = await api.client.get(f"http://node{path}")
    assert answer.status_code == 200, (path, answer.text)
    return html.unescape(re.sub(r"<bdi[^>]*>|</bdi>", "", answer.text))


def test_every_list_and_object_is_compared_or_said_why_not() -> None:
    paths = {
        endpoint.path for resource in RESOURCES for endpoint in resource.endpoints
        if endpoint.method == "GET"
    }  # fmt: skip
    assert paths == {*LISTS, *OBJECTS, *NOT_PRINTED}


async def test_each_list_is_what_the_shell_prints_and_its_page_shows(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, (command, place, names) in LISTS.items():
        query = {"limit": 200} if path in OLDEST_FIRST else {}
        rows = (await api.get(path, **query))["items"]
        assert rows, path
        shell = await asyncio.to_thread(printed, capsys, *command)
        if path in OLDEST_FIRST:
            shell = shell[::-1]
        if path == "/rules":  # in the order in which they are asked
            shell.sort(key=lambda row: str(row["name"]))
        assert len(shell) == len(rows), path
        for printed_row, row in zip(shell, rows, strict=True):
            same = set(printed_row) & set(row) - FOR_PEOPLE
            assert len(same) > 2, (path, same)
            assert {k: printed_row[k] for k in same} == {k: row[k] for k in same}, path
            if path != "/rules":  # which say more in the API
                assert set(printed_row) - set(row) <= FOR_PEOPLE, path
                assert set(row) - set(printed_row) <= FOR_PEOPLE, path
        shown = await page(api, place) if place else ""
        for row in rows if place else ():
            for name in names:
                said = str(row[name])
                assert re.search(rf"(?<!\w){re.escape(said)}(?!\w)", shown), (path, name, said)


@pytest.mark.slow
async def test_each_object_is_what_the_shell_prints_and_its_page_shows(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, (command, listed, place, names) in OBJECTS.items():
        rows = (await api.get(listed))["items"]
        name = next(each for each in ("uid", "code", "name") if each in rows[0])
        for uid in [str(row[name]) for row in rows][:2]:
            found = await api.get(path.replace("{id}", uid).replace("{key}", uid)
                                  .replace("{name}", uid))  # fmt: skip
            given = found.get("items", [found])
            shell = await asyncio.to_thread(printed, capsys, *command, uid)
            if path in ("/runs/{id}", "/actions/{id}"):
                shell = [within(shell[0], uid)]
            assert len(shell) == len(given), path
            for printed_row, row in zip(shell, given, strict=True):
                same = set(printed_row) & set(row) - FOR_PEOPLE
                assert len(same) > 2, (path, same)
                assert {k: printed_row[k] for k in same} == {k: row[k] for k in same}, path
            shown = await page(api, place.replace("{id}", uid))
            for each, value in ((each, str(row[each])) for row in given for each in names):
                assert re.search(rf"(?<!\w){re.escape(value)}(?!\w)", shown), (path, each, value)
