"""Operations in the JSON API: what a person or a program may do, each once for its request."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ringback.console import operating
from ringback.console.api import counts
from ringback.console.api.parameters import Parameter
from ringback.console.api.resource import Asked, Endpoint, Handler, Resource
from ringback.console.problems import refuse
from ringback.rules.model import STATES
from ringback.store.operations.problems import BACK
from ringback.store.operations.problems import STATES as PROBLEM_STATES

_EXPECT = Parameter(
    "expect", "What is true of it, as `state` and `tries`: else 409 with what is.", "object"
)
_TWICE = Parameter("may_duplicate", "Even if it may have happened already.", "flag")
_PROBLEMS = ("missing",)


Does = Callable[[Asked], Awaitable[dict[str, Any]]]


def _does(op: str, subject: str, *words: str) -> Does:
    """A handler that asks the worker for an operation on what the path names."""

    async def do(asked: Asked) -> dict[str, Any]:
        named = {subject: asked.values[_PARTS[subject]]} if subject else {}
        given = {name: asked.body[name] for name in words if asked.body.get(name) is not None}
        return await _done(asked, {"op": op, **named, **given})

    return do


_PARTS = {"uid": "id", "rule": "name", "key": "key"}
_replayed = _does("replay", "uid", "rule", "may_duplicate")
_said = _does("problem", "key", "state", "until", "above", "note")


async def _done(asked: Asked, operation: Mapping[str, Any]) -> dict[str, Any]:
    return dict(
        await operating.operate(
            asked.console, asked.identity, "api", operation,
            request=asked.key, expect=asked.body.get("expect"),
        )
    )  # fmt: skip


async def approve(asked: Asked) -> dict[str, Any]:
    """Yes to a draft, perhaps in other words."""
    body = {"body": asked.body["text"]} if asked.body["text"] is not None else {}
    return await _done(asked, {"op": "approve", "uid": asked.values["id"], **body})


async def problem(asked: Asked) -> dict[str, Any]:
    """What a person says to a group of failures that there is."""
    await counts.require_group(asked)
    return await _said(asked)


async def replay(asked: Asked) -> dict[str, Any]:
    """A stored event through the rules of today, for real."""
    if not asked.body["send"]:
        why = "A dry replay is `ringback replay`; here `send` has to be true."
        raise refuse("field", why, fields=(("send", "has to be true"),))
    return await _replayed(asked)


async def start(asked: Asked) -> dict[str, Any]:
    """A rule begins now, for a person and with JSON if they are given."""
    given = {"to": asked.body["to"] or ""}
    if asked.body["json"] is not None:
        given["json"] = json.dumps(asked.body["json"], ensure_ascii=False)
    return await _done(asked, {"op": "start", "rule": asked.values["name"], **given})


def _post(path: str, about: str, handler: Handler, *body: Parameter) -> Endpoint:
    return Endpoint(
        path, about, handler, "Done", method="POST", body=body, role="operate",
        status=202, problems=_PROBLEMS,
    )  # fmt: skip


_OF_ACTIONS = (
    _post("/actions/{id}/retry", "Send an action again.",
          _does("retry", "uid", "may_duplicate"), _TWICE, _EXPECT),
    _post("/actions/{id}/cancel", "Give up an action that has not been sent.",
          _does("cancel_action", "uid"), _EXPECT),
    _post("/actions/{id}/approve", "Say yes to a draft.", approve,
          Parameter("text", "What it says in place of its words.", "long"), _EXPECT),
    _post("/actions/{id}/decline", "Say no to a draft.", _does("decline", "uid"), _EXPECT),
    _post("/actions/{id}/resolve", "Say what became of an action that nobody knows of.",
          _does("resolve", "uid", "outcome", "sid"),
          Parameter("outcome", "Which it was.", choices=("sent", "not_sent"), required=True),
          Parameter("sid", "What Twilio calls it, so that its status is followed."), _EXPECT),
)  # fmt: skip
_OF_RULES = (
    Endpoint(
        "/rules/{name}/state", "Give a rule another state for a while; its file stays as it is.",
        _does("rule_state", "rule", "state", "until", "reason"), "Done", method="PUT",
        body=(
            Parameter("state", "The state, or `file` for that of its file.",
                      choices=(*STATES, "file"), required=True),
            Parameter("until", "Until then (a time with its zone); without, until its file "
                      "changes."),
            Parameter("reason", "Why, for whoever looks at the rule next."), _EXPECT,
        ),
        role="operate", status=202, problems=_PROBLEMS,
    ),
    _post("/rules/{name}/release", "Let a rule run again that is in quarantine.",
          _does("release", "rule")),
    _post("/rules/{name}/start", "Start a rule now, whatever it listens to.", start,
          Parameter("to", "The person it is for, as +15551234567."),
          Parameter("json", "What the rule reads as `hook`.", "object")),
    _post("/reload", "Read rules and plugins again.", _does("reload", "")),
)  # fmt: skip
_OF_FAILURES = (
    Endpoint(
        "/failures/{key}/state", "Say how a group of failures stands, by its error code.",
        problem, "Done", method="PUT",
        body=(
            Parameter("state", "How it stands.", choices=PROBLEM_STATES, required=True,
                      itself=BACK),
            Parameter("until", "Muted until then: a time with its zone."),
            Parameter("above", "Muted while no more than so many fail in 24 hours.", "integer",
                      least=1, most=1_000_000),
            Parameter("note", "What others should know."), _EXPECT,
        ),
        role="operate", status=202, problems=_PROBLEMS, standing=counts.standing,
    ),
)  # fmt: skip
_OF_NODE = (
    _post("/node/pause", "Hold every effect.", _does("pause", ""), _EXPECT),
    _post("/node/resume", "Let effects out again.", _does("resume", "", "may_duplicate"),
          Parameter("may_duplicate", "End a hold after a restore, too; only for admins.", "flag"),
          _EXPECT),
)  # fmt: skip

RESOURCES = (
    Resource(
        "operations", "What a person decides; each is on record, and done once for its key.",
        (
            *_OF_ACTIONS,
            _post("/runs/{id}/cancel", "End a run that is under way.",
                  _does("cancel_run", "uid"), _EXPECT),
            _post("/runs/{id}/wake", "Let a run that waits for a time go on now.",
                  _does("wake_run", "uid"), _EXPECT),
            _post("/runs/{id}/postpone", "Put off a run that waits for a time, 60 days at most.",
                  _does("postpone", "uid", "until"),
                  Parameter("until", "Until then: a time with its zone.", required=True),
                  _EXPECT),
            _post("/actions/{id}/postpone", "Put off an action that is deferred.",
                  _does("postpone", "uid", "until"),
                  Parameter("until", "Until then: a time with its zone.", required=True),
                  _EXPECT),
            _post("/events/{id}/replay", "Let a stored event happen again, for real.", replay,
                  Parameter("send", "That it is meant.", "flag", required=True),
                  Parameter("rule", "Through this rule alone."), _TWICE),
            *_OF_RULES, *_OF_FAILURES, *_OF_NODE,
        ),
    ),
)  # fmt: skip
