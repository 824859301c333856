"""Guard of the console: who gets in, whence a change may come, what every answer carries."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import pytest

from ringback.config import Settings
from ringback.console.app import create_console
from ringback.console.entry import entry_of
from ringback.console.surroundings import Surroundings
from ringback.page_headers import HEADERS
from ringback.runtime import iso
from ringback.store.console.access import Access
from unit.console.conftest import BASE, OWNER, SAME, TOKEN, Board, away

FORM = {"content-type": "application/x-www-form-urlencoded"}


def paths(board: Board) -> list[str]:
    """The addresses of all routes, with something in their places."""
    found = [getattr(route, "path", "") for route in board.app.routes]
    return sorted({re.sub(r"{\w+(:path)?}", "x", path) for path in found})


async def test_nobody_gets_a_byte_of_data(board: Board) -> None:
    """Each route but those for signing in: 303 to the form, or 401; with a dead session too."""
    for cookie in ({}, {"rb-8080": "made-up"}):
        board.client.cookies.update(cookie)
        for path in [*paths(board), "/api/v1/events"]:
            if path in ("/console/login", "/console/in") or "/static/" in path:
                continue
            got = await board.client.get(path)
            if path.startswith("/api/"):
                assert (got.status_code, got.json()["type"]) == (401, "urn:ringback:problem:login")
            else:
                assert got.status_code == 303
                assert urlsplit(got.headers["location"]).path == "/console/login"
                assert got.content == b""
            assert (await board.client.post(path, data={}, headers=SAME)).status_code == 401


async def test_sessions_end(board: Board) -> None:
    """By silence, by their age, by signing out, by another password, and at a new sign-in."""
    access = board.entry.access

    async def inside() -> bool:
        return (await board.client.get("/console/")).status_code == 200

    assert (await board.sign_in("ole", "a long password")).status_code == 303
    assert await inside()
    old = dict(board.client.cookies)
    assert (await board.sign_in("ole", "a long password")).status_code == 303
    assert old != dict(board.client.cookies)
    assert [each["name"] for each in access.sessions()] == ["ole"]  # the first one has ended
    secret = board.client.cookies["rb-8080"]
    access.seen(secret, iso(datetime.now(UTC) - timedelta(minutes=31)))
    assert not await inside()
    await board.sign_in("ole", "a long password")
    access.put_person("ole", "read", "scrypt$1", iso(datetime.now(UTC)))
    assert not await inside()
    await board.sign_in()
    fields = await board.form("/console/", "/console/logout")
    assert (await board.client.post("/console/logout", data=fields, headers=SAME)).is_redirect
    assert access.sessions() == []


async def test_wrong_names_and_passwords_get_the_same_answer(board: Board) -> None:
    """And it tells no version."""
    answers = [
        await board.sign_in("ole", "a wrong password"), await board.sign_in("nobody", "whatever")
    ]  # fmt: skip
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].text == answers[1].text
    assert "0.1" not in answers[0].text


async def test_a_stranger_cannot_lock_the_owner_out(board: Board) -> None:
    """Of 60 tries of an address, and of neighbours in its /64, five reach the hash in a minute; the
    owner gets in from elsewhere."""
    for network, hosts in (("203.0.113.7", [""]), ("2001:db8:1:2::", map(str, range(1, 30)))):
        seen = []
        for host in hosts:
            for _ in range(60 if not host else 2):
                answer = await board.sign_in("console", "guess", f"{network}{host}")
                seen.append(answer.status_code)
        assert seen.count(401) == 5
        assert set(seen[5:]) == {429}
    assert int(answer.headers["retry-after"]) > 0
    assert (await board.sign_in(peer="198.51.100.9")).status_code == 303
    noted = board.entry.access.looks(100)
    assert [each["what"] for each in noted].count("sign-in failed") == 10
    assert noted[0]["peer"] == "198.51.100.9"


CROSS_SITE = {
    "form": {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    "sibling": {"origin": "http://127.0.0.1:9999", "sec-fetch-site": "same-site"},
    "null": {"origin": "null"},
    "sandbox": {"origin": "null", "sec-fetch-site": "cross-site"},
    "neither": {},
    "fetch": {"sec-fetch-site": "cross-site"},
    "origin": {"origin": "http://127.0.0.1:8080.evil.example", "sec-fetch-site": "same-origin"},
    "typed": {"sec-fetch-site": "none"},
}


@pytest.mark.parametrize("case", CROSS_SITE)
async def test_a_change_comes_from_a_page_of_ours(board: Board, case: str) -> None:
    """Whatever a page of another site sends gets 403, with all cookies and the right token too."""
    await board.sign_in()
    fields = await board.form("/console/", "/console/logout")
    headers = CROSS_SITE[case]
    got = await board.client.post("/console/logout", data=fields, headers=headers)
    assert got.status_code == 403
    assert (await board.client.post("/console/login", data={}, headers=headers)).status_code == 403
    assert (await board.client.get("/console/")).status_code == 200
    assert len(board.entry.access.sessions()) == 1


async def test_a_change_carries_the_token_of_its_session(board: Board) -> None:
    """Not that of another session, of another path, of another request; the form type alone; both
    cookies; and no method in the place of another."""
    await board.sign_in("ole", "a long password")
    other = await board.form("/console/", "/console/logout")
    board.client.cookies.clear()
    await board.sign_in()
    good = await board.form("/console/", "/console/logout")
    path = "/console/logout"

    async def status(data: bytes | dict[str, str], **more: str) -> int:
        headers = {**SAME, **{name.replace("_", "-"): text for name, text in more.items()}}
        if isinstance(data, dict):
            return (await board.client.post(path, data=data, headers=headers)).status_code
        return (await board.client.post(path, content=data, headers=headers)).status_code

    assert await status(other) == 403
    assert await status({"a": "b"}) == 403
    assert await status({**good, "request": "01J00000000000000000000000"}) == 403
    assert await status(b'{"token": 1}', content_type="text/plain") == 415
    assert await status(b"x" * 70_000, content_type=FORM["content-type"]) == 413
    got = await board.client.get(path, params=good, headers={"x-http-method-override": "POST"})
    assert got.status_code == 405
    writing = board.client.cookies["rbw-8080"]
    board.client.cookies.delete("rbw-8080")
    assert await status(good) == 403
    board.client.cookies.set("rbw-8080", writing)
    assert await status(good) == 303


HOSTS = {
    "evil.example:8080": 421, "127.0.0.1.nip.io:8080": 421, "127.0.0.1": 421, "localhost": 421,
    "127.0.0.1:8081": 421, "": 421, "localhost:8080": 303, "127.0.0.1:8080": 303,
    "[::1]:8080": 303, "LOCALHOST:8080": 303,
}  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
async def test_only_our_own_names_are_answered(board: Board, host: str) -> None:
    """Another host gets 421, for pages, static files and the API."""
    got = await board.client.get("/console/", headers={"host": host})
    assert got.status_code == HOSTS[host]
    if got.status_code == 421:
        for path in ("/console/login", "/console/static/x/console.css", "/api/v1/events"):
            assert (await board.client.get(path, headers={"host": host})).status_code == 421


async def test_every_answer_carries_the_headers(board: Board) -> None:
    """Also 404, 405, 421, 415, 401, 303 and 500; with https HSTS, and never a version."""

    async def broken(_: object) -> None:
        raise RuntimeError("secret")

    board.app.router.routes[0].app = broken  # type: ignore[attr-defined]
    seen = set()
    get = board.client.get
    answers = [await get("/console/"), await get("/console/login"), await get("/api/v1/x")]
    await board.sign_in()
    answers += [
        await get("/console/"), await get("/console/x"), await get("/api/v1/x"),
        await get("/console/", headers={"host": "evil"}), await get("/console"),
        await get("/console/static/x/console.css"), await get("/console/static/x/none.css"),
        await board.client.put("/console/login", headers=SAME),
        await board.client.delete("/console/login", headers={**SAME, **FORM}),
    ]  # fmt: skip
    for answer in answers:
        seen.add(answer.status_code)
        for name, value in HEADERS:
            assert answer.headers.get(name) == value, (answer.url, answer.status_code, name)
        assert "cache-control" in answer.headers
        assert "secret" not in answer.text
        assert "server" not in answer.headers
    assert seen >= {200, 303, 401, 404, 405, 415, 421, 500}


async def test_tokens_are_for_the_json_api_alone(board: Board) -> None:
    """That of the settings may operate; one that has ended, and a made-up one, get 401."""
    access = board.entry.access
    ended = access.new_token("old", "admin", "", "2026-01-01", "2026-01-02")[1]
    good = access.new_token("new", "read", "", "2026-01-01", "9999")[1]

    async def status(token: str, path: str = "/api/v1/nowhere", scheme: str = "Bearer") -> int:
        headers = {"authorization": f"{scheme} {token}"}
        return (await board.client.get(path, headers=headers)).status_code

    assert [await status(each) for each in (TOKEN, good)] == [404, 404]
    assert [await status(each) for each in (ended, "rbt_x", "", OWNER)] == [401] * 4
    assert await status(TOKEN, "/console/") == 401
    assert await status(TOKEN, scheme="Basic") == 401
    write = await board.client.post(
        "/api/v1/nowhere", json={}, headers={"authorization": f"Bearer {good}"}
    )
    assert write.status_code == 403  # the role `read`
    assert any(each["what"] == "token" for each in access.looks())
    used = {each["name"]: each["used_at"] for each in access.tokens()}
    assert used["new"]
    assert not used["old"]


async def test_plain_http_from_elsewhere_signs_nobody_in(settings: Settings) -> None:
    """A password would go over the wire as it is. With https the cookies are `__Host-`."""
    for url, host, status in (
        ("", "192.0.2.1:8080", 403), ("http://ops.example", "ops.example", 403),
        ("https://ops.example", "ops.example", 303),
    ):  # fmt: skip
        with Access(settings.data) as access:
            given = replace(settings, console_url=url)
            app = create_console(given, Surroundings(away), entry=entry_of(given, access))
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://192.0.2.1:8080"
            ) as client:
                origin = url or f"http://{host}"
                headers = {"host": host, "origin": origin}
                data = {"name": "console", "password": OWNER}
                got = await client.post("/console/login", data=data, headers=headers)
            app.state.console.conversations.close()
            app.state.console.reading.close()
            assert got.status_code == status
            cookies = got.headers.get_list("set-cookie")
            assert len(cookies) == (2 if status == 303 else 0)
            for cookie in cookies:
                assert cookie.startswith("__Host-rb")
                assert cookie.endswith("; Secure")
                assert "HttpOnly" in cookie
                assert "Path=/" in cookie
                assert "Domain" not in cookie
            if status == 303:
                assert "SameSite=Lax" in cookies[0]
                assert "SameSite=Strict" in cookies[1]
                assert got.headers["strict-transport-security"]


async def test_a_proxy_may_say_who_is_signed_in(settings: Settings) -> None:
    """One of trusted_proxies; whoever comes past it is refused, with the header too."""
    given = replace(settings, console_user_header="X-Remote-User")
    with Access(settings.data) as access:
        access.put_person("rita", "read", "scrypt$x", "2026-01-01")
        app = create_console(given, Surroundings(away), entry=entry_of(given, access))
        for peer, name, status in (
            ("10.9.3.4", "rita", 200), ("10.9.3.4", "mallory", 403), ("10.9.3.4", "", 403),
            ("192.0.2.9", "rita", 403), ("127.0.0.1", "rita", 403),
        ):  # fmt: skip
            transport = httpx.ASGITransport(app, client=(peer, 1))
            async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
                got = await client.get("/console/", headers={"x-remote-user": name})
            assert got.status_code == status, (peer, name)
        app.state.console.conversations.close()
        app.state.console.reading.close()


async def test_one_person_asks_only_so_much(board: Board) -> None:
    """Then 429, and when to go on."""
    await board.sign_in()
    seen = [(await board.client.get("/console/x")) for _ in range(60)]
    assert {each.status_code for each in seen[:30]} == {404}
    assert seen[-1].status_code == 429
    assert seen[-1].headers["retry-after"] == "1" or int(seen[-1].headers["retry-after"]) <= 3


async def test_whoever_may_only_read_may_find(board: Board) -> None:
    """It is posted, as a number stands in it, and counts as a question: 20 at once are answered."""
    secret = board.entry.access.new_token("read", "read", "", "2026-01-01", "9999")[1]
    headers = {"authorization": f"Bearer {secret}"}
    for _ in range(20):
        sent = await board.client.post("/api/v1/find", json={"what": "x"}, headers=headers)
        assert sent.status_code not in (401, 403, 429), sent.text


async def test_what_is_refused_for_the_role_is_noted(board: Board) -> None:
    """By pages and by the API, only so often; and nothing of what is refused for another reason."""
    access = board.entry.access
    tokens = {
        role: access.new_token(role, role, "", "2026-01-01", "9999")[1]
        for role in ("read", "operate")
    }

    async def status(role: str, method: str, path: str) -> int:
        headers = {"authorization": f"Bearer {tokens[role]}", "idempotency-key": "0" * 26}
        url = f"/api/v1{path}"
        return (await board.client.request(method, url, json={}, headers=headers)).status_code

    def refused() -> list[tuple[str, str, str]]:
        rows = access.looks(200)[::-1]
        return [
            (each["who"], each["subject"], each["peer"])
            for each in rows if each["what"] == "refused"
        ]  # fmt: skip

    assert await status("read", "POST", "/node/pause") == 403
    assert await status("read", "PUT", "/failures/30003/state") == 403
    assert await status("operate", "GET", "/looks") == 403
    assert await status("operate", "POST", "/node/pause") == 503  # no worker
    assert await status("read", "GET", "/events/evt_x") == 404
    await board.sign_in("rita", "a long password")
    assert (await board.client.get("/console/settings/people")).status_code == 403
    assert refused() == [
        ("read", "POST /api/v1/node/pause", "10.9.0.1"),
        ("read", "PUT /api/v1/failures/30003/state", "10.9.0.1"),
        ("operate", "GET /api/v1/looks", "10.9.0.1"),
        ("rita", "GET /console/settings/people", "10.9.0.1"),
    ]
    for _ in range(12):
        await status("operate", "GET", "/looks")
    assert len(refused()) == 4 + 9
