"""Requests of actions: what one asks of Twilio, in its account, and where its callbacks come to."""

from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from ringback.action_kinds import kind_named
from ringback.actions import Action, PlaceCall
from ringback.config import Settings
from ringback.runtime import from_iso
from ringback.store.actions import StoredAction
from ringback.twilio.callback_tails import STATUS
from ringback.twilio.rest import Request, path, request_for


def outline(action: StoredAction, settings: Settings) -> Request | None:
    """The request of an action as the limits know it; None when it asks nothing of Twilio."""
    kind = kind_named(action.kind)
    account_sid = settings.account_for(action.account_sid)
    return _outlined(account_sid, kind.resource, kind.sid_prefixes) if kind.resource else None


@lru_cache(64)
def _outlined(account_sid: str, resource: str, makes: tuple[str, ...]) -> Request:
    return Request("POST", path(account_sid, resource.title()), (), resource, makes)


def whole(action: StoredAction, settings: Settings, tag: str, now: datetime) -> Request:
    """The request that carries an action out. Raises UsageError when none can."""
    left = int((from_iso(action.send_by) - now).total_seconds()) if action.send_by else 0
    return request_for(
        _asked_back(action.action, settings),
        account_sid=settings.account_for(action.account_sid),
        default_sender=settings.sender,
        callback_url=_callback(action.effect, tag, settings),
        seconds_left=max(left, 0),
    )


def our_address(settings: Settings, path: str) -> str:
    """An address of this node for Twilio; without a public address only its path."""
    secret = "" if settings.auth_tokens else settings.hook_secret
    prefix = f"/twilio/~{secret}" if secret else "/twilio"
    return f"{settings.public_url}{prefix}/{path}"


def _asked_back(action: Action, settings: Settings) -> Action:
    """A call in which its run goes on, with the address at which Twilio asks what the callee shall
    hear. It may hold a secret, and so no journal has it."""
    if isinstance(action, PlaceCall) and action.step:
        return replace(action, url=our_address(settings, f"call/step/{action.step}"))
    return action


def _callback(effect: str, tag: str, settings: Settings) -> str:
    if not effect or not settings.public_url:
        return ""
    tail = STATUS if settings.callback_tail else ""
    return our_address(settings, f"{effect}/status/{tag}{tail}")
