"""ASGI application of the console: the guard around pages, the JSON API and static files."""

import contextlib
import logging
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from ringback.config import Settings
from ringback.console.api.listed import RESOURCES
from ringback.console.guard import Guard, Identify
from ringback.console.page import Console, Page, draw, environment
from ringback.console.pages.listed import PAGES
from ringback.console.problems import Problem, Refusal
from ringback.console.reading import Reading
from ringback.console.surroundings import Surroundings

API = "/api/v1"

_logger = logging.getLogger("ringback.console")


def create_console(
    settings: Settings,
    surroundings: Surroundings,
    identify: Identify,
    pages: tuple[Page, ...] = PAGES,
) -> Starlette:
    """The console of a data folder. `identify` says who sent a request.

    Its lifespan ends the threads that read. `state.console` is what pages and resources work with.
    """
    reading = Reading(settings.data)

    @contextlib.asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        try:
            yield
        finally:
            reading.close()

    routes: list[BaseRoute] = [route for page in pages for route in page.routes]
    routes += [route for resource in RESOURCES for route in resource.routes]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, identify=identify)],
        exception_handlers={
            Refusal: _refused,
            HTTPException: _no_route,
            Exception: _broken,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.console = Console(settings, reading, surroundings, environment(), pages)
    return app


def answer(request: Request, problem: Problem) -> Response:
    """A problem, as JSON below the API and as a page elsewhere."""
    headers = dict(problem.headers)
    if request.url.path.startswith(API):
        return JSONResponse(
            problem.shown(), problem.status, headers, media_type="application/problem+json"
        )
    page = draw(request, "problem.html", {"problem": problem.shown()}, problem.status)
    page.headers.update(headers)
    return page


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return answer(request, error.problem)


async def _no_route(request: Request, error: Exception) -> Response:
    """What Starlette says where no route fits, or not this method."""
    assert isinstance(error, HTTPException)
    slug = "method" if error.status_code == 405 else "missing"
    return answer(request, Problem(slug, headers=error.headers or {}))


async def _broken(request: Request, error: Exception) -> Response:
    _logger.error("%s %s: %r", request.method, request.url.path, error)
    return answer(request, Problem("broken"))
