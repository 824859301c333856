"""Kernel of an account's telephone exchange: time, SIDs, webhooks, numbers and phones.

One switchboard per account: it is the exchange's kernel, and holds the exchange.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from ringback.simulator import streams
from ringback.simulator.debugger import Trouble as Entry
from ringback.simulator.debugger import report
from ringback.simulator.records import Resource
from ringback.simulator.refusal import Refusal, missing
from ringback.simulator.sending import SendRequest, send
from ringback.simulator.voice import ports
from ringback.simulator.voice.exchange import Exchange
from ringback.simulator.webhook_client import Delivery, Webhook
from ringback.simulator.world import World

PURPOSES = {
    "call-status": "call/status",
    "recording-status": "recording",
    "partial-speech": "speech",
}
PARTS = {
    "call": "Calls",
    "queue": "Queues",
    "conference": "Conferences",
    "recording": "Recordings",
    "transcription": "Transcriptions",
}


@dataclass(slots=True)
class Pending:
    """An answer that is awaited, unless it is cancelled."""

    then: Callable[[ports.Answer], None] | None

    def cancel(self) -> None:
        self.then = None


class Switchboard:
    """The `Kernel` of one account's exchange."""

    def __init__(self, world: World, account_sid: str) -> None:
        self._world = world
        self._account_sid = account_sid
        self.exchange = Exchange(self, account_sid)

    def now(self) -> float:
        return self._world.clock.now()

    def after(self, seconds: float, do: Callable[[], None]) -> ports.Timer:
        return self._world.clock.after(seconds, do)

    def date(self, moment: float) -> datetime:
        return self._world.clock.date(moment)

    def mint(self, prefix: str) -> str:
        return self._world.random.sid(prefix)

    def address(self, path: str) -> str:
        return self._world.base_url + path

    def ask(self, request: ports.Ask, then: Callable[[ports.Answer], None]) -> ports.Timer:
        pending = Pending(then)
        purpose = "call" if request.purpose == "call" else f"call/{request.purpose}"

        def answered(delivery: Delivery) -> None:
            if pending.then is not None:
                pending.then(_answer(delivery))

        webhook = self._webhook(request.url, request.method, request.fields, purpose, request.sid)
        self._world.outbox.ask(webhook, answered)
        return pending

    def notify(self, request: ports.Notice) -> None:
        purpose = PURPOSES.get(request.kind, request.kind)
        if request.kind == "call-status":
            streams.call_progressed(
                self._world, self._account_sid, request.sid, request.url, request.fields
            )
        self._world.outbox.notify(
            self._webhook(request.url, request.method, request.fields, purpose, request.sid)
        )

    def _webhook(
        self, url: str, method: str, fields: ports.Fields, purpose: str, sid: str
    ) -> Webhook:
        return Webhook(
            purpose,
            url,
            fields,
            self._account_sid,
            method.upper() or "POST",
            sid,
            cookies=sid,
            voice=True,
        )

    def trouble(self, trouble: ports.Trouble) -> None:
        asked = trouble.ask
        webhook = delivery = None
        if asked is not None:
            webhook = self._webhook(
                asked.url, asked.method, asked.fields, f"call/{asked.purpose}", asked.sid
            )
        elif trouble.url:
            webhook = self._webhook(trouble.url, "POST", (), "call", trouble.sid)
        if (got := trouble.answer) is not None:
            delivery = Delivery(
                got.status, got.content_type or "", got.body, got.url, got.error, got.message
            )
        report(
            self._world,
            Entry(
                trouble.code,
                trouble.level,
                trouble.message,
                self._account_sid,
                trouble.sid,
                webhook,
                delivery,
            ),
        )

    def number(self, address: str) -> ports.NumberSetup | None:
        record = self._world.number(address)
        if record is None or record.account_sid != self._account_sid:
            return None
        application = self._world.applications.get(record.text("voice_application_sid"))
        return _setup(record, application or record)

    def verified(self, address: str) -> bool:
        return self._world.verified(self._account_sid, address)

    def handset(self, address: str) -> ports.Handset:
        phone = self._world.handset(address)
        return ports.Handset(
            outcome=cast(ports.Outcome, phone.call_outcome()),
            ring_seconds=phone.ring_seconds,
            talk_seconds=phone.talk_seconds,
            keys=phone.keys,
            say=phone.say,
        )

    def sms(self, sender: str, to: str, body: str, callback: str) -> tuple[str, str]:
        request = SendRequest(
            recipient=to, sender=sender, body=body, callback=callback, direction="outbound-call"
        )
        try:
            message = send(self._world, self._account_sid, request)
        except Refusal as refusal:
            report(
                self._world,
                Entry(refusal.code, "error", refusal.message, self._account_sid),
            )
            return "", "failed"
        return message.sid, message.status

    def changed(self, kind: str, sid: str) -> None:
        world, part = self._world, PARTS.get(kind, kind)
        rows: Mapping[str, object] = (
            self.exchange.switch.legs
            if kind == "call"
            else getattr(self.exchange, part.lower(), {})
        )
        record = rows.get(sid)
        if record is None:
            world.ledger.add("deleted", resource=part, sid=sid)
            return
        word = "updated"
        if sid not in world.births:
            world.births[sid] = (len(world.births) + 1, world.clock.shown().timestamp())
            word = "created"
        world.ledger.add(word, resource=part, sid=sid, status=_status(record))


def _status(record: object) -> str:
    """The status of a record, or of the call of a leg."""
    return str(getattr(getattr(record, "call", record), "status", ""))


def _answer(delivery: Delivery) -> ports.Answer:
    # An error status is the exchange's own to judge; only a failed exchange of bytes is reported.
    failed = delivery.error if not delivery.status or delivery.error not in (0, 11200) else 0
    return ports.Answer(
        0 if failed else delivery.status,
        delivery.content_type or None,
        delivery.body,
        delivery.url,
        failed,
        delivery.reason,
    )


def _setup(number: Resource, source: Resource) -> ports.NumberSetup:
    return ports.NumberSetup(
        number.sid,
        ports.Script(
            url=source.text("voice_url"),
            method=source.text("voice_method") or "POST",
            fallback_url=source.text("voice_fallback_url"),
            fallback_method=source.text("voice_fallback_method") or "POST",
        ),
        status_callback=source.text("status_callback"),
        status_callback_method=source.text("status_callback_method") or "POST",
        caller_name="SIMULATED CALLER" if source.fields.get("voice_caller_id_lookup") else "",
    )


def exchange_of(world: World, account_sid: str) -> Exchange:
    """The telephone exchange of an account; made when it is first asked for."""
    found = world.switchboards.get(account_sid)
    if found is None:
        found = world.switchboards[account_sid] = Switchboard(world, account_sid)
    return found.exchange


def exchange_with(world: World, call_sid: str) -> Exchange:
    """The exchange that has this call. Raises Refusal (404) when none has."""
    for board in world.switchboards.values():
        if call_sid in board.exchange.switch.legs:
            return board.exchange
    raise missing(f"/Calls/{call_sid}")
