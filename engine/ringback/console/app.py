"""ASGI application of the console: the guard around pages, the JSON API and static files."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from ringback.config import Settings
from ringback.console.api.listed import RESOURCES
from ringback.console.api.parameters import require_known
from ringback.console.backtests import Backtests
from ringback.console.children import Children
from ringback.console.conversing import Conversations
from ringback.console.counting import Counting
from ringback.console.entry import Entry
from ringback.console.guard import Guard, Identify
from ringback.console.listeners import Live
from ringback.console.once import Once
from ringback.console.outside import Outside
from ringback.console.page import Console, Page, draw, environment
from ringback.console.pages import help_pages, signing_in
from ringback.console.pages.listed import PAGES
from ringback.console.problems import Problem, Refusal
from ringback.console.pulse import Pulse
from ringback.console.reading import Reading
from ringback.console.static_files import Static
from ringback.console.surroundings import Surroundings
from ringback.store.data_place import DataPlace

API = "/api/v1"


def create_console(
    settings: Settings,
    surroundings: Surroundings,
    identify: Identify | None = None,
    *,
    pages: tuple[Page, ...] = PAGES,
    entry: Entry | None = None,
    counting: Counting | None = None,
) -> Starlette:
    """The console of a data folder. People come in by the `entry`; without one `identify` says who
    sent a request, and nothing else is checked, which tests of single pages use. Sums of
    long spans are asked of what `counting` keeps.

    Its lifespan ends the threads that read. `state.console` is what pages and resources work with,
    `state.stopping` is set by the process when it is asked to end.
    """
    place = DataPlace(settings.data, settings.database_url)
    reading, watching = Reading(place), Reading(place, threads=1)
    conversations = Conversations(place, reading)
    pages = tuple(each for each in pages if surroundings.phone or not each.simulated)
    pulse = Pulse(reading, surroundings)
    live = Live(watching, pulse)
    children = Children(surroundings)
    outside = Outside(settings, children)
    static, backtests = Static(), Backtests(surroundings.run_long, entry.note if entry else None)

    @contextlib.asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        try:
            if counting is not None:
                counting.start()
            yield
        finally:
            if counting is not None:
                await asyncio.to_thread(counting.close)
            outside.close()
            await backtests.close()
            live.close()
            conversations.close()
            watching.close()
            reading.close()

    routes: list[BaseRoute] = [Route("/console", _front), static.route]
    routes += signing_in.PAGE.routes
    routes += [_checked(route, page) for page in pages for route in page.routes]
    routes += [route for resource in RESOURCES for route in resource.routes]
    who = entry.sessions.identify if entry is not None else identify
    assert who is not None
    guard = Middleware(
        Guard, identify=who, answered=answer,
        sessions=entry.sessions if entry else None, origins=entry.origins if entry else None,
        pulse=pulse,
    )  # fmt: skip
    app = Starlette(
        routes=routes,
        middleware=[guard],
        exception_handlers={Refusal: _refused, HTTPException: _no_route},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.readers = {
        each.path: each for resource in RESOURCES for each in resource.endpoints
        if each.method == "GET" and each.answer and not each.lists
    }  # fmt: skip
    templates = environment(static.prefix)
    templates.globals["help_about"] = help_pages.about
    app.state.console = Console(
        settings, reading, surroundings, templates, pulse, live,
        children, conversations, Once(), outside, pages, counting, backtests, entry,
    )  # fmt: skip
    app.state.stopping = live.ended
    return app


def answer(request: Request, problem: Problem) -> Response:
    """A problem, as JSON below the API and as a page elsewhere."""
    headers, entry = dict(problem.headers), request.app.state.console.entry
    if entry is not None:
        entry.refusals.note(request, problem)
    if request.url.path.startswith(API):
        return JSONResponse(
            problem.shown(), problem.status, headers, media_type="application/problem+json"
        )
    page = draw(request, "problem.html", {"problem": problem.shown()}, problem.status)
    page.headers.update(headers)
    return page


def _checked(route: BaseRoute, page: Page) -> BaseRoute:
    """A route that refuses parameters which its page does not take."""
    methods = (route.methods or ()) if isinstance(route, Route) else ()
    if not isinstance(route, Route) or route.name not in page.takes or "GET" not in methods:
        return route
    serve, names = route.endpoint, page.takes[route.name]

    async def checked(request: Request) -> Response:
        require_known(request, names)
        answer: Response = await serve(request)
        return answer

    return Route(route.path, checked, methods=list(methods), name=route.name)


async def _front(_: Request) -> Response:
    return RedirectResponse("/console/", 307)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return answer(request, error.problem)


async def _no_route(request: Request, error: Exception) -> Response:
    """What Starlette says where no route fits, or not this method."""
    assert isinstance(error, HTTPException)
    slug = "method" if error.status_code == 405 else "missing"
    return answer(request, Problem(slug, headers=error.headers or {}))
