"""How does our own TwiML lead back to us? Through a URL with a nonce, one for each document.

A caller who presses a key twice makes two different signed requests, while a repeated delivery is
the same one: the nonce tells them apart. https://www.twilio.com/docs/voice/twiml#request-parameters
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ringback.actions import Action, AnswerCall, Dial, Enqueue, Gather, PlaceCall, Record, Verb
from ringback.config import Settings
from ringback.seams import Seams


class Steps:
    """Puts step URLs into verbs. `wants` says whether some rule listens to a type of event."""

    def __init__(self, settings: Settings, seams: Seams) -> None:
        self.wants: Callable[[str], bool] = lambda _type: False
        self._settings = settings
        self._seams = seams

    def join(self, actions: Sequence[Action]) -> list[Action]:
        """The actions with the URLs of what comes next, all of one step under one nonce."""
        url = self._url(self._seams.tag())
        return [self._with_urls(action, url) for action in actions]

    def _with_urls(self, action: Action, url: str) -> Action:
        if isinstance(action, AnswerCall | PlaceCall) and action.verbs:
            return replace(action, verbs=tuple(self._verb(verb, url) for verb in action.verbs))
        return action

    def _verb(self, verb: Verb, url: str) -> Verb:
        match verb:
            case Enqueue():
                wait_url, action = verb.wait_url, verb.action
                if not wait_url and self.wants("call.queued"):
                    wait_url = url
                if not action and self.wants("call.dequeued"):
                    action = url
                return replace(verb, wait_url=wait_url, action=action)
            case Gather() | Record() if not verb.action:
                # Without one Twilio asks for the same document again, for ever.
                return replace(verb, action=url)
            case Dial() if not verb.action and self.wants("call.dialed"):
                return replace(verb, action=url)
        return verb

    def _url(self, nonce: str) -> str:
        settings = self._settings
        secret = "" if settings.auth_tokens else settings.hook_secret
        room = f"/twilio/~{secret}" if secret else "/twilio"
        return f"{settings.public_url}{room}/call/step/{nonce}"
