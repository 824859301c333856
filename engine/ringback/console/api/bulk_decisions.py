"""Bulks in the JSON API: one decision about many things."""

from typing import Any

from ringback.console import operating
from ringback.console.api.lists import listed
from ringback.console.api.parameters import Parameter
from ringback.console.api.resource import Asked, Endpoint, Resource
from ringback.console.problems import refuse
from ringback.runtime import ulid_from
from ringback.store.operations.bulks import OPS


async def bulks(asked: Asked) -> dict[str, Any]:
    """The newest bulks that were begun."""
    limit = int(asked.values["limit"])
    rows = await asked.console.reading.ask(lambda questions: questions.bulks(limit))
    return listed([_shown(row) for row in rows])


async def bulk(asked: Asked) -> dict[str, Any]:
    """One bulk."""
    uid = asked.values["id"]
    row = await asked.console.reading.ask(lambda questions: questions.bulk(uid))
    if row is None:
        raise refuse("missing", f"There is no bulk {uid[:40]}.")
    return _shown(row)


async def preview(asked: Asked) -> dict[str, Any]:
    """What a bulk would be about; without `dry` it begins, in ten seconds."""
    operation = {"op": "bulk", "bulk": asked.body["op"], "filter": asked.body["filter"] or {}}
    if asked.body["dry"]:
        return await _done(asked, operation, asked.key)

    async def begin() -> dict[str, Any]:
        found = await _done(asked, operation, _beside(asked.key))
        started = await _done(asked, {"op": "bulk_start", "uid": found["uid"]}, asked.key)
        return {**found, **started}

    once, who = asked.console.once, asked.identity.name
    return dict(await once.do(who, asked.request.url.path, asked.key, begin))


def _beside(key: str) -> str:
    """The request of the preview of a bulk that is begun at once: the same for the same key."""
    return ulid_from(f"preview {key}")


async def start(asked: Asked) -> dict[str, Any]:
    """Begin a bulk that was previewed."""
    return await _done(asked, {"op": "bulk_start", "uid": asked.values["id"]}, asked.key)


async def stop(asked: Asked) -> dict[str, Any]:
    """Stop a bulk."""
    return await _done(asked, {"op": "bulk_stop", "uid": asked.values["id"]}, asked.key)


async def _done(asked: Asked, operation: dict[str, Any], request: str) -> dict[str, Any]:
    found = await operating.operate(
        asked.console, asked.identity, "api", operation, request=request
    )
    return dict(found)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "id"}


RESOURCES = (
    Resource(
        "bulks", "One decision about many actions or runs, exactly those that were previewed.",
        (
            Endpoint(
                "/bulks", "List the newest bulks that were begun.", bulks, "BulkList",
                query=(Parameter("limit", "So many items at most.", "integer", least=1, most=200,
                                 default=50),),
            ),
            Endpoint("/bulks/{id}", "Show one bulk, with what was skipped or refused.", bulk,
                     "Bulk", problems=("missing",)),
            Endpoint(
                "/bulks", "Preview a bulk, or begin it.", preview, "BulkPreview", method="POST",
                body=(
                    Parameter("op", "The operation.", choices=tuple(OPS), required=True),
                    Parameter("filter", "Only those with this `state`, `rule`, `kind` or `code`, "
                              "or `since` a time, or these `uids`; for resolve its `outcome`.",
                              "object"),
                    Parameter("dry", "Only a preview, the default; `POST /bulks/{id}/start` begins "
                              "it. With false it begins at once, in ten seconds.", "flag",
                              default=True),
                ),
                role="operate", status=202, problems=("missing",),
            ),
            Endpoint("/bulks/{id}/start", "Begin a bulk; more than 500 want an admin.", start,
                     "Done", method="POST", role="operate", status=202, problems=("missing",)),
            Endpoint("/bulks/{id}/stop", "Stop a bulk; what is done stays done.", stop, "Done",
                     method="POST", role="operate", status=202, problems=("missing",)),
        ),
    ),
)  # fmt: skip
