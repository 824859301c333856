"""Schemas of the objects of the JSON API, which its OpenAPI document holds.

They describe what `ringback.store.queries.shapes` makes: a test holds answers against them.
"""

from collections.abc import Mapping

from ringback.console.api.node_schemas import NODE_LISTS, NODE_SCHEMAS
from ringback.console.api.schema_words import FIGURE, FLAG, FREE, NUMBER, TEXT, TIME, Schema, ref
from ringback.console.api.schema_words import each_of as _each
from ringback.console.api.schema_words import list_of as _list
from ringback.console.api.schema_words import object_of as _object
from ringback.console.api.schema_words import or_null as _or_null
from ringback.console.api.schema_words import part as _part

_EVENT = {
    **_each(TEXT, "uid type trust source account_sid subject_sid sender recipient conversation "
            "status price_unit"),
    **_each(TIME, "at received_at"),
    **_each(NUMBER, "error_code depth"),
    "log_id": _or_null(NUMBER),
    "fields": FREE,
    "price": _or_null(TEXT),
}  # fmt: skip
_RUN = {
    **_each(TEXT, "uid event_uid rule rule_rev key state reason verdicts"),
    **_each(_or_null(TIME), "due_at ended_at"),
    "started_at": TIME,
    "priority": NUMBER,
}
_ACTION = {
    **_each(TEXT, "uid run_uid event_uid rule kind policy state reason remote_sid outcome "
            "collision_key conversation effect account_sid behind price_unit to text cost"),
    **_each(NUMBER, "ordinal error_code tries polls resends depth"),
    **_each(_or_null(TIME), "settled_at due_at send_by free_at price_due"),
    **_each(_or_null(NUMBER), "segments estimated_segments"),
    "planned_at": TIME,
    "params": FREE,
    "price": _or_null(TEXT),
    "error": ref("ErrorCode"),
}  # fmt: skip
_ATTEMPT = {
    **_each(TEXT, "uid action_uid tag result request_id detail boot machine_start"),
    **_each(NUMBER, "n http_status twilio_code"),
    "started_at": TIME,
    "ended_at": _or_null(TIME),
    "uptime": _or_null(FIGURE),
}
_TURN = {
    **_each(TEXT, "run event question at rule rule_rev began state reason"),
    "due_at": _or_null(TIME),
}
_CALLBACK = {
    **_each(TEXT, "uid type status trust source"),
    **_each(TIME, "at received_at"),
    "error_code": NUMBER,
    "rules": _list(TEXT),
}
_TRACED_ACTION = _object(
    _ACTION | {
        "attempts": _list(ref("Attempt")), "callbacks": _list(_object(_CALLBACK)),
        "duration": _or_null(NUMBER),
    },
    optional="error",
)  # fmt: skip
_SAID_OF = {
    **_each(TEXT, "state said note by"),
    "at": TIME,
    "until": _or_null(TIME),
    "above": _or_null(NUMBER),
}
_FAILED = {
    "problem": {"anyOf": [_object(_SAID_OF, "What a person said of it."), {"type": "null"}]},
    **_each(TEXT, "class sender rule country line_type hour meaning retry remedy example"),
    **_each(NUMBER, "code failures"),
    "last_at": TIME,
    "error": {"anyOf": [ref("ErrorCode"), {"type": "null"}]},
}
_DELIVERED = {
    **_each(TEXT, "sender country line_type rule hour day"),
    **_each(NUMBER, "texts held pending failed delivered read"),
    **_each(_or_null(FIGURE), "share p50 p90 p99"),
}
_SPENT = {
    **_each(TEXT, "rule sender"),
    **_each(NUMBER, "texts calls notices segments estimated_segments unpriced"),
    "price": {"type": "object", "additionalProperties": TEXT},
    "left": {"type": "object", "additionalProperties": {"type": "object"}},
}
_CHAT_ITEM = {
    **_each(TEXT, "uid event_uid sid side kind text rule state reason outcome"),
    "at": TIME,
    **_each(_or_null(TIME), "left_at due_at"),
    **_each(NUMBER, "media error_code"),
    **_each(_list(TEXT), "fired taken"),
    "silent": {"type": "object", "additionalProperties": TEXT},
}
_PAIR = {**_each(TEXT, "uid conversation sender recipient"), **_each(TIME, "first_at last_at")}
_INCIDENT = {
    **_each(TEXT, "uid key kind state text note acked_by policy"),
    **_each(TIME, "opened_at last_at"),
    **_each(NUMBER, "count step"),
    **_each(_or_null(TIME), "resolved_at acked_at muted_until step_due"),
    "details": FREE,
    "told": _list(FREE),
}
_DOING = {
    **_each(TEXT, "uid who role via peer op subject was became outcome reason"),
    "at": TIME,
    "request": _or_null(TEXT),
    "wanted": FREE,
}
_ERROR_CODE = {
    **_each(TEXT, "title class class_meaning unclassed fault affects phase level retryable retry "
            "remedy url range"),
    **_each(NUMBER, "code retry_after"),
    **_each(FLAG, "twice charged listed"),
    **_each(_list(TEXT), "instead steps"),
    "nearest": _list(NUMBER),
}  # fmt: skip

