"""Pages of help: the manual, which comes along with the program and needs no network."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringback.console import manual_pages
from ringback.console.manual_pages import HELP
from ringback.console.page import Page, draw
from ringback.console.problems import refuse

ABOUT = {
    "/console/": "console#what-it-shows", "/console/t/": "console#what-it-shows",
    "/console/events/": "console#what-it-shows",
    "/console/failures": "console#failures-delivery-costs-waiting",
    "/console/delivery": "console#failures-delivery-costs-waiting",
    "/console/costs": "console#failures-delivery-costs-waiting",
    "/console/waiting": "console#failures-delivery-costs-waiting",
    "/console/decide": "console#decide", "/console/bulks": "console#decide",
    "/console/rules": "console#rules", "/console/health": "console#health",
    "/console/settings": "console#settings", "/console/settings/channels": "channels",
    "/console/settings/plugins": "plugins",
}  # fmt: skip
"""The part of the manual about a page, by the beginning of its address."""


def about(path: str) -> str:
    """Where the help about a page is."""
    known = [
        each for each in ABOUT if path == each or (path.startswith(each) and each != "/console/")
    ]
    return f"{HELP}/{ABOUT[max(known, key=len)] if known else 'console'}"


async def help_page(request: Request) -> Response:
    """One page of the manual."""
    found = manual_pages.page(request.path_params["name"])
    if found is None:
        raise refuse("missing", "The manual has no page of this name.")
    names = manual_pages.names()
    return draw(request, "help.html", {"title": found.title, "found": found, "names": names})


async def index(_: Request) -> Response:
    """The first page."""
    return RedirectResponse(f"{HELP}/index", 307)


PAGE = Page(
    HELP, "Help",
    (Route(HELP, index, methods=["GET"]), Route(f"{HELP}/{{name}}", help_page, methods=["GET"])),
    takes={"index": (), "help_page": ()},
)  # fmt: skip
