"""Claims looked up at a gateway that cannot be asked for a while."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import islice

import pytest

from ringback.events import Event
from ringback.gateway.client import Gateway
from ringback.gateway.credentials import Credentials
from ringback.twilio.rest import Request
from ringback.worker.match import confirm
from ringback.worker.match.confirm import Confirmer
from simulation.story import Story
from simulation.twilio import ACCOUNT, OURS

ANN = "+15551000001"
SID = "SM" + "7" * 32
RULES = """
rules:
  - name: answer
    on: message.received
    do: [{reply: Hello.}]
"""
Begin = Callable[..., Story]


NOW = datetime.now(UTC)
RECORD = {
    "account_sid": ACCOUNT, "from": ANN, "to": OURS, "body": "STOP", "direction": "inbound",
    "status": "received", "date_created": format_datetime(NOW),
}  # fmt: skip


class Lookups:
    """A gateway that refuses with a status, so many times (None: until that is changed), and then
    knows every text that it is asked for."""

    def __init__(self, status: int, refusals: int | None) -> None:
        self.status = status
        self.refusals = refusals
        self.asked = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        sid = head.split(b".json")[0].rpartition(b"/")[2].decode()
        refused = self.refusals is None or self.asked < self.refusals
        self.asked += 1
        code, body = (self.status, {"code": 20500}) if refused else (200, RECORD | {"sid": sid})
        text = json.dumps(body).encode()
        said = f"HTTP/1.1 {code} X\r\nConnection: close\r\nContent-Type: application/json\r\n"
        writer.write(f"{said}Content-Length: {len(text)}\r\n\r\n".encode() + text)
        await writer.drain()
        writer.close()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Gateway]:
        server = await asyncio.start_server(self, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        access = Credentials.direct(ACCOUNT, "secret", base_url=f"http://127.0.0.1:{port}")
        async with server, Gateway(access) as gateway:
            yield gateway


def claim(number: int) -> Event:
    """A text that somebody says to come from Twilio."""
    return Event(
        uid=f"evt_{number}", type="message.received", at=NOW, received_at=NOW, trust="claimed",
        account_sid=ACCOUNT, subject_sid=f"SM{number:032x}", sender=ANN, recipient=OURS,
        fields={"Body": "STOP"},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_a_claim_waits_for_a_gateway_that_is_down(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """However often it cannot be asked, the event is neither given up nor believed; the first
    answer decides."""
    monkeypatch.setattr(confirm, "AGAIN_SECONDS", 0.001)
    proofs: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()

    async def proof(uid: str, trust: str, why: str) -> None:
        proofs.put_nowait((uid, trust, why))

    told: list[tuple[str, bool]] = []
    waited: set[str] = set()

    def tell(request: Request, error: Exception | None) -> None:
        told.append((request.resource, error is None))
        waits = confirmer.unanswered()
        waited.add(waits[1].partition(":")[0] if waits else "")

    lookups = Lookups(status, 9)
    async with lookups.open() as gateway:
        confirmer = Confirmer(gateway, lambda _: ACCOUNT, lambda _: [], proof, tell)
        confirmer.look(claim(1))
        async with asyncio.timeout(10):
            assert await proofs.get() == ("evt_1", "confirmed", "")
        await confirmer.close()
    assert lookups.asked == 10
    assert proofs.empty()
    assert told == [("messages", False)] * 9 + [("messages", True)]
    assert waited == {"", "1 event waits to be confirmed"}
    assert confirmer.unanswered() is None


@pytest.mark.slow
async def test_more_claims_than_memory_holds_are_all_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand come while the gateway is down. Few of them are at hand, the others wait in the
    journal; when it is up again, each is looked up once, and none is forgotten."""
    monkeypatch.setattr(confirm, "AGAIN_SECONDS", 0.001)
    monkeypatch.setattr(confirm, "LONGEST_SECONDS", 0.01)
    monkeypatch.setattr(confirm, "AT_HAND", 50)
    kept = {event.uid: event for event in map(claim, range(1000))}
    trusts: list[str] = []
    done = asyncio.Event()

    async def oldest(limit: int) -> list[Event]:
        return list(islice(kept.values(), limit))

    async def proof(uid: str, trust: str, why: str) -> None:
        del kept[uid]
        trusts.append(trust)
        if not kept:
            done.set()

    lookups = Lookups(503, None)
    async with lookups.open() as gateway:
        confirmer = Confirmer(gateway, lambda _: ACCOUNT, oldest, proof)
        before = len(asyncio.all_tasks())
        for event in list(kept.values()):
            confirmer.look(event)
        assert len(asyncio.all_tasks()) - before == 50
        lookups.refusals = lookups.asked
        async with asyncio.timeout(30):
            await done.wait()
        await confirmer.close()
    assert trusts == ["confirmed"] * 1000


@pytest.mark.parametrize(
    ("late", "verdict"),
    [
        (600.0, "fired"),
        pytest.param(3600.0, "stale: proven 60 min", marks=pytest.mark.slow),
    ],
)
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
    ((uid,),) = story.ask("select uid from events where type = 'message.received'")
    assert story.life is not None
    story.life.loop.create_task(story.life.engine._proof(uid, "confirmed", ""))
    story.run(story.clock.now + 10.0)
    assert story.ask("select inbound from contacts where inbound > 0") == [(1,)]
    ((said,),) = story.ask(f"select verdicts from events where uid = '{uid}'")
    assert json.loads(said)["answer"].startswith(verdict)
    assert len(story.twilio.records) == (verdict == "fired")
