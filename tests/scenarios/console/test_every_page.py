"""Every page and every list: no number for who may only read, no trouble by whatever is typed."""

import re
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from admission.console import DIGITS, EVER, Api
from admission.stories import PEOPLE
from ringback.console.api.listed import RESOURCES
from ringback.console.api.resource import PREFIX
from ringback.console.pages.listed import PAGES

TYPED = (
    "' or 1=1 --", "\x00", "../../etc/passwd",
    "${{7*7}}", "<script>alert(1)</script>", "-1", "9" * 40,
    "\u202e", "%_*[(?=", "a" * 600, "١٢٣", "\r\nX-A: b",
)  # fmt: skip
PATHS = sorted(
    {route.path for page in PAGES for route in page.routes
     if isinstance(route, Route) and "GET" in (route.methods or ())}
)  # fmt: skip
QUERY = (
    "since", "until", "by", "code", "rule", "sender", "country", "before", "type", "error",
    "trust", "verdict", "only", "level", "who", "after", "kind", "state", "ids", "did", "event",
)  # fmt: skip


async def known(api: Api) -> dict[str, list[str]]:
    """Names that stand for the parts of paths."""
    events = [each["uid"] for each in (await api.get("/events", limit=200))["items"]]
    actions = [each["uid"] for each in (await api.get("/actions", limit=200))["items"]]
    return {
        "uid": [*events[:3], *actions[:1]], "id": events[:3], "name": ["hours", "console"],
        "key": ["30003"], "deed": ["retry"], "con": ["con_x"],
    }  # fmt: skip


async def test_no_page_drops_a_parameter_silently(api: Api) -> None:
    """It is named, with the nearest that there is; the pages of signing in have none to take."""
    names = await known(api)
    for path in PATHS:
        filled = path
        for part in re.findall(r"{(\w+)(?::path)?}", path):
            filled = re.sub(rf"{{{part}(:path)?}}", names.get(part, ["x"])[0], filled)
        answer = await api.client.get(f"http://node{filled}", params={"beforee": "1"})
        assert answer.status_code in (400, 404), filled
        assert "beforee" in answer.text or answer.status_code == 404, filled


async def test_who_may_only_read_gets_no_number_by_any_page(api: Api, reader: Api) -> None:
    """E10, with all parts of paths that this node knows."""
    names, seen, leaks = await known(api), 0, []
    for path in PATHS:
        parts = re.findall(r"{(\w+)(?::path)?}", path)
        for place in range(max([len(names.get(part, ["x"])) for part in parts] or [1])):
            filled = path
            for part in parts:
                values = names.get(part, ["x"])
                filled = re.sub(rf"{{{part}(:path)?}}", values[place % len(values)], filled)
            wide = {"since": EVER} if path.endswith(("failures", "delivery", "costs")) else {}
            answer = await reader.client.get(httpx.URL(f"http://node{filled}"), params=wide)
            assert answer.status_code in (200, 303, 307, 400, 403, 404), (filled, answer.text[:500])
            seen += answer.status_code == 200
            plain = "".join(each for each in answer.text if each.isalnum())
            leaks += [(filled, each) for each in DIGITS if each in plain]
    assert leaks == []
    assert seen > 20


@pytest.mark.slow
@pytest.mark.parametrize("text", TYPED)
async def test_whatever_is_typed_is_a_mistake_or_nothing(api: Api, text: str) -> None:
    """E8: 400 or an answer, never a trouble of ours; on pages it is text."""
    for path in PATHS:
        if "{" not in path:
            query = dict.fromkeys(QUERY, text)
            await _fine(api, f"http://node{path}", query, text)
            for name in QUERY[:4]:
                await _fine(api, f"http://node{path}", {name: text}, text)
    for resource in RESOURCES:
        for endpoint in resource.endpoints:
            if endpoint.method == "GET" and "{" not in endpoint.path and endpoint.answer:
                for parameter in endpoint.parameters:
                    await _fine(
                        api, f"http://node{PREFIX}{endpoint.path}", {parameter.name: text}, ""
                    )


async def _fine(api: Api, url: str, query: dict[str, Any], text: str) -> None:
    answer = await api.client.get(url, params=query)
    assert answer.status_code in (200, 303, 307, 400, 404, 503), (url, query, answer.text[:500])
    if answer.status_code == 503:  # a process that does not run here
        assert "/logs" in url
    if "<script>" in text:
        assert text not in answer.text


@pytest.mark.parametrize("number", PEOPLE)
async def test_no_number_stands_in_an_address(api: Api, number: str) -> None:
    """E7: in no link, form or title of a page, for somebody who sees all."""
    for path in ("/console/", "/console/conversations", "/console/waiting", "/console/decide",
                 f"/console/failures?since={EVER}", "/console/settings/audit"):  # fmt: skip
        page = (await api.client.get(httpx.URL(f"http://node{path}"))).text
        for address in re.findall(r'(?:href|action|src)="([^"]*)"|<title>([^<]*)', page):
            assert number[1:] not in "".join(address)
