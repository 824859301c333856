"""Points: counts the points of a customer card. It fails on a card that is not all digits."""

from ringback import Event, SendMessage, reply, rule


@rule("message.received", if_="event.body.keyword('card')", once_within="1m")
def points(event: Event) -> SendMessage:
    """Answer with the points of the card that is named."""
    number = event.body.lower().replace("card", "").strip()
    return reply(event, f"Card {number}: {int(number) % 40} points.")
