"""Steps about groups of people: join and leave."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from ringback.actions import Action, SetMember
from ringback.events import Event
from ringback.rules.addresses import spelt
from ringback.rules.steps.base import One, StepModel
from ringback.verbs import Verb


class JoinStep(StepModel):
    """Put the other side of the conversation, or `who`, into a group."""

    step: ClassVar[str] = "join"
    needs: ClassVar[str] = "contact"
    plain: ClassVar[str] = "group"
    example: ClassVar[str] = "- join: news"

    group: str = Field(min_length=1)
    who: One = ""

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """One member more."""
        return (SetMember(given["group"], _whom(event, given)),)


class LeaveStep(StepModel):
    """Take the other side of the conversation, or `who`, out of a group."""

    step: ClassVar[str] = "leave"
    needs: ClassVar[str] = "contact"
    plain: ClassVar[str] = "group"
    example: ClassVar[str] = "- leave: news"

    group: str = Field(min_length=1)
    who: One = ""

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """One member less."""
        return (SetMember(given["group"], _whom(event, given), member=False),)


def _whom(event: Event, given: Mapping[str, Any]) -> str:
    return spelt(event.ours, given["who"]).recipient if given["who"] else event.theirs
