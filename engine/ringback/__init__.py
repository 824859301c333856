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
    tracing     OpenTelemetry: what a webhook led to, as spans, for whom asks for them.
    console     pages for a browser and the JSON API, in a process of its own beside the node.
    simulator   a simulated Twilio, so that all of this can be tried without an account.
    console     pages and the JSON API, in a process of their own, for those who run a node.
    cli testing the shell, and the kit for tests of rules and plugins without a network.

Five terms, all of them immutable values: an Event is a fact from outside. A Rule says what to do
about it. A Plugin is a Python file with rules and hooks. An Action asks for an effect, as data:
whoever returns it performs nothing, so a handler is a pure function, and dry runs and backtests
need nothing more. An Outcome is what became of an action. A status callback is an event like any
other.

Lower layers never import higher ones, and nothing inside imports this module. It exports what
authors need and loads each part when it is asked for. docs/architecture.md (or
`ringback docs architecture`) has the layers, the life of a webhook file by file, the states of an
action, and the decisions with their figures.
"""

TYPE_CHECKING = False  # that of `typing`, which is not loaded for it
if TYPE_CHECKING:
    from ringback.actions import (
        Action,
        AnswerCall,
        Broadcast,
        DequeueCall,
        EndCall,
        HttpRequest,
        Notify,
        PlaceCall,
        Remember,
        SendMessage,
        SetMember,
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
    from ringback.error_codes import ErrorCode, explain_error
    from ringback.errors import PluginError, RingbackError
    from ringback.events import EVENT_TYPES, Event
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
    from ringback.plugins.retries import NextTry, RetryPolicy, next_try
    from ringback.rules.language.scope import Facts
    from ringback.starting import start_rule
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

__version__ = "0.1.0"

__all__ = [
    "EVENT_TYPES",
    "Action",
    "Answer",
    "AnswerCall",
    "Broadcast",
    "Clock",
    "Contact",
    "Context",
    "Conversation",
    "ConversationEnd",
    "DequeueCall",
    "Dial",
    "EndCall",
    "Enqueue",
    "ErrorCode",
    "Event",
    "Facts",
    "FunctionRegistrar",
    "Gather",
    "Hangup",
    "HttpRequest",
    "Left",
    "NextTry",
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
    "RetryPolicy",
    "RingbackError",
    "Say",
    "SendMessage",
    "SetMember",
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
    "explain_error",
    "hookimpl",
    "next_try",
    "notify",
    "opt_out_word",
    "reply",
    "rule",
    "say",
    "send",
    "start_rule",
]

_LATER = {
    "EVENT_TYPES": "ringback.events",
    "Action": "ringback.actions",
    "Answer": "ringback.plugins.conversation",
    "AnswerCall": "ringback.actions",
    "Broadcast": "ringback.actions",
    "Clock": "ringback.plugins.context",
    "Contact": "ringback.plugins.context",
    "Context": "ringback.plugins.context",
    "Conversation": "ringback.plugins.conversation",
    "ConversationEnd": "ringback.plugins.conversation",
    "DequeueCall": "ringback.actions",
    "Dial": "ringback.verbs",
    "EndCall": "ringback.actions",
    "Enqueue": "ringback.verbs",
    "ErrorCode": "ringback.error_codes",
    "Event": "ringback.events",
    "Facts": "ringback.rules.language.scope",
    "FunctionRegistrar": "ringback.plugins.registry",
    "Gather": "ringback.verbs",
    "Hangup": "ringback.verbs",
    "HttpRequest": "ringback.actions",
    "Left": "ringback.plugins.conversation",
    "NextTry": "ringback.plugins.retries",
    "NoAnswer": "ringback.plugins.conversation",
    "Notify": "ringback.actions",
    "Pause": "ringback.verbs",
    "PlaceCall": "ringback.actions",
    "Play": "ringback.verbs",
    "PluginError": "ringback.errors",
    "Record": "ringback.verbs",
    "Redirect": "ringback.verbs",
    "Reject": "ringback.verbs",
    "Remember": "ringback.actions",
    "RetryPolicy": "ringback.plugins.retries",
    "RingbackError": "ringback.errors",
    "Say": "ringback.verbs",
    "SendMessage": "ringback.actions",
    "SetMember": "ringback.actions",
    "SettledAction": "ringback.plugins.context",
    "StepRegistrar": "ringback.plugins.registry",
    "Stop": "ringback.actions",
    "Undelivered": "ringback.plugins.conversation",
    "Verb": "ringback.verbs",
    "answer": "ringback.actions",
    "call": "ringback.actions",
    "conversation": "ringback.plugins.conversation",
    "end_call": "ringback.actions",
    "enqueue": "ringback.actions",
    "explain_error": "ringback.error_codes",
    "hookimpl": "ringback.plugins.hookspecs",
    "next_try": "ringback.plugins.retries",
    "notify": "ringback.actions",
    "opt_out_word": "ringback.keywords",
    "reply": "ringback.actions",
    "rule": "ringback.plugins.decorator",
    "say": "ringback.actions",
    "send": "ringback.actions",
    "start_rule": "ringback.starting",
}
"""Where each name is. Nothing is loaded before it is asked for: the program `ringback` passes here
before it can end quietly at an interrupt, and a plugin loads what it names."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _LATER:
            raise AttributeError(f"module 'ringback' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(_LATER[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