SCHEMAS: Mapping[str, Schema] = {
    "Problem": _object(
        {
            "type": {**TEXT, "pattern": "^urn:ringback:problem:[a-z-]+$"},
            **_each(TEXT, "title detail mend"),
            "status": NUMBER,
            "fields": _list(_object(_each(TEXT, "name message"))),
            "now": {"type": "object"},
        },
        "Why a request was refused, and the mend (RFC 9457).", "fields now",
    ),
    "ErrorCode": _object(
        _ERROR_CODE, "What is known of an error code of Twilio.", "range nearest"
    ),
    "Event": _object(
        _EVENT | {"verdicts": {"type": ["object", "null"], "additionalProperties": TEXT}},
        "One thing that happened.",
    ),
    "Run": _object(_RUN, "One rule handling one event."),
    "Action": _object(_ACTION, "One effect that a rule returned.", "error"),
    "Attempt": _object(_ATTEMPT, "One request to Twilio for an action."),
    "Trace": _object(
        {
            "event": _object(_EVENT | {"error": ref("ErrorCode")}, optional="error"),
            "cause": {
                "anyOf": [_object(_each(TEXT, "action event rule")), {"type": "null"}]
            },
            "replays": TEXT,
            "replayed": _list(TEXT),
            "answer": _or_null(TEXT),
            "woke": _list(_object(_TURN | {"actions": _list(FREE)}, optional="actions")),
            "rules": _list(
                _object(
                    {
                        "rule": TEXT, "fired": FLAG, "verdict": TEXT,
                        "override": {"type": ["object", "null"]},
                        "lines": _list(_object({"if": TEXT, "held": FLAG})),
                        "run": {
                            "anyOf": [
                                _object(
                                    _RUN | {
                                        "turns": _list(_object(_TURN)),
                                        "actions": _list(_TRACED_ACTION),
                                    }
                                ),
                                {"type": "null"},
                            ]
                        },
                    }
                )
            ),
        },
        "The whole life of an event.",
    ),
    "FailureGroup": _object(
        _FAILED, "Failed texts and calls that have something in common.",
        "code class sender rule country line_type hour meaning retry remedy error problem",
    ),
    "FailureDetail": _object(
        _FAILED | {
            "looked_back_to": _or_null(TIME),
            "split": {"type": "object", "additionalProperties": _list(ref("FailureGroup"))},
        },
        "One group of failures, and how it splits.", "class sender rule country line_type hour",
    ),
    "DeliveryGroup": _object(
        _DELIVERED, "Texts that have something in common, by how far they came.",
        "sender country line_type rule hour day",
    ),
    "Cost": _object(_SPENT, "What left, and what it cost.", "rule sender"),
    "Incident": _object(_INCIDENT, "Something that is wrong, or was."),
    "Doing": _object(_DOING, "Something that a person did, or was refused."),
    "Waiting": _object(
        {
            "runs": _list(ref("Run")), "actions": _list(ref("Action")),
            "schedules": _list(_object(_each(TEXT, "key kind rule schedule") | {"due_at": TIME})),
            "counts": _object(_each(NUMBER, "runs actions schedules"), "10,000 at most."),
        },
        "What waits, by when it comes due.",
    ),
    "ConversationRow": _object(
        _PAIR | {
            **_each(TEXT, "heard_at wrote_at"), **_each(FLAG, "out failing unanswered"),
            "last": {"anyOf": [ref("ChatItem"), {"type": "null"}]},
        },
        "A conversation in short.",
    ),
    "Conversation": _object(
        _PAIR | {
            "memory": {"type": "object"}, "mute": {"type": ["object", "null"]},
            "waits": _list(
                _object(_each(TEXT, "uid rule state reason") | {"due_at": _or_null(TIME)})
            ),
            "consents": _list(_object(_each(TEXT, "sender recipient state source at"))),
        },
        "A conversation, with what is known of the person.",
    ),
    "ChatItem": _object(_CHAT_ITEM, "One thing of a conversation."),
    "Call": _object(
        {
            **_each(TEXT, "sid event_uid sender recipient conversation last status"),
            **_each(TIME, "since last_at"), "inbound": FLAG, "heard": _list(TEXT),
            "queue": {"anyOf": [
                _object({"sid": TEXT, **_each(NUMBER, "position waited size")}), {"type": "null"}
            ]},
        },
        "A call that goes on.",
    ),
    "Queue": _object(
        {
            "sid": TEXT, **_each(NUMBER, "waiting longest left_today"),
            "average_today": _or_null(NUMBER), "calls": _list(TEXT),
        },
        "A queue, its times in seconds.",
    ),
    "Forecast": _object(
        {
            **_each(TEXT, "state reason encoding held"), "until": _or_null(TIME),
            "segments": _or_null(NUMBER), "price": _or_null(FIGURE), "local": _list(TEXT),
        },
        "What the gate says of a text now, what it would take, and the time where its recipient "
        "likely is: of several zones the earliest and the latest.", "encoding local",
    ),
    "Bulk": _object(
        {
            **_each(TEXT, "uid op state by"), "wanted": FREE,
            **_each(NUMBER, "until_id total done refused failed skipped"),
            **_each(_or_null(TIME), "began_at ended_at"),
            "left": _list(_object(_each(TEXT, "uid was state reason"))),
        },
        "One decision about many things, and how far it is.", "left",
    ),
    "BulkPreview": _object(
        {
            **_each(TEXT, "uid bulk state doing"), **_each(NUMBER, "total asked segments"),
            "more": FLAG, "price": _or_null(FIGURE), "says": {"type": "object"}, "why": _list(FREE),
            "first": _list(FREE),
        },
        "What a bulk would be about, and what the gate says of it now.",
        "doing asked segments price says why first",
    ),
    "Done": _object(
        {
            **_each(TEXT, "state doing uid why file"),
            "until": _or_null(TIME),
            "verdicts": {"type": "object", "additionalProperties": TEXT},
            "problems": _list(TEXT),
            "rules": NUMBER,
            "runs": _list(FREE),
        },
        "What an operation did: the state of its subject now, and its row in the audit trail.",
        "state uid why file until verdicts problems rules runs",
    ),
    "Rule": _object(
        {
            **_each(TEXT, "name rev file state"), "since": TIME, "last": _or_null(TIME),
            "override": {"type": ["object", "null"]}, "says": {"type": "object"},
            "lines": _list(TEXT), **_each(NUMBER, "fired failed held strikes"),
            "verdicts": {"type": "object", "additionalProperties": NUMBER},
            "quarantine": {"type": ["object", "null"]},
        },
        "A rule as it is in use, and what it did.",
    ),
    "Trial": _object(
        {
            "event": _object(_each(TEXT, "event type sender recipient") | {"fields": FREE}),
            "rules": _list(_object({
                **_each(TEXT, "rule state verdict failed"), "fired": FLAG,
                "lines": _list(_object({"if": TEXT, "held": _or_null(FLAG), "read": FREE})),
                "actions": _list(_object(_each(TEXT, "kind to words says reason"))),
            })),
        },
        "What rules say to an event.",
    ),
    "ShadowFigures": _object(
        {
            **_each(NUMBER, "actions same other alone"),
            "examples": _list(_object({
                **_each(TEXT, "is event"), "at": TIME,
                "would": _object(_each(TEXT, "rule kind to words state")),
                "did": _list(_object(_each(TEXT, "rule kind to words state"))),
            })),
        },
        "What a rule in shadow would have done, beside what others did.",
    ),
    "Backtest": _object(
        {
            **_each(TEXT, "uid by since state said text"), "began_at": TIME,
            "ended_at": _or_null(TIME), "summary": FREE, "counts": FREE,
            **_each(_list(FREE), "rules only_now only_then"),
        },
        "A backtest, and what came of it.",
    ),
    "Revision": _object(
        {
            **_each(TEXT, "rule rev"), "at": TIME, "lines": _list(TEXT),
            "says": {"type": "object"},
        },
        "What a rule said, from a moment on.",
    ),
    "Setting": _object(_each(TEXT, "setting value source variable about"), "A setting."),
    "Person": _object(_each(TEXT, "name role made_at"), "Somebody who may sign in."),
    "Session": _object(
        _each(TEXT, "id name role made_at seen_at ends_at peer agent"), "Somebody signed in."
    ),
    "Token": _object(
        _each(TEXT, "id name role scope made_at used_at ends_at peer"), "A token of a program."
    ),
    "Look": _object(_each(TEXT, "at who what subject peer"), "A sign-in, or a look."),
    "Node": _object(
        {
            **_each(TEXT, "version project"), "simulated": FLAG, "paused": FLAG,
            "paused_by": _or_null(TEXT), "paused_at": _or_null(TIME),
            "worker": {"type": ["object", "null"], "description": "What the worker says of itself; "
                       "null while none answers."},
            "open": _object(_each(NUMBER, "decide parked unknown quarantined incidents")),
        },
        "The node, and what waits for a person.",
    ),
    "Found": _object(
        {
            "events": _list(ref("Event")), "conversations": _list(ref("ConversationRow")),
            "rule": _or_null(TEXT),
            "error": {"anyOf": [ref("ErrorCode"), {"type": "null"}]},
        },
        "What something leads to.",
    ),
    "Me": _object(_each(TEXT, "name role via") | {"unmasked": FLAG}, "Who asks."),
}  # fmt: skip

LISTS = {
    f"{name}List": _part(name)
    for name in (
        "Event", "Run", "Action", "Attempt", "FailureGroup", "DeliveryGroup", "Cost", "Incident",
        "Doing", "Bulk", "Rule", "Revision", "Backtest", "ChatItem", "Setting", "Person", "Session",
        "Token", "Look", "Call", "Queue",
    )
} | {"ConversationList": _part("ConversationRow")}  # fmt: skip


def _whole(schema: Schema) -> Schema:
    """A schema of an answer, which may say that numbers in it are masked."""
    masked = {**FLAG, "description": "Whether the numbers of persons are masked."}
    return {**schema, "properties": {**schema["properties"], "masked": masked}}


ALL = {
    name: _whole(schema)
    for name, schema in {**SCHEMAS, **NODE_SCHEMAS, **LISTS, **NODE_LISTS}.items()
}
