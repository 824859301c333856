"""Everything that is no webhook: health, readiness, metrics, and pages that others bring along."""

from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from ringback.receiver.metrics import Counts, exposition

Readiness = Callable[[], Awaitable[dict[str, str]]]
"""What keeps this node from being ready, by part; empty when it is ready."""


def front(counts: Counts, readiness: Readiness, routes: Sequence[BaseRoute] = ()) -> Starlette:
    """The ASGI application behind the door. `routes` are further pages, such as the console."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        problems = await readiness()
        status = 503 if problems else 200
        return JSONResponse({"ready": not problems, "problems": problems}, status)

    async def metrics(_: Request) -> Response:
        text, content_type = exposition(counts)
        return Response(text, headers={"content-type": content_type})

    async def not_found(_: Request, __: Exception) -> Response:
        return PlainTextResponse("Not found\n", 404)

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            *routes,
        ],
        exception_handlers={404: not_found},
    )
