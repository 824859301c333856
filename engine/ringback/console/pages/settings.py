"""Pages of settings: values, what is kept how long, plugins, numbers, channels."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringback.config import FIXED
from ringback.console.api.node_health import plugin_rows, printed_rows
from ringback.console.api.parameters import query_values
from ringback.console.children import NUMBERS
from ringback.console.forms import form_of
from ringback.console.identity import identity_of, may
from ringback.console.page import Page, console_of, draw
from ringback.console.pages.deeds import require_operate
from ringback.console.problems import refuse
from ringback.console.seen import as_seen
from ringback.runtime import REAL, iso

PATH = "/console/settings"
PLUGINS, NUMBERS_PATH, CHANNELS = f"{PATH}/plugins", f"{PATH}/numbers", f"{PATH}/channels"
TEST = f"{PATH}/channels/{{name}}/test"
TABS = (
    (PATH, "Values", "read"), (PLUGINS, "Plugins", "operate"), (NUMBERS_PATH, "Numbers", "operate"),
    (CHANNELS, "Channels", "operate"), (f"{PATH}/people", "People", "admin"),
    (f"{PATH}/audit", "Audit", "read"),
)  # fmt: skip


def tabs(request: Request) -> list[Mapping[str, Any]]:
    """The pages of settings that whoever asks may see."""
    identity = identity_of(request)
    return [
        {"link": path, "words": words, "chosen": request.url.path.startswith(path)
         and (path != PATH or request.url.path == PATH)}
        for path, words, role in TABS
        if may(identity, role)  # type: ignore[arg-type]
    ]  # fmt: skip


async def settings(request: Request) -> Response:
    """What is kept how long, and every value with its source; secrets are masked."""
    query_values(request, ())
    console, now = console_of(request), REAL.now()
    oldest = await console.reading.ask(lambda asked: asked.oldest_event())
    given = console.settings
    kept = [
        {
            "name": name, "days": days, "what": what,
            "before": iso(now - timedelta(days=days)) if days else "",
        }
        for name, days, what in (
            ("keep_bodies_days", given.keep_bodies_days, "What people said"),
            ("keep_rows_days", given.keep_rows_days, "Events that are done"),
        )
    ]  # fmt: skip
    sees = may(identity_of(request), "operate")
    return draw(
        request, "settings.html",
        {
            "title": "Settings", "tabs": tabs(request), "kept": kept, "oldest": oldest,
            "lines": given.shown() if sees else None, "notes": given.notes if sees else (),
            "fixed": FIXED, "project": str(given.project) if sees else "",
        },
    )  # fmt: skip


async def plugins(request: Request) -> Response:
    """The plugins that the worker has loaded, and those that it could not."""
    require_operate(request)
    query_values(request, ())
    rows = await plugin_rows(console_of(request))
    values = {"title": "Plugins", "tabs": tabs(request), "plugins": rows}
    return draw(request, "plugins.html", values)


async def numbers(request: Request) -> Response:
    """Our numbers, and what would have to change for their webhooks to come here."""
    require_operate(request)
    query_values(request, ())
    rows = await printed_rows(console_of(request), NUMBERS)
    return draw(
        request, "numbers.html",
        {"title": "Numbers", "tabs": tabs(request), "numbers": rows, "at": iso(REAL.now())},
    )  # fmt: skip


async def channels(request: Request) -> Response:
    """How notices reach people, and whether they do."""
    require_operate(request)
    query_values(request, ())
    rows = await printed_rows(console_of(request), ("channels", "list"))
    return draw(
        request, "channels.html",
        {"title": "Channels", "tabs": tabs(request),
         "channels": as_seen(request, {"a": rows})["a"]},
    )  # fmt: skip


async def confirm_test(request: Request) -> Response:
    """What will go to whom, before it does."""
    require_operate(request)
    row = await _channel(request)
    return draw(
        request, "channel_test.html",
        {
            "title": f"Test of {row['name']}", "channel": as_seen(request, row),
            "path": TEST.format(name=row["name"]), "result": None,
        },
    )  # fmt: skip


async def send_test(request: Request) -> Response:
    """Send it once, and show what the channel said."""
    require_operate(request)
    form, row = await form_of(request), await _channel(request)
    console, identity, name = console_of(request), identity_of(request), str(row["name"])

    async def work() -> dict[str, Any]:
        if console.entry is not None:
            console.entry.access.look(
                iso(REAL.now()), identity.name, "channel tested", name, identity.peer
            )
        printed = await console.children.run(("channels", "test", name))
        return printed.rows[0] if printed.rows else {"ok": False, "error": printed.said}

    key = form.get("request", "")
    result = await console.once.do(identity.name, request.url.path, key, work)
    return draw(
        request, "channel_test.html",
        {
            "title": f"Test of {name}", "channel": as_seen(request, row),
            "path": TEST.format(name=name), "result": as_seen(request, result),
        },
    )  # fmt: skip


async def _channel(request: Request) -> dict[str, Any]:
    """The channel of a path. Raises a Refusal for one that is not there or has no address."""
    name = request.path_params["name"]
    rows = await printed_rows(console_of(request), ("channels", "list"))
    row = next((each for each in rows if each.get("name") == name), None)
    if row is None or row.get("kind") == "built in":
        raise refuse("missing", "No channel of ringback.toml has this name.")
    return row


async def to_values(_: Request) -> Response:
    """The first of the pages."""
    return RedirectResponse(PATH, 307)


PAGE = Page(
    PATH, "Settings",
    (
        Route(PATH, settings, methods=["GET"]), Route(f"{PATH}/", to_values, methods=["GET"]),
        Route(PLUGINS, plugins, methods=["GET"]), Route(NUMBERS_PATH, numbers, methods=["GET"]),
        Route(CHANNELS, channels, methods=["GET"]), Route(TEST, confirm_test, methods=["GET"]),
        Route(TEST, send_test, methods=["POST"]),
    ),
    nav="Settings", key="s", takes={"to_values": (), "confirm_test": ()},
)  # fmt: skip
