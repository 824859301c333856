"""Maton's gateway in front of the API: keys, connections, a rate limit, and the OAuth page.

The control plane lists, makes and drops connections; a connection is PENDING until a person has
finished the page behind its `url`.
"""

from collections import deque
from datetime import datetime
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from ringback.simulator.world import Connection, World

RATE = 10
STATUSES = ("ACTIVE", "PENDING", "FAILED")


class Gate:
    """The connections that may pass through the gateway, and their accounts."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._recent: deque[float] = deque()

    def key_fits(self, request: Request) -> bool:
        """Whether the Bearer key is ours."""
        word, _, key = request.headers.get("authorization", "").partition(" ")
        return word.lower() == "bearer" and key.strip() == self._world.identity.maton_api_key

    def busy(self) -> bool:
        """Is this request the eleventh within a second? A stepped clock sets no limit by itself."""
        limit = self._world.maton.get("rate", 0 if self._world.clock.stepped else RATE)
        if not limit:
            return False
        now = self._world.clock.now()
        while self._recent and self._recent[0] <= now - 1.0:
            self._recent.popleft()
        if len(self._recent) >= int(limit):
            return True
        self._recent.append(now)
        return False

    def connection(self, request: Request) -> Connection | None:
        """The connection that the request names, else the oldest active one."""
        named = request.headers.get("maton-connection", "")
        active = [item for item in self._world.connections.values() if item.status == "ACTIVE"]
        if named:
            return next((item for item in active if item.connection_id == named), None)
        return min(active, key=lambda item: item.created, default=None)


def error(status: int, message: str) -> Response:
    """An error of the gateway itself: not Twilio's shape."""
    return JSONResponse({"error": message}, status)


def unauthorized() -> Response:
    return error(401, "Invalid or missing Maton API key")


def limited() -> Response:
    return error(429, "Rate limit exceeded")


def no_connection() -> Response:
    return error(400, "No active connection found for app twilio")


def expired() -> Response:
    """The OAuth grant of the connection has run out, and the gateway can only say so by a 500."""
    return error(500, "Internal server error")


def show(world: World, connection: Connection) -> dict[str, Any]:
    """A connection as the control plane writes it."""
    return {
        "connection_id": connection.connection_id,
        "status": connection.status,
        "creation_time": _time(connection.created),
        "last_updated_time": _time(connection.updated),
        "url": f"{world.base_url}/connect?session_token={connection.session}",
        "app": connection.app,
        "method": "OAUTH2",
        "metadata": {},
    }


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def control(world: World, request: Request, gate: Gate) -> Response:
    """`/connections` and `/connections/{id}`."""
    if not gate.key_fits(request):
        return unauthorized()
    if gate.busy():
        return limited()
    identifier = request.path_params.get("id", "")
    if not identifier:
        return await _create(world, request) if request.method == "POST" else _list(world, request)
    connection = world.connections.get(identifier)
    if connection is None:
        return error(404, "Connection not found")
    if request.method == "DELETE":
        del world.connections[identifier]
        world.ledger.add("deleted", resource="Connections", sid=identifier)
        return JSONResponse({})
    return JSONResponse({"connection": show(world, connection)})


def _list(world: World, request: Request) -> Response:
    app, status = request.query_params.get("app"), request.query_params.get("status")
    if status and status not in STATUSES:
        return error(400, f"status must be one of {', '.join(STATUSES)}")
    found = [
        show(world, item)
        for item in world.connections.values()
        if (not app or item.app == app) and (not status or item.status == status)
    ]
    return JSONResponse({"connections": found})


async def _create(world: World, request: Request) -> Response:
    try:
        wanted = await request.json()
    except ValueError:
        return error(400, "The body must be JSON")
    if not isinstance(wanted, dict) or wanted.get("app") != "twilio":
        return error(400, 'The body must be {"app": "twilio"}')
    now = world.clock.shown()
    connection = Connection(
        connection_id=world.random.uuid("connection"),
        status="PENDING",
        created=now,
        updated=now,
        session=world.random.token("session"),
        account_sid=world.identity.account_sid,
    )
    world.connections[connection.connection_id] = connection
    world.ledger.add("created", resource="Connections", sid=connection.connection_id)
    return JSONResponse({"connection": show(world, connection)}, 201)


async def oauth_page(world: World, request: Request) -> Response:
    """The page on which a person grants access: GET shows a button, POST presses it."""
    token = request.query_params.get("session_token", "")
    connection = next((item for item in world.connections.values() if item.session == token), None)
    if connection is None:
        return HTMLResponse("<!doctype html><title>Expired</title><p>This link is not valid.", 404)
    if request.method == "POST":
        refused = request.query_params.get("deny") == "1"
        connection.status = "FAILED" if refused else "ACTIVE"
        connection.expired = False
        connection.updated = world.clock.shown()
        world.ledger.add(
            "updated", resource="Connections", sid=connection.connection_id,
            status=connection.status,
        )  # fmt: skip
    link = escape(f"/connect?session_token={token}", quote=True)
    return HTMLResponse(
        "<!doctype html><meta charset=utf-8><title>Connect Twilio (simulated)</title>"
        f"<h1>Connect Twilio</h1><p>This connection is {escape(connection.status)}.</p>"
        f'<form method=post action="{link}"><button>Allow</button></form>'
        f'<form method=post action="{link}&amp;deny=1"><button>Deny</button></form>'
    )
