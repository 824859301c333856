"""Missed call: texts a caller whom nobody spoke with, once an hour at most.

A call is missed when it ended without an answer, when the number that it was connected to did not
pick up, when the caller left the queue before anybody came, or hung up in the greeting: within half
a minute, with no key pressed, no word said, nothing paid and nobody dialled. Hidden numbers get
nothing, however they are spelt: `anonymous`, or +266696687, which is the same on a keypad.

The text leaves ten seconds after the call: Twilio tells of the end of a call and of what was keyed,
said or dialled in it by requests of their own, and the end may come first.
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

NOT_REACHED = """
    {0}.field('DialCallStatus') in ['no-answer', 'busy', 'failed', 'canceled']
    || {0}.field('QueueResult') in ['hangup', 'queue-full', 'error', 'system-error']
"""
NOBODY_CAME = f"""
    event.type in ['call.no-answer', 'call.busy', 'call.failed', 'call.canceled']
    || {NOT_REACHED.format("event")}
    || (event.type == 'call.completed' && event.field('CallDuration') == '0')
"""

# Only what this call has brought counts, and not the one before, when people ring again: since the
# call began, and three minutes more, as its end may be told late.
OF_THIS_CALL = "string(int(event.field('CallDuration')) + 180) + 's', event.conversation"
ANSWERS = [
    "call.gathered", "call.recorded", "call.queued", "call.dequeued", "call.dialed",
    "gather.partial", "pay.*", "relay.*",
]  # fmt: skip
NOT_ANSWERED = " && ".join(f"count('{each}', {OF_THIS_CALL}) == 0" for each in ANSWERS)
LEFT_IN_THE_GREETING = f"""
    event.type == 'call.completed' && event.field('CallDuration').matches('^[12]?[0-9]$')
    && count('call.received', {OF_THIS_CALL}) > 0 && {NOT_ANSWERED}
"""

# What tells that they were spoken with after all, behind the end of the call.
TOLD_LATE = [
    "event.type == 'call.completed' && reply.call_sid == event.call_sid",
    f"!({NOT_REACHED.format('reply')})",
]


@rule(
    ENDS,
    if_=[
        "event.field('Direction') == 'inbound'",
        "is_phone(event.theirs)",
        f"({NOBODY_CAME}) || ({LEFT_IN_THE_GREETING})",
    ],
    unless={"on": ANSWERS, "if": TOLD_LATE},
    within="10s",
    once_within="1h",
)
def missed_call(event: Event, config: Config) -> SendMessage:
    """Text the caller from the number that they called."""
    return reply(event, config.text)
