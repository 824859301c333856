"""People, tokens and sessions, changed by page and by the JSON API: once for a request; noted."""

import asyncio
import re
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from ringback.errors import UsageError
from ringback.runtime import REAL
from ringback.store.console.access import require_token_name
from unit.console.conftest import BASE, SAME, Board

PEOPLE = "/console/settings/people"
WORD = "another long password"


async def pressed(board: Board, path: str, **more: str) -> httpx.Response:
    """Send the form of the page of people that posts there."""
    fields = await board.form(PEOPLE, path)
    return await board.client.post(path, data={**fields, **more}, headers=SAME)


async def test_a_person_is_added_signs_in_and_is_removed(board: Board) -> None:
    """With the removal their session ends; each change is among the looks."""
    await board.sign_in()
    add = f"{PEOPLE}/add"
    assert (
        await pressed(board, add, name="zoe", role="admin", password="short")
    ).status_code == 400
    done = await pressed(board, add, name="zoe", role="operate", password=WORD)
    assert done.headers["location"] == PEOPLE
    other = httpx.AsyncClient(transport=board.client._transport, base_url=BASE)
    data = {"name": "zoe", "password": WORD, "next": ""}
    await other.post("/console/login", data=data, headers=SAME)
    assert (await other.get("/console/me")).status_code == 404  # she is inside
    page = (await board.client.get(PEOPLE)).text
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"',
                             page[page.index(f'action="{PEOPLE}/remove"') :][:900]))  # fmt: skip
    await board.client.post(f"{PEOPLE}/remove", data={**fields, "name": "zoe"}, headers=SAME)
    assert (await other.get("/console/me")).status_code == 303
    noted = [(each["what"], each["subject"]) for each in board.entry.access.looks()]
    assert ("person added, operate", "zoe") in noted
    assert ("person removed", "zoe") in noted
    assert WORD not in str(board.entry.access.looks())


@pytest.mark.parametrize("name", ["a/b", "a?b", "a#b", "a%b", "a\\b", "..", "."])
async def test_a_name_stays_as_it_is_in_an_address(board: Board, name: str) -> None:
    """One that would not is refused; one of before is removed percent-encoded."""
    await board.sign_in()
    headers = {**SAME, "X-Ringback": "1", "Idempotency-Key": REAL.uid("x")[2:]}
    given = {"name": name, "role": "read", "password": WORD}
    made = await board.client.post("/api/v1/people", json=given, headers=headers)
    assert (made.status_code, "name" in made.json()["detail"]) == (400, True)
    if name in (".", ".."):
        return
    board.entry.access.put_person(name, "read", "kept", "2026-01-01T00:00:00.000Z")
    path = f"/api/v1/people/{quote(name, safe='')}"
    gone = await board.client.request(
        "DELETE", path, headers={**headers, "Idempotency-Key": REAL.uid("x")[2:]}
    )
    assert (gone.status_code, gone.json()) == (200, {"removed": name})
    assert name not in {row["name"] for row in board.entry.access.people()}


async def test_a_token_is_shown_once_and_made_once(board: Board) -> None:
    """The same form twice is one token; no page shows its secret later."""
    await board.sign_in()
    path = f"{PEOPLE}/tokens"
    fields = {**await board.form(PEOPLE, path), "name": "board", "role": "read", "days": "9"}
    first, again = await asyncio.gather(
        *(board.client.post(path, data=fields, headers=SAME) for _ in range(2))
    )
    secret = re.findall(r"rbt_[\w-]{20,}", first.text)[0]
    assert secret in again.text
    assert [each["name"] for each in board.entry.access.tokens()] == ["board"]
    assert secret not in (await board.client.get(PEOPLE)).text
    got = await board.client.get("/api/v1/me", headers={"authorization": f"Bearer {secret}"})
    assert got.json()["role"] == "read"
    assert (await board.client.post(path, data={**fields, "days": "9999"}, headers=SAME)
            ).status_code == 400  # fmt: skip


async def test_the_api_does_the_same_for_an_admin_alone(board: Board) -> None:
    """One key is one token; what is not there is 404; another role gets 403."""
    admin = board.entry.access.new_token("root", "admin", "", "2026-01-01", "9999")[1]

    async def sent(method: str, path: str, token: str = admin, **body: Any) -> httpx.Response:
        key = body.pop("key", "") or REAL.uid("x").partition("_")[2]
        headers = {"authorization": f"Bearer {token}", "idempotency-key": key}
        return await board.client.request(method, f"/api/v1{path}", json=body, headers=headers)

    key = REAL.uid("x").partition("_")[2]
    made = [await sent("POST", "/tokens", key=key, name="t", role="operate") for _ in range(2)]
    assert [each.status_code for each in made] == [201, 201]
    assert made[0].json() == made[1].json()
    low = made[0].json()["secret"]
    person = {"name": "zoe", "role": "admin", "password": WORD}
    assert (await sent("POST", "/people", low, **person)).status_code == 403
    assert (await sent("POST", "/people", **person)).json()["role"] == "admin"
    assert (await sent("DELETE", "/people/zoe")).json() == {"removed": "zoe"}
    assert (await sent("DELETE", "/people/zoe")).status_code == 404
    assert (await sent("DELETE", f"/tokens/{made[0].json()['id']}")).status_code == 200
    assert (await sent("GET", "/me", low)).status_code == 401
    assert (await sent("DELETE", "/sessions/0")).status_code == 404
    got = await board.client.get(
        "/api/v1/events?number=%2B12025550142&format=csv",
        headers={"authorization": f"Bearer {admin}"},
    )  # fmt: skip
    assert got.text.startswith("uid,")
    noted = board.entry.access.looks()
    assert (noted[0]["what"], noted[0]["subject"]) == ("export", "/events csv, by number")
    assert low not in str(noted)
    assert "2025550142" not in str(noted)


@pytest.mark.parametrize("name", ["rita", "ole"])
async def test_others_see_no_people_and_no_looks(board: Board, name: str) -> None:
    """Of the settings, somebody who may only read sees what is kept how long."""
    await board.sign_in(name, "a long password")
    for path in (PEOPLE, "/console/settings/audit/looks"):
        assert (await board.client.get(path)).status_code == 403
    page = (await board.client.get("/console/settings")).text
    assert "for ever" in page
    assert ("RINGBACK_PORT" in page) == (name == "ole")
    assert (await board.client.get("/console/settings/channels")).status_code in (403, 404)


async def test_a_token_has_a_name_and_others_of_it_are_told(board: Board) -> None:
    """The words of a refusal are those of the shell."""
    await board.sign_in()

    async def made(name: str) -> httpx.Response:
        headers = {**SAME, "X-Ringback": "1", "Idempotency-Key": REAL.uid("x")[2:]}
        given = {"name": name, "role": "read"}
        return await board.client.post("/api/v1/tokens", json=given, headers=headers)

    for wrong in (" ", "a\nb"):
        with pytest.raises(UsageError) as shell:
            require_token_name(wrong)
        said = (await made(wrong)).json()
        assert (said["status"], said["detail"]) == (400, str(shell.value))
        assert said["fields"][0]["name"] == "name"
    first = (await made("wall")).json()
    assert first["others"] == []
    assert (await made("wall ")).json()["others"] == [first["id"]]
    page = await pressed(board, f"{PEOPLE}/tokens", name="wall", role="read")
    assert f"Of the same name stays {first['id']}" in page.text
