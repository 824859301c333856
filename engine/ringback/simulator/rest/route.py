"""Routes as data, matched on the path below the account."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ringback.simulator.form import Form
from ringback.simulator.records import Account
from ringback.simulator.refusal import Refusal, missing
from ringback.simulator.world import World


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, authenticated: the account it is about, the SIDs of its path, its fields.

    `path` begins with `/2010-04-01` and has no suffix; `link` is the same with `.json`.
    """

    world: World
    account: Account
    method: str
    path: str
    ids: tuple[str, ...] = ()
    form: Form = field(default_factory=lambda: Form([]))
    query: Form = field(default_factory=lambda: Form([]))
    query_text: str = ""

    @property
    def link(self) -> str:
        return self.path + ".json"

    @property
    def base(self) -> str:
        """The path of the account."""
        return f"/2010-04-01/Accounts/{self.account.sid}"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: a resource as JSON, bytes of media, or nothing (204). `sid` is what was made."""

    status: int = 200
    data: dict[str, Any] | None = None
    sid: str = ""
    body: bytes = b""
    content_type: str = ""


Handler = Callable[[Ask], Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """`operation` names it for fault plans and the ledger, e.g. `messages.create`.

    `raw` routes answer bytes and are asked for by another suffix than `.json`, or none.
    """

    method: str
    pattern: re.Pattern[str]
    operation: str
    handler: Handler
    raw: bool = False


def route(method: str, template: str, operation: str, handler: Handler, raw: bool = False) -> Route:
    """A route from a template such as `Messages/{}/Media/{}`."""
    pattern = re.compile(re.escape(template).replace(r"\{\}", r"([^/]+)"))
    return Route(method, pattern, operation, handler, raw)


def find(routes: Sequence[Route], method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    """The route of a path (`Messages/SM…`, no suffix). Raises Refusal: 404, or 405 for a method."""
    known = False
    for candidate in routes:
        match = candidate.pattern.fullmatch(path)
        if match is None:
            continue
        if candidate.method == method:
            return candidate, match.groups()
        known = True
    if known:
        raise Refusal(405, 20004, f"Method {method} is not allowed on this resource")
    raise missing(f"/{path}")


def collection(
    name: str,
    operation: str,
    *,
    listing: Handler | None = None,
    create: Handler | None = None,
    get: Handler | None = None,
    update: Handler | None = None,
    delete: Handler | None = None,
) -> tuple[Route, ...]:
    """The usual five routes of a resource; those that it has."""
    routes = (
        ("GET", name, "list", listing),
        ("POST", name, "create", create),
        ("GET", name + "/{}", "get", get),
        ("POST", name + "/{}", "update", update),
        ("DELETE", name + "/{}", "delete", delete),
    )
    return tuple(
        route(method, template, f"{operation}.{verb}", handler)
        for method, template, verb, handler in routes
        if handler is not None
    )
