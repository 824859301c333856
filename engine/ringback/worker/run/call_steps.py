"""How does our own TwiML lead back to us? Through a URL with a nonce, one for each document.

A caller who presses a key twice makes two different signed requests, while a repeated delivery is
the same one: the nonce tells them apart. https://www.twilio.com/docs/voice/twiml#request-parameters
"""

from collections.abc import Callable
from dataclasses import replace

from ringback.actions import (
    Action,
    AnswerCall,
    Dial,
    Enqueue,
    Gather,
    PlaceCall,
    Record,
    Redirect,
    Verb,
)
from ringback.config import Settings
from ringback.rules.engine.interpreter import Progress
from ringback.runtime import Runtime


class Steps:
    """Puts step URLs into verbs. `wants` says whether some rule listens to a type of event."""

    def __init__(self, settings: Settings, runtime: Runtime) -> None:
        self.wants: Callable[[str], bool] = lambda _type: False
        self._settings = settings
        self._runtime = runtime

    def join(self, progress: Progress) -> list[Action]:
        """The actions with the URLs of what comes next, all of one step under one nonce."""
        if not any(isinstance(action, AnswerCall | PlaceCall) for action in progress.actions):
            return list(progress.actions)
        url = self._url(self._runtime.tag())
        awaited = progress.wait.event_types if progress.wait is not None else ()
        dialed = "call.dialed" in awaited or self.wants("call.dialed")
        return [self._with_urls(action, url, dialed) for action in progress.actions]

    def _with_urls(self, action: Action, url: str, dialed: bool) -> Action:
        if isinstance(action, AnswerCall | PlaceCall) and action.verbs:
            verbs = tuple(self._verb(verb, url, dialed) for verb in action.verbs)
            return replace(action, verbs=verbs)
        return action

    def _verb(self, verb: Verb, url: str, dialed: bool) -> Verb:
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
            case Dial() if not verb.action and dialed:
                return replace(verb, action=url)
            case Redirect() if not verb.url:
                return replace(verb, url=url)
        return verb

    def _url(self, nonce: str) -> str:
        settings = self._settings
        secret = "" if settings.auth_tokens else settings.hook_secret
        room = f"/twilio/~{secret}" if secret else "/twilio"
        return f"{settings.public_url}{room}/call/step/{nonce}"
