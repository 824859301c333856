"""Gate: what stands before every action, and what no rule or plugin can pass.

It allows, defers or refuses, always with the reason in words. It is asked at the last moment
before an attempt, so a STOP that came in between still counts. It reads no journal itself: the
worker and the benches of tests and backtests each give it their past.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ringback.action_kinds import is_message, is_outgoing, sender_of
from ringback.config import Settings
from ringback.events import Event
from ringback.rules.addresses import unreachable
from ringback.rules.model import Rule
from ringback.runtime import from_iso, iso
from ringback.worker.gate.budgets import Budgets, Clock
from ringback.worker.gate.gate_facts import Asked, GateFacts
from ringback.worker.gate.loop_guard import Loops
from ringback.worker.gate.quiet_hours import Quiet

Look = tuple[str, str, str | None]
ALLOWED: Look = ("planned", "", None)
ESCALATION = "escalation:"
"""The names of rules begin so that tell people on call of incidents; no file can give such a name.
They have hours of their own."""


@dataclass(frozen=True, slots=True)
class Addressed:
    """Who would hear from whom."""

    sender: str
    recipient: str
    replies: bool
    call: bool


class Gatekeeper:
    """Looks at each action just before it would be sent."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._quiet = Quiet(settings.quiet_hours, settings.quiet_zone)
        self._loops = Loops(settings.sender)
        self._budgets = Budgets(settings, clock)

    def begin(self, facts: GateFacts) -> None:
        """Take up what an earlier life of the process left: what it sent in the last hour, and the
        numbers that were ours."""
        self._loops.begin(facts)
        self._budgets.begin(facts)

    def reload(self, rules: Iterable[Rule]) -> None:
        """Take the budgets of these rules into use."""
        self._budgets.reload(rules)

    def look(self, action: Asked, facts: GateFacts) -> Look:
        """The state, the reason, and for `deferred` the time until which it waits.

        What is allowed counts against the budgets at once: see `back`.
        """
        now = self._clock.now()
        if refused := self._loops.own(action, now, facts):
            return "refused", refused, None
        addressed = self._addressed(action)
        if addressed is None:
            refused = self._budgets.elsewhere(action, facts)
            return ("refused", refused, None) if refused else ALLOWED
        refused = unreachable(
            addressed.sender, addressed.recipient, calls=addressed.call,
            known=lambda: bool(facts.conversation_with(action, addressed.recipient)),
        )  # fmt: skip
        if refused:
            return "refused", refused, None
        sent, late = self._budgets.sent(action, facts)
        refused = self._consent(addressed, facts) or self._loops.found(
            action, addressed.recipient, sent, now, facts
        )
        if refused:
            return "refused", refused, None
        if not_before := _not_before(action, now):
            return "deferred", f"it is to leave at {not_before}", not_before
        if needless := _needless(action, facts):
            return "refused", needless, None
        awake = addressed.replies or action.rule.startswith(ESCALATION)
        until = None if awake else self._quiet.until(addressed.recipient, now)
        if until is not None:
            why = f"quiet hours until {iso(until)} for {addressed.recipient}"
            return "deferred", why, iso(until)
        refused = self._budgets.refused(action, len(sent) + late, facts)
        if refused:
            return "refused", refused, None
        return ALLOWED

    def ask(self, action: Asked, facts: GateFacts) -> Look:
        """The same without counting anything: nothing leaves for it."""
        found = self.look(action, facts)
        if found[0] == "planned":
            self.back(action, tried=False)
        return found

    def back(self, action: Asked, *, tried: bool) -> None:
        """What was allowed did not leave, or was tried and Twilio did not take it."""
        self._budgets.back(action, tried=tried)

    def budgets(self) -> list[tuple[str, str, float, float]]:
        """What is left of each budget; see `Budgets.status`."""
        return self._budgets.status()

    def learn(self, event: Event) -> None:
        """Take note of our own numbers. Consent is written where the event is recorded."""
        self._loops.learn(event)

    def _addressed(self, action: Asked) -> Addressed | None:
        asked = action.action
        if not is_outgoing(asked):
            return None
        call = not is_message(asked)
        replies = is_message(asked) and bool(asked.in_reply_to)
        return Addressed(sender_of(asked, self._settings.sender), asked.to, replies, call)

    def _consent(self, addressed: Addressed, facts: GateFacts) -> str:
        out = facts.opted_out(addressed.sender, addressed.recipient)
        return f"{addressed.recipient} opted out of {addressed.sender} ({out})" if out else ""


def _needless(action: Asked, facts: GateFacts) -> str:
    """Why a text is not tried again any more, empty when it is. A report of a failure may be taken
    back by one of delivery, and a person may have sent the text again."""
    if not getattr(action.action, "retries", 0):
        return ""
    state = facts.tried_for(action.event_uid)
    if state == "settled":
        return "the text that failed has arrived after all"
    return "the text that failed was sent again" if state not in ("", "failed") else ""


def _not_before(action: Asked, now: datetime) -> str:
    """The moment at which a text leaves at the earliest, empty when that has come."""
    moment = getattr(action.action, "not_before", "")
    return iso(from_iso(moment)) if moment and from_iso(moment) > now else ""
