"""Claims are looked up at a gateway that cannot be asked for a while."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from ringback.events import Event
from ringback.gateway.access import Access
from ringback.gateway.client import Gateway
from ringback.store.sqlite import connect_reader
from ringback.testing.simulation.story import Story
from ringback.testing.simulation.twilio import ACCOUNT, OURS
from ringback.worker import confirm
from ringback.worker.confirm import Confirmer

ANN = "+15551000001"
SID = "SM" + "7" * 32
RULES = """
rules:
  - name: answer
    on: message.received
    do: [{reply: Hello.}]
"""
Begin = Callable[..., Story]


def ask(story: Story, question: str) -> list[tuple[Any, ...]]:
    """Ask the journal."""
    reader = connect_reader(story.folder / "journal.db")
    try:
        return [tuple(row) for row in reader.execute(question)]
    finally:
        reader.close()


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_a_claim_waits_for_a_gateway_that_is_down(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """However often it cannot be asked, the event is neither given up nor believed; the first
    answer decides."""
    monkeypatch.setattr(confirm, "AGAIN_SECONDS", 0.001)
    now = datetime.now(UTC)
    record = {
        "sid": SID, "account_sid": ACCOUNT, "from": ANN, "to": OURS, "body": "STOP",
        "direction": "inbound", "status": "received", "date_created": format_datetime(now),
    }  # fmt: skip
    answers = [(status, {"code": 20500})] * 9 + [(200, record)]
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        code, body = answers[asked]
        asked += 1
        text = json.dumps(body).encode()
        head = f"HTTP/1.1 {code} X\r\nConnection: close\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text)
        await writer.drain()
        writer.close()

    told: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()

    async def proof(uid: str, trust: str, why: str) -> None:
        told.put_nowait((uid, trust, why))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    access = Access.direct(ACCOUNT, "secret", base_url=f"http://127.0.0.1:{port}")
    event = Event(
        uid="evt_1", type="message.received", at=now, received_at=now, trust="claimed",
        account_sid=ACCOUNT, subject_sid=SID, sender=ANN, recipient=OURS, fields={"Body": "STOP"},
    )  # fmt: skip
    async with server, Gateway(access) as gateway:
        confirmer = Confirmer(gateway, ACCOUNT, proof)
        confirmer.look(event)
        async with asyncio.timeout(10):
            assert await told.get() == ("evt_1", "confirmed", "")
        await confirmer.close()
    assert asked == 10
    assert told.empty()


@pytest.mark.parametrize(("late", "verdict"), [(600.0, "fired"), (3600.0, "stale: proven 60 min")])
def test_what_is_proven_late_counts_and_is_not_answered(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, late: float, verdict: str
) -> None:
    """Whoever looked it up, it takes that long."""
    monkeypatch.setattr(Confirmer, "look", lambda *_: None)
    story = begin(rules=RULES, hook_secret="s3cr3t")
    fields = {"AccountSid": ACCOUNT, "MessageSid": SID, "From": ANN, "To": OURS, "Body": "Hi",
              "NumMedia": "0"}  # fmt: skip
    story.receive(story.entry("message", "", fields)._replace(trust="claimed"))
    story.run(story.clock.now + late)
    ((uid,),) = ask(story, "select uid from events where type = 'message.received'")
    assert story.life is not None
    story.life.loop.create_task(story.life.engine._proof(uid, "confirmed", ""))
    story.run(story.clock.now + 10.0)
    assert ask(story, "select inbound from contacts where inbound > 0") == [(1,)]
    ((said,),) = ask(story, f"select verdicts from events where uid = '{uid}'")
    assert json.loads(said)["answer"].startswith(verdict)
    assert len(story.twilio.records) == (verdict == "fired")
