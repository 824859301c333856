"""Steps about calls as a whole: place one, end one, take a caller out of a queue."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from ringback.actions import Action, DequeueCall, EndCall, PlaceCall
from ringback.events import Event
from ringback.rules.addresses import distinct
from ringback.rules.steps.base import (
    One,
    Policy,
    Recipients,
    Seconds,
    StepModel,
    Steps,
    Text,
    Url,
    one_of,
)
from ringback.verbs import Play, Say, Verb


class Call(StepModel):
    """Call somebody and speak, play, or go on with the TwiML at `url`.

    `do` holds steps when one sentence is not enough: what the callee hears, and what follows from
    their answers. `machine` are the steps for an answering machine, `else` those for when nobody
    answered. `timeout` is how long to ring.
    """

    step: ClassVar[str] = "call"
    gist: ClassVar[str] = "say"
    example: ClassVar[str] = "- call: {to: '${{ event.to }}', say: This is your reminder.}"

    to: Recipients
    say: Text = ""
    play: Url = ""
    url: Url = ""
    do: Steps = Field(default_factory=list)
    from_: One = Field("", alias="from")
    timeout: Seconds = 60.0
    policy: Policy = "at_most_once"
    machine: Steps = Field(default_factory=list)
    else_: Steps = Field(default_factory=list, alias="else")

    def wrong(self) -> tuple[str, str]:
        """Nothing to hear, or more than one thing; somebody else who talks to them."""
        message = one_of(self, "say", "play", "url", "do")
        if not message and self.url and (self.machine or self.else_):
            field = "machine" if self.machine else "else"
            return field, f"with `url` another program talks to them; leave `{field}` away"
        return ("say", message) if message else ("", "")

    @staticmethod
    def told_once(event: Event, given: dict[str, Any]) -> dict[str, Any]:
        """Each person once, in whatever spelling."""
        return given | {"to": distinct(given["to"], given["from"], event.ours)}

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """One call for each number."""
        verbs = heard(given)
        return tuple(
            PlaceCall(
                to=to,
                verbs=verbs,
                url=given["url"],
                sender=given["from"],
                timeout=int(given["timeout"]),
                policy=given["policy"],
                step=given.get("step", ""),
                detects=given.get("detects", ""),
            )
            for to in given["to"]
        )


def heard(given: Mapping[str, Any]) -> tuple[Verb, ...]:
    """What a callee hears first, by the rendered parameters of a `call`."""
    if given["say"]:
        return (Say(given["say"]),)
    if given["play"]:
        return (Play(given["play"]),)
    return tuple(given.get("verbs", ()))


class EndCallStep(StepModel):
    """Hang up a live call: the one of this event, or the one of a SID."""

    step: ClassVar[str] = "end_call"
    plain: ClassVar[str] = "call"
    example: ClassVar[str] = "- end_call: ${{ event.call_sid }}"

    call: One = ""

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """One call ended."""
        sid = given["call"] or event.call_sid
        return (EndCall(sid),) if sid else ()


class Dequeue(StepModel):
    """Take a caller out of a queue, the first one by default, to go on with the TwiML at `url`."""

    step: ClassVar[str] = "dequeue"
    gist: ClassVar[str] = "queue"
    example: ClassVar[str] = (
        "- dequeue: {queue: QU0123456789abcdef0123456789abcdef, url: 'https://example.org/agent.xml'}"
    )

    queue: One = Field(min_length=1)
    url: Url = Field(min_length=1)
    call: One = "Front"

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """One caller moved."""
        return (DequeueCall(given["queue"], given["url"], given["call"] or "Front"),)
