"""Answer to a caller beside other rules: it is empty only when the last run that may speak has said
nothing, whichever of them is done first."""

import asyncio
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import pytest

from admission.compare import load
from admission.node import ACCOUNT, Node, Twilio, settings_of
from admission.stories import PEOPLE, Story
from ringback.gateway.client import Gateway
from ringback.gateway.transport import Reply
from ringback.runtime import iso
from ringback.store.log import Entry
from ringback.twilio.rest import Request

SID = "CA" + "7" * 32
CALL = {"CallSid": SID, "From": PEOPLE[0], "To": "+12025550100", "Direction": "inbound"}
FORM = "application/x-www-form-urlencoded"
MENU = (
    "- {name: menu, on: call.received, do: [{gather: {say: Press 1., digits: 1, "
    'choices: {"1": [{say: One.}]}}}]}\n'
)
BESIDE = {
    "a notice": "- {name: b, on: call.gathered, do: [{notify: B}]}",
    "one of higher priority": "- {name: b, on: call.gathered, priority: 5, do: [{notify: B}]}",
    "one that fails": "- {name: b, on: call.gathered, do: [{reply: '${{ event.body.number() }}'}]}",
    "one in shadow": "- {name: b, on: call.gathered, state: shadow, do: [{say: Dark.}]}",
    "a draft": "- {name: b, on: call.gathered, state: draft, do: [{notify: B}]}",
    "one that waits": "- {name: b, on: call.gathered, do: [{wait: 1m}, {notify: B}]}",
    "one that collects": "- {name: b, on: call.gathered, once_after: 5s, do: [{notify: B}]}",
    "one in a queue": "- {name: b, on: call.gathered, mode: queued, key: k, do: [{wait: 1m}]}",
    "one that is woken": "- {name: b, on: call.received, do: [{wait_for: {on: call.gathered}}]}",
    "two of them": (
        "- {name: b, on: call.gathered, do: [{notify: B}]}\n"
        "- {name: c, on: call.received, do: [{wait_for: {on: call.gathered}}]}"
    ),
}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", BESIDE)
async def test_a_caller_hears_the_rule_that_speaks_beside_others(
    tmp_path: Path, name: str, first: bool
) -> None:
    rules = f"{BESIDE[name]}\n{MENU}" if first else f"{MENU}{BESIDE[name]}\n"
    node = Node(settings_of(tmp_path, {}), load(Story(f"rules:\n{rules}", ()), tmp_path))
    await node.start({})
    assert "Press 1." in await node.hears(**CALL, CallStatus="ringing")
    assert "One." in await node.hears(**CALL, CallStatus="in-progress", Digits="1")
    await node.close()


class Slow(Twilio):
    """It has looked a call up when the gate is open."""

    def __init__(self, gate: asyncio.Event, caller: str) -> None:
        super().__init__()
        self._gate = gate
        self._caller = caller

    async def ask(self, request: Request) -> Reply:
        """The record of the call."""
        await self._gate.wait()
        record: dict[str, Any] = {
            "sid": SID, "account_sid": ACCOUNT, "from": self._caller, "to": CALL["To"],
            "status": "ringing", "direction": "inbound",
        }  # fmt: skip
        return Reply(200, record)


@pytest.mark.parametrize("quick", ["", "- {name: q, on: call.received, trust: claimed, do: [DO]}"])
@pytest.mark.parametrize("real", [True, False])
async def test_a_call_that_is_only_claimed_waits_for_its_proof(
    tmp_path: Path, quick: str, real: bool
) -> None:
    """A rule for claims has said nothing meanwhile. When the proof fails the receiver's fallback
    speaks at once."""
    rules = (
        quick.replace("DO", "{notify: Q}") + "\n- {name: m, on: call.received, do: [{say: Hi.}]}"
    )
    node = Node(settings_of(tmp_path, {}), load(Story(f"rules:\n{rules}\n", ()), tmp_path))
    await node.start({})
    gate = asyncio.Event()
    caller = CALL["From"] if real else PEOPLE[1]
    node.engine.confirmer._gateway = cast(Gateway, Slow(gate, caller))
    body = urlencode({"AccountSid": ACCOUNT, **CALL, "CallStatus": "ringing"}).encode()
    row = Entry(iso(node.now), "call", "claimed", "webhook", "", FORM, body)
    hears = asyncio.ensure_future(node.engine.calls.answer(await node.log.append(row)))
    while node.engine.confirmer._tasks == {}:
        await asyncio.sleep(0)
    await node.engine.queue.idle()
    assert not hears.done()
    gate.set()
    async with asyncio.timeout(1.0):  # and not when the patience of the call is over
        heard = await hears
    assert ("Hi." in heard) is real
    assert heard or not real
    await node.close()
