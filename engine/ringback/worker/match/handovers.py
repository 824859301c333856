"""Handovers: texts of conversations that a person has taken over, which no rule is offered."""

from collections.abc import Callable, Mapping

from ringback.events import REPLAY, Event
from ringback.runtime import Runtime, iso
from ringback.store.session import ReadSession
from ringback.twilio.consent import tells_consent
from ringback.worker.match.judge import ACKNOWLEDGED

HANDED = "person:handover"
"""The name under which stands that a text was left to a person; no rule can have it."""


class Handovers:
    """Says what becomes of a text before any rule sees it: it acknowledges an incident, or a person
    has taken over the conversation. STOP and START go to the rules all the same, and so does what
    somebody replays."""

    def __init__(
        self, acknowledges: Callable[[ReadSession, Event], bool], runtime: Runtime
    ) -> None:
        self._acknowledges = acknowledges
        self._runtime = runtime

    def takes(self, session: ReadSession, event: Event) -> Mapping[str, str]:
        """The verdict in place of all others; empty for a text like any other."""
        if self._acknowledges(session, event):
            return ACKNOWLEDGED
        if event.type != "message.received" or event.source == REPLAY or tells_consent(event):
            return {}
        mute = session.mute(event.conversation, iso(self._runtime.now()))
        if mute is None:
            return {}
        return {HANDED: f"muted: {mute.by or 'a person'} has taken over until {mute.until}"}
