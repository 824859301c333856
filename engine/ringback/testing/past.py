"""The past and the clock of a bench: what rules may ask of what has happened on it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ringback.actions import Action, PlaceCall, Remember, SendMessage
from ringback.events import Event, conversation_of, matches_type


class SteppedClock:
    """A clock that stands still until somebody moves it."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment

    def now(self) -> datetime:
        """The moment at which it stands, UTC."""
        return self._moment

    def advance(self, span: timedelta) -> None:
        """Let this much time pass."""
        self._moment += span


@dataclass
class Past:
    """What a bench has seen. Answers what rules ask of the journal (`ringback.rules.scope.Facts`).

    `sent` holds when we wrote or called, and in which conversation; `kept` what was remembered.
    """

    clock: SteppedClock
    events: list[Event] = field(default_factory=list)
    sent: list[tuple[datetime, str]] = field(default_factory=list)
    kept: dict[tuple[str, str], str] = field(default_factory=dict)

    def record(self, action: Action, event: Event | None) -> None:
        """Note what an action would do to the past, as if it were carried out at once."""
        if isinstance(action, SendMessage | PlaceCall):
            ours = action.sender or (event.ours if event else "")
            self.sent.append((self.clock.now(), conversation_of(ours, action.to)))
        elif isinstance(action, Remember):
            place = (action.conversation, action.name)
            if action.value is None:
                self.kept.pop(place, None)
            else:
                self.kept[place] = action.value

    def message_count(self, conversation: str) -> int:
        """How many messages came in this conversation."""
        return len(self._heard(conversation))

    def last_inbound(self, conversation: str, before: datetime) -> datetime | None:
        """When the other side last wrote before that moment."""
        return max((at for at in self._heard(conversation) if at < before), default=None)

    def last_outbound(self, conversation: str, before: datetime) -> datetime | None:
        """When we last wrote before that moment."""
        moments = [at for at, where in self.sent if where == conversation and at < before]
        return max(moments, default=None)

    def count(
        self, type_pattern: str, seconds: float, conversation: str = "", error_class: str = ""
    ) -> int:
        """How many events of a type there were in the last seconds; empty words mean any."""
        since = self.clock.now() - timedelta(seconds=seconds)
        return sum(
            1
            for event in self.events
            if matches_type(type_pattern, event.type)
            and event.received_at >= since
            and conversation in ("", event.conversation)
            and error_class in ("", event.error_class)
        )

    def remembered(self, conversation: str, name: str) -> str:
        """What was remembered about this contact, empty when nothing."""
        return self.kept.get((conversation, name), "")

    def _heard(self, conversation: str) -> list[datetime]:
        return [
            event.received_at
            for event in self.events
            if event.type == "message.received" and event.conversation == conversation
        ]
