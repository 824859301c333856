"""Changes that come from elsewhere: other sites, other sessions, nobody. None of them is done."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from admission.stories import PEOPLE, text
from ringback.console.api.listed import RESOURCES
from ringback.console.api.resource import PREFIX
from ringback.console.app import create_console
from ringback.console.entry import entry_of
from ringback.console.surroundings import Surroundings
from ringback.store.console import passwords
from ringback.store.console.access import Access
from scenarios.test_console_operations import Desk, desk, fresh

__all__ = ["desk"]
BASE = "http://127.0.0.1:8080"
OWNER = "correct horse battery"
TOKEN = "rbt-own-4711-token-of-the-settings"
SAME = {"origin": BASE, "sec-fetch-site": "same-origin"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Guarded:
    """The console of a working node behind its guard, with a draft that waits."""

    def __init__(self, desk: Desk, access: Access, uid: str) -> None:
        settings = replace(desk.settings, console_password=OWNER, api_token=TOKEN)
        self.desk, self.uid = desk, uid
        surroundings = Surroundings(desk.operate)
        self.app = create_console(settings, surroundings, entry=entry_of(settings, access))
        self.path = f"/console/actions/{uid}/decline"

    def browser(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 4711))
        return httpx.AsyncClient(transport=transport, base_url=BASE)

    async def signed_in(self) -> httpx.AsyncClient:
        found = self.browser()
        data = {"name": "console", "password": OWNER, "next": ""}
        assert (await found.post("/console/login", data=data, headers=SAME)).status_code == 303
        return found

    async def form(self, browser: httpx.AsyncClient) -> dict[str, str]:
        page = (await browser.get("/console/decide")).text
        found = re.search(rf'<form[^>]*action="{re.escape(self.path)}".*?</form>', page, re.S)
        assert found
        return dict(re.findall(r'name="(\w+)" value="([^"]*)"', found.group()))


@pytest.fixture
async def guarded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Guarded]:
    monkeypatch.setattr(passwords, "_COST", 5)
    await desk.node.happen(text("draft", PEOPLE[0]))
    ((uid, _),) = desk.actions()
    with Access(desk.settings.data) as access:
        found = Guarded(desk, access, uid)
        yield found
        found.app.state.console.conversations.close()
        found.app.state.console.reading.close()


ELSEWHERE: dict[str, dict[str, str]] = {
    "another site": {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    "a sibling": {"origin": "http://a.127.0.0.1:8080", "sec-fetch-site": "same-site"},
    "another port": {"origin": "http://127.0.0.1:9999", "sec-fetch-site": "same-site"},
    "null": {"origin": "null"},
    "nothing said": {},
    "a lie": {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
}


@pytest.mark.parametrize("where", ELSEWHERE)
async def test_a_form_from_elsewhere_changes_nothing(guarded: Guarded, where: str) -> None:
    """With the cookies and the token of a real session."""
    browser = await guarded.signed_in()
    form = await guarded.form(browser)
    answer = await browser.post(guarded.path, data=form, headers=ELSEWHERE[where])
    assert answer.status_code == 403
    assert guarded.desk.doings() == []
    assert (await browser.post(guarded.path, data=form, headers=SAME)).status_code == 303
    assert guarded.desk.doings() == [("decline", "done")]


async def test_a_form_that_is_not_of_this_session_changes_nothing(guarded: Guarded) -> None:
    """Another token, that of another session, of another form, none; without the second cookie; in
    another type; by another method."""
    browser, other = await guarded.signed_in(), await guarded.signed_in()
    form, theirs = await guarded.form(browser), await guarded.form(other)
    retry = f"/console/actions/{guarded.uid}/again"
    for path, data in (
        (guarded.path, {**form, "token": "x"}), (guarded.path, theirs),
        (guarded.path, {**form, "request": fresh()}), (retry, {**form, "count": "1"}),
        (guarded.path, {name: value for name, value in form.items() if name != "token"}),
    ):  # fmt: skip
        assert (await browser.post(path, data=data, headers=SAME)).status_code == 403
    plain = {**SAME, "content-type": "text/plain"}
    body = str(httpx.QueryParams(form))
    assert (await browser.post(guarded.path, content=body, headers=plain)).status_code == 415
    override = {**SAME, **FORM, "x-http-method-override": "POST"}
    got = await browser.get(guarded.path, params=form, headers=override)
    assert got.status_code == 400  # read, and the fields of the form are none of the page's
    for name in list(browser.cookies):
        if name.startswith("rbw") or "rbw" in name:
            browser.cookies.delete(name)
    assert (await browser.post(guarded.path, data=form, headers=SAME)).status_code == 403
    nobody = guarded.browser()
    assert (await nobody.post(guarded.path, data=form, headers=SAME)).status_code == 401
    assert guarded.desk.doings() == []


WRITES = [each for resource in RESOURCES for each in resource.endpoints if each.writes]


@pytest.mark.parametrize("endpoint", WRITES, ids=lambda each: each.name)
async def test_no_write_of_the_api_is_done_for_strangers(guarded: Guarded, endpoint: Any) -> None:
    """Without credentials, with wrong ones, from a page of another site, by a form."""
    path = PREFIX + endpoint.path.replace("{id}", guarded.uid).replace("{name}", "drafted")
    key, browser = {"idempotency-key": fresh()}, await guarded.signed_in()
    own = {**SAME, **key, "x-ringback": "1"}
    for client, headers, status in (
        (guarded.browser(), own, 401),
        (guarded.browser(), {**key, "authorization": "Bearer rbt_wrong"}, 401),
        (browser, {**own, "origin": "https://evil.example", "sec-fetch-site": "cross-site"}, 403),
        (browser, {**SAME, **key}, 403),
    ):
        answer = await client.request(endpoint.method, path, json={}, headers=headers)
        assert (answer.status_code, headers) == (status, headers)
        assert answer.headers["content-type"] == "application/problem+json"
        assert guarded.uid not in answer.text
    as_form = await browser.request(
        endpoint.method, path, content="state=off", headers={**own, **FORM}
    )
    assert as_form.status_code == 415
    expired = {**SAME, **key, "x-ringback": "1"}
    browser.cookies.clear()
    gone = await browser.request(endpoint.method, path, json={}, headers=expired)
    assert gone.status_code == 401
    assert guarded.desk.doings() == []
