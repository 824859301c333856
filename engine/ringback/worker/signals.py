"""Signals: what the worker's parts report to the engine, which passes it on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ringback.store.actions import NewAction


@dataclass(frozen=True, slots=True)
class Signals:
    """One call for each thing that a part may report; none of them waits.

    `planned`: these actions are written and may be sent. `ended`: an action (uid) has come to this
    state, its end or a point that a rule may care about. `due`: something is due at this moment
    (ISO). `news`: an event of our own making is recorded. `quarantined`: a rule is, for a reason.
    """

    planned: Callable[[Sequence[NewAction]], None]
    ended: Callable[[str, str], None]
    due: Callable[[str], None]
    news: Callable[[], None]
    quarantined: Callable[[str, str], None]
