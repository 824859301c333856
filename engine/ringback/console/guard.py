"""Guard of the console: the first to see a request, and the last to see its answer.

It says who asks, and puts their identity into the scope.
"""

from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from ringback.console.identity import SCOPE, Identity

Identify = Callable[[Request], Identity | None]


class Guard:
    """ASGI middleware in front of all routes. `identify` says who sent a request, or None."""

    def __init__(self, app: ASGIApp, identify: Identify) -> None:
        self._app = app
        self._identify = identify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] == "http":
            scope[SCOPE] = self._identify(Request(scope))
        await self._app(scope, receive, send)
