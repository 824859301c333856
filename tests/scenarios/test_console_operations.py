"""Decisions in the console and by the JSON API, with the real worker behind both."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from admission.node import Loaded, Node, Twilio, settings_of
from admission.stories import OURS, PEOPLE, status, text
from ringback.cli.main import run
from ringback.config import Settings
from ringback.console.api.listed import RESOURCES
from ringback.console.api.resource import PREFIX
from ringback.console.app import create_console
from ringback.console.identity import Identity, Role
from ringback.console.surroundings import Surroundings
from ringback.errors import RingbackError, UsageError
from ringback.ipc import WorkerAway, refusal
from ringback.plugins.loader import PluginSet
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from ringback.runtime import REAL, iso
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.store.upkeep.log_retention import without_content
from ringback.worker.control import Control

RULES = """
version: 1
groups: {news: {}}
rules:
  - name: drafted
    on: message.received
    if: event.body.startsWith('draft')
    state: draft
    do: [{reply: "Shall we say ${{ event.body }}?"}]
  - name: later
    on: message.received
    if:
      - event.body.size() < 100
      - event.body == 'later'
    do: [{wait: 1h}, {reply: Now.}]
"""
ANN = PEOPLE[0]


@dataclass
class Desk:
    """A console over a node that works, as one person sees it: another name for each request."""

    node: Node
    control: Control
    twilio: Twilio
    settings: Settings
    away: bool = False
    role: Role = "operate"
    unmasked: bool = False
    names: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        self.last = ""
        self.app = create_console(self.settings, Surroundings(self.operate), self.who)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False),
            base_url="http://node",
        )

    def who(self, _: object) -> Identity:
        self.last = f"ada {next(self.names)}"
        return Identity(self.last, self.role, "session", "127.0.0.1", unmasked=self.unmasked)

    async def operate(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """The worker's socket."""
        if self.away:
            raise WorkerAway("none runs here")
        try:
            return await self.control.handle(message) or {}
        except RingbackError as error:
            return refusal(error)

    async def post(self, path: str, key: str = "", method: str = "POST", **body: Any) -> Any:
        """A change by the API."""
        headers = {"Idempotency-Key": key or fresh()}
        return await self.client.request(method, PREFIX + path, json=body, headers=headers)

    async def press(self, path: str, action: str, **more: str) -> httpx.Response:
        """Press the button of a form that stands on a page."""
        page = (await self.client.get(path)).text
        found = re.search(rf'<form[^>]*action="{re.escape(action)}".*?</form>', page, re.S)
        assert found, f"{path} has no form for {action}: {page}"
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', found.group()))
        return await self.client.post(action, data={**fields, **more})

    def actions(self) -> list[tuple[str, str]]:
        return [tuple(row) for row in self.node.reader.execute(
            "select uid, state from actions order by id")]  # fmt: skip

    def count(self, table: str) -> int:
        return int(self.node.reader.execute(f"select count(*) from {table}").fetchone()[0])

    def doings(self) -> list[tuple[str, str]]:
        return [tuple(row) for row in self.node.reader.execute(
            "select op, outcome from doings order by id")]  # fmt: skip


def fresh() -> str:
    """A ULID."""
    return REAL.uid("x").partition("_")[2]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    rules = load_rules(path)
    assert rules.problems == []
    loaded, twilio = Loaded(RuleSet(rules.rules, rules.language), PluginSet()), Twilio()
    settings = settings_of(tmp_path, {})
    node = Node(settings, loaded, twilio)
    node.time = REAL.now().timestamp()
    await node.start({})

    async def reload() -> list[str]:
        return []

    found = Desk(node, Control(node.engine, node.engine._runtime, reload), twilio, settings)
    yield found
    await found.client.aclose()
    found.app.state.console.conversations.close()
    found.app.state.console.reading.close()
    await node.close()


async def test_of_twenty_who_press_at_once_one_is_heard(desk: Desk) -> None:
    """The others get 409 and what is true now; one text leaves."""
    await desk.node.happen(text("draft", ANN))
    ((uid, _),) = desk.actions()
    expect = {"state": "parked", "tries": 0}
    answers = await asyncio.gather(
        *(desk.post(f"/actions/{uid}/approve", expect=expect) for _ in range(20))
    )
    assert sorted(each.status_code for each in answers) == [202, *[409] * 19]
    for each in answers:
        if each.status_code == 409:
            assert each.json()["type"] == "urn:ringback:problem:conflict"
            assert each.json()["now"]["state"] != "parked"
    await desk.node.wait(1.0)
    assert desk.twilio.taken == 1
    assert sorted(desk.doings()) == [("approve", "done"), *[("approve", "refused")] * 19]


async def test_the_same_key_twice_is_one_effect_and_one_answer(desk: Desk) -> None:
    """And the same key for something else is refused."""
    await desk.node.happen(text("draft", ANN))
    ((uid, _),) = desk.actions()
    desk.names = iter(["ada"] * 9)
    key = fresh()
    first = await desk.post(f"/actions/{uid}/approve", key)
    again = await desk.post(f"/actions/{uid}/approve", key)
    assert first.status_code == again.status_code == 202
    assert first.json() == again.json()
    other = await desk.post(f"/actions/{uid}/decline", key)
    assert other.status_code == 409
    for wrong in ("7", "x" * 26):
        assert (await desk.post(f"/actions/{uid}/approve", wrong)).status_code == 400
    bare = await desk.client.post(f"{PREFIX}/actions/{uid}/approve", json={})
    assert (bare.status_code, bare.json()["fields"][0]["name"]) == (400, "Idempotency-Key")
    await desk.node.wait(1.0)
    assert desk.twilio.taken == 1


