"""Context of a handler, asked for by name: contact, configuration, log, clock and the past."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Protocol

from ringback.actions import Action, Remember
from ringback.error_codes import ErrorCode, explain_error
from ringback.events import Event
from ringback.rules.language.scope import Facts


class Clock(Protocol):
    """The time as the engine has it: the real one, or that of a test or a backtest."""

    def now(self) -> datetime:
        """This moment, in UTC. Ask this and not `datetime.now()`: a backtest lives in the past."""
        ...


@dataclass(frozen=True, slots=True)
class Contact:
    """The other side of a conversation: who they are, and what we know of them."""

    conversation: str
    facts: Facts
    clock: Clock
    _written: str = ""

    @property
    def number(self) -> str:
        """Their address, as Twilio writes it."""
        return self._written or self.conversation.partition("/")[2]

    @property
    def ours(self) -> str:
        """Our number that they talk with."""
        return self.conversation.partition("/")[0]

    @property
    def message_count(self) -> int:
        """How many messages they ever sent us in this conversation, this one included."""
        return self.facts.message_count(self.conversation)

    def last_inbound(self, before: datetime | None = None) -> datetime | None:
        """When they last wrote or called, before this moment or before `before`."""
        return self.facts.last_inbound(self.conversation, before or self.clock.now())

    def last_outbound(self, before: datetime | None = None) -> datetime | None:
        """When we last wrote or called them, before this moment or before `before`."""
        return self.facts.last_outbound(self.conversation, before or self.clock.now())

    def recall(self, name: str, default: str = "") -> str:
        """What was remembered about them under this name."""
        return self.facts.remembered(self.conversation, name) or default

    def remember(self, name: str, value: str) -> Remember:
        """The action that keeps a value about them. Return it, like any action."""
        return Remember(self.conversation, name, value)

    def forget(self, name: str) -> Remember:
        """The action that drops a value about them. Return it, like any action."""
        return Remember(self.conversation, name, None)


@dataclass(frozen=True, slots=True)
class SettledAction:
    """An action at its end, as `on_settled` hears of it.

    `state` is `settled`, `failed`, `refused`, `parked` or `cancelled`; `outcome` is the last
    delivery status; `reason` says why in words. `error_code` is Twilio's, 0 when there is none, and
    `error_class` is our class for it. `account_sid` is that of a further account, empty for the
    configured one. `wish` is the action itself, as a rule returned it. `depth` counts how many of
    our own actions caused each other, with this one. `segments`, `price` (a positive decimal as
    text) and `price_unit` are what Twilio has said of its cost by then: a price mostly comes later.
    """

    uid: str
    rule: str
    wish: Action
    state: str
    event_uid: str = ""
    conversation: str = ""
    outcome: str = ""
    reason: str = ""
    remote_sid: str = ""
    error_code: int = 0
    error_class: str = ""
    attempts: int = 1
    account_sid: str = ""
    depth: int = 1
    segments: int | None = None
    price: str | None = None
    price_unit: str = ""

    @property
    def kind(self) -> str:
        """The kind of the action, such as `send_message` or `place_call`."""
        return self.wish.kind

    @property
    def error(self) -> ErrorCode:
        """What Twilio's catalogue of errors says of the code; all empty where there is none."""
        return explain_error(self.error_code)

    @property
    def remedy(self) -> str:
        """What to do about the error, the first step; empty where there is none."""
        return self.error.remedy


@dataclass(frozen=True, slots=True)
class Context:
    """What a hook gets as `ctx`. The same things a handler may name one by one.

    `config` is the plugin's table of `ringback.toml`, or its own `Config` model made from it.
    `store` answers questions about the past; it is read-only. `log` writes under the plugin's name.
    """

    plugin: str
    config: Any
    log: logging.Logger
    clock: Clock
    store: Facts

    def contact(self, subject: Event | SettledAction | str) -> Contact:
        """The other side of an event, of an action, or of a conversation given as text."""
        if isinstance(subject, str):
            return Contact(subject, self.store, self.clock)
        address = subject.theirs if isinstance(subject, Event) else getattr(subject.wish, "to", "")
        return Contact(subject.conversation, self.store, self.clock, address)


HANDLER_NAMES = ("event", "texts", "contact", "config", "log", "clock", "store", "convo")
"""What the function of a rule may name as a parameter; `convo` makes it a conversation."""


def context_for(plugin: str, config: Any, *, clock: Clock, store: Facts) -> Context:
    """The context of one plugin. Its log is `ringback.plugin.<name>`."""
    return Context(plugin, config, _log(plugin), clock, store)


@cache
def _log(plugin: str) -> logging.Logger:
    return logging.getLogger(f"ringback.plugin.{plugin}")


def available(
    event: Event, ctx: Context, names: Iterable[str], texts: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Those of these `names` that a handler may name, with their values for this event:
    `HANDLER_NAMES` but for `convo`.

    `texts` are the bodies of all events that were joined into this run, oldest first.
    """
    return {name: _GIVEN[name](event, ctx, texts) for name in names if name in _GIVEN}


_GIVEN: Mapping[str, Callable[[Event, Context, tuple[str, ...]], Any]] = {
    "event": lambda event, _ctx, _texts: event,
    "texts": lambda event, _ctx, texts: texts or (event.body,),
    "contact": lambda event, ctx, _texts: ctx.contact(event),
    "config": lambda _event, ctx, _texts: ctx.config,
    "log": lambda _event, ctx, _texts: ctx.log,
    "clock": lambda _event, ctx, _texts: ctx.clock,
    "store": lambda _event, ctx, _texts: ctx.store,
}
