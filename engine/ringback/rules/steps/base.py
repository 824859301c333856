"""Base of the steps: a model whose fields say how they are compiled."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ringback.actions import Action
from ringback.events import Event
from ringback.rules.language.templates import CAP, DATA_CAP
from ringback.rules.timing.durations import parse_duration
from ringback.verbs import Verb

MOST_RECIPIENTS = 200
"""How many people one step may write to or call."""

MESSAGE_CAP = 1600
"""Twilio refuses a longer body: https://www.twilio.com/docs/api/errors/21617"""


@dataclass(frozen=True, slots=True)
class Mark:
    """How a field is compiled: `text`, `texts`, `json` of texts, `data` that keeps
    the types of its values, `let` that names them, `list`, `if`, `steps`, `branches`, `options`.

    A text that is `one` names a single thing, as an address does: a list in it is a mistake. In one
    that is a `url` values are encoded where they stand. What is `whole` is not cut at its `cap`: a
    longer one is a mistake of the run.
    """

    kind: str
    cap: int = CAP
    one: bool = False
    url: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True)
class People:
    """How many people a list may name, counted when those who stand there twice are left out."""

    max_length: int


def _seconds(value: Any) -> Any:
    if isinstance(value, str):
        return float(value) if value.isdecimal() and len(value) < 7 else parse_duration(value)
    return value


def _span(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


def listed(value: Any) -> Any:
    """A list as it is, and anything else as a list of it."""
    return value if isinstance(value, list) else [value]


Text = Annotated[str, Mark("text")]
One = Annotated[str, Mark("text", one=True, whole=True)]
Url = Annotated[str, Mark("text", one=True, url=True, whole=True)]
Body = Annotated[str, Mark("text", MESSAGE_CAP)]
Texts = Annotated[list[str], BeforeValidator(listed), Mark("texts", whole=True)]
Recipients = Annotated[Texts, People(MOST_RECIPIENTS), Field(min_length=1)]
Urls = Annotated[list[str], BeforeValidator(listed), Mark("texts", url=True, whole=True)]
Json = Annotated[dict[str, Any], Mark("json", DATA_CAP, whole=True)]
Data = Annotated[dict[str, Any], Mark("data", DATA_CAP, whole=True)]
Values = Annotated[dict[str, Any], Mark("let", DATA_CAP, whole=True), Field(max_length=50)]
Entries = Annotated[Any, Mark("list", DATA_CAP, whole=True)]
Lines = Annotated[list[str], BeforeValidator(listed), Mark("if")]
Steps = Annotated[list[Any], Mark("steps")]
Branches = Annotated[dict[str, list[Any]], Mark("branches")]
Options = Annotated[list[Any], Mark("options")]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=86400)]
Span = Annotated[float, BeforeValidator(_span), Field(gt=0)]
MaybeSpan = Annotated[float, BeforeValidator(_span), Field(ge=0)]
Types = Annotated[list[str], BeforeValidator(listed)]
MaybeWord = Annotated[str, Field(pattern=r"^([a-z_][a-z0-9_]{0,40})?$")]


Policy = Literal["checked", "at_most_once", "fast"]
"""What may be done when the answer to a send got lost: see `ringback.actions.POLICIES`."""


class StepModel(BaseModel):
    """The parameters of one step.

    `plain` is the field that a bare text or list fills, `whole` the field that a mapping fills.
    `needs` is what the event must have: a `call` for voice steps, a `contact`, a `failure` (the end
    of an action that failed), or nothing. `gist` is the field that a bare text of a case stands
    for, `plain` when it is empty. A step that is `in_call` is heard by the callee of a `call` step,
    under its `do`, without the run having to wait for them. `keeps` are the parts of what `as`
    keeps, with their types; empty for a text.
    """

    # A step that no rule has is never built: most projects use a few of them.
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    step: ClassVar[str] = ""
    plain: ClassVar[str] = ""
    whole: ClassVar[str] = ""
    needs: ClassVar[str] = ""
    gist: ClassVar[str] = ""
    in_call: ClassVar[bool] = False
    keeps: ClassVar[Mapping[str, str]] = {}
    example: ClassVar[str] = ""

    def wrong(self) -> tuple[str, str]:
        """What is wrong beyond the single fields: (field, message), both empty when nothing."""
        return "", ""

    @staticmethod
    def told_once(event: Event, given: dict[str, Any]) -> dict[str, Any]:
        """The rendered parameters, without those whom the step would reach twice."""
        return given

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """The actions and voice verbs that the step means, its texts rendered into `given`."""
        return ()


def one_of(model: BaseModel, *names: str) -> str:
    """A message unless exactly one of these fields is filled."""
    filled = [name for name in names if getattr(model, name)]
    if len(filled) == 1:
        return ""
    return f"needs {'just ' if filled else ''}one of {', '.join(names)}"
