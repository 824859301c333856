"""Missed call: texts a caller whom nobody spoke with, once an hour at most.

A call is missed when it ended without an answer, when the number that it was connected to did not
pick up, or when the caller left the queue before anybody came. Hidden numbers get nothing,
however they are spelt: `anonymous`, or +266696687, which is the same on a keypad.
"""

from pydantic import BaseModel, ConfigDict, Field

from ringback import Event, SendMessage, reply, rule


class Config(BaseModel):
    """`[plugins.missed_call]`: what to write."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(
        "Sorry that we missed your call. Reply here and we will get back to you.",
        min_length=1,
        max_length=1600,
    )


ENDS = [
    "call.no-answer", "call.busy", "call.failed", "call.canceled", "call.completed",
    "call.dialed", "call.dequeued",
]  # fmt: skip

NOBODY_CAME = """
    event.type in ['call.no-answer', 'call.busy', 'call.failed', 'call.canceled']
    || event.field('DialCallStatus') in ['no-answer', 'busy', 'failed', 'canceled']
    || event.field('QueueResult') in ['hangup', 'queue-full', 'error', 'system-error']
    || (event.type == 'call.completed' && event.field('CallDuration') == '0')
"""


@rule(
    ENDS,
    if_=["event.field('Direction') == 'inbound'", "is_phone(event.theirs)", NOBODY_CAME],
    once_within="1h",
)
def missed_call(event: Event, config: Config) -> SendMessage:
    """Text the caller from the number that they called."""
    return reply(event, config.text)
