"""Tokens of the JSON API: what each role may ask, and what nobody gets without one."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ringback.console.api.listed import RESOURCES
from ringback.console.api.resource import PREFIX, REQUEST_HEADER, Endpoint
from ringback.console.api.schemas import ALL
from ringback.console.identity import ROLES
from ringback.runtime import iso
from ringback.store.journal import open_store
from ringback.store.log import Log
from unit.console.conftest import Board

ENDPOINTS = [
    each
    for resource in RESOURCES
    for each in resource.endpoints
    if each.media == "application/json"
]


@pytest.fixture
def journal(tmp_path: Path) -> None:
    """An empty journal beside the console."""
    (tmp_path / "data").mkdir(exist_ok=True)
    Log.open(tmp_path / "data" / "log.db").close()
    open_store(tmp_path / "data", threaded=False).close()


def token(board: Board, role: str, *, name: str = "t", days: int = 1) -> dict[str, str]:
    now = datetime.now(UTC)
    ends = iso(now + timedelta(days=days))
    secret = board.entry.access.new_token(name, role, "", iso(now), ends)[1]
    return {"authorization": f"Bearer {secret}"}


async def ask(board: Board, endpoint: Endpoint, headers: dict[str, str]) -> tuple[int, Any]:
    path = PREFIX + re.sub(r"\{\w+\}", "x", endpoint.path)
    sent = {**headers, REQUEST_HEADER: "0" * 26}
    answer = await board.client.request(endpoint.method, path, headers=sent)
    return answer.status_code, answer.json()


@pytest.mark.parametrize("role", ROLES)
async def test_an_endpoint_is_for_its_role(board: Board, journal: None, role: str) -> None:
    """Whoever has a lower one gets 403; what others get is as the document says."""
    for number, endpoint in enumerate(ENDPOINTS):
        # Each may ask and change so often and no more: every request is of another program.
        status, answer = await ask(board, endpoint, token(board, role, name=f"t{number}"))
        assert (status == 403) == (ROLES.index(role) < ROLES.index(endpoint.role)), endpoint.name
        name = endpoint.answer if status == 200 else "Problem"
        if name:
            schema = {
                "$ref": f"#/components/schemas/{name}", "components": {"schemas": ALL},
            }  # fmt: skip
            jsonschema.Draft202012Validator(schema).validate(answer)


@pytest.mark.parametrize("way", ["none", "wrong", "ended", "removed"])
async def test_without_a_good_token_nothing_is_answered(
    board: Board, journal: None, way: str
) -> None:
    headers = {
        "none": {}, "wrong": {"authorization": "Bearer rbt_" + "x" * 43},
        "ended": token(board, "admin", days=-1), "removed": token(board, "admin"),
    }[way]  # fmt: skip
    for each in board.entry.access.tokens() if way == "removed" else ():
        board.entry.access.drop_token(each["id"])
    for endpoint in ENDPOINTS:
        status, answer = await ask(board, endpoint, headers)
        assert status == 401
        assert set(answer) == {"type", "title", "status", "detail", "mend"}