async def test_a_draft_goes_out_in_the_words_of_whoever_says_yes(desk: Desk) -> None:
    """On the page as by the API; what it said before stays, and is forgotten with the text."""
    await desk.node.happen(text("draft", ANN))
    await desk.node.happen(text("draft", PEOPLE[1]))
    (first, _), (second, _) = desk.actions()
    path = f"/console/actions/{first}/approve"
    assert "Shall we say draft?" in (await desk.client.get(path)).text
    done = await desk.press(path, path, body="Shall we say\r\nfour?")
    assert done.status_code == 303, done.text
    long = await desk.post(f"/actions/{second}/approve", text="x" * 1601)
    empty = await desk.post(f"/actions/{second}/approve", text=" ")
    assert (long.status_code, empty.status_code) == (400, 400)
    assert (await desk.post(f"/actions/{second}/approve")).status_code == 202
    await desk.node.wait(1.0)
    assert desk.twilio.taken == 2
    rows = desk.node.reader.execute(
        "select json_extract(params, '$.body'), json_extract(params, '$.drafted') from actions"
    ).fetchall()
    assert [tuple(row) for row in rows] == [
        ("Shall we say\nfour?", "Shall we say draft?"), ("Shall we say draft?", None)
    ]  # fmt: skip
    (trace,) = (await desk.client.get(f"{PREFIX}/traces/{first}")).json()["rules"][:1]
    params = trace["run"]["actions"][0]["params"]
    assert "A person changed it" in (await desk.client.get(f"/console/t/{first}")).text
    assert without_content(params)["drafted"] == without_content(params)["body"] == ""
    assert {row[0] for row in desk.node.reader.execute("select wanted from doings")} == {
        '{"edited": true}', "{}"
    }  # fmt: skip


WRITES = [endpoint for resource in RESOURCES for endpoint in resource.endpoints if endpoint.writes]


async def test_who_may_only_read_changes_nothing(desk: Desk) -> None:
    """By no write of the API and by no page of a deed."""
    await desk.node.happen(text("draft", ANN))
    ((uid, _),) = desk.actions()
    desk.role = "read"
    assert len(WRITES) > 8
    for endpoint in WRITES:
        path = endpoint.path.replace("{id}", uid).replace("{name}", "drafted")
        path = path.replace("{key}", "30003")
        answer = await desk.post(path, method=endpoint.method)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:ringback:problem:role")
    for deed in ("approve", "decline", "retry", "cancel"):
        path = f"/console/actions/{uid}/{deed}"
        assert (await desk.client.get(path)).status_code == 403
        assert (await desk.client.post(path, data={"request": fresh()})).status_code == 403
    page = await desk.client.get("/console/decide")
    assert "Your role looks on" in page.text
    assert "<form" not in page.text.partition("<main")[2]
    assert ANN not in page.text
    assert desk.doings() == []
    assert desk.actions() == [(uid, "parked")]


async def test_only_an_admin_does_more_than_the_file_says(desk: Desk) -> None:
    """A draft goes live, and a hold ends unseen."""
    live = {"state": "live", "reason": "it is good"}
    answer = await desk.post("/rules/drafted/state", method="PUT", **live)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:ringback:problem:role")
    assert (await desk.post("/node/resume", may_duplicate=True)).status_code == 403
    desk.role = "admin"
    done = await desk.post("/rules/drafted/state", method="PUT", **live)
    assert done.status_code == 202
    assert (done.json()["state"], done.json()["file"]) == ("live", "draft")
    await desk.node.happen(text("draft", ANN))
    assert desk.twilio.taken == 1


async def test_what_is_not_there_or_not_so_is_said(desk: Desk) -> None:
    """404, 400 and 503, each as a problem."""
    for path in ("/actions/act_0/retry", "/runs/run_0/cancel", "/rules/nobody/state"):
        method = "PUT" if path.startswith("/rules") else "POST"
        body = {"state": "off", "reason": "x"} if method == "PUT" else {}
        answer = await desk.post(path, method=method, **body)
        assert (answer.status_code, path) == (404, path)
    assert (await desk.post("/events/evt_0/replay", send=False)).status_code == 400
    assert (await desk.post("/node/pause", expect={"mood": "x"})).status_code == 400
    assert (await desk.post("/node/pause", expect={"state": "paused"})).status_code == 409
    desk.away = True
    away = await desk.post("/node/pause")
    assert (away.status_code, away.json()["type"]) == (503, "urn:ringback:problem:worker-away")


async def test_a_run_an_event_and_the_switch_are_operated_too(desk: Desk) -> None:
    """Each is on record once."""
    await desk.node.happen(text("later", ANN))
    ((run, event),) = desk.node.reader.execute("select uid, event_uid from runs").fetchall()
    assert (await desk.post(f"/runs/{run}/cancel")).json()["state"] == "cancelled"
    replayed = (await desk.post(f"/events/{event}/replay", send=True)).json()
    assert replayed["verdicts"]["later"] == "fired"
    assert (await desk.post("/node/pause")).json()["state"] == "paused"
    assert (await desk.post("/node/resume")).json()["state"] == "running"
    assert (await desk.post("/reload")).json()["problems"] == []
    assert desk.doings() == [
        (op, "done") for op in ("cancel_run", "replay", "pause", "resume", "reload")
    ]


