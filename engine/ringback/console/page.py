"""Page of the console: its address, its place in the navigation, and how it is drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jinja2
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from ringback.config import Settings
from ringback.console.reading import Reading
from ringback.console.surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class Page:
    """A page, with the routes that make it up.

    `nav` is its name in the navigation, empty for one that is reached from others. `key` is the
    letter behind `g` that leads there. `badge` names the open ones that are counted beside it.
    """

    path: str
    title: str
    routes: tuple[BaseRoute, ...]
    nav: str = ""
    key: str = ""
    badge: str = ""


@dataclass(frozen=True, slots=True)
class Console:
    """What every page and every resource of one console works with."""

    settings: Settings
    reading: Reading
    surroundings: Surroundings
    templates: jinja2.Environment
    pages: tuple[Page, ...] = ()


def console_of(request: HTTPConnection) -> Console:
    """The console that a request came to."""
    console: Console = request.app.state.console
    return console


def environment() -> jinja2.Environment:
    """The templates: everything is escaped, and a name that is not there is an error."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("ringback.console"), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip


def draw(request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
    """The answer that a template makes of these values."""
    console = console_of(request)
    text = console.templates.get_template(template).render(
        {"request": request, "console": console, **values}
    )
    return HTMLResponse(text, status)
