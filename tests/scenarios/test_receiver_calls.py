"""Call webhooks: always valid TwiML, in time, the same for the same request."""

import asyncio
import threading
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from ringback import ipc
from ringback.receiver import refusals

CALL = {
    "CallSid": "CA" + "b" * 32,
    "From": "+15557654321",
    "To": "+15550001111",
    "CallStatus": "ringing",
    "Direction": "inbound",
}


@pytest.fixture(params=["protocol", "asgi"])
def transport(request: pytest.FixtureRequest) -> str:
    """Both ways in which a request comes to the receiver."""
    return str(request.param)


def heard(reply: Any) -> str:
    """What a caller hears; the answer must be TwiML."""
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/xml")
    root = ElementTree.fromstring(reply.body)
    assert root.tag == "Response"
    return "".join(root.itertext())


async def test_the_worker_answers(
    start_receiver: Any, receiver_settings: Any, fake_worker: Any
) -> None:
    receiver = await start_receiver(receiver_settings)
    assert heard(await receiver.post("/twilio/call", CALL)) == "worker"
    (row,) = receiver.rows()
    assert (row.route, row.trust) == ("call", "signed")
    assert fake_worker.ops("answer") == [row.id]


async def test_a_step_carries_its_nonce(
    start_receiver: Any, receiver_settings: Any, fake_worker: Any
) -> None:
    receiver = await start_receiver(receiver_settings)
    for nonce in ("n1", "n2"):
        reply = await receiver.post(f"/twilio/call/step/{nonce}", {**CALL, "Digits": "1"})
        assert heard(reply) == "worker"
    assert [(row.route, row.tag) for row in receiver.rows()] == [
        ("call/step", "n1"),
        ("call/step", "n2"),
    ]


