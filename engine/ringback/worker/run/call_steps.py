"""Call steps: the URLs through which our own TwiML leads back to us, one for each document.

A caller who presses a key twice makes two different signed requests, while a repeated delivery is
the same one: the nonce tells them apart. https://www.twilio.com/docs/voice/twiml#request-parameters
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ringback.actions import Action
from ringback.config import Settings
from ringback.events import NAMED
from ringback.rules.interpreter.machine import Progress
from ringback.runtime import Runtime
from ringback.verbs import Twiml, spelt
from ringback.worker.outgoing import our_address

Address = Callable[[Any, Twiml], str]
"""Our URL for a field of a verb; empty when nothing of ours is behind it."""


class Steps:
    """Puts step URLs into verbs. `wants` says whether some rule that is not in shadow
    listens to a type of event: what leads a caller away changes the call."""

    def __init__(self, settings: Settings, runtime: Runtime) -> None:
        self.wants: Callable[[str], bool] = lambda _type: False
        self._settings = settings
        self._runtime = runtime

    def join(self, progress: Progress) -> list[Action]:
        """The actions with the URLs of what comes next, all of one step under one nonce."""
        if not any(getattr(action, "verbs", ()) for action in progress.actions):
            return list(progress.actions)
        url = our_address(self._settings, f"call/step/{self._runtime.tag()}")
        told = self._told()
        awaited = progress.wait.event_types if progress.wait is not None else ()

        def leads(event_type: str) -> bool:
            return event_type == "always" or event_type in awaited or self.wants(event_type)

        def address(verb: Any, how: Twiml) -> str:
            if how.reports and getattr(verb, how.reports):
                return told.get(how.reports, told["record"])
            return url if how.leads_to and leads(how.leads_to) else ""

        return [_with_urls(action, address) for action in progress.actions]

    def _told(self) -> dict[str, str]:
        """Where it is told what happens, by the field that reports it. What a conference says is
        asked for only where a rule listens to it: it is a request for everybody who joins it."""
        heard = any(self.wants(each) for each in NAMED if each.startswith("conference."))
        room = our_address(self._settings, "call/status") if heard else ""
        return {"record": our_address(self._settings, "recording"), "conference": room}


def _with_urls(action: Any, address: Address) -> Action:
    verbs = getattr(action, "verbs", ())
    if not verbs:
        return action  # type: ignore[no-any-return]
    return replace(action, verbs=tuple(_led(verb, address) for verb in verbs))  # type: ignore[no-any-return]


def _led(verb: Any, address: Address) -> Any:
    """The verb with our URLs where it has empty ones that lead to what somebody wants."""
    ours = {
        item.name: url
        for item, how in spelt(type(verb))
        if (how.leads_to or how.reports)
        and (not how.when or getattr(verb, how.when))
        and not getattr(verb, item.name)
        and (url := address(verb, how))
    }
    return replace(verb, **ours) if ours else verb
