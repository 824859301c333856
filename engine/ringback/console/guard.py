"""Guard of the console: the first to see a request, and the last to see its answer.

In this order: is the host ours, how much does somebody ask, who is it, may they be here at all, and
does a change come from a page of ours. It reads the form of a change itself, so that no page can
forget the check. Every answer gets the headers that keep a browser in bounds.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ringback.console.forms import FORM, body_of, media_of, parsed
from ringback.console.identity import SCOPE, Identity, may
from ringback.console.limits import Window
from ringback.console.origins import Origins, came_from_us
from ringback.console.problems import Problem, Refusal, refuse
from ringback.console.pulse import Pulse
from ringback.console.sessions import Sessions
from ringback.page_headers import HEADERS, NO_STORE

Identify = Callable[[Request], Identity | None]
Answered = Callable[[Request, Problem], Response]

OPEN = ("/console/login", "/console/in")
HARMLESS = ("/console/logout", "/console/look", "/console/views")
"""What anybody may post: it changes nothing but what they see themselves."""
FINDS = ("/console/find", "/api/v1/find")
"""What is posted and only asks, as a number stands in it: it counts as a question."""
STATIC = "/console/static/"
STREAM = "/api/v1/stream"
BEAT = "ringback.beat"
"""Where it puts how things are in the scope of a request for a page."""
SAFE = ("GET", "HEAD", "OPTIONS")
LONGEST_SECONDS, EXPORT_SECONDS = 60.0, 600.0
QUESTIONS, CHANGES = 20, 5
"""What one person may ask and change in a second; for two seconds twice as much at once."""
HSTS = ("strict-transport-security", "max-age=31536000")

_logger = logging.getLogger("ringback.console")


class Guard:
    """ASGI middleware in front of all routes.

    `answered` makes a page or JSON of a problem. With `sessions` people sign in, and changes are
    checked; without, `identify` alone says who asks, which only tests do.
    """

    def __init__(
        self, app: ASGIApp, identify: Identify, answered: Answered,
        sessions: Sessions | None = None, origins: Origins | None = None,
        pulse: Pulse | None = None,
    ) -> None:  # fmt: skip
        self._app = app
        self._identify = identify
        self._answered = answered
        self._sessions = sessions
        self._origins = origins
        self._pulse = pulse
        self._questions = Window(2 * QUESTIONS, 2.0)
        self._changes = Window(2 * CHANGES, 2.0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        secure = self._origins is not None and self._origins.origin(request).startswith("https:")
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                _head(message, secure=secure)
            await send(message)

        try:
            await self._within_time(request, receive, sent)
        except Exception as error:
            if begun:  # nothing can be said any more
                raise
            await self._say(request, error)(scope, receive, sent)

    async def _within_time(self, request: Request, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(_longest(request)):
                early = await self._judge(request)
                if early is not None:
                    await early(request.scope, receive, send)
                    return
                await self._app(request.scope, receive, send)
                if self._pulse is not None and request.method not in SAFE:
                    self._pulse.changed()
        except TimeoutError:
            raise refuse("busy", "This took longer than it may.") from None

    def _say(self, request: Request, error: Exception) -> Response:
        if isinstance(error, Refusal):
            problem = error.problem
        else:
            _logger.error("%s %s", request.method, request.url.path, exc_info=error)
            problem = Problem("broken")
        request.scope.setdefault(SCOPE, None)
        return self._answered(request, problem)

    async def _judge(self, request: Request) -> Response | None:
        """An answer in place of the page, None when it may go on. Raises a Refusal."""
        origin = "" if self._origins is None else self._origins.origin(request)
        request.scope[SCOPE] = None
        if self._origins is not None and not origin:
            raise refuse("host")
        path = request.url.path
        if path.startswith(STATIC):
            return None
        if path in OPEN:
            await self._check_open(request, origin)
            return None
        identity = self._identify(request)
        if identity is None:
            return self._nobody(request)
        request.scope[SCOPE] = identity
        self._count(request, identity)
        if self._pulse is not None and path.startswith("/console"):
            request.scope[BEAT] = await self._pulse.beat()
        if request.method not in SAFE:
            await self._check_change(request, identity, origin)
        return None

    def _nobody(self, request: Request) -> Response:
        if request.method == "GET" and not request.url.path.startswith("/api/"):
            target = request.url.path
            back = f"?next={target}" if target.isascii() and target != "/console/" else ""
            return RedirectResponse(f"/console/login{back}", 303)
        raise refuse("login")

    def _count(self, request: Request, identity: Identity) -> None:
        asks = request.method in SAFE or request.url.path in FINDS
        window = self._questions if asks else self._changes
        wait = window.wait(identity.name)
        if wait:
            raise refuse("limit", headers={"retry-after": str(int(wait) + 1)})

    async def _check_open(self, request: Request, origin: str) -> None:
        """What is posted to a page that needs no session has to come from that page."""
        if request.method in SAFE:
            return
        if self._origins is not None and not came_from_us(request, origin):
            raise refuse("csrf")
        await _read_form(request)

    async def _check_change(self, request: Request, identity: Identity, origin: str) -> None:
        if not may(identity, "operate") and request.url.path not in (*HARMLESS, *FINDS):
            raise refuse("role", "The role `read` changes nothing.")
        api = request.url.path.startswith("/api/")
        if not api:
            form = await _read_form(request)
        if self._sessions is None or identity.via == "token":
            return
        if not came_from_us(request, origin):
            raise refuse("csrf", "The browser says that another page sent this.")
        if identity.via == "session" and not self._sessions.may_change(request):
            raise refuse("csrf", "The cookie for changes is missing.")
        if api:
            if request.headers.get("x-ringback") != "1":
                raise refuse("csrf", "The header X-Ringback is missing.")
            return
        if not self._sessions.is_token(request, form.get("token", ""), form.get("request", "")):
            raise refuse("csrf", "The form is not of this session.")


def _longest(request: Request) -> float | None:
    """How many seconds an answer may take: a file of a list takes longer than a page, and a stream
    does not end."""
    if request.url.path == STREAM:
        return None
    return EXPORT_SECONDS if "format" in request.query_params else LONGEST_SECONDS


async def _read_form(request: Request) -> Mapping[str, str]:
    if media_of(request) != "application/x-www-form-urlencoded":
        raise refuse("media", "Pages take application/x-www-form-urlencoded.")
    form = parsed(await body_of(request))
    request.scope[FORM] = form
    return form


def _head(message: Message, *, secure: bool) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS:
        headers.setdefault(name, value)
    headers.setdefault(*NO_STORE)
    if secure:
        headers.setdefault(*HSTS)
    if "server" in headers:
        del headers["server"]
