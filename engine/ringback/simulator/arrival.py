"""Delivery of a text to its recipient: a phone's inbox, or an inbound text of our own number."""

from ringback.simulator import inbound
from ringback.simulator.records import Message
from ringback.simulator.world import World


def arrive(world: World, message: Message) -> None:
    """The text has reached its phone."""
    sources = [item.source for sid in message.media if (item := world.media.get(sid))]
    if world.number(message.recipient) is not None:
        inbound.receive(
            world,
            inbound.Text(message.sender or "", message.recipient, message.body, tuple(sources)),
        )
        return
    world.handset(message.recipient).inbox.append(
        {
            "sid": message.sid,
            "from": message.sender,
            "body": message.body,
            "media": sources,
            "at": world.clock.shown().isoformat(),
        }
    )
