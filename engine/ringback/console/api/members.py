"""Settings, and whoever may come in, in the JSON API: people, tokens, sessions, looks."""

from collections.abc import Callable
from typing import Any

from ringback.console.api.lists import listed
from ringback.console.api.parameters import Parameter
from ringback.console.api.resource import Asked, Endpoint, Handler, Resource
from ringback.console.problems import refuse
from ringback.store.console.access import Access

_LIMIT = Parameter("limit", "So many items at most.", "integer", least=1, most=200, default=50)


async def settings(asked: Asked) -> dict[str, Any]:
    """Every setting with its value and source; secrets are masked."""
    return listed([
        {
            "setting": each.name, "value": each.value, "source": each.source,
            "variable": ", ".join(each.env), "about": each.about,
        }
        for each in asked.console.settings.shown()
    ])  # fmt: skip


def _of_access(rows: Callable[[Access, Asked], list[dict[str, Any]]]) -> Handler:
    """A handler that lists what is kept of those who may come in."""

    async def many(asked: Asked) -> dict[str, Any]:
        entry = asked.console.entry
        if entry is None:
            raise refuse("missing", "Nobody signs in here.")
        return listed(rows(entry.access, asked))

    return many


RESOURCES = (
    Resource(
        "settings", "What is set, and where each value comes from.",
        (
            Endpoint("/settings", "List the settings; secrets are masked.", settings,
                     "SettingList", role="operate"),
        ),
    ),
    Resource(
        "people", "Whoever may come in, and what they looked at.",
        (
            Endpoint("/people", "List who may sign in.",
                     _of_access(lambda access, _: access.people()), "PersonList", role="admin",
                     personal=False),
            Endpoint("/sessions", "List who is signed in.",
                     _of_access(lambda access, _: access.sessions()), "SessionList",
                     role="admin", personal=False),
            Endpoint("/tokens", "List the tokens, without their secrets.",
                     _of_access(lambda access, _: access.tokens()), "TokenList", role="admin",
                     personal=False),
            Endpoint("/looks", "List sign-ins, good and bad, and looks at whole numbers.",
                     _of_access(lambda access, asked: access.looks(asked.values["limit"])),
                     "LookList", role="admin", query=(_LIMIT,), personal=False),
        ),
    ),
)  # fmt: skip
