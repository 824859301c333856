"""Trying rules, and backtests: by command, API and page, over a node that has lived."""

import asyncio
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from admission.console import DIGITS, RULES, Api
from ringback.cli.main import run
from ringback.console.backtests import Backtests
from ringback.console.children import Children

DRAFT = RULES.replace("country(event.from) == 'GB'", "country(event.from) == 'FR'")


def ringback(*words: str) -> tuple[int, str]:
    """The command in this process, with what it complains of behind what it prints."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        code = run(["-C", str(Path.cwd()), *words])
    return code, printed.getvalue()


async def child(words: Sequence[str]) -> tuple[int, str]:
    return ringback(*words)


@pytest.fixture
def trying(project: Path) -> Iterator[Api]:
    found = _able(Api(project, "operate", unmasked=False))
    yield found
    found.close()


def _able(api: Api) -> Api:
    console = api.app.state.console
    surroundings = replace(console.surroundings, run_child=child)
    api.app.state.console = replace(
        console, surroundings=surroundings, children=Children(surroundings)
    )
    return api


@dataclass
class Long:
    """What runs a backtest: the command, once it may."""

    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, words: Sequence[str]) -> tuple[int, str]:
        await self.go.wait()
        return ringback(*words)


def by_rule(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["rule"]: row for row in rows}


def test_the_command_shows_each_line_and_what_the_gate_says(project: Path) -> None:
    words = ["rules", "try", "--field", "From=+442071838750", "--json", "--field"]
    code, printed = ringback(*words, "Body=hours")
    event, *rows = map(json.loads, printed.splitlines())
    assert (code, event["type"]) == (0, "message.received")
    rules = by_rule(rows)
    hours = rules["hours"]
    assert [line["held"] for line in hours["lines"]] == [True, True]
    assert [each["kind"] for each in hours["actions"]] == ["remember", "send_message"]
    assert hours["actions"][1]["says"] == "let out"
    assert rules["asks"]["lines"][0]["held"] is False
    assert rules["asks"]["lines"][0]["read"]["event.body"] == "hours"
    (draft,) = by_rule(map(json.loads, ringback(*words, "Body=draft")[1].splitlines()[1:]))[
        "draft"
    ]["actions"]
    assert draft["says"] == "draft"
    broken = by_rule(map(json.loads, ringback(*words, "Body=break")[1].splitlines()[1:]))["broken"]
    assert broken["fired"]
    assert "int" in broken["failed"]
    code, printed = ringback("rules", "try", "--field", "Body")
    assert (code, "NAME=VALUE" in printed) == (2, True)


def test_a_backtest_of_a_time_to_come_is_refused(project: Path) -> None:
    code, printed = ringback("backtest", "--since", "2999-01-01")
    assert (code, "--since 2999-01-01 lies ahead; it is " in printed) == (2, True)


async def test_a_stored_event_is_tried_with_another_text_and_other_rules(trying: Api) -> None:
    """With the events before it; wrong rules are refused with their place; numbers are masked."""
    items = (await trying.get("/events", type="message.received", limit=200))["items"]
    uid = next(each["uid"] for each in items if each["fields"]["Body"] == "hello")

    async def tried(**body: Any) -> Any:
        answer = await trying.client.post("/rules/try", json={"event": uid, **body})
        return answer.status_code, answer.json()

    code, found = await tried(fields={"Body": "hours"})
    assert code == 200
    assert by_rule(found["rules"])["hours"]["fired"]
    assert not [digits for digits in DIGITS if digits in json.dumps(found)]
    _, found = await tried(fields={"Body": "hours"}, rule="hours", text=DRAFT)
    (row,) = found["rules"]
    assert (row["verdict"], [line["held"] for line in row["lines"]]) == ("if:2", [True, False])
    code, found = await tried(text=DRAFT.replace("keyword", "keywrod"))
    assert code == 400
    assert "rules.yaml:6:" in found["detail"]
    assert "/tmp" not in found["detail"]
    for event in ("SM7", "evt_7"):
        code, found = await tried(event=event)
        assert (code, found["detail"]) == (404, f"Nothing is known about {event}.")
    assert (await tried(event="--help"))[0] == 400


async def test_a_rule_that_is_not_there_is_not_silent(trying: Api) -> None:
    """By the command, the API and the page; the nearest name is said. One that is, is silent."""
    says = "rule: there is no rule 'huors'; did you mean 'hours'?"
    assert ringback("rules", "try", "--rule", "huors") == (2, f"ringback: {says}\n")
    answer = await trying.client.post("/rules/try", json={"rule": "huors"})
    (wrong,) = answer.json()["fields"]
    assert (answer.status_code, answer.json()["detail"], wrong["name"]) == (400, says, "rule")
    form = {"route": "message", "Body": "hello", "rule": "huors"}
    assert (await trying.client.post("http://node/console/try", data=form)).status_code == 400
    code, _ = ringback("rules", "try", "--route", "call", "--rule", "hours")
    assert code == 0
    assert ringback("rules", "try", "--rule", "zzz")[1].endswith(
        "`ringback rules list` names all\n"
    )


def test_an_event_is_typed_to_our_number_of_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that is set, which the console of `dev` asks with; else that of a running `dev`."""
    ours, dev = "+14155550100", project / "data" / "dev"

    def recipient() -> Any:
        lines = ringback("rules", "try", "--json")[1].splitlines()
        return json.loads(next(line for line in lines if line.startswith("{")))["recipient"]

    assert recipient() != ours
    with monkeypatch.context() as patch:
        patch.setenv("RINGBACK_SENDER", ours)
        assert recipient() == ours
    dev.mkdir()
    (dev / "dev.json").write_text(json.dumps({"pid": os.getpid(), "numbers": [ours]}))
    try:
        assert recipient() == ours
    finally:
        shutil.rmtree(dev)


