"""ASGI application of the receiver: webhooks, health, readiness and metrics.

`create_app` is a whole node for any ASGI server, alone or mounted in an application of one's own.
`ringback serve` runs the same application (`routes_of`) under a protocol that answers webhooks
itself, without an ASGI task for each.
"""

import asyncio
import contextlib
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Lifespan

from ringback.config import Settings
from ringback.errors import ConfigError, HeldError, RingbackError
from ringback.receiver import gauges, incident_page
from ringback.receiver.endpoint import WebhookEndpoint
from ringback.receiver.intake import Intake
from ringback.receiver.metrics import exposition
from ringback.receiver.node import Node, owned
from ringback.receiver.requirements import require_serving
from ringback.receiver.responses import API, MEDIA, NO_LIFESPAN, problem
from ringback.receiver.routes import HOOK_PREFIX
from ringback.receiver.tunnel import Tunnel

ONE_PROCESS = (
    "; one process alone receives for a data folder: start the server with one worker process"
)

_logger = logging.getLogger("ringback.receiver")


def create_app(project: str | Path, *, worker: bool = True) -> Starlette:
    """The receiver of the project in this folder, with its worker process, as an application.

    Nothing is read or opened before its lifespan begins. That checks settings, rules and plugins,
    takes the data folder, opens the log and starts the worker; at its end the worker finishes what
    it is sending. An application that mounts this one runs the lifespan too:
    `FastAPI(lifespan=receiver.router.lifespan_context)`. Until then webhooks are answered with 503.

    `public_url` (RINGBACK_PUBLIC_URL) is what stands before `/twilio` in the address that Twilio
    calls, the mount point among it. Without `worker`, `ringback worker` must run beside it.

    The lifespan raises ConfigError for what is wrong in the project, HeldError when another process
    has the data folder, StorageError and DataError when its files cannot be used.
    """

    async def load() -> Settings:
        settings = Settings.load(Path(project), os.environ)
        require_serving(settings)
        if settings.simulated:
            # Trust in the simulator ends at the loopback, and nobody here knows who can connect.
            raise ConfigError(["only `ringback dev` runs with RINGBACK_SIMULATED: leave it unset"])
        await _check(settings)
        return settings

    return application(load, worker=worker)


def application(load: Callable[[], Awaitable[Settings]], *, worker: bool) -> Starlette:
    """The same for settings that are loaded in another way. `state.node` is the running node."""

    @contextlib.asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        with contextlib.ExitStack() as stack:
            try:
                settings = await load()
                log = stack.enter_context(owned(settings, worker=worker))
            except RingbackError as error:  # in words, before the server shows a traceback
                hint = ONE_PROCESS if isinstance(error, HeldError) else ""
                _logger.error("the receiver does not start: %s%s", error, hint)
                raise
            node = Node(settings, log, worker=worker)
            async with node.working():
                app.state.node = node
                try:
                    yield
                finally:
                    app.state.node = None

    app = routes_of(lambda: getattr(app.state, "node", None), lifespan)
    return app


def routes_of(
    current: Callable[[], Node | None], lifespan: Lifespan[Starlette] | None = None
) -> Starlette:
    """The routes of a node that runs, or of one that does not run yet."""

    def intake() -> Intake | None:
        node = current()
        return None if node is None else node.intake

    def console() -> Path | None:
        node = current()
        return None if node is None else node.console_place

    async def incident(request: Request) -> Response:
        return await incident_page.answer(current(), request)

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        node = current()
        if node is None:
            return JSONResponse({"ready": False, "problems": {"receiver": NO_LIFESPAN}}, 503)
        health = await node.health()
        return JSONResponse(health.shown(), 503 if health.problems else 200)

    async def metrics(_: Request) -> Response:
        node = current()
        if node is None:
            return PlainTextResponse(f"{NO_LIFESPAN}\n", 503)
        gauges.show(node.counts, await node.health())
        text, content_type = exposition(node.counts)
        return Response(text, headers={"content-type": content_type})

    async def not_found(request: Request, __: Exception) -> Response:
        node = current()
        if node is not None:
            path = request.scope.get("raw_path") or request.scope["path"].encode()
            node.intake.astray(path, dict(request.scope["headers"]))
        if request.url.path.startswith(API):
            return Response(problem(404, "There is no such path here."), 404, media_type=MEDIA)
        return PlainTextResponse("Not found\n", 404)

    tunnel = Tunnel(console)
    app = Starlette(
        routes=[
            Route("/twilio/{path:path}", WebhookEndpoint(intake)),
            Route("/{prefix:path}/twilio/{path:path}", WebhookEndpoint(intake)),
            Route("/hook/{path:path}", WebhookEndpoint(intake, HOOK_PREFIX)),
            Route("/{prefix:path}/hook/{path:path}", WebhookEndpoint(intake, HOOK_PREFIX)),
            Route("/incident/{uid}/{signature}", incident, methods=["GET", "POST"]),
            Route("/{prefix:path}/incident/{uid}/{signature}", incident, methods=["GET", "POST"]),
            Route("/console", tunnel),
            Route("/console/{path:path}", tunnel),
            Route("/api/v1/{path:path}", tunnel),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
        ],
        exception_handlers={404: not_found},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


async def _check(settings: Settings) -> None:
    """Check rules and plugins in a process of their own: this one runs no code of theirs. Raises
    ConfigError with what `ringback check` says."""
    checking = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ringback.cli.main", "-C", str(settings.project), "check",
        env=settings.child_environ(os.environ), stdin=DEVNULL, stdout=PIPE, stderr=STDOUT,
    )  # fmt: skip
    said, _ = await checking.communicate()
    if checking.returncode:
        raise ConfigError(said.decode(errors="replace").splitlines())
