"""Steps that ask a person by text, and what counts as an answer."""

from typing import Annotated, ClassVar

from pydantic import Field

from ringback.rules.addresses import is_service
from ringback.rules.steps.base import Body, Lines, MaybeWord, One, Span, StepModel, Steps

Tries = Annotated[int, Field(ge=1, le=10)]
"""How often a question is asked."""


class Ask(StepModel):
    """Ask a person by text and wait for an answer that `if` takes. It is then called `reply`.

    To any other answer `again` is sent, or the text once more, until `tries` of them have come;
    `else` are the steps for when there was none. `as` keeps the answer under a name. `to` is
    somebody else than the other side of the conversation, asked from our number `from`.
    """

    step: ClassVar[str] = "ask"
    plain: ClassVar[str] = "text"
    example: ClassVar[str] = (
        "- ask: {text: Which day?, if: reply.body.has_date(), again: Please send a date., as: day}"
    )

    text: Body = Field(min_length=1)
    if_: Lines = Field(default_factory=list, alias="if")
    again: Body = ""
    tries: Tries = 3
    as_: MaybeWord = Field("", alias="as")
    timeout: Span = 86400.0
    to: One = ""
    from_: One = Field("", alias="from")
    else_: Steps = Field(default_factory=list, alias="else")

    def wrong(self) -> tuple[str, str]:
        """A sender without somebody else to ask, or one whose answers come to a number of many."""
        if self.from_ and not self.to:
            return "from", "belongs to `to`: the other side is asked from the number that it used"
        if is_service(self.from_):
            return "from", "needs a number of ours: the answer comes to it"
        return "", ""
