"""The plugin of the simulated project: a plain handler, an async one, a function and a step."""

import asyncio

from ringback.actions import SendMessage, reply
from ringback.events import Event
from ringback.plugins.decorator import rule
from ringback.plugins.hookspecs import hookimpl
from ringback.plugins.registry import FunctionRegistrar, StepRegistrar


@rule("message.received", if_="event.body.startsWith('plain')")
def plain(event: Event) -> SendMessage:
    """Answer at once."""
    return reply(event, f"Plainly: {event.body}")


@rule("message.received", if_="event.body.startsWith('awaited')")
async def awaited(event: Event) -> list[SendMessage]:
    """Answer after waiting for something."""
    await asyncio.sleep(0)
    return [reply(event, f"Awaited: {event.body}")]


@hookimpl
def register_functions(register: FunctionRegistrar) -> None:
    """For conditions."""
    register("first_word", first_word)


def first_word(text: str) -> str:
    """The word with which a text begins."""
    return text.partition(" ")[0]


@hookimpl
def register_steps(register: StepRegistrar) -> None:
    """For rules."""
    register("tell", tell, plain="text")


def tell(event: Event, text: str) -> SendMessage:
    """Answer with a text."""
    return reply(event, text)
