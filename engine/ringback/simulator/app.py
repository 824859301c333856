"""Which address of the box is answered by whom? The ASGI application over one world at a time."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ringback.simulator import maton
from ringback.simulator.api import WebhookProtocol
from ringback.simulator.control import box as box_hands
from ringback.simulator.control import calls, texts
from ringback.simulator.control.wish import Hand, Wish, Wrong, answer
from ringback.simulator.seed import furnish
from ringback.simulator.world import Options, World


class Everything(PathConvertor):
    """The rest of a path, also when it holds an encoded line break (`path` stops there)."""

    regex = "(?s:.*)"


register_url_convertor("everything", Everything())

HANDS = texts.HANDS + calls.HANDS + box_hands.HANDS


@dataclass(slots=True)
class Box:
    """The world that is being played now, its door, and how to begin anew."""

    options: Options
    base_url: str
    world: World
    door: WebhookProtocol
    outage: Callable[[float], None] | None = None

    async def reset(self) -> None:
        """Throw the world away and make it again as it was at the start."""
        loop = self.world.clock.loop
        await self.world.close()
        # The ledger's file goes on; a reset is seen there as numbers that begin again.
        self.world = furnish(self.options, self.base_url)
        self.door = WebhookProtocol(self.world)
        if loop is not None:
            self.world.clock.run(loop)


def open_box(options: Options, base_url: str = "") -> Box:
    """Make a world and its door. Raises ConfigError when the plan is wrong."""
    world = furnish(options, base_url)
    return Box(options, base_url, world, WebhookProtocol(world))


def card(box: Box) -> dict[str, Any]:
    """What somebody needs to use the box: the line that is printed first."""
    who, base = box.world.identity, box.base_url
    return {
        "base_url": base,
        "maton_url": f"{base}/twilio",
        "control_url": base,
        "account_sid": who.account_sid,
        "auth_token": who.auth_token,
        "api_key": who.api_key,
        "api_secret": who.api_secret,
        "maton_api_key": who.maton_api_key,
        "connection_id": who.connection_id,
        "numbers": [row.text("phone_number") for row in box.world.numbers],
        "service_sid": next((row.sid for row in box.world.services), ""),
    }


class Silent(Response):
    """No answer at all: the fault has already had its way with the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        return


async def _gone(request: Request, error: Exception) -> Response:
    """The client left in the middle of its request: nobody is there to answer."""
    return Silent()


def build(box: Box) -> Starlette:
    """The application: both REST bases, the control plane, the OAuth page, the hands."""
    # Also those that no resource has: the door refuses them in Twilio's words.
    methods = ["GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "QUERY"]

    async def direct(request: Request) -> Response:
        return await box.door.direct(request) or Silent()

    async def gateway(request: Request) -> Response:
        return await box.door.through_gateway(request) or Silent()

    async def elsewhere(request: Request) -> Response:
        return maton.error(404, f"There is no app behind {request.url.path[:100]}")

    async def connections(request: Request) -> Response:
        return await maton.control(box.world, request, box.door.gate)

    async def connect(request: Request) -> Response:
        return await maton.oauth_page(box.world, request)

    async def summary(request: Request) -> Response:
        clock = box.world.clock
        facts = {
            "time": clock.shown().isoformat(),
            "mode": "stepped" if clock.stepped else "real",
            "speed": clock.speed,
            "pending": clock.pending(),
            "pid": os.getpid(),
            "webhooks_under_way": box.world.courier.busy,
            "ledger": box.world.ledger.last,
        }
        return JSONResponse(card(box) | facts)

    async def reset(request: Request) -> Response:
        await box.reset()
        return JSONResponse(card(box))

    async def outage(_: World, wish: Wish) -> dict[str, float]:
        seconds = wish.number("seconds", 5.0)
        if box.outage is None or not 0 < seconds <= 3600:
            raise Wrong("'seconds' must lie between 0 and 3600")
        box.outage(seconds)
        return {"seconds": seconds}

    def hand(does: Hand) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await answer(box.world, request, does)

        return endpoint

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        box.world.clock.run(asyncio.get_running_loop())
        yield
        await box.world.close()

    routes = [
        Route("/_sim", summary),
        Route("/_sim/reset", reset, methods=["POST"]),
        *(Route(path, hand(does), methods=[method]) for method, path, does in HANDS),
        Route("/_sim/outage", hand(outage), methods=["POST"]),
        Route("/connections", connections, methods=["GET", "POST"]),
        Route("/connections/{id}", connections, methods=["GET", "DELETE"]),
        Route("/connect", connect, methods=["GET", "POST"]),
        Route("/twilio/2010-04-01/{path:everything}", gateway, methods=methods),
        Route("/twilio/{path:everything}", elsewhere, methods=methods),
        Route("/2010-04-01/{path:everything}", direct, methods=methods),
    ]
    return Starlette(exception_handlers={ClientDisconnect: _gone}, routes=routes, lifespan=lifespan)


def card_line(box: Box) -> str:
    """The card as one line of JSON."""
    return json.dumps(card(box))