async def test_a_draft_is_approved_by_two_pages_and_declined_by_one(desk: Desk) -> None:
    """Yes sends, so it is confirmed; no can be taken back, so it is done at once."""
    await desk.node.happen(text("draft one", ANN))
    await desk.node.happen(text("draft two", PEOPLE[1]))
    (one, _), (two, _) = desk.actions()
    page = (await desk.client.get("/console/decide")).text
    assert page.index(one) < page.index(two)
    assert f'href="/console/actions/{one}/approve"' in page
    assert ANN not in page
    asks = (await desk.client.get(f"/console/actions/{one}/approve")).text
    assert "Shall we say draft one?" in asks
    assert "lets it out now" in asks
    assert "Send 1 text" in asks
    assert desk.twilio.taken == 0
    done = await desk.press(f"/console/actions/{one}/approve", f"/console/actions/{one}/approve")
    assert (done.status_code, done.headers["location"].partition("?")[0]) == (
        303, "/console/decide",
    )  # fmt: skip
    await desk.node.wait(1.0)
    assert desk.twilio.taken == 1
    no = await desk.press("/console/decide", f"/console/actions/{two}/decline")
    after = (await desk.client.get(no.headers["location"])).text
    assert f'href="/console/actions/{two}/retry"' in after
    assert "Nothing waits for a person" in after
    assert desk.doings() == [("approve", "done"), ("decline", "done")]


async def test_a_page_of_before_hears_what_is_true_now(desk: Desk) -> None:
    """Somebody else was quicker: 409, and nothing happens twice."""
    await desk.node.happen(text("draft", ANN))
    ((uid, _),) = desk.actions()
    path = f"/console/actions/{uid}/approve"
    page = (await desk.client.get(path)).text
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page))
    await desk.post(f"/actions/{uid}/approve")
    await desk.node.wait(1.0)
    late = await desk.client.post(path, data=fields)
    assert late.status_code == 409
    assert "accepted" in late.text
    assert desk.twilio.taken == 1


async def test_what_may_arrive_twice_wants_its_number_typed(desk: Desk) -> None:
    """Nobody knows of it: three ways out, and the evidence beside them."""
    await desk.node.happen(text("draft", ANN))
    ((uid, _),) = desk.actions()
    await desk.post(f"/actions/{uid}/approve")
    await desk.node.wait(1.0)
    with closing(connect_writer(desk.settings.data / "journal.db")) as journal:
        journal.execute(
            "update actions set state = 'unknown', reason = 'the answer was lost', remote_sid = ''"
        )
    page = (await desk.client.get("/console/decide")).text
    for label in ("It was sent", "It was not sent", "Send it now, it may arrive twice"):
        assert label in page
    assert "Attempt 1 at" in page
    again = f"/console/actions/{uid}/again"
    for typed in ("", "2"):
        assert (await desk.press(again, again, count=typed)).status_code == 400
    assert desk.twilio.taken == 1
    assert (await desk.press(again, again, count="1")).status_code == 303
    await desk.node.wait(1.0)
    assert desk.twilio.taken == 2


async def test_without_a_worker_reading_goes_on_and_buttons_are_off(desk: Desk) -> None:
    """With the reason, and they come back by themselves."""
    await desk.node.happen(text("draft", ANN))
    ((uid, _),) = desk.actions()
    desk.away = True
    page = (await desk.client.get("/console/decide")).text
    assert uid in page
    assert "No worker answers" in page
    assert "<form" not in page.partition("<main")[2]
    late = await desk.client.post(f"/console/actions/{uid}/decline", data={"request": fresh()})
    assert late.status_code == 503
    desk.away = False
    page = (await desk.client.get("/console/decide")).text
    assert f'action="/console/actions/{uid}/decline"' in page


async def test_a_forecast_counts_against_no_budget(desk: Desk) -> None:
    """However often somebody looks at the page."""
    await desk.node.happen(text("draft", ANN))
    ((uid, _),) = desk.actions()
    before = desk.node.engine.gate.budgets()
    for _ in range(3):
        told = await desk.control.handle({"op": "forecast", "uids": [uid, "act_0"]})
        assert told is not None
        assert list(told["forecasts"]) == [uid]
        assert told["forecasts"][uid]["state"] == "planned"
        assert told["forecasts"][uid]["segments"] == 1
    assert desk.node.engine.gate.budgets() == before


async def test_the_rules_are_shown_with_what_they_did_and_why_they_were_silent(desk: Desk) -> None:
    """The line that said no, and how often; other roles are shown the same, without the form."""
    assert "No rule has met an event yet" in (await desk.client.get("/console/rules")).text
    for body in ("hello", "hello again"):
        await desk.node.happen(text(body, ANN))
    silent = (await desk.client.get("/console/rules?only=line")).text
    assert re.findall(r"always line \d", silent) == ["always line 1", "always line 2"]
    for body in ("draft", "later"):
        await desk.node.happen(text(body, ANN))
    assert "No rule is so" in (await desk.client.get("/console/rules?only=line")).text
    page = (await desk.client.get("/console/rules")).text
    cells = [re.sub(r"<[^>]+>", "", each) for each in re.findall(r"<t[hd].*?</t[hd]>", page, re.S)]
    row = cells[cells.index("later") :][:9]
    assert (row[1], row[3], row[4], row[6]) == ("live", "1", "3", "0")
    never = (await desk.client.get("/console/rules?only=never")).text
    assert "No rule is so" in never
    assert (await desk.client.get("/console/rules?only=odd")).status_code == 400
    one = (await desk.client.get("/console/rules/later")).text
    lines = re.findall(r'<tr><td class="n">(\d)</td>.*?<td class="n">(\d+)</td>', one)
    assert lines == [("1", "0"), ("2", "3")]
    assert 'action="/console/rules/later/state"' in one
    desk.role = "read"
    assert "/state" not in (await desk.client.get("/console/rules/later")).text
    assert (await desk.client.get("/console/rules/nobody")).status_code == 404


