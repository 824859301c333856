"""Steps of control flow: wait, wait for something, choose, retry, run another rule, stop."""

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from ringback.error_codes import CLASSES
from ringback.rules.language.complaints import did_you_mean
from ringback.rules.retry_policy import CHANNELS, can_help
from ringback.rules.steps.base import (
    Entries,
    Json,
    Lines,
    MaybeSpan,
    MaybeWord,
    One,
    Options,
    Span,
    StepModel,
    Steps,
    Text,
    Texts,
    Types,
    Values,
    listed,
    one_of,
)
from ringback.runtime import from_person


class Wait(StepModel):
    """Let time pass: a span, until a moment, or until a place under `hours` is open. Survives
    restarts. A moment that is over already is not waited for."""

    step: ClassVar[str] = "wait"
    plain: ClassVar[str] = "for_"
    example: ClassVar[str] = "- wait: 15m"

    for_: MaybeSpan = Field(0.0, alias="for")
    until: One = ""
    until_open: str = ""

    def wrong(self) -> tuple[str, str]:
        """Not just one of a span, a moment and a place, or a moment that is none."""
        message = one_of(self, "for_", "until", "until_open").replace("for_", "for")
        if message or not self.until or "${{" in self.until:
            return ("for", message) if message else ("", "")
        try:
            from_person(self.until)
        except ValueError as error:
            return "until", str(error)
        return "", ""


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


class Let(StepModel):
    """Give names to values, each with its type, for the steps behind: `vars.NAME`, or NAME alone.

    They are worked out one after the other, and kept while the run lasts.
    """

    step: ClassVar[str] = "let"
    whole: ClassVar[str] = "values"
    example: ClassVar[str] = "- let: {total: '${{ event.body.number() * 1.2 }}'}"

    values: Values = Field(min_length=1)


class Choose(StepModel):
    """Do the steps of the first option whose `if` holds; the last one may be an `else`."""

    step: ClassVar[str] = "choose"
    plain: ClassVar[str] = "options"
    example: ClassVar[str] = (
        "- choose: [{if: event.media_count > 0, do: [{reply: Nice.}]}, {else: [{reply: Hm.}]}]"
    )

    options: Options = Field(min_length=1, max_length=50)


class Each(StepModel):
    """Do the steps for each entry of a list, one after the other, until a condition holds.

    `as` names the entry. With `rounds` the list is gone through so often. `until` is asked behind
    the steps of each entry; `else` are the steps for when it has never held. With `at_once` all are
    asked by an `ask` at the end of the steps, and the first answer is taken.
    """

    step: ClassVar[str] = "each"
    example: ClassVar[str] = (
        "- each: {of: lists.oncall, as: who, do: [{send: {to: '${{ who }}', body: Look.}}]}"
    )

    of: Entries
    as_: Annotated[MaybeWord, Field(min_length=1)] = Field(alias="as")
    rounds: int = Field(1, ge=1, le=10)
    at_once: bool = False
    do: Steps = Field(min_length=1)
    until: Lines = Field(default_factory=list)
    else_: Steps = Field(default_factory=list, alias="else")

    def wrong(self) -> tuple[str, str]:
        """Steps for when nothing has held, and nothing to hold; nothing that all are asked."""
        asks = self.do[-1].get("ask") if isinstance(self.do[-1], dict) else None
        if self.at_once and not (isinstance(asks, dict) and "to" in asks and "else" not in asks):
            return "at_once", "its last step must be an `ask` with `to` and without `else`"
        if self.else_ and not self.until and not self.at_once:
            return "else", "needs `until`: its steps are for when that has never held"
        return "", ""


class First(StepModel):
    """Go on only as the first run with this key, of whatever rule: a lock that ends with the run.

    It is held until the run that took it has ended, and `for` so long at least, from when it was
    taken. `do` are the steps for the first. Another run that comes meanwhile does those of `else`
    and goes on behind the step; without any it ends.
    """

    step: ClassVar[str] = "first"
    plain: ClassVar[str] = "key"
    example: ClassVar[str] = "- first: job ${{ event.body.word(1) }}"

    key: Annotated[One, Field(min_length=1)]
    for_: MaybeSpan = Field(0.0, alias="for")
    do: Steps = Field(default_factory=list)
    else_: Steps = Field(default_factory=list, alias="else")


class Retry(StepModel):
    """Try a text again that failed, where the class of its error says that this can help.

    `tries` is how often, beyond the first, and `within` how long after the first. Later from the
    same sender, at once from the next of `senders` or on the next of `channels` (with our number
    there in `numbers`). `rules` and `classes` say which texts; `else` are the steps for a text that
    is not tried again.
    """

    step: ClassVar[str] = "retry"
    needs: ClassVar[str] = "failure"
    plain: ClassVar[str] = "tries"
    example: ClassVar[str] = "- retry: {tries: 2, channels: [whatsapp, sms, call]}"

    rules: Types = Field(default_factory=list)
    tries: int = Field(1, ge=1, le=4)
    within: Span = 172_800.0
    classes: Types = Field(default_factory=list)
    senders: Texts = Field(default_factory=list, max_length=20)
    channels: Annotated[
        list[Literal["whatsapp", "sms", "call"]], BeforeValidator(listed), Field(max_length=3)
    ] = Field(default_factory=list)
    numbers: Json = Field(default_factory=dict)
    else_: Steps = Field(default_factory=list, alias="else")

    def wrong(self) -> tuple[str, str]:
        """A class that is none or that no try helps against, a number of no channel."""
        for name in self.classes:
            if name not in CLASSES:
                hint = did_you_mean(name, CLASSES) or f"known: {', '.join(CLASSES)}"
                return "classes", f"there is no error class {name!r}; {hint}"
            if not can_help(name):
                return "classes", f"no try helps against {name!r}; leave it out"
        for name in self.numbers:
            if name not in CHANNELS:
                return "numbers", f"there is no channel {name!r}; known: {', '.join(CHANNELS)}"
        return "", ""


class Run(StepModel):
    """Do the steps of another rule, whatever that rule's own conditions are, or those of a block.

    A block gets the values that stand beside `block`, each under a name that it needs. `as` keeps
    what it gives.
    """

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True, defer_build=True)

    step: ClassVar[str] = "run"
    plain: ClassVar[str] = "rule"
    example: ClassVar[str] = "- run: support-line"

    rule: str = ""
    block: str = ""
    as_: MaybeWord = Field("", alias="as")

    def wrong(self) -> tuple[str, str]:
        """Neither a rule nor a block, or both; values for a rule."""
        message = one_of(self, "rule", "block")
        if not message and self.rule:
            beside = ["as"] if self.as_ else [*(self.model_extra or {})]
            if beside:
                return beside[0], f"{beside[0]!r} belongs to a block, and this is a rule"
        return ("rule", message) if message else ("", "")


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
