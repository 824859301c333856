"""Exports of lists: the rows of the JSON API as a file, masked alike, with no formula in it."""

import csv
import html
import io
import json
import re
from typing import Any

import pytest

from admission.console import DIGITS, EVER, Api
from admission.stories import PEOPLE
from ringback.console.api import exports
from ringback.console.api.listed import RESOURCES
from ringback.console.api.schemas import ALL
from ringback.console.problems import refuse

LISTS = ("/events", "/runs", "/actions", "/attempts", "/failures", "/delivery", "/rules")


async def got(api: Api, path: str, form: str, **query: Any) -> str:
    answer = await api.client.get(path, params={**query, "format": form})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].endswith(f'.{form}"')
    return answer.text


@pytest.mark.parametrize("path", LISTS)
async def test_a_file_has_the_rows_of_the_list(
    api: Api, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """All of them, over several chunks, in both forms."""
    monkeypatch.setattr(exports, "CHUNK", 3)
    query = {"since": EVER} if path in ("/failures", "/delivery") else {}
    limit = {"limit": 200} if path[1:] in ("events", "runs", "actions", "attempts") else {}
    items = (await api.get(path, **query, **limit))["items"]
    assert items
    lines = (await got(api, path, "jsonl", **query)).splitlines()
    assert [json.loads(line) for line in lines] == items
    rows = list(csv.DictReader(io.StringIO(await got(api, path, "csv", **query))))
    assert len(rows) == len(items)
    uids = [row.get("uid") for row in rows]
    assert uids == [each.get("uid") for each in items]


async def test_each_file_has_the_fields_of_the_rows_of_its_list(api: Api) -> None:
    """Those that the list has by itself, such as a conversation in short, are columns too."""
    endpoints = [each for resource in RESOURCES for each in resource.endpoints if each.lists]
    (one, *_) = (await api.get("/conversations"))["items"]
    with_rows = set()
    for endpoint in endpoints:
        path = endpoint.path.replace("{name}", "hours").replace("{id}", one["uid"])
        query = {"since": EVER} if "since" in {each.name for each in endpoint.query} else {}
        answer = await api.client.get(path, params=query)
        if answer.status_code == 404:  # nobody signs in here
            assert endpoint.role == "admin", answer.text
            continue
        items = answer.json()["items"]
        header, *lines = csv.reader(io.StringIO(await got(api, path, "csv", **query)))
        row = ALL[endpoint.answer]["properties"]["items"]["items"]["$ref"].rpartition("/")[2]
        assert set(header) == set(ALL[row]["properties"]) - {"masked"}, path
        assert not set().union(*items) - set(header), path
        assert len(lines) >= len(items), path
        with_rows |= {endpoint.path} if items else set()
    assert with_rows >= {"/conversations", "/conversations/{id}/items", "/events", "/rules"}


@pytest.mark.parametrize("trouble", ["many", "slow"])
async def test_a_file_that_is_not_whole_says_so(
    api: Api, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """Too many rows, or a question on the way that takes too long."""
    monkeypatch.setattr(exports, "CHUNK", 3)
    part, asked = exports._part, list[str]()
    if trouble == "many":
        monkeypatch.setattr(exports, "MOST", 5)
    else:

        async def breaking(export: exports.Export, cursor: str) -> Any:
            asked.append(cursor)
            if len(asked) == 2:
                raise refuse("slow")
            return await part(export, cursor)

        monkeypatch.setattr(exports, "_part", breaking)
    lines = (await got(api, "/events", "jsonl")).splitlines()
    assert len(lines) == (6 if trouble == "many" else 4)
    assert "is not whole" in json.loads(lines[-1])["not_whole"]
    asked.clear()
    rows = list(csv.reader(io.StringIO(await got(api, "/events", "csv"))))
    assert len(rows) == (7 if trouble == "many" else 5)
    assert "is not whole" in rows[-1][0]


async def test_a_file_is_masked_as_the_role_says(reader: Api) -> None:
    for form in ("csv", "jsonl"):
        text = await got(reader, "/events", form)
        plain = "".join(each for each in text if each.isalnum())
        assert not [digits for digits in DIGITS if digits in plain]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    """A number of a phone begins with a plus, which is one."""
    (row,) = csv.reader(io.StringIO(exports.csv_line([exports._cell(text)]).decode()))
    assert row == [f"'{text}"] or row == [f"'{text}".replace("\r", "\n")]


async def test_cells_are_whole(api: Api) -> None:
    """Commas, quotes and lines of texts stay in their cells; objects are JSON."""
    rows = list(csv.DictReader(io.StringIO(await got(api, "/events", "csv", limit=1))))
    (one,) = [row for row in rows if PEOPLE[1] in json.loads(row["fields"]).get("Body", "")][:1]
    assert one["sender"].startswith("'+")


@pytest.mark.parametrize(
    ("query", "wanted"),
    [({"format": "xls"}, "format"), ({"format": "csv", "sinec": "1h"}, "sinec")],
)
async def test_what_is_wrong_is_a_problem_and_no_file(
    api: Api, query: dict[str, str], wanted: str
) -> None:
    answer = await api.client.get("/events", params=query)
    assert (answer.status_code, wanted in answer.text) == (400, True)
    answer = await api.client.get("/me", params={"format": "csv"})
    assert answer.status_code == 400


PAGES = (
    "/console/?error=any&own=no", "/console/?type=message.received", "/console/decide",
    f"/console/failures?since={EVER}", f"/console/delivery?since={EVER}", "/console/costs",
    "/console/rules", "/console/waiting", "/console/health", "/console/settings",
    "/console/settings/audit", "/console/conversations?unanswered=true", "/console/bulks",
    "/console/calls",
)  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
async def test_every_list_opens_as_json_and_as_a_file(api: Api, path: str) -> None:
    """The links below a list lead to answers."""
    page = (await api.client.get(f"http://node{path}")).text
    (line,) = re.findall(r'<p class="soft opened">(.*?)</p>', page)
    links = [html.unescape(each) for each in re.findall(r'href="([^"]+)"', line)]
    assert len(links) in (1, 3)
    for link in links:
        answer = await api.client.get(f"http://node{link}")
        assert answer.status_code == 200, (link, answer.text)