async def test_a_rule_gets_another_state_on_its_page_and_back(desk: Desk) -> None:
    """Until a time, with the reason; the page of before hears what is true now."""
    await desk.node.happen(text("later", ANN))
    page, action = "/console/rules/later", "/console/rules/later/state"
    assert (await desk.press(page, action, state="off", reason="")).status_code == 400
    soon = {"state": "off", "reason": "too <b>late</b>"}
    assert (await desk.press(page, action, until="soon", **soon)).status_code == 400
    done = await desk.press(page, action, **soon)
    assert (done.status_code, done.headers["location"]) == (303, page)
    late = await desk.client.post(action, data={"was": "live", "request": fresh(), **soon})
    assert late.status_code == 409
    await desk.node.happen(text("later", ANN))
    assert desk.count("runs") == 1
    for path in ("/console/rules", page, "/console/rules?only=overridden"):
        shown = (await desk.client.get(path)).text
        assert re.search("the file says live", shown, re.IGNORECASE)
        assert "too &lt;b&gt;late&lt;/b&gt;" in shown
    back = await desk.press(page, action, state="file", was="off")
    assert back.status_code == 303
    await desk.node.happen(text("later", ANN))
    assert desk.count("runs") == 2
    until = {"state": "off", "reason": "a while", "until": "6h"}
    assert (await desk.press(page, action, **until)).status_code == 303
    await desk.node.wait(7 * 3600.0)
    await desk.node.engine.overrides.end(desk.node.engine.loaded.ruleset)
    assert desk.count("rule_states") == 0
    outcomes = [outcome for op, outcome in desk.doings() if op == "rule_state"]
    assert outcomes == ["refused", "done", "refused", "done", "done"]


async def test_the_trace_has_the_buttons_that_fit_and_shows_what_they_did(desk: Desk) -> None:
    """Whoever may only read has none of them."""
    await desk.node.happen(text("draft", ANN))
    ((uid, _),) = desk.actions()
    (event,) = desk.node.reader.execute("select uid from events").fetchone()
    page = f"/console/t/{event}"
    shown = (await desk.client.get(page)).text
    assert f'href="/console/actions/{uid}/approve?back=trace"' in shown
    assert f"/console/actions/{uid}/retry" not in shown
    no = await desk.press(page, f"/console/actions/{uid}/decline")
    assert no.headers["location"].startswith(f"{page}?did=op_")
    after = (await desk.client.get(no.headers["location"])).text
    assert "is cancelled, by" in after
    retry = f"/console/actions/{uid}/retry?back=trace"
    assert f'href="{retry}"' in after
    asks = (await desk.client.get(retry)).text
    assert 'name="back" value="trace"' in asks
    sent = await desk.press(retry, f"/console/actions/{uid}/retry")
    assert sent.headers["location"].startswith(page)
    await desk.node.wait(1.0)
    assert desk.twilio.taken == 1
    desk.role = "read"
    assert "/console/actions/" not in (await desk.client.get(page)).text


async def test_a_run_goes_on_or_ends_from_its_page(desk: Desk) -> None:
    """Both are confirmed: one may send, the other cannot be taken back."""
    for who in PEOPLE[:2]:
        await desk.node.happen(text("later", who))
    runs = desk.node.reader.execute("select uid, event_uid from runs order by id").fetchall()
    (one, event), (two, _) = runs
    waits = (await desk.client.get("/console/waiting")).text
    later = f"/console/runs/{one}/later"
    assert (await desk.press(later, later, until="yesterday")).status_code == 400
    assert (await desk.press(later, later, until="5d")).status_code == 303
    (due,) = desk.node.reader.execute("select due_at from runs where uid = ?", (one,)).fetchone()
    assert due > iso(REAL.now() + timedelta(days=4))
    for path in (f"/console/runs/{one}/wake", f"/console/runs/{two}/end"):
        assert f'href="{path}"' in waits
        assert (await desk.press(path, path)).status_code == 303
    await desk.node.wait(1.0)
    assert "/console/runs/" not in (await desk.client.get("/console/waiting")).text
    states = desk.node.reader.execute("select state from runs order by id").fetchall()
    assert [row[0] for row in states] == ["done", "cancelled"]
    assert desk.twilio.taken == 1
    assert (await desk.client.get(f"/console/t/{event}")).status_code == 200
    again = f"/console/runs/{one}/wake"
    assert (await desk.press(again, again)).status_code == 409
    assert (await desk.client.get("/console/runs/run_0/end")).status_code == 404
    assert (await desk.client.get(f"/console/runs/{one}/erase")).status_code == 404


async def test_sending_is_held_and_let_out_from_any_page(desk: Desk) -> None:
    """It goes back to that page, and to no other site."""
    for op, paused in (("pause", True), ("resume", False)):
        path = f"/console/node/{op}"
        data = {"request": fresh(), "next": "/console/rules"}
        done = await desk.client.post(path, data=data)
        assert (done.status_code, done.headers["location"]) == (303, "/console/rules")
        assert desk.node.engine.sender.paused is paused
        page = await desk.client.get(done.headers["location"])
        assert ("nothing is sent until somebody resumes" in page.text) is paused  # at once
    for following in ("https://evil.example", "//evil.example", "/console/\\evil", ""):
        data = {"request": fresh(), "next": following}
        done = await desk.client.post("/console/node/pause", data=data)
        assert done.headers["location"] == "/console/"
    assert (await desk.client.post("/console/node/explode", data=data)).status_code == 404


