"""The gate: what stands before every action, and what no rule or plugin can pass.

It allows, defers or refuses, always with the reason in words. It is asked at the last moment
before an attempt, so a STOP that came in between still counts.
"""

from ringback.config import Settings
from ringback.events import Event
from ringback.seams import Seams
from ringback.store.journal import Journal
from ringback.store.sending import StoredAction


class Gatekeeper:
    """Looks at each action just before it would be sent."""

    def __init__(self, journal: Journal, settings: Settings, seams: Seams) -> None:
        self._journal = journal
        self._settings = settings
        self._seams = seams

    def look(self, action: StoredAction) -> tuple[str, str, str | None]:
        """The state, the reason, and for `deferred` the time until which it waits."""
        return "planned", "", None

    def learn(self, event: Event) -> None:
        """Take from an event what it says about consent."""
