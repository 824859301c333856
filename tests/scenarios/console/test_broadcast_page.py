"""A broadcast in the console and the JSON API: how far it is, its result, a button to stop it."""

from admission.stories import PEOPLE
from ringback.console.api.resource import PREFIX
from scenarios.test_console_operations import Desk, desk

__all__ = ["desk"]
ANN, BOB, _ = PEOPLE


async def work(desk: Desk) -> None:
    """Let the broadcast come to its end."""
    for _ in range(50):
        desk.node.time += 0.5
        if not await desk.control.broadcasts.turn():
            return
        await desk.node.engine.sender.idle()
    raise AssertionError("it came to no end")


async def test_a_broadcast_is_shown_among_bulks_and_stopped(desk: Desk) -> None:
    """Before its end with the button, after it with what became of it."""
    for who in (ANN, BOB):
        card = {"address": who, "joins": ["news"]}
        await desk.control.handle({"op": "cards", "cards": [card]})
    said = {"op": "broadcast", "to": "groups.news", "body": "We open at nine."}
    begun = await desk.control.handle(said)
    assert begun is not None
    uid = begun["uid"]
    page = (await desk.client.get(f"/console/bulks/{uid}")).text
    assert "Broadcast: 0 of 0" in page
    assert "groups.news, at most 10.0 a second" in page
    await work(desk)
    found = (await desk.client.get(f"{PREFIX}/bulks/{uid}")).json()
    assert (found["state"], found["total"], found["done"], found["failed"]) == ("done", 2, 2, 0)
    assert "Broadcast</a>" in (await desk.client.get("/console/bulks")).text
    trace = (await desk.client.get(f"{PREFIX}/traces/{found['wanted']['action']}")).json()
    assert "sent 2, refused 0, failed 0" in str(trace)
    begun = await desk.control.handle(said | {"body": "Again."})
    assert begun is not None
    path = f"/console/bulks/{begun['uid']}"
    answer = await desk.press(path, f"{path}/stop")
    assert answer.status_code == 303
    await work(desk)
    assert "stopped" in (await desk.client.get(path)).text