async def test_the_page_tries_and_shows_what_was_typed_again(trying: Api, reader: Api) -> None:
    def page(answer: Any, status: int = 200) -> str:
        assert answer.status_code == status, answer.text
        return str(answer.text)

    where = "http://node/console/try"
    assert "<textarea" in page(await trying.client.get(where, params={"rule": "hours"}))
    form = {"route": "message", "Body": "hours <b>", "From": "+442071838750", "text": ""}
    found = page(await trying.client.post(where, data=form))
    assert "hours &lt;b&gt;</textarea>" in found
    assert "fires" in found
    assert "The gate:" in found
    wrong = page(await trying.client.post(where, data={**form, "text": "rules: 7"}), 400)
    assert "rules.yaml" in wrong
    assert page(await trying.client.post(where, data={**form, "more": "nonsense"}), 400)
    page(await _able(reader).client.get(where), 403)


async def test_a_backtest_of_other_rules_tells_the_difference(trying: Api, reader: Api) -> None:
    """One at a time; it can be stopped; what other rules did is no difference."""
    run, state = Long(), trying.app.state
    state.console = replace(state.console, backtests=Backtests(run))
    api, where = trying.client, "http://node/console/backtests"
    form = (await api.get(where, params={"rule": "hours"})).text
    assert "keyword(&#39;hours&#39;)" in form
    body = {"since": "400d", "text": DRAFT}
    begun = await api.post("/backtests", json=body)
    assert (begun.status_code, begun.json()["state"]) == (202, "running")
    second = await api.post("/backtests", json=body)
    assert (second.status_code, second.json()["type"]) == (503, "urn:ringback:problem:busy")
    first = f"/backtests/{begun.json()['uid']}"
    assert (await api.post(f"{first}/stop")).json()["state"] == "stopped"
    run.go.set()
    only = DRAFT[: DRAFT.index("  - name: asks")]  # one rule; the others stay as they are
    pressed = await api.post(where, data={"since": "400d", "text": only})
    assert pressed.status_code == 303
    console = state.console
    await console.backtests._task
    found = console.backtests.all()[0].shown()
    assert found["state"] == "done", found["said"]
    assert by_rule(found["rules"])["hours"]["why_not"]["if:2"] == 3
    assert by_rule(found["rules"])["dear"]["fired"] > 0
    assert {each["rule"] for each in found["only_then"]} == {"hours"}  # no draft has had its yes
    assert found["counts"]["same"] > 0
    page = (await api.get(f"http://node{pressed.headers['location']}")).text
    assert "Only then" in page
    assert f"/console/t/{next(each['sid'] for each in found['only_then'] if each['sid'])}" in page
    assert not [digits for digits in DIGITS if digits in "".join(filter(str.isalnum, page))]
    wrong = await api.post("/backtests", json={"since": "1d", "text": "rules: 7"})
    await console.backtests._task
    bad = (await api.get(f"/backtests/{wrong.json()['uid']}")).json()
    assert (bad["state"], "rules.yaml" in bad["said"]) == ("failed", True)
    assert (await api.post("/backtests", json={"since": "--help"})).status_code == 400
    assert len((await api.get("/backtests")).json()["items"]) == 3
    assert (await reader.client.get("/backtests")).status_code == 403
    assert (await reader.client.get(where)).status_code == 403


async def test_an_event_is_a_test_for_who_sees_whole_numbers(project: Path, trying: Api) -> None:
    whole = _able(Api(project, "operate", unmasked=True))
    (event, *_) = (await whole.get("/events", type="message.received"))["items"]
    path = f"/traces/{event['uid']}"
    test = await whole.client.get(path, params={"format": "pytest"})
    whole.close()
    assert test.headers["content-disposition"].endswith('.py"')
    compile(test.text, "test", "exec")
    assert event["sender"] in test.text
    refused = await trying.client.get(path, params={"format": "pytest"})
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:ringback:problem:role")
