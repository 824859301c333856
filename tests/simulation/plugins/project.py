"""The handlers of the simulated project: a plain one and an async one."""

import asyncio

from ringback.actions import SendMessage, reply
from ringback.events import Event
from ringback.plugins.decorator import rule


@rule("message.received", if_="event.body.startsWith('plain')")
def plain(event: Event) -> SendMessage:
    """Answer at once."""
    return reply(event, f"Plainly: {event.body}")


@rule("message.received", if_="event.body.startsWith('awaited')")
async def awaited(event: Event) -> list[SendMessage]:
    """Answer after waiting for something."""
    await asyncio.sleep(0)
    return [reply(event, f"Awaited: {event.body}")]
