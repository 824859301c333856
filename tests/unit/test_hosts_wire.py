"""Wire between the worker and a host: requests, answers, and payloads that are no answer."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from ringback import actions as a
from ringback.errors import PluginError
from ringback.plugins.requests import HandlerCall, HookCall, StepCall
from ringback.rules.interpreter.machine import Progress
from ringback.testing import sms
from ringback.verbs import Say
from ringback.worker.hosts import wire

EVENT = sms("hello")
CALL = HandlerCall("p.pong", "p", EVENT)

ACTIONS = [
    a.SendMessage("+12025550100"),
    a.SendMessage("+12025550100", "hi", sender="+12025550101", media=("https://x/y",), send_by=60),
    a.SendMessage("+12025550100", "hi", extra={"ContentSid": "HX1"}),
    a.PlaceCall("+12025550100", verbs=(Say("hello"),)),
    a.Remember("+12025550100/+12025550101", "name", "Ada"),
    a.Stop(),
]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda each: each.kind)
def test_an_action_is_the_same_behind_the_wire(action: Any) -> None:
    """Whether its fields have their defaults, which are not sent, or other values."""
    for sent in (action, replace(action, policy="natural")):
        answer = wire.answer_bytes(CALL, Progress((sent,), None))
        assert wire.read_answer(CALL, answer) == Progress((sent,), None)


MOMENTS = [
    EVENT.at,
    datetime(2026, 3, 1, 12, 30, 15, 123457, UTC),
    datetime(2026, 3, 1, 12, 30, tzinfo=timezone(timedelta(hours=2))),
    datetime(1, 1, 1, tzinfo=UTC),
]


@pytest.mark.parametrize("at", MOMENTS, ids=str)
def test_an_event_is_the_same_behind_the_wire(at: datetime) -> None:
    event = replace(EVENT, at=at, fields={"Body": "x"})
    for request in (
        HandlerCall("p.pong", "p", event, ("a", "b")),
        StepCall("shout", "p", "r", event, {"text": "hey"}),
        HookCall("p", "on_event", (event, EVENT)),
    ):
        assert wire.read_request(wire.request_bytes(request, 0.5)) == (request, 0.5)


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"\x00\xff", b"{}", b"[" * 100_000, b"7\n", b'[["send_message"]]',
        b'[["send_message","",{"to":"\\ud83d"}]]', b'[["no_such_kind","",{}]]',
        b'[["send_message","",{"nobody":1}]]', b'{"actions":[],"wait":[1],"state":{},"end":""}',
    ],
    ids=repr,
)  # fmt: skip
async def test_what_is_no_answer_is_an_error_of_the_plugin(payload: bytes) -> None:
    """Code of a plugin can write to the connection of its process."""
    with pytest.raises(PluginError, match="returned something unusable"):
        wire.read_answer(CALL, payload)
    with pytest.raises(PluginError, match="returned something unusable"):
        await wire.read_long_answer(CALL, payload)