async def test_all_drafts_are_decided_about_at_once_and_are_counted(desk: Desk) -> None:
    """What it is about is shown before; of more than 20 the number is typed."""
    for number in range(22):
        await desk.node.happen(text("draft", f"+1202555{number:04d}"))
    asks = await desk.press("/console/decide", "/console/bulks", op="approve")
    assert asks.status_code == 200
    assert "lets out 22 of the 22" in asks.text
    assert "Send 22" in asks.text
    assert "+12025550001" not in asks.text
    assert desk.twilio.taken == 0
    (path,) = re.findall(r'action="(/console/bulks/blk_\w+/start)"', asks.text)
    for typed in ("", "21"):
        wrong = await desk.client.post(path, data={"request": fresh(), "count": typed})
        assert wrong.status_code == 400
    begun = await desk.client.post(path, data={"request": fresh(), "count": "22"})
    page = path.removesuffix("/start")
    assert (begun.status_code, begun.headers["location"]) == (303, page)
    assert "it begins at" in (await desk.client.get(page)).text
    first, *_ = desk.actions()
    await desk.post(f"/actions/{first[0]}/decline")
    desk.node.time += 11.0
    working = asyncio.create_task(desk.control.bulks.run())
    async with asyncio.timeout(20.0):
        while "Send: 21 of 22" not in (shown := (await desk.client.get(page)).text):
            await asyncio.sleep(0.05)
            await desk.node.wait(0.0)
    working.cancel()
    assert "1 skipped" in shown
    assert first[0] in shown
    await desk.node.wait(1.0)
    assert desk.twilio.taken == 21
    assert "Send" in (await desk.client.get("/console/bulks")).text
    desk.role = "read"
    denied = await desk.client.post("/console/bulks", data={"op": "approve", "request": fresh()})
    assert denied.status_code == 403
    assert (await desk.client.get("/console/bulks/blk_0")).status_code == 404


async def test_a_bulk_by_the_api_is_previewed_begun_and_stopped(desk: Desk) -> None:
    """Or begun at once, where a program does not want to look."""
    for who in PEOPLE[:2]:
        await desk.node.happen(text("draft", who))
    told = await desk.post("/bulks", op="approve", filter={"rule": "drafted"})
    assert (told.status_code, told.json()["total"]) == (202, 2)
    assert told.json()["says"] == {"planned": 2}
    assert ANN not in told.text
    uid = told.json()["uid"]
    assert (await desk.post(f"/bulks/{uid}/start")).json()["state"] == "waiting"
    assert (await desk.post(f"/bulks/{uid}/stop")).json()["state"] == "stopped"
    assert (await desk.post(f"/bulks/{uid}/stop")).status_code == 409
    key, desk.names = fresh(), iter(["ada"] * 9)
    begun = await desk.post("/bulks", key, op="decline", filter={}, dry=False)
    assert (begun.status_code, begun.json()["state"]) == (202, "waiting")
    again = await desk.post("/bulks", key, op="decline", filter={}, dry=False)
    assert again.json() == begun.json()
    desk.app.state.console.once._done.clear()  # as of a console that was started again
    again = await desk.post("/bulks", key, op="decline", filter={}, dry=False)
    assert [again.json()[each] for each in ("uid", "doing")] == [
        begun.json()[each] for each in ("uid", "doing")
    ]
    desk.names = count(100)
    listed = (await desk.client.get(f"{PREFIX}/bulks")).json()["items"]
    assert [each["state"] for each in listed] == ["waiting", "stopped"]
    one = (await desk.client.get(f"{PREFIX}/bulks/{uid}")).json()
    assert (one["total"], one["done"], one["left"]) == (2, 0, [])
    assert (await desk.post("/bulks", op="retry", filter={"mood": "x"})).status_code == 400
    assert (await desk.post("/bulks/blk_0/start")).status_code == 404


async def test_what_failed_by_a_code_is_sent_again_from_its_page(desk: Desk) -> None:
    """Where the class of the error allows it, and only what failed in the span that is shown."""
    for who in PEOPLE[:2]:
        await desk.node.happen(text("draft", who))
    await desk.node.happen(status("failed", PEOPLE[2], 21610))
    with closing(connect_writer(desk.settings.data / "journal.db")) as journal:
        journal.execute("update actions set state = 'failed', reason = '', error_code = 30003")
        journal.execute(
            "update actions set planned_at = '2026-01-01T00:00:00.000Z' "
            "where id = (select min(id) from actions)"
        )
    asks = await desk.press("/console/failures/30003", "/console/bulks")
    assert asks.status_code == 200
    assert "Send again 1" in asks.text
    assert "Send those of our rules again" not in (
        await desk.client.get("/console/failures/21610")
    ).text  # fmt: skip
    desk.role = "read"
    page = (await desk.client.get("/console/failures/30003")).text
    assert "Send those of our rules again" not in page


