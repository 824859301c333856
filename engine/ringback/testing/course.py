"""Course: what has come so far of one call of a bench, from which its reaction is made."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ringback.actions import Action
from ringback.events import Event
from ringback.testing.outbox import Dispatch
from ringback.testing.reaction import Held, Reaction, RunEnd, RunTurn


class Watch(Protocol):
    """Somebody who follows a bench over many events, as a backtest does.

    With one, what a rule raises is reported and not raised, and reactions leave out who waits.
    """

    def dispatched(self, dispatch: Dispatch) -> None:
        """A rule or a hook made this action. What becomes of a deferred one is seen in it later."""

    def failed(self, rule: str, why: str, event: Event | None) -> None:
        """A rule or a hook failed."""


@dataclass(slots=True)
class Course:
    """The actions by the rule that made them, what became of each, the runs that ended or
    woke, the rules that fired, why the others did not, and what was raised."""

    by: dict[str, list[Action]] = field(default_factory=dict)
    dispatches: list[Dispatch] = field(default_factory=list)
    ended: list[RunEnd] = field(default_factory=list)
    woke: list[RunTurn] = field(default_factory=list)
    fired: list[str] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=dict)
    errors: list[Exception] = field(default_factory=list)

    def reaction(
        self, event: Event | None, waiting: list[str], silent: Callable[[str], bool]
    ) -> Reaction:
        """What came of it. `silent` says whether a rule does nothing by itself, which is in shadow
        or a draft. Raises what was raised first."""
        if self.errors:
            raise self.errors[0]
        loud = [each for each in self.dispatches if each.state not in ("captured", "parked")]
        by = {name: tuple(made) for name, made in self.by.items()}
        return Reaction(
            event=event,
            actions=tuple(
                action for name, made in by.items() if not silent(name) for action in made
            ),
            by=by,
            fired=self.fired,
            verdicts={name: why for name, why in self.verdicts.items() if name not in self.fired},
            waiting=waiting,
            sent=tuple(dispatch.made for dispatch in loud if dispatch.state == "sent"),
            held=tuple(
                Held(dispatch.rule, dispatch.made, dispatch.state, dispatch.reason)
                for dispatch in loud
                if dispatch.state != "sent"
            ),
            ended=tuple(self.ended),
            woke=tuple(self.woke),
        )
