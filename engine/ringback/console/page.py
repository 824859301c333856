"""Page of the console: its address, its place in the navigation, and how it is drawn."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

import jinja2
from markupsafe import Markup, escape
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from ringback.config import Settings
from ringback.console import text, times, tones
from ringback.console.backtests import Backtests
from ringback.console.children import Children
from ringback.console.conversing import Conversations
from ringback.console.counting import Counting
from ringback.console.entry import Entry
from ringback.console.identity import SCOPE, Identity, may
from ringback.console.listeners import Live
from ringback.console.once import Once
from ringback.console.outside import Outside
from ringback.console.problems import refuse
from ringback.console.pulse import Pulse
from ringback.console.reading import Reading
from ringback.console.surroundings import Surroundings
from ringback.errors import StorageError
from ringback.runtime import Runtime

LOOKS = {"theme": ("light", "dark"), "density": ("close",), "keys": ("off",)}
"""What a person may choose of the look, each in a cookie `rb-NAME`; the first is what there is."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page, with the routes that make it up.

    `nav` is its name in the navigation, empty for one that is reached from others. `key` is the
    letter behind `g` that leads there. `badge` names the open ones that are counted beside it.
    One that is `simulated` is there only where a simulated Twilio is. `takes` names the parameters
    of those handlers that read the query as it is: any other is refused, as by those that check.
    """

    path: str
    title: str
    routes: tuple[BaseRoute, ...]
    nav: str = ""
    key: str = ""
    badge: str = ""
    simulated: bool = False
    takes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Console:
    """What every page and every resource of one console works with."""

    settings: Settings
    reading: Reading
    surroundings: Surroundings
    templates: jinja2.Environment
    pulse: Pulse
    live: Live
    children: Children
    conversations: Conversations
    once: Once
    outside: Outside
    pages: tuple[Page, ...] = ()
    counting: Counting | None = None
    backtests: Backtests = field(default_factory=lambda: Backtests(None))
    entry: Entry | None = None


def console_of(request: HTTPConnection) -> Console:
    """The console that a request came to."""
    console: Console = request.app.state.console
    return console


def access_of(request: HTTPConnection) -> Entry:
    """Who may come in here. Raises a Refusal where nobody signs in."""
    entry = console_of(request).entry
    if entry is None:
        raise refuse("missing")
    return entry


def environment(static: str) -> jinja2.Environment:
    """The templates: everything is escaped, and a name that is not there is an error. `static` is
    the path of the files that come along."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("ringback.console"), autoescape=True,
        undefined=jinja2.StrictUndefined, finalize=text.tamed, trim_blocks=True,
        lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip
    made.globals |= {"static": static, "hidden": hidden, "may": may}
    made.globals |= {"said": text.said, "number": text.number}
    made.globals |= {"span": times.span, "shape": tones.SHAPES.get}
    made.filters["as_is"] = text.AsIs
    return made


def hidden(request: Request, path: str) -> dict[str, str]:
    """The hidden fields of a form that posts to this path: the id of its request, by which the same
    form twice has one effect, and the token of the session."""
    wanted = Runtime().uid("req").removeprefix("req_")
    entry = console_of(request).entry
    token = "" if entry is None else entry.sessions.token(request, path, wanted)
    return {"request": wanted, "token": token}


def draw(request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
    """The answer that a template makes of these values."""
    return HTMLResponse(rendered(request, template, values), status)


def _here(request: Request) -> str:
    """Where a form leads back to: the page, or of one that was posted to, the page above it."""
    path = request.url.path
    return path if request.method in ("GET", "HEAD") else path.rpartition("/")[0]


def rendered(request: Request, template: str, values: Mapping[str, Any]) -> str:
    """What a template makes of these values, with what every page shows and what `reader` gives."""
    console = console_of(request)
    hidden_words = console.templates.globals.keys() & values.keys()
    if hidden_words:  # a value of that name would stand for a word of every template
        raise ValueError(f"{template} is given {', '.join(sorted(hidden_words))}")
    return console.templates.get_template(template).render(
        {
            "request": request, "console": console, "here": _here(request),
            **{name: _chosen(request, name) for name in LOOKS}, "views": _views(request),
            "beat": request.scope.get("ringback.beat"),
            **reader_of(request), **values,
        }
    )  # fmt: skip


def reader_of(request: HTTPConnection) -> dict[str, Any]:
    """How one reader sees numbers, texts and times."""
    identity: Identity | None = request.scope.get(SCOPE)
    return reader(identity, times.zone_of(request))


def reader(identity: Identity | None, zone: tuple[str, tzinfo]) -> dict[str, Any]:
    """The words of templates that depend on who reads: `clock` and `date` are times in their zone.
    What stands in the values was masked before, where they may not see it."""
    name, place = zone

    def clock(at: str, *, day: bool = False) -> Markup:
        shown, moment = times.clock(at, place, day=day), escape(at)
        return Markup(f'<time datetime="{moment}" title="{moment[:-1]} UTC">{shown}</time>')

    return {
        "identity": identity, "zone": name, "zone_short": times.short_name(place),
        "clock": clock,
        "date": lambda at: times.date(at, place),
    }  # fmt: skip


def _chosen(request: Request, name: str) -> str:
    """What a person has chosen of the look; empty for what there is by itself."""
    found = request.cookies.get(f"rb-{name}", "")
    return found if found in LOOKS[name] else ""


def _views(request: Request) -> list[dict[str, Any]]:
    """The addresses that whoever asks has kept."""
    identity: Identity | None = request.scope.get(SCOPE)
    entry = console_of(request).entry
    if identity is None or entry is None:
        return []
    try:
        return entry.access.views(identity.name)
    except StorageError:  # the page itself can be read all the same
        return []
