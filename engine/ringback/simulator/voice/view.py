"""State of a call for the control API, as plain JSON values."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from ringback import runtime
from ringback.simulator.voice.conferences import Conferences
from ringback.simulator.voice.effects import Capture, Fetch, Hear
from ringback.simulator.voice.legs import Leg
from ringback.simulator.voice.queues import Queues


def view(
    leg: Leg, queueing: Queues, conferencing: Conferences, date: Callable[[float], datetime]
) -> dict[str, Any]:
    """State, company and memory of one leg."""
    call = leg.call
    queue = queueing.queues.get(leg.queue_sid)
    conference = conferencing.conferences.get(leg.conference_sid)
    return {
        "sid": call.sid,
        "parent": call.parent_call_sid or None,
        "from": call.from_,
        "to": call.to,
        "status": call.status,
        "direction": call.direction,
        "state": state(leg),
        "waiting_for": waiting_for(leg),
        "queue": queue.friendly_name if queue else None,
        "position": (queue.position(call.sid) or None) if queue else None,
        "conference": conference.friendly_name if conference else None,
        "with": leg.link.other(leg).sid if leg.link else None,
        "heard": [
            {"at": runtime.iso(date(h.at)), "kind": h.kind, "text": h.text} for h in leg.heard
        ],
        "documents": [
            {"url": page.url or None, "verbs": list(page.verbs)} for page in leg.documents
        ],
        "duration": call.duration,
    }


def state(leg: Leg) -> str:
    """One word for what a leg does."""
    if leg.call.ended:
        return "ended"
    if leg.call.answered_at is None:
        return "ringing"
    if leg.link is not None:
        return "bridged"
    if leg.conference_sid:
        return "conference"
    if leg.queue_sid:
        return "queued"
    if leg.dialling is not None:
        return "dialing"
    if leg.capture is not None:
        return "recording"
    if isinstance(leg.effect, Hear) and (leg.effect.keys or leg.effect.speech):
        return "gathering"
    return "talking"


def waiting_for(leg: Leg) -> str | None:
    """What would let the leg go on: keys, speech, a document, or the end of what it hears."""
    effect = leg.effect
    if isinstance(effect, Hear):
        wants = [word for word, on in (("keys", effect.keys), ("speech", effect.speech)) if on]
        return " or ".join(wants) or "time"
    if isinstance(effect, Capture):
        return "sound"
    if isinstance(effect, Fetch):
        return f"the document at {effect.url}"
    return type(effect).__name__.lower() if effect is not None else None
