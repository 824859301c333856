"""Steps of control flow: wait, wait for something, choose, run another rule's steps, stop."""

from typing import ClassVar

from pydantic import Field

from ringback.rules.steps.base import (
    Lines,
    MaybeSpan,
    MaybeWord,
    One,
    Options,
    Span,
    StepModel,
    Steps,
    Text,
    Types,
    one_of,
)


class Wait(StepModel):
    """Let time pass: a span, or until a place under `hours` is open. Survives restarts."""

    step: ClassVar[str] = "wait"
    plain: ClassVar[str] = "for_"
    example: ClassVar[str] = "- wait: 15m"

    for_: MaybeSpan = Field(0.0, alias="for")
    until_open: str = ""

    def wrong(self) -> tuple[str, str]:
        """No span and no place, or both."""
        message = one_of(self, "for_", "until_open").replace("for_", "for")
        return ("for", message) if message else ("", "")


class WaitFor(StepModel):
    """Wait for an event in this conversation, a text by default. It is then called `reply`.

    `if` says which one counts, `as` keeps its text under a name, `do` are the steps for it and
    `else` those for when none came within `timeout`.
    """

    step: ClassVar[str] = "wait_for"
    plain: ClassVar[str] = "on"
    example: ClassVar[str] = (
        "- wait_for: {on: message.received, timeout: 1h, else: [{reply: Too late.}]}"
    )

    on: Types = Field(default_factory=lambda: ["message.received"])
    if_: Lines = Field(default_factory=list, alias="if")
    timeout: Span = 86400.0
    key: One = ""
    as_: MaybeWord = Field("", alias="as")
    do: Steps = Field(default_factory=list)
    else_: Steps = Field(default_factory=list, alias="else")


class Choose(StepModel):
    """Do the steps of the first option whose `if` holds; the last one may be an `else`."""

    step: ClassVar[str] = "choose"
    plain: ClassVar[str] = "options"
    example: ClassVar[str] = (
        "- choose: [{if: event.media_count > 0, do: [{reply: Nice.}]}, {else: [{reply: Hm.}]}]"
    )

    options: Options = Field(min_length=1, max_length=50)


class Run(StepModel):
    """Do the steps of another rule, whatever that rule's own conditions are."""

    step: ClassVar[str] = "run"
    plain: ClassVar[str] = "rule"
    example: ClassVar[str] = "- run: support-line"

    rule: str = Field(min_length=1)


class StopStep(StepModel):
    """End here: no further step of this rule, and no rule of lower priority for this event.

    With `others` only the rules of lower priority are kept away, and this one goes on.
    """

    step: ClassVar[str] = "stop"
    plain: ClassVar[str] = "reason"
    example: ClassVar[str] = "- stop: Opted out."

    reason: Text = ""
    others: bool = False


class Option(StepModel):
    """One option of `choose`: `if` and `do`, or `else` alone."""

    if_: Lines = Field(default_factory=list, alias="if")
    do: Steps = Field(default_factory=list)
    else_: Steps = Field(default_factory=list, alias="else")
