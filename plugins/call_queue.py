"""Call queue: says how many callers are waiting before one, and sends none into a full queue.

While a caller waits, Twilio asks again and again what to play: each time this says the place in the
line and plays the hold music, by default a piece of Twilio's own. The step `hold` greets a caller
and puts them into a queue::

    - hold: {queue: support, say: "Thanks for calling."}

https://www.twilio.com/docs/voice/twiml/enqueue
"""

from pydantic import BaseModel, ConfigDict, Field

from ringback import (
    AnswerCall,
    Enqueue,
    Event,
    Hangup,
    Pause,
    Play,
    Say,
    StepRegistrar,
    Verb,
    answer,
    hookimpl,
    rule,
)

MUSIC = "https://s3.amazonaws.com/com.twilio.sounds.music/MARKOVICHAMP-Borghestral.mp3"
"""From the playlist that Twilio plays where a queue names nothing to play."""


class Config(BaseModel):
    """`[plugins.call_queue]`: the texts and the music; with an empty `music` callers hear nothing
    between two announcements."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first: str = "You are next in line."
    place: str = "There are {ahead} callers before you."
    minutes: str = "The wait is about {minutes} minutes."
    full: str = "All our lines are busy. Please call again later."
    music: str = Field(
        MUSIC,
        pattern=r"^(https://.+)?$",
        description="the address of an audio file; empty for silence",
    )
    silence: int = Field(20, ge=5, le=120, description="seconds of it between two announcements")


def announcement(event: Event, config: Config) -> str:
    """What to tell a caller at this place in the line; the wait only when Twilio knows it."""
    ahead = _number(event, "QueuePosition") - 1
    if ahead < 1:
        return config.first
    text = config.place.replace("{ahead}", str(ahead))
    minutes = round(_number(event, "AvgQueueTime") * ahead / 60)
    if minutes > 1:
        text += " " + config.minutes.replace("{minutes}", str(minutes))
    return text


def _number(event: Event, field: str) -> int:
    value = event.fields.get(field, "")
    return int(value) if value.isdecimal() else 0


@rule("call.queued")
def waiting(event: Event, config: Config) -> AnswerCall:
    """Say the place in the line, then music or silence until Twilio asks again."""
    rest: Verb = Play(config.music) if config.music else Pause(config.silence)
    return answer(event, Say(announcement(event, config)), rest)


@rule("call.dequeued", if_="event.field('QueueResult') in ['queue-full', 'error', 'system-error']")
def turned_away(event: Event, config: Config) -> AnswerCall:
    """Say goodbye to a caller whom the queue did not take."""
    return answer(event, Say(config.full), Hangup())


def hold(event: Event, queue: str, say: str = "") -> AnswerCall:
    """Greet the caller with `say` and put them into `queue`."""
    greeting = (Say(say),) if say else ()
    return answer(event, *greeting, Enqueue(queue))


@hookimpl
def register_steps(register: StepRegistrar) -> None:
    """Bring the step `hold` to rule files."""
    register("hold", hold, plain="queue")
