"""Calls and queues in the JSON API."""

from typing import Any

from ringback.console import calling, operating
from ringback.console.api.lists import listed
from ringback.console.api.parameters import Parameter
from ringback.console.api.resource import Asked, Endpoint, Resource
from ringback.runtime import REAL

_PROBLEMS = ("missing",)


async def calls(asked: Asked) -> dict[str, Any]:
    """The calls that go on."""
    return listed((await _found(asked))["calls"])


async def queues(asked: Asked) -> dict[str, Any]:
    """The queues of today."""
    return listed((await _found(asked))["queues"])


async def hang_up(asked: Asked) -> dict[str, Any]:
    """End a call."""
    return await _done(asked, {"op": "hang_up"})


async def dequeue(asked: Asked) -> dict[str, Any]:
    """Take a caller out of a queue."""
    return await _done(asked, {"op": "dequeue", "to": asked.body["to"]})


async def _found(asked: Asked) -> dict[str, Any]:
    zone = asked.console.settings.quiet_zone
    return await asked.console.reading.ask(
        lambda questions: calling.asked(questions, zone, REAL.now())
    )


async def _done(asked: Asked, operation: dict[str, Any]) -> dict[str, Any]:
    return dict(
        await operating.operate(
            asked.console, asked.identity, "api",
            {**operation, "call": asked.values["id"]}, request=asked.key,
        )
    )  # fmt: skip


RESOURCES = (
    Resource(
        "calls", "Calls that go on, as far as Twilio has told, and the queues that callers wait "
        "in. Those that are over are among the events.",
        (
            Endpoint("/calls", "List the calls that go on, the latest first.", calls, "CallList"),
            Endpoint("/queues", "List the queues that somebody waits in, or has left today.",
                     queues, "QueueList"),
            Endpoint("/calls/{id}/hang_up", "End a call.", hang_up, "Done", method="POST",
                     role="operate", status=202, problems=_PROBLEMS),
            Endpoint("/calls/{id}/dequeue", "Take a caller out of the queue, and connect them with "
                     "a number.", dequeue, "Done", method="POST",
                     body=(Parameter("to", "The number.", required=True),),
                     role="operate", status=202, problems=_PROBLEMS),
        ),
    ),
)  # fmt: skip