async def test_an_incident_is_seen_muted_and_noted_from_its_page(desk: Desk) -> None:
    """Each is on record once; who may only read sees no button."""
    uid, now = REAL.uid("inc"), REAL.now()
    incidents = desk.node.engine.journal.incidents
    await incidents.open(uid, "disk:full", "disk", f"{ANN} is <b>full</b>", now)
    one = f"/console/health/incidents/{uid}"
    page = (await desk.client.get("/console/health")).text
    assert "&lt;b&gt;full" in page
    assert ANN not in page
    assert (await desk.press("/console/health", one)).headers["location"] == "/console/health"
    await desk.press(one, one, **{"do": "mute", "for": "2h"})
    await desk.press(one, one, do="note", note="the disk man comes at noon")
    page = (await desk.client.get(one)).text
    assert "the disk man comes at noon" in page
    assert "nobody else is told" not in page
    answer = await desk.post(f"/incidents/{uid}/seen", note="twice")
    assert answer.status_code == 202
    assert (await desk.post("/incidents/inc_0/seen")).status_code == 404
    assert desk.doings()[:4] == [("incident", "done")] * 4
    desk.role = "read"
    page = (await desk.client.get(one)).text
    assert "<form" not in page.partition("<main")[2]
    for path in ("logs", "doctor"):
        assert (await desk.client.get(f"/console/health/{path}")).status_code == 403


async def test_numbers_in_a_note_are_masked_wherever_it_is_shown(desk: Desk) -> None:
    """As people type them; on pages, in files and by the API."""
    where, typed = "/failures/30003", ("9175550166", "917-555-0177", "020 7183 8751")
    await desk.node.happen(status("failed", ANN, 30003))
    note = f"30003 of {', '.join(typed)} since 2026-03-04"
    done = await desk.post(f"{where}/state", method="PUT", state="seen", note=note)
    assert done.status_code == 202
    for path in (
        f"{PREFIX}/failures", f"{PREFIX}/failures?format=csv", PREFIX + where, f"{PREFIX}/doings",
        f"{PREFIX}/doings?format=csv", f"/console{where}", "/console/settings/audit",
    ):  # fmt: skip
        shown = (await desk.client.get(path)).text
        assert not [each for each in typed if each in shown], path
        assert "••• ••66 ·" in shown.replace("\\u2022", "•").replace("\\u00b7", "·"), path
        assert "since 2026-03-04" in shown, path


async def test_a_group_of_failures_stands_as_people_say(desk: Desk) -> None:
    """Muted up to a number, then open; resolved, then back with the next failure, which is said
    with its time; of two who say so at once the later one is told."""

    async def fails(times: int = 1) -> None:
        for _ in range(times):
            await desk.node.happen(status("failed", ANN, 30003))

    async def stands() -> str:
        found = (await desk.client.get(f"{PREFIX}/failures")).json()["items"]
        (group,) = [each for each in found if each["code"] == 30003]
        return "open" if group["problem"] is None else str(group["problem"]["state"])

    where, button = "/console/failures/30003", "/console/failures/30003/state"
    await fails()
    assert await stands() == "open"
    pressed = await desk.press(where, button, state="muted", above="1", note="they know")
    assert (pressed.status_code, pressed.headers["location"]) == (303, where)
    assert await stands() == "muted"
    assert "they know" in (await desk.client.get(where)).text
    await fails()
    assert await stands() == "open"
    late = await desk.post("/failures/30003/state", method="PUT", state="seen",
                           expect={"state": "open"})  # fmt: skip
    assert (late.status_code, late.json()["now"]) == (409, {"state": "muted"})
    done = await desk.post("/failures/30003/state", method="PUT", state="resolved")
    assert done.status_code == 202
    assert await stands() == "resolved"
    desk.node.time += 7200
    await fails()
    assert await stands() == "came back"
    page = (await desk.client.get(f"{where}?until=2999-01-01T00:00Z")).text
    assert "The next failure came 2.0 h later." in page
    for only, many in (("came back", 1), ("muted", 0)):
        path = f"{PREFIX}/failures?state={only}"
        assert len((await desk.client.get(path)).json()["items"]) == many
    page = (await desk.client.get("/console/failures?state=came+back&until=2999-01-01T00:00Z")).text
    assert page.count("30003<") == 1
    for wrong in (
        {"state": "gone"}, {"state": "seen", "above": 3}, {"state": "muted", "until": "yesterday"},
        {"state": "muted", "until": "2001-01-01T00:00Z"}, {"state": "muted", "above": 0},
        {"state": "muted", "until": "2999-01-01T00:00"}, {"state": "muted", "above": 2},
    ):  # fmt: skip
        answer = await desk.post("/failures/30003/state", method="PUT", **wrong)
        assert answer.status_code == 400, wrong
    assert await stands() == "came back"


async def test_a_change_may_name_the_tag_of_what_was_read(desk: Desk) -> None:
    """409 with what is true when it is not that any more; a repeated request gets its answer."""
    await desk.node.happen(text("draft", ANN))
    ((uid, _),) = desk.actions()
    desk.names = iter(["ada"] * 20)
    tag = (await desk.client.get(f"{PREFIX}/actions/{uid}")).headers["etag"]

    async def sent(path: str, tag: str, key: str = "") -> httpx.Response:
        headers = {"idempotency-key": key or fresh(), "if-match": tag}
        return await desk.client.post(PREFIX + path, json={}, headers=headers)

    key = fresh()
    other = await sent(f"/actions/{uid}/decline", '"of-another"')
    assert (other.status_code, other.json()["now"]["state"]) == (409, "parked")
    first = await sent(f"/actions/{uid}/decline", tag, key)
    assert (first.status_code, first.json()["state"]) == (202, "cancelled")
    assert (await sent(f"/actions/{uid}/decline", tag, key)).json() == first.json()
    late = await sent(f"/actions/{uid}/retry", tag)
    assert (late.status_code, late.json()["now"]["state"]) == (409, "cancelled")
    assert (await sent("/reload", tag)).json()["fields"][0]["name"] == "If-Match"
    assert (await sent("/actions/act_0/retry", tag)).status_code == 404


