"""Resource of the JSON API: what it can be asked, and who may.

An endpoint is declared once. The declaration checks the parameters and the body of a request,
says which role may send it, and makes its part of the OpenAPI document.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from ringback.console.api.answers import answered, problems_of
from ringback.console.api.exports import FORMAT, Export, exported, limit_of
from ringback.console.api.matching_tags import EXPECT, HEADER, expected, not_here, of_object
from ringback.console.api.parameters import Parameter, body_values, path_values, query_values
from ringback.console.identity import Identity, Role, identity_of, may
from ringback.console.page import Console, console_of
from ringback.console.problems import refuse

PREFIX = "/api/v1"
REQUEST_HEADER = "Idempotency-Key"
REQUEST = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)
WITH_SLASHES = ("/people/{name}",)
"""Paths that end in a name which may hold slashes, percent-encoded: it was given by people."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that was let through: its checked `values`, those of its `body`, the `key` of a
    request that changes something, and where it came to."""

    console: Console
    identity: Identity
    request: Request
    values: Mapping[str, Any]
    body: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""


Handler = Callable[[Asked], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path.

    `answer` is the name of a schema of `schemas`, empty for one that answers with a response of its
    own. The handler's answer is a plain object, or a `Response`. `personal` says that numbers of
    persons may stand in it. `standing` tells how the object of a change stands, where its GET
    depends on a span. `also` is a second type of content that it may answer with. What is no
    GET needs the header `Idempotency-Key`, unless it is `safe`.
    """

    path: str
    about: str
    handler: Handler
    answer: str = ""
    method: str = "GET"
    query: tuple[Parameter, ...] = ()
    body: tuple[Parameter, ...] = ()
    role: Role = "read"
    personal: bool = True
    safe: bool = False
    status: int = 200
    media: str = "application/json"
    also: str = ""
    problems: tuple[str, ...] = ()
    standing: Handler | None = None

    @property
    def name(self) -> str:
        """Its name in the OpenAPI document."""
        words = self.path.replace("{", "").replace("}", "").replace(".", "/").split("/")
        return "_".join([self.method.lower(), *(word for word in words if word)])

    @property
    def lists(self) -> bool:
        """Whether it answers with a list, which can be had as a file too."""
        return self.answer.endswith("List") and self.method == "GET"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters of its query."""
        return (*self.query, FORMAT) if self.lists else self.query

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.method != "GET" and not self.safe


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource, with the endpoints that make it up."""

    name: str
    about: str
    endpoints: tuple[Endpoint, ...]

    @property
    def routes(self) -> tuple[BaseRoute, ...]:
        """Its routes below `/api/v1`, one for each path."""
        paths = dict.fromkeys(each.path for each in self.endpoints)
        return tuple(self._route(path) for path in paths)

    def _route(self, path: str) -> Route:
        by_method = {each.method: each for each in self.endpoints if each.path == path}

        async def serve(request: Request) -> Any:
            method = "GET" if request.method == "HEAD" else request.method
            return await _serve(by_method[method], request)

        place = path.replace("{name}", "{name:path}") if path in WITH_SLASHES else path
        return Route(PREFIX + place, serve, methods=list(by_method))


def _export(endpoint: Endpoint, asked: Asked) -> Export:
    """All of a list as a file, part by part from its own handler."""
    values = {**asked.values, **limit_of(asked.values)}

    async def ask(request: Request) -> Mapping[str, Any]:
        found: Mapping[str, Any] = await endpoint.handler(
            replace(asked, request=request, values=values)
        )
        return found

    return Export(
        endpoint.path, endpoint.answer, endpoint.personal, str(values[FORMAT.name]),
        asked.console, asked.identity, asked.request, ask,
    )  # fmt: skip


async def _expected(endpoint: Endpoint, asked: Asked) -> Mapping[str, Any]:
    """What has to be true for a change whose request names a tag. Raises a Refusal."""
    readers: Mapping[str, Endpoint] = asked.request.app.state.readers
    reader = readers.get(of_object(endpoint.path))
    if reader is None or EXPECT not in {each.name for each in endpoint.body}:
        raise not_here()
    defaults = {each.name: each.default for each in reader.query}
    found = await (endpoint.standing or reader.handler)(
        replace(asked, values={**defaults, **asked.values}, body={})
    )
    return expected(asked.request, found)


async def _serve(endpoint: Endpoint, request: Request) -> Any:
    identity = identity_of(request)
    if not may(identity, endpoint.role):
        raise refuse("role", f"This needs the role {endpoint.role}; yours is {identity.role}.")
    console = console_of(request)
    values = path_values(request) | query_values(request, endpoint.parameters)
    key = request.headers.get(REQUEST_HEADER, "")
    if endpoint.writes and not key:
        raise refuse(
            "field", f"The header {REQUEST_HEADER} is missing.",
            mend="Send a fresh ULID with each new request, and the same one when you repeat it.",
            fields=((REQUEST_HEADER, "is required"),),
        )  # fmt: skip
    if endpoint.writes and not REQUEST.fullmatch(key):
        raise refuse(
            "field", f"The header {REQUEST_HEADER} is no ULID: {key[:40]}.",
            mend="Send 26 letters and digits, made anew for each request.",
            fields=((REQUEST_HEADER, "is no ULID"),),
        )  # fmt: skip
    reads = endpoint.body or endpoint.writes
    body = await body_values(request, endpoint.body) if reads else {}
    asked = Asked(console, identity, request, values, body, key)
    if endpoint.writes and HEADER in request.headers:
        asked = replace(asked, body={**body, EXPECT: await _expected(endpoint, asked)})
    with problems_of(endpoint.query):
        if endpoint.lists and values[FORMAT.name]:
            return await exported(_export(endpoint, asked))
        found = await endpoint.handler(asked)
    return answered(request, console, identity, found, endpoint.status, personal=endpoint.personal)
