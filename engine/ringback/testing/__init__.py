"""Test kit for authors: events made by hand, and a bench on which rules and plugins react to them.

::

    from ringback.testing import Bench, sms

    def test_opening_hours():
        bench = Bench.load("plugins/auto_reply.py")
        assert bench.react(sms("hours?")).texts == ["We are open Mon-Fri 9-17."]

What this module names is loaded when it is used, as with `ringback` itself, because pytest imports
it in every environment that Ringback is installed in.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ringback.testing.bench import Bench, RunFailed
    from ringback.testing.events import (
        NOON,
        OURS,
        THEIRS,
        call_answered,
        call_ended,
        call_status,
        call_step,
        hook,
        http_answer,
        incoming_call,
        message_status,
        settled,
        sms,
        started,
        webhook,
    )
    from ringback.testing.reaction import Reaction
    from ringback.testing.twilio_box import BoxError, TwilioBox, running_box

__all__ = [
    "NOON",
    "OURS",
    "THEIRS",
    "Bench",
    "BoxError",
    "Reaction",
    "RunFailed",
    "TwilioBox",
    "broadcast_ended",
    "call_answered",
    "call_ended",
    "call_status",
    "call_step",
    "hook",
    "http_answer",
    "incoming_call",
    "message_status",
    "running_box",
    "settled",
    "sms",
    "started",
    "webhook",
]

_HOMES = {
    "BoxError": "ringback.testing.twilio_box",
    "TwilioBox": "ringback.testing.twilio_box",
    "running_box": "ringback.testing.twilio_box",
    "Bench": "ringback.testing.bench",
    "RunFailed": "ringback.testing.bench",
    "Reaction": "ringback.testing.reaction",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'ringback.testing' has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "ringback.testing.events")), name)
    globals()[name] = value
    return value
