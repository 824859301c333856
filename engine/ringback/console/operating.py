"""Operating: what a page or the JSON API asks of the worker, in the name of whoever sent it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ringback.console.api.answers import whole
from ringback.console.api.masked_answers import masked
from ringback.console.identity import Identity
from ringback.console.page import Console
from ringback.console.problems import of_field, refuse
from ringback.console.surroundings import Surroundings
from ringback.errors import StorageError
from ringback.ipc import WorkerAway

STATUS_SECONDS = 1.0
AWAY = "No worker answers: reading goes on, and nothing can be changed until the node runs."


@dataclass(frozen=True, slots=True)
class Worker:
    """The worker as a page shows it: what it says of itself, or why nothing can be changed."""

    status: Mapping[str, Any]
    away: str = ""


async def operate(
    console: Console, identity: Identity, via: str, operation: Mapping[str, Any],
    *, request: str, expect: Mapping[str, Any] | None = None,
) -> Mapping[str, Any]:  # fmt: skip
    """The answer of the worker to an operation, for a `request` that is done once.

    Raises a Refusal: `conflict` with what is true now, `role`, `missing`, `field` with the words of
    the worker, `data` when its disk refuses, `worker-away` when nobody answers.
    """
    by = {"who": identity.name, "role": identity.role, "via": via, "peer": identity.peer}
    message = {**operation, "by": by, "request": request, **({"expect": expect} if expect else {})}
    answer = await _asked(console.surroundings, message)
    if "error" not in answer:
        return {name: value for name, value in answer.items() if name != "ok"}
    told: dict[str, Any] = {"said": str(answer["error"]), "now": answer.get("now")}
    shown = told if whole(console, identity) else await _masked(console, operation, told)
    said = shown["said"]
    if "now" in answer:
        raise refuse("conflict", said, now=shown["now"])
    if "role" in answer:
        raise refuse("role", said, on_record=True)
    if "missing" in answer:
        raise refuse("missing", said)
    if answer.get("exit_code") == StorageError.exit_code:
        raise refuse("data", said)
    raise of_field(said)


async def _masked(
    console: Console, operation: Mapping[str, Any], told: Mapping[str, Any]
) -> dict[str, Any]:
    """A refusal with the numbers of persons masked; not ours, which the operation or its action
    names."""
    uid, pair = str(operation.get("uid") or ""), f"{operation.get('sender', '')}/"
    if uid.startswith("act_"):
        row = await console.reading.ask(lambda asked: asked.action(uid))
        pair = str(row["conversation"]) if row else pair
    beside = [told, {"conversation": pair}, {"conversation": f"{console.settings.sender}/"}]
    return dict(masked(told, beside=beside))


async def ask(surroundings: Surroundings, question: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer of the worker to a question that changes nothing. Raises a Refusal."""
    answer = await _asked(surroundings, question)
    if "error" in answer:
        raise of_field(str(answer["error"]))
    return answer


async def _asked(surroundings: Surroundings, message: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return await surroundings.operate(message)
    except WorkerAway as error:
        raise refuse("worker-away", str(error)) from None


async def worker(surroundings: Surroundings) -> Worker:
    """What the worker says of itself, within a second."""
    try:
        async with asyncio.timeout(STATUS_SECONDS):
            return Worker(await surroundings.operate({"op": "status"}))
    except (WorkerAway, TimeoutError):
        return Worker({}, AWAY)