async def test_those_that_are_marked_are_decided_about_and_no_others(desk: Desk) -> None:
    """Two of three drafts, by the page; by the API with their ids."""
    for number, who in enumerate(PEOPLE):
        await desk.node.happen(text(f"draft {number}", who))
    (one, _), (two, _), (three, _) = desk.actions()
    page = (await desk.client.get("/console/decide")).text
    assert page.count('form="marked"') == 3
    form = page.partition('id="marked"')[2].partition("</form>")[0]
    fields = {**dict(re.findall(r'name="(\w+)" value="([^"]*)"', form)), "op": "decline"}
    none = await desk.client.post("/console/bulks", data=fields)
    assert (none.status_code, "Mark some of them first" in none.text) == (400, True)
    marks = {f"mark-{uid}": "yes" for uid in (one, three, "act_0")}
    asks = (await desk.client.post("/console/bulks", data={**fields, **marks})).text
    assert "<h1>Decline 2</h1>" in asks
    found = await desk.post("/bulks", op="approve", filter={"uids": [two]}, dry=True)
    assert (found.json()["total"], desk.twilio.taken) == (1, 0)
    for wrong in ("act_1", [1], ["x"] * 201):
        answer = await desk.post("/bulks", op="approve", filter={"uids": wrong})
        assert answer.status_code == 400


@pytest.mark.parametrize("letter", ["\0", "\x1b", "\x85", "\x0b", "\ud800"])
async def test_no_control_character_is_written_to_anybody(desk: Desk, letter: str) -> None:
    """Not into a conversation, not in other words for a draft; newline and tab are none."""
    await desk.node.happen(text("draft", ANN))
    ((uid, _),) = desk.actions()
    (found,) = (await desk.client.get(f"{PREFIX}/conversations")).json()["items"]
    for path in (f"/conversations/{found['uid']}/messages", f"/actions/{uid}/approve"):
        wrong = await desk.client.post(
            PREFIX + path, content=json.dumps({"text": f"Well{letter} then"}),
            headers={"Idempotency-Key": fresh(), "Content-Type": "application/json"},
        )  # fmt: skip
        assert wrong.status_code == 400, wrong.text
        (field,) = wrong.json()["fields"]
        assert field["name"] == "text"
        assert f"letter 5 is the control character U+{ord(letter):04X}" in field["message"]
    assert desk.actions() == [(uid, "parked")]
    fine = await desk.post(f"/conversations/{found['uid']}/messages", text="Well\r\n\tthen 👩‍🚒")
    assert fine.status_code == 202


async def test_the_mute_of_a_conversation_is_told_as_it_is(desk: Desk) -> None:
    """Also where nobody has muted it, and where what somebody has read is not true any more."""
    await desk.node.happen(text("nothing", ANN))
    (found,) = (await desk.client.get(f"{PREFIX}/conversations")).json()["items"]
    path, until = f"/conversations/{found['uid']}/mute", iso(REAL.now() + timedelta(hours=1))

    async def put(state: str, until: str | None) -> tuple[int, Any]:
        answer = await desk.post(path, method="PUT", until=until, expect={"state": state})
        return answer.status_code, answer.json()

    status, said = await put("zzz", until)
    assert (status, said["now"]) == (409, {"state": "not muted", "until": None})
    assert "its state is 'not muted' now, not 'zzz'" in said["detail"]
    headers = {"Idempotency-Key": fresh(), "If-Match": '"bogus"'}
    stale = await desk.client.put(PREFIX + path, json={"until": until}, headers=headers)
    assert (stale.status_code, stale.json()["now"]["state"]) == (409, "not muted")
    status, said = await put("not muted", until)
    assert (status, said["state"]) == (202, "muted")
    status, said = await put("not muted", None)
    assert (status, said["now"]["state"]) == (409, "muted")
    status, said = await put("muted", None)
    assert (status, said["state"]) == (202, "not muted")
    rows = desk.node.reader.execute("select was, became from doings where outcome = 'done'")
    assert [tuple(row) for row in rows] == [("not muted", "muted"), ("muted", "not muted")]


async def test_one_conversation_knows_what_came_last(desk: Desk) -> None:
    """Also when nobody has looked at the list since."""
    await desk.node.happen(text("one", ANN))
    (found,) = (await desk.client.get(f"{PREFIX}/conversations")).json()["items"]
    desk.node.time += 60.0
    await desk.node.happen(text("two", ANN))
    one = (await desk.client.get(f"{PREFIX}/conversations/{found['uid']}")).json()
    assert one["last_at"] > found["last_at"]
    (listed,) = (await desk.client.get(f"{PREFIX}/conversations")).json()["items"]
    assert one["last_at"] == listed["last_at"]


async def test_unanswered_is_the_same_in_a_row_and_as_a_filter(desk: Desk) -> None:
    """Nobody has answered their last text for ten minutes; the page says it in these words."""
    now, said = desk.node.time, {}
    for who, minutes in zip(PEOPLE, (11, 9, 0), strict=False):
        desk.node.time = now - 60.0 * minutes
        await desk.node.happen(text("nothing", who))
        said[who] = minutes == 11
    rows = (await desk.client.get(f"{PREFIX}/conversations")).json()["items"]
    assert sorted(row["unanswered"] for row in rows) == sorted(said.values())
    only = (await desk.client.get(f"{PREFIX}/conversations?unanswered=true")).json()["items"]
    assert only == [row for row in rows if row["unanswered"]]
    page = (await desk.client.get("/console/conversations")).text
    listed = page[page.index("<tbody>") : page.index("</tbody>")]
    assert listed.count("unanswered for 10 minutes") == 1
    assert "not answered" not in listed


