"""Auto-reply: answers a question about opening hours, and everybody else that the text arrived.

The second rule is a backstop: it answers only what no other rule has answered, and a person gets it
once in a while at most. Neither answers short codes and names, which are machines that may answer
in turn, nor a phone that reacts to a text of ours (`Liked “We are open Mon-Fri 9-17.”`).
"""

from pydantic import BaseModel, ConfigDict, Field

from ringback import Contact, Context, Event, SendMessage, hookimpl, reply, rule


class Config(BaseModel):
    """`[plugins.auto_reply]`: the texts. An empty one switches its rule off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hours: str = Field("We are open Mon-Fri 9-17.", max_length=1600)
    received: str = Field("Thanks, we got your text and will answer soon.", max_length=1600)
    first: str = Field("", max_length=1600, description="for the first text ever; else `received`")


@hookimpl
def startup(ctx: Context) -> None:
    """Say at start what will be said to people, so that a forgotten sample text is noticed."""
    ctx.log.info("answers about hours: %s", ctx.config.hours or "(off)")
    ctx.log.info("answers other texts: %s", ctx.config.received or "(off)")


@rule(
    "message.received",
    if_=[
        "is_phone(event.from)",
        "event.reaction == ''",
        "event.body.keyword(['hours', 'open', 'opening', 'when are you open'])",
    ],
    once_within="1m",
)
def opening_hours(event: Event, config: Config) -> SendMessage | None:
    """Answer HOURS or OPEN with the opening hours."""
    return reply(event, config.hours) if config.hours else None


@rule(
    "message.received",
    if_=["is_phone(event.from)", "event.reaction == ''"],
    once_within="12h",
    priority=-100,
    backstop=True,
)
def received(event: Event, contact: Contact, config: Config) -> SendMessage | None:
    """Tell a person that the text has arrived, when no other rule has answered."""
    is_first = contact.message_count <= 1
    text = config.first if is_first and config.first else config.received
    return reply(event, text) if text else None
