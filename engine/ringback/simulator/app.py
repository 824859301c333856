"""ASGI application of the simulator, over one world at a time."""

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
from ringback.simulator.api import Api
from ringback.simulator.control import calls, texts
from ringback.simulator.control import simulator as simulator_control
from ringback.simulator.control.request import ControlRequest, Handler, Wrong, answer
from ringback.simulator.seed import seeded_world
from ringback.simulator.world import Options, World


class Everything(PathConvertor):
    """The rest of a path, also when it holds an encoded line break (`path` stops there)."""

    regex = "(?s:.*)"


register_url_convertor("everything", Everything())

ROUTES = texts.ROUTES + calls.ROUTES + simulator_control.ROUTES


@dataclass(slots=True)
class Simulator:
    """The world that runs now, its REST API, and how to begin anew."""

    options: Options
    base_url: str
    world: World
    api: Api
    outage: Callable[[float], None] | None = None

    async def reset(self) -> None:
        """Throw the world away and make it again as it was at the start."""
        loop = self.world.clock.loop
        await self.world.close()
        # The ledger's file goes on; a reset is seen there as numbers that begin again.
        self.world = seeded_world(self.options, self.base_url)
        self.api = Api(self.world)
        if loop is not None:
            self.world.clock.run(loop)


def open_simulator(options: Options, base_url: str = "") -> Simulator:
    """Make a world and its REST API. Raises ConfigError when the plan is wrong."""
    world = seeded_world(options, base_url)
    return Simulator(options, base_url, world, Api(world))


def card(simulator: Simulator) -> dict[str, Any]:
    """What somebody needs to use the simulator: the line that is printed first."""
    who, base = simulator.world.identity, simulator.base_url
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
        "numbers": [row.text("phone_number") for row in simulator.world.numbers],
        "service_sid": next((row.sid for row in simulator.world.services), ""),
    }


class Silent(Response):
    """No answer at all: the fault has already had its way with the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        return


async def _client_left(request: Request, error: Exception) -> Response:
    """The client left in the middle of its request: nobody is there to answer."""
    return Silent()


def build(simulator: Simulator) -> Starlette:
    """The application: both REST bases, Maton's connections, the OAuth page, the control API."""
    # Also those that no resource has: the API refuses them in Twilio's words.
    methods = ["GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "QUERY"]

    async def direct(request: Request) -> Response:
        return await simulator.api.direct(request) or Silent()

    async def gateway(request: Request) -> Response:
        return await simulator.api.through_gateway(request) or Silent()

    async def elsewhere(request: Request) -> Response:
        return maton.error(404, f"There is no app behind {request.url.path[:100]}")

    async def connections(request: Request) -> Response:
        return await maton.control(simulator.world, request, simulator.api.gate)

    async def connect(request: Request) -> Response:
        return await maton.oauth_page(simulator.world, request)

    async def summary(request: Request) -> Response:
        clock = simulator.world.clock
        facts = {
            "time": clock.shown().isoformat(),
            "mode": "stepped" if clock.stepped else "real",
            "speed": clock.speed,
            "pending": clock.pending(),
            "pid": os.getpid(),
            "webhooks_under_way": simulator.world.webhook_client.busy,
            "ledger": simulator.world.ledger.last,
        }
        return JSONResponse(card(simulator) | facts)

    async def reset(request: Request) -> Response:
        await simulator.reset()
        return JSONResponse(card(simulator))

    async def outage(_: World, request: ControlRequest) -> dict[str, float]:
        seconds = request.number("seconds", 5.0)
        if simulator.outage is None or not 0 < seconds <= 3600:
            raise Wrong("'seconds' must lie between 0 and 3600")
        simulator.outage(seconds)
        return {"seconds": seconds}

    def control(does: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await answer(simulator.world, request, does)

        return endpoint

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        simulator.world.clock.run(asyncio.get_running_loop())
        yield
        await simulator.world.close()

    routes = [
        Route("/_sim", summary),
        Route("/_sim/reset", reset, methods=["POST"]),
        *(Route(path, control(does), methods=[method]) for method, path, does in ROUTES),
        Route("/_sim/outage", control(outage), methods=["POST"]),
        Route("/connections", connections, methods=["GET", "POST"]),
        Route("/connections/{id}", connections, methods=["GET", "DELETE"]),
        Route("/connect", connect, methods=["GET", "POST"]),
        Route("/twilio/2010-04-01/{path:everything}", gateway, methods=methods),
        Route("/twilio/{path:everything}", elsewhere, methods=methods),
        Route("/2010-04-01/{path:everything}", direct, methods=methods),
    ]
    return Starlette(
        exception_handlers={ClientDisconnect: _client_left}, routes=routes, lifespan=lifespan
    )


def card_line(simulator: Simulator) -> str:
    """The card as one line of JSON."""
    return json.dumps(card(simulator))