@pytest.mark.parametrize("wrong", ["message", "message/status", "message/status/t1", "call/status"])
async def test_a_call_at_a_wrong_address_is_answered_and_the_wiring_is_told(
    receiver: Any, fake_worker: Any, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert heard(await receiver.post(f"/twilio/{wrong}", CALL)) == "worker"
    assert heard(await receiver.post("/twilio/call", CALL)) == "worker"
    (row,) = receiver.rows()
    assert fake_worker.ops("answer") == [row.id]
    cause = await wiring(receiver)
    assert f"calls to +15550001111 are posted to /twilio/{row.route}" in caplog.text
    assert "is wired wrongly" in caplog.text
    assert "voice URL to https://hooks.example.org/twilio/call" in cause["mend"]


@pytest.mark.parametrize("wrong", ["call", "call/status", "message/status", "call/step/n1"])
async def test_a_text_at_a_wrong_address_is_taken_at_once_and_the_wiring_is_told(
    receiver: Any, fake_worker: Any, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is asked for an answer, and the document holds no verb of a call."""
    text = {"MessageSid": "SM" + "c" * 32, "From": "+15557654321", "To": "+15550001111",
            "Body": "hi", "SmsStatus": "received", "NumMedia": "0"}  # fmt: skip
    for _ in range(2):
        reply = await receiver.post(f"/twilio/{wrong}", text)
        assert heard(reply) == ""
        assert not list(ElementTree.fromstring(reply.body))
    assert len(receiver.rows()) == 1
    assert fake_worker.ops("answer") == []
    cause = await wiring(receiver)
    assert "texts to +15550001111 are posted" in caplog.text
    assert "messaging URL to https://hooks.example.org/twilio/message" in cause["mend"]
    assert "`ringback connect +15550001111`" in cause["mend"]


async def wiring(receiver: Any) -> dict[str, str]:
    """The one note of wrong wiring that is kept for the doctor."""
    async with asyncio.timeout(10):
        while not (kept := refusals.read(receiver.settings.data)):
            await asyncio.sleep(0.01)
    ((cause,),) = [row["causes"] for row in kept]
    assert cause["kind"] == "wiring"
    return dict(cause)


async def test_the_same_request_again_gets_the_same_answer(
    start_receiver: Any, receiver_settings: Any, fake_worker: Any
) -> None:
    receiver = await start_receiver(receiver_settings)
    assert heard(await receiver.post("/twilio/call", CALL)) == "worker"
    fake_worker.twiml = "<Response><Say>something else</Say></Response>"
    assert heard(await receiver.post("/twilio/call", CALL)) == "worker"
    assert len(receiver.rows()) == 1
    other = {**CALL, "CallSid": "CA" + "c" * 32}
    assert heard(await receiver.post("/twilio/call", other)) == "something else"


async def test_a_retry_while_the_first_waits_shares_its_answer(
    start_receiver: Any, receiver_settings: Any, fake_worker: Any
) -> None:
    receiver = await start_receiver(replace(receiver_settings, answer_seconds=5.0))
    fake_worker.gate.clear()
    first = asyncio.create_task(receiver.post("/twilio/call", CALL))
    async with asyncio.timeout(5):
        while not fake_worker.ops("answer"):
            fake_worker.heard.clear()
            await fake_worker.heard.wait()
    second = asyncio.create_task(receiver.post("/twilio/call", CALL))
    async with asyncio.timeout(5):
        while receiver.count("duplicates") == 0:
            await asyncio.sleep(0.005)
    fake_worker.gate.set()
    assert heard(await first) == heard(await second) == "worker"
    assert len(receiver.rows()) == 1
    assert len(fake_worker.ops("answer")) == 1


async def test_a_late_worker_means_the_fallback_and_gets_a_notice(
    start_receiver: Any, receiver_settings: Any, fake_worker: Any
) -> None:
    receiver = await start_receiver(receiver_settings)
    fake_worker.gate.clear()
    started = asyncio.get_running_loop().time()
    assert "call again later" in heard(await receiver.post("/twilio/call", CALL))
    assert 0.4 < asyncio.get_running_loop().time() - started < 10
    async with asyncio.timeout(5):
        while fake_worker.ops("late") != [1]:
            fake_worker.heard.clear()
            await fake_worker.heard.wait()
    fake_worker.gate.set()
    assert "call again later" in heard(await receiver.post("/twilio/call", CALL)), "still the same"
    assert receiver.count("fallbacks") == 1


async def test_a_worker_that_comes_back_hears_who_heard_the_fallback(
    start_receiver: Any, receiver_settings: Any
) -> None:
    """The next one would take the answer that the dead one has written for heard."""
    receiver = await start_receiver(receiver_settings)
    assert "call again later" in heard(await receiver.post("/twilio/call", CALL))
    told = asyncio.Event()

    async def handle(message: ipc.Message) -> ipc.Message:
        if message["op"] == "late" and message["id"] == 1:
            told.set()
        return {"ok": True}

    server = await ipc.serve(ipc.socket_path(receiver_settings.data), handle)
    async with asyncio.timeout(20):
        await told.wait()
    await server.close()


@pytest.mark.parametrize("confirm", [True, False])
async def test_an_answer_that_others_wait_for_is_confirmed(
    start_receiver: Any, receiver_settings: Any, confirm: bool
) -> None:
    ops: list[Any] = []
    told = asyncio.Event()

    async def handle(message: ipc.Message) -> ipc.Message:
        ops.append((message["op"], message.get("id")))
        told.set()
        return {"twiml": "<Response><Say>worker</Say></Response>", "confirm": confirm}

    path = ipc.socket_path(receiver_settings.data)
    receiver_settings.data.mkdir(exist_ok=True)
    server = await ipc.serve(path, handle)
    receiver = await start_receiver(receiver_settings)
    assert heard(await receiver.post("/twilio/call", CALL)) == "worker"
    await receiver.node.link.ask({"op": "status"}, 20)  # behind what was told before
    assert (("heard", 1) in ops) == confirm
    assert not any(op == "late" for op, _ in ops)
    await server.close()


async def test_no_worker_means_the_fallback_at_once(
    start_receiver: Any, receiver_settings: Any
) -> None:
    receiver = await start_receiver(replace(receiver_settings, answer_seconds=10.0))
    started = asyncio.get_running_loop().time()
    assert "call again later" in heard(await receiver.post("/twilio/call", CALL))
    assert asyncio.get_running_loop().time() - started < 5
    assert len(receiver.rows()) == 1


@pytest.mark.parametrize("twiml", ["", None, "<Say>" + "x" * 70_000])
async def test_an_answer_that_cannot_be_used_means_the_fallback(
    start_receiver: Any, receiver_settings: Any, fake_worker: Any, twiml: str | None
) -> None:
    receiver = await start_receiver(receiver_settings)
    fake_worker.twiml = twiml
    assert "call again later" in heard(await receiver.post("/twilio/call", CALL))
    assert receiver.count("fallbacks") == 1


async def test_a_worker_that_comes_back_is_found_again(
    receiver: Any, receiver_settings: Any, request: pytest.FixtureRequest
) -> None:
    assert "call again later" in heard(await receiver.post("/twilio/call", CALL))

    async def handle(message: ipc.Message) -> ipc.Message:
        return {"twiml": "<Response><Say>back</Say></Response>"}

    server = await ipc.serve(ipc.socket_path(receiver_settings.data), handle)
    other = {**CALL, "CallSid": "CA" + "d" * 32}
    assert heard(await receiver.post("/twilio/call", other)) == "back"
    await server.close()


async def test_a_call_is_answered_though_it_cannot_be_recorded(
    receiver: Any, fake_worker: Any
) -> None:
    gate = threading.Event()
    writer = receiver.node.log.writer
    original = writer._apply

    def blocked(connection: Any, items: Any) -> Any:
        gate.wait(5)
        return original(connection, items)

    writer._apply = blocked
    try:
        assert "call again later" in heard(await receiver.post("/twilio/call", CALL))
        assert receiver.count("twiml_unrecorded") == 1
    finally:
        gate.set()


async def test_an_unsigned_call_is_refused_not_answered(receiver: Any) -> None:
    assert (await receiver.post("/twilio/call", CALL, token="x" * 32)).status == 403
    assert receiver.rows() == []


VOICE = "https://hooks.example.org/twilio/call"


@pytest.mark.parametrize(
    ("code", "url", "hears", "rows"),
    [
        ("11200", VOICE, "worker", 1),
        ("11205", VOICE, "worker", 1),
        ("12100", VOICE, "call again later", 1),
        ("11750", VOICE, "call again later", 1),
        ("11200", VOICE + "/step/n1", "asked", 2),
    ],
)
async def test_the_fallback_address_gets_the_answer_unless_it_could_not_be_used(
    start_receiver: Any, receiver_settings: Any, fake_worker: Any, code: str, url: str,
    hears: str, rows: int,
) -> None:  # fmt: skip
    """The worker is asked again only where it knows more: which answer a step was given."""
    receiver = await start_receiver(receiver_settings)
    assert heard(await receiver.post("/twilio/call", CALL)) == "worker"
    fake_worker.twiml = "<Response><Say>asked</Say></Response>"
    again = {**CALL, "ErrorCode": code, "ErrorUrl": url}
    for _ in range(2):
        assert hears in heard(await receiver.post("/twilio/call", again))
    assert len(receiver.rows()) == rows
