"""The gate: what stands before every action, and what no rule or plugin can pass.

It allows, defers or refuses, always with the reason in words. It is asked at the last moment
before an attempt, so a STOP that came in between still counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from ringback.actions import PlaceCall, SendMessage
from ringback.config import Settings
from ringback.events import Event
from ringback.rules.model import Rule
from ringback.runtime import Runtime, iso
from ringback.store import consents
from ringback.store.attempts import StoredAction
from ringback.store.journal import Journal
from ringback.store.log import LogReader
from ringback.worker.gate.budgets import Budgets
from ringback.worker.gate.loop_guard import Loops
from ringback.worker.gate.quiet_hours import Quiet

HOUR = timedelta(hours=1)

Look = tuple[str, str, str | None]
ALLOWED: Look = ("planned", "", None)


@dataclass(frozen=True, slots=True)
class Addressed:
    """Who would hear from whom."""

    sender: str
    recipient: str
    replies: bool


class Gatekeeper:
    """Looks at each action just before it would be sent."""

    def __init__(
        self, journal: Journal, log: LogReader, settings: Settings, runtime: Runtime
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._runtime = runtime
        self._quiet = Quiet(settings.quiet_hours, settings.quiet_zone)
        self._loops = Loops(journal, log, settings.sender)
        self._budgets = Budgets(journal, settings, runtime)

    def reload(self, rules: Iterable[Rule]) -> None:
        """Take the budgets of these rules into use."""
        self._budgets.reload(rules)

    def look(self, action: StoredAction) -> Look:
        """The state, the reason, and for `deferred` the time until which it waits.

        What is allowed counts against the budgets at once: see `back`.
        """
        addressed = self._addressed(action)
        if addressed is None:
            return ALLOWED
        reader, now = self._journal.reader, self._runtime.now()
        since = iso(now - HOUR)
        sent = consents.sent_since(reader, action.conversation, since)
        refused = self._consent(addressed) or self._loops.found(
            action, addressed.recipient, sent, now
        )
        if refused:
            return "refused", refused, None
        until = None if addressed.replies else self._quiet.until(addressed.recipient, now)
        if until is not None:
            return (
                "deferred",
                f"quiet hours until {iso(until)} for {addressed.recipient}",
                iso(until),
            )
        tried = len(sent) + consents.late_since(reader, action.conversation, since)
        refused = self._budgets.refused(action, action.action, tried)
        if refused:
            return "refused", refused, None
        return ALLOWED

    def back(self, action: StoredAction, *, tried: bool) -> None:
        """What was allowed did not leave, or was tried and Twilio did not take it."""
        if self._addressed(action) is not None:
            self._budgets.back(action, action.action, tried=tried)

    def learn(self, event: Event) -> None:
        """Take note of our own numbers. Consent is written where the event is recorded."""
        self._loops.learn(event)

    def _addressed(self, action: StoredAction) -> Addressed | None:
        wish = action.action
        if isinstance(wish, SendMessage):
            sender = wish.messaging_service_sid or wish.sender or self._settings.sender
            return Addressed(sender, wish.to, bool(wish.in_reply_to))
        if isinstance(wish, PlaceCall):
            return Addressed(wish.sender or self._settings.sender, wish.to, False)
        return None

    def _consent(self, addressed: Addressed) -> str:
        out = consents.opted_out(self._journal.reader, addressed.sender, addressed.recipient)
        return f"{addressed.recipient} opted out of {addressed.sender} ({out})" if out else ""
