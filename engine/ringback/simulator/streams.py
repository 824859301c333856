"""Event Streams to a sink: CloudEvents in a JSON array, one event each, tried again.

https://www.twilio.com/docs/events/webhook-quickstart. The setup API lies on another host; here the
sink is one URL, set by hand.
"""

import json
from functools import partial
from typing import Any

from ringback.simulator.records import Message
from ringback.simulator.webhook_client import Delivery, Webhook
from ringback.simulator.world import World

MESSAGE_STATUSES = frozenset({"queued", "sent", "delivered", "undelivered", "failed", "read"})
FIRST_PAUSE, PATIENCE = 10.0, 4 * 3600.0
SECONDS = "#tt=5000&rt=5000&rc=0"


def message_changed(world: World, message: Message) -> None:
    """A message has a new status."""
    if not world.events_url:
        return
    inbound = message.direction == "inbound"
    if inbound and message.status == "received":
        kind = "com.twilio.messaging.inbound-message.received"
    elif not inbound and message.status in MESSAGE_STATUSES:
        kind = f"com.twilio.messaging.message.{message.status}"
    else:
        return
    data: dict[str, Any] = {
        "messageSid": message.sid,
        "accountSid": message.account_sid,
        "from": message.sender,
        "to": message.recipient,
        "timestamp": _time(world),
    }
    if inbound:
        data |= {
            "body": message.body,
            "numSegments": message.segments,
            "numMedia": len(message.media),
        }
    else:
        data |= {"messageStatus": message.status.upper()}
        if message.error_code:
            data["errorCode"] = str(message.error_code)
    _emit(world, message.account_sid, message.sid, kind, data)


def call_progressed(
    world: World, account_sid: str, sid: str, url: str, fields: tuple[tuple[str, str], ...]
) -> None:
    """A call has made a step that a status callback was asked for: the event shows its request.

    https://www.twilio.com/docs/events/event-types/voice/status-callback
    """
    if not world.events_url:
        return
    facts = dict(fields)
    status = facts.get("CallStatus", "")
    step = {"in-progress": "answered"}.get(status, status)
    if step not in ("initiated", "ringing", "answered"):
        step = "completed"
    data = {
        "sid": sid, "timestamp": _time(world), "eventSid": world.random.sid("VW"),
        "request": {"method": "POST", "url": url, "parameters": facts},
    }  # fmt: skip
    _emit(world, account_sid, sid, f"com.twilio.voice.status-callback.call.{step}", data)


def _emit(world: World, account_sid: str, sid: str, kind: str, data: dict[str, Any]) -> None:
    event = {
        "specversion": "1.0",
        "type": kind,
        "source": f"/2010-04-01/Accounts/{account_sid}/{sid}",
        "id": world.random.sid("EZ"),
        "time": _time(world),
        "datacontenttype": "application/json",
        "dataschema": f"https://events-schemas.twilio.com/{kind.rpartition('.')[2]}/1",
        "data": data,
    }
    body = json.dumps([event], sort_keys=True).encode()
    url = world.events_url + SECONDS
    webhook = Webhook("events", url, (), account_sid, subject=sid, json=body)
    _send(world, webhook, FIRST_PAUSE, world.clock.now() + PATIENCE)


def _send(world: World, webhook: Webhook, pause: float, until: float) -> None:
    def done(delivery: Delivery) -> None:
        drop = delivery.fine or delivery.status == 400
        if not drop and world.clock.now() + pause <= until:
            wait = pause * world.random.between("jitter:events", 0.5, 1.0)
            world.clock.after(wait, partial(_send, world, webhook, pause * 2, until))

    world.outbox.ask(webhook, done)


def _time(world: World) -> str:
    return world.clock.shown().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
