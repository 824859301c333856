"""Life of an accepted text: queued, sent, delivered, each step a status callback.

https://www.twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks
Per-sender rates: https://www.twilio.com/docs/glossary/what-are-twilio-rate-limits-and-message-queueing
"""

import re
from functools import partial
from typing import Any

from ringback.simulator import streams
from ringback.simulator.numbering import toll_free
from ringback.simulator.records import PRICE_AFTER, Message
from ringback.simulator.webhook_client import Webhook
from ringback.simulator.world import World

LONGEST_QUEUE = 36_000.0
FINAL = frozenset({"delivered", "undelivered", "failed", "canceled", "read", "received"})
RANK = {
    "accepted": 0, "scheduled": 0, "queued": 1, "sending": 2, "sent": 3, "delivered": 4,
    "undelivered": 4, "failed": 4, "canceled": 4, "read": 5,
}  # fmt: skip
PRICE = 0.0079


def submit(world: World, message: Message) -> None:
    """Take a new message on its way."""
    if message.status == "accepted":
        world.clock.after(0.1, partial(leave_service, world, message))
    elif message.status == "queued":
        _queue(world, message)


def leave_service(world: World, message: Message) -> None:
    """The Messaging Service picks its sender; the message joins that sender's queue."""
    if message.status not in ("accepted", "scheduled"):
        return
    service = world.services.get(message.service_sid or "")
    if message.sender is None:
        pool = service.fields["senders"] if service else []
        if not pool:
            change(world, message, "failed", 21704)
            return
        message.sender = _sticky(world, message, pool)
    if queue_seconds(world, message) > LONGEST_QUEUE:
        change(world, message, "failed", 30001)
        return
    change(world, message, "queued")
    _queue(world, message)


def _sticky(world: World, message: Message, pool: list[str]) -> str:
    """The sender that this person has heard from before, else one by turns."""
    for earlier in world.messages.newest(message.account_sid):
        if earlier.recipient == message.recipient and earlier.sender in pool:
            return earlier.sender
    return pool[message.born % len(pool)]


def queue_seconds(world: World, message: Message) -> float:
    """How long the message would wait for its sender, in virtual seconds."""
    return max(0.0, world.busy_until.get(message.sender or "", 0.0) - world.clock.now())


def rate(world: World, sender: str) -> float:
    """Segments per second of a sender; the plan's `messaging.rates` stands above the defaults."""
    rates: dict[str, Any] = world.messaging.get("rates") or {}
    found = rates.get(sender, rates.get("default"))
    if found is not None:
        return float(found)
    if ":" in sender:
        return 80.0
    if re.fullmatch(r"\d{3,8}", sender):
        return 100.0
    if not sender.startswith("+"):
        return 10.0
    return 3.0 if toll_free(sender) else 1.0


def _queue(world: World, message: Message) -> None:
    sender = message.sender or ""
    wait = queue_seconds(world, message)
    if wait > message.validity:
        world.clock.after(message.validity, partial(change, world, message, "failed", 30036))
        return
    pieces = message.segments if ":" not in sender else 1
    world.busy_until[sender] = world.clock.now() + wait + pieces / rate(world, sender)
    world.clock.after(wait, partial(_send, world, message))


def _latency(world: World, step: str, low: float, high: float) -> float:
    bounds = world.messaging.get("latency") or (low, high)
    return world.random.between(f"latency:{step}", float(bounds[0]), float(bounds[1]))


def _send(world: World, message: Message) -> None:
    if message.status != "queued":
        return
    status, code = fate(world, message)
    if status == "silent":
        return
    quiet = not world.messaging.get("report_sending")
    change(world, message, "sending", notify=not quiet)
    first = _latency(world, "sent", 0.2, 1.2)
    if status == "failed":
        world.clock.after(first, partial(change, world, message, "failed", code))
        return
    world.clock.after(first, partial(_sent, world, message, status, code))


def _sent(world: World, message: Message, status: str, code: int) -> None:
    change(world, message, "sent")
    if status == "sent":
        world.on_arrival(message)
        return
    wait = _latency(world, "final", 0.5, 3.0)
    if status == "undelivered":
        world.clock.after(wait, partial(change, world, message, "undelivered", code))
        return
    world.clock.after(wait, partial(_delivered, world, message))
    if status == "read":
        read = wait + _latency(world, "read", 1.0, 30.0)
        world.clock.after(read, partial(change, world, message, "read"))


def _delivered(world: World, message: Message) -> None:
    if change(world, message, "delivered"):
        world.on_arrival(message)


def fate(world: World, message: Message) -> tuple[str, int]:
    """How the message will end, and with which error code."""
    if message.fields.get("fate"):
        status, _, code = message.fields["fate"].partition(":")
        return status, int(code or 0)
    return world.handset(message.recipient).message_fate()


def change(
    world: World, message: Message, status: str, code: int = 0, *, notify: bool = True
) -> bool:
    """Move a message on to a status and tell its callback. Never back: then nothing happens."""
    if message.status in FINAL and not (message.status == "delivered" and status == "read"):
        return False
    if RANK.get(status, 9) <= RANK.get(message.status, 0):
        return False
    message.status = status
    if code:
        message.error_code = code
    if status == "sent":
        message.sent = world.clock.shown()
        message.price = f"-{PRICE * message.segments:.5f}"
    elif status in ("failed", "canceled"):
        message.price = None
    if message.status != "read":
        message.priced_at = world.clock.now() + PRICE_AFTER
    world.messages.touch(message, status=status, code=code)
    message.history.append({"at": message.updated, "status": status, "error_code": code or None})
    streams.message_changed(world, message)
    if notify and message.callback and message.direction != "inbound":
        world.outbox.notify(_callback(world, message))
    return True


def _callback(world: World, message: Message) -> Webhook:
    sender, recipient = message.sender or "", message.recipient
    fields = [
        ("ApiVersion", "2010-04-01"),
        ("AccountSid", message.account_sid),
        ("MessageSid", message.sid),
        ("SmsSid", message.sid),
        ("MessageStatus", message.status),
        ("SmsStatus", message.status),
        ("From", sender),
        ("To", recipient),
    ]
    if message.service_sid:
        fields.append(("MessagingServiceSid", message.service_sid))
    failed = message.status in ("failed", "undelivered")
    if failed and message.error_code:
        fields.append(("ErrorCode", str(message.error_code)))
    channel, _, address = recipient.partition(":")
    if address:
        fields += [("ChannelPrefix", channel), ("ChannelToAddress", address)]
        if message.status == "read":
            fields.append(("EventType", "READ"))
        if failed:
            fields.append(("ChannelStatusMessage", f"Error {message.error_code}"))
    elif message.status in ("delivered", "undelivered"):
        fields.append(("RawDlrDoneDate", message.updated.strftime("%y%m%d%H%M")))
    return Webhook(
        "message/status", message.callback, tuple(fields), message.account_sid, subject=message.sid
    )
