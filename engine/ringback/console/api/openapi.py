"""OpenAPI document of the JSON API, from the declarations that check its requests.

https://spec.openapis.org/oas/v3.1.0
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from ringback.console.api.exports import MEDIA
from ringback.console.api.matching_tags import EXPECT, HEADER
from ringback.console.api.parameters import Parameter
from ringback.console.api.resource import PREFIX, REQUEST, REQUEST_HEADER, Asked, Endpoint, Resource
from ringback.console.api.schema_words import ref
from ringback.console.api.schemas import ALL
from ringback.console.problems import KINDS
from ringback.version import own_version

ANYWHERE = ("login", "role", "field", "method", "host", "limit", "slow", "busy", "data", "broken")
"""The kinds of problems that any request may meet."""
_WRITING = ("csrf", "conflict", "worker-away", "large", "media")


def document(listed: Iterable[Resource]) -> dict[str, Any]:
    """The document of these resources."""
    resources = list(listed)
    paths: dict[str, dict[str, Any]] = {}
    for resource in resources:
        for endpoint in resource.endpoints:
            paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(
                resource, endpoint
            )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ringback", "version": own_version() or "0",
            "description": "What a node of Ringback did, why, and what waits for a person.",
        },
        "servers": [{"url": PREFIX}],
        "security": [{"token": []}, {"session": []}],
        "tags": [{"name": each.name, "description": each.about} for each in resources],
        "paths": paths,
        "components": {
            "schemas": ALL,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "rb"},
            },
        },
    }  # fmt: skip


def _operation(resource: Resource, endpoint: Endpoint) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", endpoint.path)
    ]
    parameters += [_parameter(each) for each in endpoint.parameters]
    if endpoint.writes:
        parameters.append({
            "name": REQUEST_HEADER, "in": "header", "required": True,
            "description": "A ULID, the same when the request is repeated.",
            "schema": {"type": "string", "pattern": f"^{REQUEST.pattern}$"},
        })  # fmt: skip
    if EXPECT in {each.name for each in endpoint.body}:
        parameters.append({
            "name": HEADER, "in": "header", "required": False,
            "description": "The `ETag` of the object as it was read: else 409 with what is true.",
            "schema": {"type": "string"},
        })  # fmt: skip
    found: dict[str, Any] = {
        "operationId": endpoint.name, "tags": [resource.name], "summary": endpoint.about,
        "description": f"Needs the role `{endpoint.role}`.",
        "parameters": parameters, "responses": _responses(endpoint),
    }  # fmt: skip
    if endpoint.body:
        schema = {
            "type": "object", "additionalProperties": False,
            "properties": {each.name: each.schema() for each in endpoint.body},
            "required": [each.name for each in endpoint.body if each.required],
        }  # fmt: skip
        found["requestBody"] = {
            "required": True, "content": {"application/json": {"schema": schema}},
        }  # fmt: skip
    return found


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name, "in": "query", "required": parameter.required,
        "description": parameter.about, "schema": parameter.schema(),
    }  # fmt: skip


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    schema = ref(endpoint.answer) if endpoint.answer else {}
    found: dict[str, Any] = {
        str(endpoint.status): {
            "description": "What was asked for.",
            "content": {endpoint.media: {"schema": schema}},
        }
    }
    if endpoint.lists:
        files = {media: {"schema": {"type": "string"}} for media in MEDIA.values()}
        found[str(endpoint.status)]["content"] |= files
    if endpoint.also:
        found[str(endpoint.status)]["content"][endpoint.also] = {"schema": {"type": "string"}}
    if endpoint.method == "GET":
        found["304"] = {"description": "Nothing has changed since the `ETag` that was sent."}
    slugs = dict.fromkeys(
        (*ANYWHERE, *endpoint.problems, *(_WRITING if endpoint.method != "GET" else ()))
    )
    by_status: dict[int, list[str]] = {}
    for slug in slugs:
        by_status.setdefault(KINDS[slug].status, []).append(slug)
    for status, known in sorted(by_status.items()):
        found[str(status)] = {
            "description": "; ".join(f"`{slug}`: {KINDS[slug].title}" for slug in known),
            "content": {"application/problem+json": {"schema": ref("Problem")}},
        }
    return found


def resource(listed: Callable[[], Iterable[Resource]]) -> Resource:
    """The resource that answers with the document of all of them."""

    async def shown(_: Asked) -> dict[str, Any]:
        return document(listed())

    about = "The OpenAPI document."
    endpoint = Endpoint("/openapi.json", about, shown, personal=False)
    return Resource("openapi", "This API, for programs.", (endpoint,))
