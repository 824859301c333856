"""Ringback: event automation over Twilio.

A plugin begins with what it needs from here::

    from ringback import Event, reply, rule

    @rule("message.received", if_="event.body.keyword(['hours', 'open'])")
    def opening_hours(event: Event):
        return reply(event, "We are open Mon-Fri 9-17.")

The packages, in the order in which a webhook meets them:

    receiver    proves the signature, appends the raw request to the log, answers. It runs no code
                of rules or plugins, so nothing that they do can stop reception. A 2xx means that
                the webhook is on disk.
    twilio      Twilio's dialect and nothing else: signatures, forms, requests, TwiML, error codes.
    worker      a process of its own with three durable stages. match: parse the log into events
                and ask which rules want each, and why not. run: call steps or a plugin for actions.
                send: commit an attempt, ask the gate, ask the gateway, settle what is unclear.
    rules       YAML and CEL: when this (`on`), if that (`if`), do these (`do`). Typed at load.
    plugins     the same in Python, one call at a time, with a time limit of its own.
    gateway     Twilio's REST API, direct or through Maton. No other package sends requests to it.
    store       SQLite: the log (what came in; written by the receiver) and the journal (what became
                of it; written by the worker). All SQL is there.
    simulator   a simulated Twilio, so that all of this can be tried without an account.
    cli testing the shell, and the kit for tests of rules and plugins without a network.

Five terms, all of them immutable values: an Event is a fact from outside. A Rule says what to do
about it. A Plugin is a Python file with rules and hooks. An Action asks for an effect, as data:
whoever returns it performs nothing, so a handler is a pure function, and dry runs and backtests
need nothing more. An Outcome is what became of an action. A status callback is an event like any
other.

Lower layers never import higher ones, and nothing inside imports this module. It exports what
authors need and loads the heavy parts when they are asked for. docs/architecture.md (or
`ringback docs architecture`) has the layers, the life of a webhook file by file, the states of an
action, and the decisions with their figures.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ringback.actions import (
    Action,
    AnswerCall,
    DequeueCall,
    EndCall,
    HttpRequest,
    Notify,
    PlaceCall,
    Remember,
    SendMessage,
    Stop,
    answer,
    call,
    end_call,
    enqueue,
    notify,
    reply,
    say,
    send,
)
from ringback.errors import PluginError, RingbackError
from ringback.events import EVENT_TYPES, Event
from ringback.verbs import (
    Dial,
    Enqueue,
    Gather,
    Hangup,
    Pause,
    Play,
    Record,
    Redirect,
    Reject,
    Say,
    Verb,
)

if TYPE_CHECKING:
    from ringback.keywords import opt_out_word
    from ringback.plugins.context import Clock, Contact, Context, SettledAction
    from ringback.plugins.conversation import (
        Answer,
        Conversation,
        ConversationEnd,
        Left,
        NoAnswer,
        Undelivered,
        conversation,
    )
    from ringback.plugins.decorator import rule
    from ringback.plugins.hookspecs import hookimpl
    from ringback.plugins.registry import FunctionRegistrar, StepRegistrar
    from ringback.rules.language.scope import Facts

__version__ = "0.1.0"

_LATER = {
    "opt_out_word": "ringback.keywords",
    "rule": "ringback.plugins.decorator",
    "hookimpl": "ringback.plugins.hookspecs",
    "Clock": "ringback.plugins.context",
    "Contact": "ringback.plugins.context",
    "Context": "ringback.plugins.context",
    "SettledAction": "ringback.plugins.context",
    "Answer": "ringback.plugins.conversation",
    "Conversation": "ringback.plugins.conversation",
    "ConversationEnd": "ringback.plugins.conversation",
    "Left": "ringback.plugins.conversation",
    "NoAnswer": "ringback.plugins.conversation",
    "Undelivered": "ringback.plugins.conversation",
    "conversation": "ringback.plugins.conversation",
    "FunctionRegistrar": "ringback.plugins.registry",
    "StepRegistrar": "ringback.plugins.registry",
    "Facts": "ringback.rules.language.scope",
}

__all__ = [
    "EVENT_TYPES",
    "Action",
    "Answer",
    "AnswerCall",
    "Clock",
    "Contact",
    "Context",
    "Conversation",
    "ConversationEnd",
    "DequeueCall",
    "Dial",
    "EndCall",
    "Enqueue",
    "Event",
    "Facts",
    "FunctionRegistrar",
    "Gather",
    "Hangup",
    "HttpRequest",
    "Left",
    "NoAnswer",
    "Notify",
    "Pause",
    "PlaceCall",
    "Play",
    "PluginError",
    "Record",
    "Redirect",
    "Reject",
    "Remember",
    "RingbackError",
    "Say",
    "SendMessage",
    "SettledAction",
    "StepRegistrar",
    "Stop",
    "Undelivered",
    "Verb",
    "answer",
    "call",
    "conversation",
    "end_call",
    "enqueue",
    "hookimpl",
    "notify",
    "opt_out_word",
    "reply",
    "rule",
    "say",
    "send",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        value = getattr(import_module(_LATER[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'ringback' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
