"""JSON API over a node that has lived: the rows that the shell prints, masked as the role says."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest

from admission.console import DIGITS, EVER, Api
from admission.stories import OURS, PEOPLE
from ringback.cli.main import run
from ringback.console.api.listed import RESOURCES
from ringback.console.api.resource import Endpoint
from ringback.console.api.schemas import ALL, SCHEMAS


def printed(capsys: pytest.CaptureFixture[str], *command: str) -> list[dict[str, Any]]:
    """What a command prints with `--json`."""
    capsys.readouterr()
    assert run([*command, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


FOR_PEOPLE = {"id", "started", "due", "planned", "last"}
"""Fields that the shell prints besides: the number of a row, and times of the local clock."""
SAME: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("/events", {"type": "message.*", "error": 0}, ("events", "list", "--errors")),
    ("/events", {"number": PEOPLE[1]}, ("events", "list", "--number", PEOPLE[1])),
    ("/events", {"rule": "hours", "verdict": "silent"},
     ("events", "list", "--rule", "hours", "--verdict", "silent")),
    ("/events", {"rule": "hours", "type": "message.received"},
     ("events", "list", "--rule", "hours", "--type", "message.received")),
    ("/events", {"error": 30003, "trust": "signed", "until": "2030-01-01"},
     ("events", "list", "--code", "30003", "--trust", "signed", "--until", "2030-01-01")),
    ("/runs", {"state": "waiting"}, ("runs", "list", "--state", "waiting")),
    ("/runs", {"rule": "hours"}, ("runs", "list", "--rule", "hours")),
    ("/actions", {"state": "parked"}, ("actions", "list", "--state", "parked")),
    ("/actions", {"code": 30003}, ("actions", "list", "--code", "30003")),
    ("/actions", {"number": PEOPLE[2], "kind": "send_message"},
     ("actions", "list", "--number", PEOPLE[2], "--kind", "send_message")),
    ("/failures", {"since": EVER}, ("failures", "--since", EVER)),
    ("/failures", {"since": EVER, "by": "sender,rule,country,line_type,hour"},
     ("failures", "--since", EVER, "--by", "sender,rule,country,line_type,hour")),
    ("/delivery", {"since": EVER}, ("deliveries", "--since", EVER)),
    ("/delivery", {"since": EVER, "by": "rule", "grain": "hour"},
     ("deliveries", "--since", EVER, "--by", "hour,rule")),
    ("/delivery", {"since": EVER, "by": "all"}, ("deliveries", "--since", EVER, "--by", "all")),
    ("/costs", {"since": EVER}, ("spend", "--since", EVER)),
    ("/costs", {}, ("spend",)),
    ("/costs", {"by": "sender"}, ("spend", "--by", "sender")),
]  # fmt: skip


@pytest.mark.parametrize(("path", "query", "command"), SAME)
async def test_a_list_is_what_the_shell_prints(
    api: Api,
    capsys: pytest.CaptureFixture[str],
    path: str,
    query: dict[str, Any],
    command: tuple[str, ...],
) -> None:
    """The same rows under the same names, the newest first."""
    limited = path[1:] in ("events", "runs", "actions", "doings")
    found = await api.get(path, **query, **({"limit": 200} if limited else {}))
    rows = printed(capsys, *command, *(("--limit", "200") if limited else ()))
    shown = [{k: v for k, v in row.items() if k not in FOR_PEOPLE} for row in rows]
    assert found["items"] == (shown[::-1] if limited else shown)
    assert shown
    assert "masked" not in found


async def test_an_object_is_what_the_shell_prints(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    for event in (await api.get("/events"))["items"][:5]:
        assert await api.get(f"/events/{event['uid']}") == event
    for action in (await api.get("/actions", limit=200))["items"][:3]:
        assert await api.get(f"/actions/{action['uid']}") == action
        (tree,) = printed(capsys, "trace", action["uid"])
        assert await api.get(f"/traces/{action['uid']}") == tree
    for began in (await api.get("/runs"))["items"][:3]:
        assert await api.get(f"/runs/{began['uid']}") == began
    (event,) = printed(capsys, "events", "show", event["uid"])
    assert await api.get(f"/events/{event['uid']}") == event


def checked(answer: Any, endpoint: Endpoint) -> None:
    """Hold an answer against what the OpenAPI document says of it."""
    schema = {"$ref": f"#/components/schemas/{endpoint.answer}", "components": {"schemas": ALL}}
    jsonschema.Draft202012Validator(schema).validate(answer)


GETS = [
    endpoint
    for resource in RESOURCES
    for endpoint in resource.endpoints
    if endpoint.method == "GET" and endpoint.media == "application/json"
]


async def ids_of(api: Api) -> Mapping[str, list[str]]:
    """Names that stand for the parts of paths, by the path."""
    found = {
        name: [each["uid"] for each in (await api.get(f"/{name}", limit=200))["items"]][:6]
        for name in ("events", "runs", "actions")
    }
    return {
        "/events/{id}": found["events"], "/runs/{id}": found["runs"],
        "/actions/{id}": found["actions"],
        "/traces/{id}": [*found["events"], *found["runs"], *found["actions"]],
        "/failures/{key}": ["30003"],
    }  # fmt: skip


@pytest.mark.parametrize("who", ["api", "reader"])
async def test_every_answer_is_as_the_document_says(
    who: str, request: pytest.FixtureRequest, api: Api, reader: Api
) -> None:
    """And what somebody who may only read is shown has no number of a person in it."""
    one = {"api": api, "reader": reader}[who]
    ids = await ids_of(api)
    seen = 0
    for endpoint in GETS:
        wide = {"since": EVER} if "since" in {each.name for each in endpoint.query} else {}
        for name in ids.get(endpoint.path, [""]):
            path = endpoint.path.replace("{id}", name or "none").replace("{key}", name or "0")
            answer = await one.client.get(path, params=wide)
            if answer.status_code != 200:
                low = one is reader and endpoint.role != "read"
                assert (answer.status_code, name) == (403 if low else 404, "")
                continue
            seen += 1
            if endpoint.answer:
                checked(answer.json(), endpoint)
            plain = "".join(each for each in answer.text if each.isdigit() or each.isalpha())
            if one is reader:
                assert not [digits for digits in DIGITS if digits in plain]
                assert OURS in answer.text or endpoint.path != "/events"
            assert answer.json().get("masked", False) == (one is reader and endpoint.personal)
    assert seen > 35


async def test_who_may_only_read_gets_no_raw_body(api: Api, reader: Api) -> None:
    uid = (await api.get("/events"))["items"][-1]["uid"]
    whole = await api.client.get(f"/events/{uid}/raw")
    assert (whole.status_code, PEOPLE[0][1:] in whole.text) == (200, True)
    refused = await reader.client.get(f"/events/{uid}/raw")
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:ringback:problem:role")


async def test_a_list_goes_on_where_its_cursor_says(api: Api) -> None:
    whole = (await api.get("/events", limit=200))["items"]
    found: list[Any] = []
    query: dict[str, Any] = {"limit": 7}
    while True:
        part = await api.get("/events", **query)
        found += part["items"]
        if part["next"] is None:
            break
        query["cursor"] = part["next"]
    assert found == whole


@pytest.mark.parametrize("spoilt", ["filters", "path", "text", "bytes"])
async def test_a_cursor_is_good_for_its_list_alone(api: Api, spoilt: str) -> None:
    """With other filters it would begin in the middle of another list."""
    cursor = (await api.get("/events", limit=2))["next"]
    ways: dict[str, tuple[str, dict[str, str]]] = {
        "filters": ("/events", {"cursor": cursor, "type": "message.received"}),
        "path": ("/runs", {"cursor": cursor}),
        "text": ("/events", {"cursor": "é' or 1=1 --"}),
        "bytes": ("/events", {"cursor": cursor[:-4] + "AAA="}),
    }
    path, query = ways[spoilt]
    answer = await api.client.get(path, params=query)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:ringback:problem:cursor")


async def test_what_has_not_changed_is_not_sent_again(api: Api, reader: Api) -> None:
    first = await api.client.get("/events", params={"limit": 3})
    tag = {"if-none-match": first.headers["etag"]}
    again = await api.client.get("/events", params={"limit": 3}, headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    other = await api.client.get("/events", params={"limit": 4}, headers=tag)
    masked = await reader.client.get("/events", params={"limit": 3}, headers=tag)
    assert (other.status_code, masked.status_code) == (200, 200)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"tpye": "call.*"}, "Did you mean `type`?"),
        ({"limit": "0"}, "between 1 and 200"),
        ({"limit": "ten"}, "no whole number"),
        ({"since": "yesterday"}, "no time"),
        ({"since": "9999-12-31T23:59:59Z"}, "after all times"),
        ({"since": "0001-01-01T00:00:00+14:00"}, "no time"),
        ({"trust": "sgned"}, "one of claimed, confirmed"),
        ({"own": "maybe"}, "true or false"),
        ({"number": "1" * 600}, "more than 512"),
    ],
)
async def test_a_wrong_parameter_is_named(api: Api, query: dict[str, str], message: str) -> None:
    """Never ignored: a filter that is not one would show rows that it should have kept away."""
    answer = await api.client.get("/events", params=query)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert message in f"{problem['detail']} {problem['mend']}"
    assert problem["fields"][0]["name"] == next(iter(query))
    twice = await api.client.get("/events?type=a&type=b")
    assert twice.status_code == 400


HOSTILE = (
    "' or 1=1 --", '"; drop table events; --', "%", "_", "\x00", "*", "message.*'",
    "../../etc/passwd", "${7*7}", "{{7*7}}", "<script>", "\u202e", "1e999", "-1", "9" * 30, "null",
    "[]", "{}", "a,b", ",", "2026-13-45", "0001-01-01", "9999-12-31T23:59:59+14:00", "%00", "\\",
    "99999d", "NaN", "\u0661\u0662", " ", "\n", "evt_", "rules.text'", "json_each(verdicts)",
)  # fmt: skip


PROBLEM = jsonschema.Draft202012Validator(SCHEMAS["Problem"])


async def sent(api: Api, endpoint: Endpoint, name: str, hostile: str) -> None:
    """Send a hostile text as one parameter, or in the path."""
    path = endpoint.path.replace("{id}", "x").replace("{key}", "x")
    if not name:
        path = re.sub(r"\{\w+\}", quote(hostile, safe=""), endpoint.path)
    answer = await api.client.get(path, params={name: hostile} if name else {})
    assert answer.status_code in (200, 400, 404), (endpoint.path, name, hostile, answer.text)
    assert "sqlite" not in answer.text.lower()
    if answer.status_code != 200:
        PROBLEM.validate(answer.json())


async def test_the_first_day_of_all_is_a_time(api: Api) -> None:
    """No list looks further back than there are times; on pages too."""
    for endpoint in GETS:
        if "since" in {each.name for each in endpoint.query} and "{" not in endpoint.path:
            await api.get(endpoint.path, since="0001-01-01")
    for page in ("failures", "delivery", "costs", ""):
        found = await api.client.get(f"http://node/console/{page}", params={"since": "0001-01-01"})
        assert found.status_code == 200, found.text


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 29])
async def test_no_text_is_more_than_a_value(api: Api, every: int) -> None:
    """In a path, a filter, a cursor or a limit: 400, 404 or an empty list, and never an error."""
    before = await api.get("/events", limit=1)
    pairs = [
        (endpoint, name, hostile)
        for endpoint in GETS
        for name in (*(each.name for each in endpoint.query), *([""] * ("{" in endpoint.path)))
        for hostile in HOSTILE
    ]
    for endpoint, name, hostile in pairs[::every]:
        await sent(api, endpoint, name, hostile)
    assert (await api.get("/events", limit=1))["items"] == before["items"]


FOUND = jsonschema.Draft202012Validator(
    {"$ref": "#/components/schemas/Found", "components": {"schemas": ALL}}
)


AT_HAND = [
    (f"{PEOPLE[1][:3]} (0)20 {PEOPLE[1][5:9]} {PEOPLE[1][9:]}", "number"),
    ("SM" + "1".zfill(32), "sid"), ("hours", "rule"), ("30003", "code"), ("nothing", ""),
    (PEOPLE[1][-4:], "end"), ("con_", "name"), ("con_nobody", ""), ("0000", ""),
]  # fmt: skip


@pytest.mark.parametrize(("what", "found"), AT_HAND)
async def test_whoever_reads_finds_the_same_masked(reader: Api, what: str, found: str) -> None:
    if found == "name":
        what = (await reader.get("/conversations"))["items"][0]["uid"]
    answer = await reader.client.post("/find", json={"what": what})
    assert answer.status_code == 200
    assert bool(answer.json()["events"]) == (found in ("number", "sid"))
    assert not [digits for digits in DIGITS if digits in answer.text]


@pytest.mark.parametrize(("what", "found"), AT_HAND)
async def test_what_is_at_hand_is_found(api: Api, what: str, found: str) -> None:
    """By what it is; the body of a request holds it, so that no number is in an address."""
    if found == "name":
        what = (await api.get("/conversations"))["items"][0]["uid"]
    answer = (await api.client.post("/find", json={"what": what})).json()
    FOUND.validate(answer)
    chats = answer["conversations"]
    assert bool(chats) == (found in ("number", "end", "name"))
    assert {each["recipient"] for each in chats} <= {PEOPLE[1]} or [what] == [
        each["uid"] for each in chats
    ]
    assert bool(answer["events"]) == (found in ("number", "sid"))
    if found == "number":
        assert {each["sender"] for each in answer["events"]} <= {PEOPLE[1], OURS}
    assert (answer["rule"] == "hours") == (found == "rule")
    assert ((answer["error"] or {}).get("code") == 30003) == (found == "code")
