"""Step to a whole group: broadcast."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from ringback.rules.steps.base import Body, MaybeWord, One, StepModel, Urls

RESULT = {"sent": "int", "refused": "int", "failed": "int", "text": "string"}
"""What `as` keeps of a broadcast that has ended, by its parts."""
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*([smh])")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
FASTEST, SLOWEST = 100.0, 1 / 3600


def rate_of(given: Any) -> Any:
    """How many in a second `10/s`, `30/m` or `600/h` means. Raises ValueError."""
    if not isinstance(given, str):
        return given
    found = _RATE.fullmatch(given.strip())
    rate = float(found[1]) / _SECONDS[found[2]] if found else 0.0
    if not SLOWEST <= rate <= FASTEST:
        raise ValueError(f"{given!r} is no rate: write 10/s, 30/m or 600/h, 100/s at most")
    return rate


class BroadcastStep(StepModel):
    """Text all of a group, each once, at most `rate` of them in a second.

    Consent, quiet hours and budgets hold for each of them. With `as` the run waits until all is
    done, and keeps the result under that name.
    """

    step: ClassVar[str] = "broadcast"
    gist: ClassVar[str] = "body"
    keeps: ClassVar[Mapping[str, str]] = RESULT
    example: ClassVar[str] = "- broadcast: {to: groups.news, body: We open at nine., rate: 10/s}"

    to: str = Field(min_length=1)
    body: Body = ""
    rate: Annotated[float, BeforeValidator(rate_of)] = 10.0
    from_: One = Field("", alias="from")
    media: Urls = Field(default_factory=list, max_length=10)
    as_: MaybeWord = Field("", alias="as")

    def wrong(self) -> tuple[str, str]:
        """A text with neither words nor pictures."""
        return ("", "") if self.body or self.media else ("body", "needs body or media")
