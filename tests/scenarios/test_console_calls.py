"""Calls in the console: who waits, hang up, connect; with the real worker behind."""

import asyncio
from typing import Any

import pytest

from admission.stories import OURS, PEOPLE, Happens
from ringback.console.api.resource import PREFIX
from scenarios.test_console_operations import Desk, desk

__all__ = ["desk"]
ANN, SID, QUEUE = PEOPLE[0], f"CA{7:032x}", f"QU{7:032x}"
ZOE = "+442071838799"


def called(route: str = "call", **more: str) -> Happens:
    fields = {"CallSid": SID, "From": ANN, "To": OURS, "CallStatus": "in-progress",
              "Direction": "inbound"}  # fmt: skip
    return Happens(route, fields | more)


async def listed(desk: Desk, what: str = "calls") -> list[dict[str, Any]]:
    answer = await desk.client.get(f"{PREFIX}/{what}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_a_caller_who_waits_is_connected_or_hung_up_on(desk: Desk) -> None:
    """Each once, with a page before, as an action of the rule person; what is over is refused."""
    await desk.node.happen(called(CallStatus="ringing"))
    (call,) = await listed(desk)
    assert (call["sid"], call["queue"], call["inbound"]) == (SID, None, True)
    refused = await desk.post(f"/calls/{SID}/dequeue", to=ZOE)
    assert refused.status_code == 409
    queued = {"QueueSid": QUEUE, "QueuePosition": "1", "QueueTime": "42", "AvgQueueTime": "42",
              "CurrentQueueSize": "1"}  # fmt: skip
    await desk.node.happen(called("call/step", **queued))
    (queue,) = await listed(desk, "queues")
    assert (queue["waiting"], queue["longest"], queue["calls"]) == (1, 42, [SID])
    page = await desk.client.get("/console/calls")
    assert "waits in a queue" in page.text
    path = f"/console/calls/{SID}/dequeue"
    wrong = await desk.press(path, path, to="nobody")
    assert wrong.status_code == 400
    assert (await desk.press(path, path, to=ZOE)).status_code == 303
    done = await desk.post(f"/calls/{SID}/hang_up")
    assert done.status_code == 202, done.text
    await desk.node.wait(1.0)
    rows = desk.node.reader.execute("select rule, kind from actions order by id").fetchall()
    assert [tuple(row) for row in rows] == [("person", "answer_call"), ("person", "end_call")]
    await desk.node.happen(called("call/status", CallStatus="completed"))
    assert await listed(desk) == []
    over = await desk.post(f"/calls/{SID}/hang_up")
    assert (over.status_code, over.json()["now"]["state"]) == (409, "over")
    desk.role = "read"
    assert (await desk.client.get(f"/console/calls/{SID}/hang_up")).status_code == 403


async def test_who_only_reads_sees_no_number_of_a_caller(desk: Desk) -> None:
    await desk.node.happen(called(CallStatus="ringing"))
    desk.role = "read"
    for path in ("/console/calls", f"{PREFIX}/calls"):
        shown = (await desk.client.get(path)).text
        assert "••" in shown
        assert ANN[3:] not in "".join(shown.split())
        assert "hang_up" not in shown


@pytest.mark.parametrize(
    ("deed", "said", "state"), [("hang_up", {}, "ending"), ("dequeue", {"to": ZOE}, "connecting")]
)
async def test_the_same_at_once_is_taken_once(
    desk: Desk, deed: str, said: dict[str, str], state: str
) -> None:
    """The others hear what is under way."""
    await desk.node.happen(called(CallStatus="ringing"))
    await desk.node.happen(called("call/step", QueueSid=QUEUE, QueuePosition="1", QueueTime="42",
                                  AvgQueueTime="42", CurrentQueueSize="1"))  # fmt: skip
    path = f"/calls/{SID}/{deed}"
    answers = await asyncio.gather(*(desk.post(path, **said) for _ in range(3)))
    assert sorted(each.status_code for each in answers) == [202, 409, 409]
    ((uid, _),) = desk.actions()
    for each in answers:
        if each.status_code == 409:
            assert each.json()["now"] == {"state": state, "action": uid}
    await desk.node.wait(1.0)
    late = await desk.post(f"/calls/{SID}/hang_up")
    assert late.status_code == (409 if deed == "hang_up" else 202)
    assert len(desk.actions()) == (1 if deed == "hang_up" else 2)
