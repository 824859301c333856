"""Missed call: texts a caller whom nobody spoke with, once an hour at most.

A call is missed when it ended without an answer, when the number that it was connected to did not
pick up, when the caller left the queue before anybody came, or hung up in the greeting: within half
a minute, with no key pressed, no word said and nobody dialled. Hidden numbers get nothing,
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

# A report that is late by more than a quarter of an hour starts no rule: nothing is overlooked.
LEFT_IN_THE_GREETING = """
    event.type == 'call.completed' && event.field('CallDuration').matches('^[12]?[0-9]$')
    && count('call.received', '16m', event.conversation) > 0
    && count('call.gathered', '16m', event.conversation) == 0
    && count('call.recorded', '16m', event.conversation) == 0
    && count('call.queued', '16m', event.conversation) == 0
    && count('call.dequeued', '16m', event.conversation) == 0
    && count('call.dialed', '16m', event.conversation) == 0
"""


@rule(
    ENDS,
    if_=[
        "event.field('Direction') == 'inbound'",
        "is_phone(event.theirs)",
        f"({NOBODY_CAME}) || ({LEFT_IN_THE_GREETING})",
    ],
    once_within="1h",
)
def missed_call(event: Event, config: Config) -> SendMessage:
    """Text the caller from the number that they called."""
    return reply(event, config.text)
