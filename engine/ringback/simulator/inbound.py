"""Inbound texts: a record, consent, a webhook, and the messages of the reply.

https://www.twilio.com/docs/messaging/guides/webhook-request
"""

from dataclasses import dataclass, field
from typing import Any

from ringback.simulator import consent, reply, streams
from ringback.simulator.attachments import attach
from ringback.simulator.numbering import friendly
from ringback.simulator.records import Message, Resource
from ringback.simulator.refusal import invalid
from ringback.simulator.webhook_client import Webhook
from ringback.simulator.world import World
from ringback.twilio.segments import count


@dataclass(frozen=True, slots=True)
class Text:
    """What a person sends. `extra` are further webhook fields, e.g. ButtonPayload or FromCity."""

    sender: str
    recipient: str
    body: str = ""
    media: tuple[str, ...] = ()
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """Where the webhook of an inbound message goes."""

    url: str
    method: str
    fallback_url: str
    fallback_method: str
    service: Resource | None


def receive(world: World, text: Text) -> Message:
    """A person texts one of our numbers. Raises Refusal when the number is not ours."""
    number = world.number(text.recipient)
    if number is None:
        raise invalid(21601, world.not_ours(text.recipient))
    route = route_of(world, number)
    message = Message(
        **world.stamps("MM" if text.media else "SM", number.account_sid),
        sender=text.sender,
        recipient=text.recipient,
        body=text.body,
        status="receiving",
        direction="inbound",
        service_sid=route.service.sid if route.service else None,
        segments=count(text.body) if ":" not in text.sender else 1,
        fields=dict(text.extra),
    )
    message.sent = message.created
    world.messages.add(message, sender=text.sender, recipient=text.recipient, body=text.body)
    message.history.append({"at": message.created, "status": "receiving", "error_code": None})
    for source in text.media:
        attach(world, message, source)
    world.handset(text.sender).sent.append(
        {
            "sid": message.sid,
            "to": text.recipient,
            "body": text.body,
            "media": list(text.media),
            "at": world.clock.shown().isoformat(),
        }
    )
    world.clock.after(0.0, lambda: _arrive(world, message, route))
    return message


def route_of(world: World, number: Resource) -> Route:
    """Which URL an inbound message of this number goes to: service, application or the number."""
    plain = number.text("phone_number")
    service = next((row for row in world.services if plain in row.fields["senders"]), None)
    if service is not None and not service.fields["use_inbound_webhook_on_number"]:
        source, prefix = service, ("inbound_request_url", "inbound_method")
        rest = ("fallback_url", "fallback_method")
    else:
        source = world.applications.get(number.text("sms_application_sid")) or number
        prefix = ("sms_url", "sms_method")
        rest = ("sms_fallback_url", "sms_fallback_method")
    return Route(
        source.text(prefix[0]),
        source.text(prefix[1]) or "POST",
        source.text(rest[0]),
        source.text(rest[1]) or "POST",
        service,
    )


def _arrive(world: World, message: Message, route: Route) -> None:
    message.status = "received"
    message.history.append({"at": world.clock.shown(), "status": "received", "error_code": None})
    world.messages.touch(message, status="received")
    streams.message_changed(world, message)
    word = consent.keyword(message.body) if ":" not in (message.sender or "") else ""
    # Who sends `OptOutType` by hand says what Advanced Opt-Out has made of the words.
    word = message.fields.get("OptOutType", word)
    advanced = route.service is not None and bool(route.service.fields["advanced_opt_out"])
    if word and consent.apply_keyword(
        world, message.sender or "", message.recipient, message.service_sid, word
    ):
        _confirm(world, message, word)
    if route.url:
        webhook = Webhook(
            "message",
            route.url,
            tuple(fields_of(world, message, word if advanced else "")),
            message.account_sid,
            route.method,
            message.sid,
            f"{message.sender} {message.recipient}",
        )
        reply.fetch(world, message, webhook, route.fallback_url, route.fallback_method)


def _confirm(world: World, message: Message, word: str) -> None:
    """Twilio's own answer to the word. It is no message of the account."""
    world.handset(message.sender or "").inbox.append(
        {
            "sid": "",
            "from": message.recipient,
            "body": consent.REPLIES[word],
            "media": [],
            "at": world.clock.shown().isoformat(),
        }
    )
    world.note(f"{word} from {message.sender} to {message.recipient} is confirmed")


def fields_of(world: World, message: Message, opt_out: str = "") -> list[tuple[str, str]]:
    """The form of an inbound message's webhook, blanks included."""
    sender, recipient = message.sender or "", message.recipient
    channel, _, address = sender.partition(":")
    fields: dict[str, Any] = {
        "ToCountry": _country(recipient), "ToState": "", "SmsMessageSid": message.sid,
        "NumMedia": str(len(message.media)), "ToCity": "", "FromZip": "", "SmsSid": message.sid,
        "FromState": "", "SmsStatus": "received", "FromCity": "", "Body": message.body,
        "FromCountry": _country(sender), "To": recipient, "ToZip": "",
        "NumSegments": str(message.segments), "MessageSid": message.sid,
        "AccountSid": message.account_sid, "From": sender, "ApiVersion": "2010-04-01",
    }  # fmt: skip
    if address:
        fields = {name: value for name, value in fields.items() if not _geographic(name)}
        if channel == "whatsapp":
            fields |= {
                "ProfileName": friendly(address),
                "WaId": address.removeprefix("+"),
                "MessageType": "image" if message.media else "text",
            }
    if message.service_sid:
        fields["MessagingServiceSid"] = message.service_sid
    if opt_out:
        fields["OptOutType"] = opt_out
    for index, sid in enumerate(message.media):
        item = world.media.get(sid)
        path = f"/2010-04-01/Accounts/{message.account_sid}/Messages/{message.sid}/Media/{sid}"
        fields[f"MediaUrl{index}"] = world.base_url + path
        fields[f"MediaContentType{index}"] = item.content_type if item else ""
    return list((fields | message.fields).items())


def _geographic(name: str) -> bool:
    return name.endswith(("City", "State", "Zip", "Country"))


def _country(address: str) -> str:
    return "US" if address.startswith("+1") else ""
