"""Reaction: what rules and plugins made of one event on a bench."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ringback.action_kinds import is_message
from ringback.actions import Action
from ringback.events import Event
from ringback.verbs import Gather, Say


@dataclass(frozen=True, slots=True)
class Held:
    """An action that the gate did not let out. `state` is `refused`, `deferred` or `failed`, and
    `reason` says why in the words of the node."""

    rule: str
    action: Action
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunEnd:
    """A run that ended: its rule, the event that it began with, and how: `done`, `failed` or
    `cancelled`, with the reason in the words of the node."""

    rule: str
    event_uid: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunTurn:
    """A run that had waited for an event and took it: its rule, the event that it began with, and
    the question that it had asked, empty for none."""

    rule: str
    event_uid: str
    question: str


@dataclass(frozen=True)
class Reaction:
    """What came of one event, or of the passing of time.

    `actions` are all actions in the order in which rules made them; `by` has them by the rule (or
    hook) that made them, those of rules in shadow too. `fired` names the rules that fired, in their
    order, those that wait in a queue among them; `verdicts` says for every other rule that looked
    at the event why it did not. `waiting` names the rules that now wait for something.

    `sent` are the actions that leave the node: those that its gate lets out, and such as it had
    kept back before. `held` are those that it refuses or defers. `ended` are the runs that ended,
    `woke` those that had waited for the event.
    """

    event: Event | None
    actions: tuple[Action, ...] = ()
    by: Mapping[str, tuple[Action, ...]] = field(default_factory=dict)
    fired: list[str] = field(default_factory=list)
    verdicts: Mapping[str, str] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    sent: tuple[Action, ...] = ()
    held: tuple[Held, ...] = ()
    ended: tuple[RunEnd, ...] = ()
    woke: tuple[RunTurn, ...] = ()

    @property
    def texts(self) -> list[str]:
        """The bodies of all messages that would be sent."""
        return [action.body for action in self.sent if is_message(action)]

    @property
    def spoken(self) -> list[str]:
        """What people would hear on the phone, the prompts of questions included."""
        return list(_spoken(self.sent))

    def why_not(self, rule: str) -> str:
        """Why this rule did not fire; empty when it did. Raises KeyError when it never looked.

        `if:2` means the second line of `if`, `from` and `to` the numbers, `once_within…` that it
        fired for this conversation before, `stopped…` that another rule ended the evaluation.
        """
        if rule in self.fired:
            return ""
        if rule not in self.verdicts:
            known = ", ".join(sorted({*self.verdicts, *self.fired})) or "none"
            raise KeyError(f"rule {rule!r} did not look at this event; those that did: {known}")
        return self.verdicts[rule]


def _spoken(actions: Iterable[Action]) -> Iterable[str]:
    for action in actions:
        yield from _said(getattr(action, "verbs", ()))


def _said(verbs: Iterable[Any]) -> Iterable[str]:
    for verb in verbs:
        if isinstance(verb, Say):
            yield verb.text
        elif isinstance(verb, Gather):
            yield from _said(verb.prompts)
