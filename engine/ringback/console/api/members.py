"""Settings, and whoever may come in, in the JSON API: people, tokens, sessions, looks."""

from collections.abc import Callable
from typing import Any

from ringback.console import changing
from ringback.console.api.lists import listed
from ringback.console.api.parameters import Parameter
from ringback.console.api.resource import Asked, Endpoint, Handler, Resource
from ringback.console.identity import ROLES
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


async def put_person(asked: Asked) -> dict[str, Any]:
    """Add a person, or give one another role and password."""
    given = asked.body
    return await changing.put_person(
        asked.request, asked.key, given["name"], given["role"], given["password"]
    )


async def drop_person(asked: Asked) -> dict[str, Any]:
    """Let a person in no more."""
    await changing.drop_person(asked.request, asked.key, asked.values["name"])
    return {"removed": asked.values["name"]}


async def make_token(asked: Asked) -> dict[str, Any]:
    """Make a token, whose secret is told this once."""
    given = asked.body
    made = await changing.make_token(
        asked.request, asked.key, given["name"], given["role"], given["days"],
        whole=bool(given["whole"]),
    )  # fmt: skip
    return dict(made.shown())


async def drop_token(asked: Asked) -> dict[str, Any]:
    """Let a token in no more."""
    await changing.drop_token(asked.request, asked.key, asked.values["id"])
    return {"removed": asked.values["id"]}


async def end_session(asked: Asked) -> dict[str, Any]:
    """Sign somebody out of one session."""
    await changing.end_session(asked.request, asked.key, asked.values["id"])
    return {"removed": asked.values["id"]}


def _write(
    method: str, path: str, about: str, handler: Handler, answer: str, *body: Parameter
) -> Endpoint:
    return Endpoint(
        path, about, handler, answer, method=method, body=body, role="admin", personal=False,
        status=201 if method == "POST" else 200, problems=("missing",),
    )  # fmt: skip


_ROLE = Parameter("role", "What they may.", choices=ROLES, required=True)


def _looks(access: Access, asked: Asked) -> list[dict[str, Any]]:
    rows = access.looks(asked.values["limit"])
    return [{name: row[name] for name in row if name != "id"} for row in rows]


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
                     personal=False, problems=("missing",)),
            Endpoint("/sessions", "List who is signed in.",
                     _of_access(lambda access, _: access.sessions()), "SessionList",
                     role="admin", personal=False, problems=("missing",)),
            Endpoint("/tokens", "List the tokens, without their secrets.",
                     _of_access(lambda access, _: access.tokens()), "TokenList", role="admin",
                     personal=False, problems=("missing",)),
            Endpoint("/looks", "List who signed in, looked at whole numbers, or was "
                     "refused for the role.",
                     _of_access(_looks),
                     "LookList", role="admin", query=(_LIMIT,), personal=False,
                     problems=("missing",)),
        ),
    ),
    Resource(
        "changes", "Who may come in, changed; each change is noted among the looks.",
        (
            _write("POST", "/people", "Add a person, or give one another role and password.",
                   put_person, "Person", Parameter("name", "Their name.", required=True), _ROLE,
                   Parameter("password", "At least 12 letters.", required=True)),
            _write("DELETE", "/people/{name}", "Let a person in no more; their sessions end.",
                   drop_person, "Removed"),
            _write("POST", "/tokens", "Make a token; its secret is told this once.", make_token,
                   "NewToken", Parameter("name", "What it is for.", required=True), _ROLE,
                   Parameter("days", "For so many days.", "integer", least=1,
                             most=changing.MOST_DAYS, default=changing.DAYS),
                   Parameter("whole", "Numbers and texts are not masked for it.", "flag",
                             default=False)),
            _write("DELETE", "/tokens/{id}", "Let a token in no more.", drop_token, "Removed"),
            _write("DELETE", "/sessions/{id}", "Sign somebody out of one session.", end_session,
                   "Removed"),
        ),
    ),
)  # fmt: skip
