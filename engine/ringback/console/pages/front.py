"""Front page of the console."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.console.page import Page, draw


async def front(request: Request) -> Response:
    """What is there to be seen."""
    return draw(request, "front.html", {"title": "Live"})


PAGE = Page("/console/", "Live", (Route("/console/", front),), nav="Live", key="l")
