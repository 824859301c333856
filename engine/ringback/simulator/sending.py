"""Creation of a message: Twilio's checks, and the record that it becomes.

https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource
"""

from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from ringback.simulator import carrier, consent
from ringback.simulator.attachments import attach
from ringback.simulator.form import legal_url
from ringback.simulator.numbering import channel_of, is_channel, is_e164, is_name, is_short_code
from ringback.simulator.records import Message, Resource
from ringback.simulator.refusal import Refusal, invalid
from ringback.simulator.world import SHORT_CODE, World
from ringback.twilio.segments import count, smart

MOST_CHARACTERS = 1600
MOST_MEDIA = 10
SOONEST, LATEST = 15 * 60.0, 35 * 86_400.0
SESSION = 24 * 3600.0

MAGIC_TO = {
    "+15005550001": (21211, "The 'To' number +15005550001 is not a valid phone number"),
    "+15005550002": (21612, "The 'To' phone number: +15005550002, is not currently reachable"),
    "+15005550003": (21408, "Permission to send an SMS has not been enabled for the region"),
    "+15005550004": (21610, "Attempt to send to unsubscribed recipient"),
    "+15005550007": (21612, "The 'To' number +15005550007 cannot receive SMS"),
    "+15005550009": (21614, "'To' number is not a valid mobile number"),
}
MAGIC_FROM = {
    "+15005550001": (21212, "The 'From' number +15005550001 is not a valid phone number"),
    "+15005550007": (21606, "The 'From' phone number +15005550007 is not a valid sender"),
    "+15005550008": (
        21611,
        "This 'From' number has exceeded the maximum number of queued messages",
    ),
}
VALID_SENDER = "+15005550006"


@dataclass(frozen=True, slots=True)
class SendRequest:
    """One text that somebody wants to send. `send_at` is for a scheduled one."""

    recipient: str
    sender: str = ""
    service_sid: str = ""
    body: str = ""
    media: tuple[str, ...] = ()
    content_sid: str = ""
    callback: str = ""
    application_sid: str = ""
    direction: str = "outbound-api"
    validity: float = carrier.LONGEST_QUEUE
    smart_encoded: bool = False
    as_mms: bool = False
    send_at: datetime | None = None
    fields: dict[str, str] = field(default_factory=dict)


def send(world: World, account_sid: str, request: SendRequest) -> Message:
    """Check a request and make its record. Raises Refusal in the order in which Twilio looks."""
    _formats(request)
    service = _service(world, account_sid, request)
    _permissions(world, account_sid, request, service)
    delay = _delay(world, request)
    body = smart(request.body) if request.smart_encoded else request.body
    mms = bool(request.media) or request.as_mms
    message = Message(
        **world.stamps("MM" if mms else "SM", account_sid),
        sender=request.sender or None,
        recipient=request.recipient,
        body=body,
        status="scheduled" if delay is not None else "accepted" if service else "queued",
        direction=request.direction,
        service_sid=service.sid if service else None,
        segments=1 if mms or channel_of(request.recipient) else count(body),
        callback=_callback_url(world, request, service),
        validity=request.validity,
        fields=dict(request.fields),
    )
    if not service and carrier.queue_seconds(world, message) > carrier.LONGEST_QUEUE:
        raise Refusal(429, 21611, MAGIC_FROM["+15005550008"][1])
    if channel_of(request.recipient) == "whatsapp" and not (
        request.content_sid or _open(world, request)
    ):
        message.fields["fate"] = "failed:63016"
    world.messages.add(
        message, status=message.status, sender=request.sender, recipient=request.recipient,
        body=body, direction=request.direction,
    )  # fmt: skip
    message.history.append({"at": message.created, "status": message.status, "error_code": None})
    for source in request.media:
        attach(world, message, source)
    if delay is not None:
        world.clock.after(delay, partial(carrier.leave_service, world, message))
    else:
        carrier.submit(world, message)
    return message


