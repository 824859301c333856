"""Acknowledgements: texts by which people on call say that they know of an incident.

"ok" from the number of a person who was told of an open incident is one, "ok 4f2a" names it. From
anybody else, or when nothing is open that this person was told of, it is a text like any other.
"""

import json
from collections.abc import Sequence

from ringback.config import Settings
from ringback.events import REPLAY, Event
from ringback.gateway.channel_tables import person
from ringback.gateway.escalation_tables import policies
from ringback.keywords import folded, words
from ringback.store.deliveries.escalations import Escalation
from ringback.store.session import ReadSession
from ringback.worker.match.judge import ACKNOWLEDGED

(REPLY,) = ACKNOWLEDGED
"""Under this name stands what is answered; no rule can have it."""
FIRED = json.dumps(ACKNOWLEDGED)
_LONGEST = 40
_SHORT = 4


def short(uid: str) -> str:
    """The last letters of an incident's id, as people write them in a text."""
    return uid[-_SHORT:].lower()


def which(told: Sequence[Escalation], name: str | None) -> Escalation | None:
    """The incident that is meant, of those that are open, the newest first: the one of this name,
    else the first that nobody knows of."""
    if name:
        return next((each for each in told if short(each.uid) == name), None)
    unknown = (each for each in told if not each.acked_at)
    return next(unknown, told[0] if told else None)


class Acknowledgements:
    """Knows the people on call, by their numbers, and the words that they answer with."""

    def __init__(self, settings: Settings) -> None:
        found = policies(settings.escalations).values()
        self._words = {word for policy in found for word in policy.table.acknowledge}
        self.people: dict[str, set[str]] = {}
        for name in {name for policy in found for step in policy.table.steps for name in step.tell}:
            whom = person(settings.channels, name, settings.environ)
            if whom is not None:
                self.people.setdefault(whom.to, set()).add(name)

    def channels(self, event: Event) -> set[str]:
        """The channels that reach whoever sent this; empty for anybody else."""
        return self.people.get(event.sender, set())

    def said(self, event: Event) -> str | None:
        """The name of the incident in a text that acknowledges one, empty when it names none; None
        for any other event."""
        if event.type != "message.received" or event.sender not in self.people:
            return None
        if event.trust == "claimed" or event.source == REPLAY or len(event.body) > _LONGEST:
            return None
        said = words(event.body)
        if not 1 <= len(said) <= 2 or said[0] not in self._words or "?" in folded(event.body):
            return None
        return said[1] if len(said) == 2 else ""

    def takes(self, session: ReadSession, event: Event) -> bool:
        """Whether a text is one, so that no rule is offered it."""
        said = self.said(event)
        if said is None:
            return False
        return which(session.told_to(self.channels(event)), said) is not None