async def test_the_tag_of_a_group_is_that_of_its_state_in_every_span(desk: Desk) -> None:
    """More failures, or another span, are no other state; what a person said is one, and told."""
    await desk.node.happen(status("failed", ANN, 30003))
    path = f"{PREFIX}/failures/30003"

    async def tag(since: str) -> str:
        return str((await desk.client.get(path, params={"since": since})).headers["etag"])

    async def put(state: str, tag: str) -> httpx.Response:
        headers = {"Idempotency-Key": fresh(), "If-Match": tag}
        return await desk.client.put(f"{path}/state", json={"state": state}, headers=headers)

    first = await tag("7d")
    await desk.node.happen(status("failed", PEOPLE[1], 30003))
    assert await tag("7d") != first  # another answer, which is no 304
    assert (await put("seen", first)).status_code == 202
    for stale in (first, '"bogus"', "garbage"):
        answer = (await put("resolved", stale)).json()
        assert (answer["status"], answer["now"]) == (409, {"state": "seen"})
        assert "is not what If-Match names: its state is 'seen' now;" in answer["detail"]
    for since, state in (("7d", "resolved"), ("1h", "seen"), ("30d", "open")):
        assert (await put(state, await tag(since))).status_code == 202
    desk.node.time -= 40 * 86400
    await desk.node.happen(status("failed", ANN, 30005))
    old = (await desk.client.get(f"{PREFIX}/failures/30005?since=60d")).headers["etag"]
    path = f"{PREFIX}/failures/30005"
    assert (await put("seen", old)).status_code == 202


async def test_what_never_failed_is_no_group(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the API, on the page and by the shell, also without a code; a quiet span is none of
    that."""
    await desk.node.happen(status("failed", ANN, 30003))
    for code, there in (("99", False), ("0", False), ("30003", True)):
        page = await desk.client.get(f"/console/failures/{code}?until=2020-01-01")
        assert page.status_code == (200 if there else 404), page.text
        pressed = await desk.client.post(f"/console/failures/{code}/state", data={"state": "seen"})
        assert pressed.status_code == (303 if there else 404), pressed.text
        put = await desk.post(f"/failures/{code}/state", method="PUT", state="seen")
        assert put.status_code == (202 if there else 404), put.text
        if not there:
            words = ["-C", str(desk.settings.project), "failures", "state", code, "seen"]
            assert await asyncio.to_thread(run, words) == 2
            assert f"nothing ever failed with {code}" in capsys.readouterr().err
    assert desk.doings() == [("problem", "done")] * 2


async def test_a_refusal_shows_numbers_as_the_reader_may_see_them(desk: Desk) -> None:
    """Theirs masked or whole, as in other answers; ours are never masked."""
    await desk.node.happen(text("draft", ANN), text("STOP", ANN))
    ((draft, _),) = desk.actions()
    (found,) = (await desk.client.get(f"{PREFIX}/conversations")).json()["items"]
    one = f"/conversations/{found['uid']}"
    for unmasked in (False, True):
        desk.unmasked = unmasked
        refused = await desk.post(f"{one}/messages", text="Hello?")
        said = await desk.post(f"{one}/forecast", text="Hello?")
        assert (refused.status_code, said.json()["state"]) == (409, "refused")
        assert refused.json()["title"] == "This cannot be done as things are now"
        assert refused.json()["detail"].endswith(said.json()["reason"])
        for words in (refused.json()["detail"], refused.json()["now"]["reason"]):
            assert (ANN in words, OURS in words) == (unmasked, True), words
        assert said.json().get("masked", False) != unmasked
        await desk.post(f"/actions/{draft}/approve")
        await desk.node.wait(1.0)
        late = (await desk.post(f"/actions/{draft}/decline")).json()
        assert (late["status"], late["now"]["state"]) == (409, "refused")
        assert (ANN in late["now"]["reason"], OURS in late["now"]["reason"]) == (unmasked, True)


async def test_what_is_wrong_is_said_with_what_it_may_be(desk: Desk) -> None:
    """Each names the field as whoever asks knows it."""
    await desk.node.happen(status("failed", ANN, 30003))

    async def wrong(path: str, key: str = "", **body: Any) -> tuple[int, str, str]:
        answer = (await desk.post(path, key, method="PUT", **body)).json()
        (field,) = answer.get("fields") or [{"name": ""}]
        return answer["status"], field["name"], answer["detail"]

    code, name, said = await wrong("/failures/30003/state", state="came back")
    assert (code, name) == (400, "state")
    assert "'came back' by itself; choose open, seen, resolved, muted" in said
    with pytest.raises(UsageError, match="'came back' is set by itself"):
        await desk.control.handle({"op": "problem", "key": "30003", "state": "came back"})
    for key in ("7", "x" * 26, "01KP2T3SNM0H3NJVHKXABYVEFZ0"):
        code, name, said = await wrong("/failures/30003/state", key, state="seen")
        assert (code, name, "form" in said) == (400, "Idempotency-Key", False)
    assert await wrong("/rules/drafted/state", state="live", reason="go") == (
        403, "", f"to set a rule beyond its file wants the role admin, and {desk.last} has operate"
    )  # fmt: skip
    page = await desk.client.get("/console/conversations?unanswered=maybe")
    assert page.status_code == 400
    assert "unanswered is true or left away, not maybe" in page.text
    ahead = await desk.client.post(
        f"{PREFIX}/backtests", json={"since": "2999-01-01T00:00:00Z"}
    )  # fmt: skip
    assert (ahead.status_code, ahead.json()["fields"][0]["message"]) == (400, "lies ahead")