def _formats(request: SendRequest) -> None:
    if not request.recipient:
        raise invalid(21604, "A 'To' phone number is required.")
    if not request.sender and not request.service_sid:
        raise invalid(21603, "A 'From' phone number is required.")
    if not (request.body or request.media or request.content_sid):
        raise invalid(21602, "Message body is required.")
    if not (is_e164(request.recipient) or is_channel(request.recipient)):
        raise invalid(
            21211, f"The 'To' number {request.recipient[:64]} is not a valid phone number."
        )
    if request.sender and not _sender_form(request.sender):
        raise invalid(
            21212, f"The 'From' number {request.sender[:64]} is not a valid phone number."
        )
    if len(request.body) > MOST_CHARACTERS:
        raise invalid(21617, "The concatenated message body exceeds the 1600 character limit.")
    if len(request.media) > MOST_MEDIA:
        raise invalid(21623, "Number of media files exceeds allowed limit of 10.")
    for source in request.media:
        if not legal_url(source):
            raise invalid(21620, f"Invalid media URL(s): {source[:200]}")
    if request.callback and not legal_url(request.callback):
        raise invalid(
            21609, f"The 'StatusCallback' URL {request.callback[:200]} is not a valid URL."
        )
    if request.sender and channel_of(request.sender) != channel_of(request.recipient):
        raise invalid(21910, "Invalid From and To pair. They must be of the same channel.")
    if request.sender and request.sender == request.recipient:
        raise invalid(21266, "'To' and 'From' number cannot be the same.")


def _sender_form(sender: str) -> bool:
    return is_e164(sender) or is_channel(sender) or is_short_code(sender) or is_name(sender)


def _service(world: World, account_sid: str, request: SendRequest) -> Resource | None:
    if not request.service_sid:
        return None
    service = world.services.get(request.service_sid)
    if service is None or service.account_sid != account_sid:
        raise invalid(21701, f"The Messaging Service {request.service_sid[:40]} does not exist.")
    if not service.fields["senders"]:
        raise invalid(21704, "The Messaging Service contains no phone numbers.")
    if request.sender and request.sender not in service.fields["senders"]:
        raise invalid(21703, f"{request.sender} is no sender of this Messaging Service.")
    return service


def _permissions(
    world: World, account_sid: str, request: SendRequest, service: Resource | None
) -> None:
    for magic, address in ((MAGIC_TO, request.recipient), (MAGIC_FROM, request.sender)):
        if address in magic:
            code, words = magic[address]
            raise invalid(code, words)
    if request.sender and not service and not _may_send(world, account_sid, request.sender):
        raise invalid(
            21606,
            f"The 'From' phone number {request.sender} is not a valid, message-capable number of "
            "this account.",
        )
    senders = (
        [request.sender] if request.sender else list(service.fields["senders"] if service else [])
    )
    service_sid = service.sid if service else None
    if all(consent.blocked(world, request.recipient, sender, service_sid) for sender in senders):
        raise invalid(21610, "Attempt to send to unsubscribed recipient")


def _may_send(world: World, account_sid: str, sender: str) -> bool:
    number = world.number(sender)
    if number is not None:
        return number.account_sid == account_sid
    return sender in (SHORT_CODE, VALID_SENDER) or is_name(sender)


def _delay(world: World, request: SendRequest) -> float | None:
    if request.send_at is None:
        return None
    if not request.service_sid:
        raise invalid(21603, "A scheduled message needs a MessagingServiceSid.")
    delay = world.clock.until(request.send_at)
    if not SOONEST <= delay <= LATEST:
        raise invalid(20422, "SendAt must lie between 15 minutes and 35 days ahead.")
    return delay


def _callback_url(world: World, request: SendRequest, service: Resource | None) -> str:
    """The message's own callback stands above the application's, that above the service's."""
    if request.callback:
        return request.callback
    application = world.applications.get(request.application_sid)
    if request.application_sid and application is None:
        raise invalid(21218, f"The application {request.application_sid[:40]} does not exist.")
    if application is not None:
        own = application.text("message_status_callback")
        return own or application.text("sms_status_callback")
    return service.text("status_callback") if service else ""


def _open(world: World, request: SendRequest) -> bool:
    """Whether this person has written to us on the channel within 24 hours."""
    now = world.clock.shown()
    return any(
        message.direction == "inbound"
        and message.sender == request.recipient
        and (now - message.created).total_seconds() <= SESSION
        for message in world.messages
    )
