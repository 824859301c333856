"""Messages, their media and their feedback.

https://www.twilio.com/docs/messaging/api
"""

import json
import re
from functools import partial
from itertools import chain
from typing import Any

from ringback.simulator import carrier
from ringback.simulator.form import moment
from ringback.simulator.numbering import is_short_code
from ringback.simulator.records import Media, Message
from ringback.simulator.refusal import Refusal, invalid
from ringback.simulator.rest import shapes
from ringback.simulator.rest.paging import date_filter, page
from ringback.simulator.rest.route import Ask, Reply, collection, route
from ringback.simulator.sending import SendRequest, send

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63f8cf"
    "c0f01f0005000180dd8db00000000049454e44ae426082"
)


def create(ask: Ask) -> Reply:
    form = ask.form
    service = form.text("MessagingServiceSid")
    sender = form.text("From")
    if sender.startswith("MG") and len(sender) == 34 and not service:
        service, sender = sender, ""
    send_at = None
    if form.choice("ScheduleType", ("fixed",), ""):
        send_at = moment(form.required("SendAt", 20422), "SendAt")[0]
    elif form.text("SendAt"):
        raise invalid(20422, "SendAt needs ScheduleType=fixed.")
    _content(form.text("ContentSid"), form.text("ContentVariables"))
    for name in ("ProvideFeedback", "ForceDelivery", "ShortenUrls"):
        form.flag(name)
    form.choice("ContentRetention", ("retain", "discard"), "", 30029)
    form.choice("AddressRetention", ("retain", "obfuscate"), "", 30030)
    form.choice("RiskCheck", ("enable", "disable"), "")
    form.choice("TrafficType", ("free",), "")
    form.number("Attempt", 0, 0, 10**6)
    request = SendRequest(
        recipient=form.text("To"),
        sender=sender,
        service_sid=service,
        body=form.text("Body"),
        media=tuple(form.many("MediaUrl")),
        content_sid=form.text("ContentSid"),
        callback=form.text("StatusCallback"),
        application_sid=form.text("ApplicationSid"),
        validity=float(form.number("ValidityPeriod", 36_000, 1, 36_000, 21624)),
        smart_encoded=form.flag("SmartEncoded"),
        as_mms=form.flag("SendAsMms"),
        send_at=send_at,
    )
    if is_short_code(request.recipient):
        raise invalid(21211, f"The 'To' number {request.recipient} is not a valid phone number.")
    record = send(ask.world, ask.account.sid, request)
    return Reply(201, _shown(ask, record), record.sid)


def _content(sid: str, variables: str) -> None:
    """A content template is named by its SID; its variables are a JSON object of texts."""
    if sid and not re.fullmatch(r"HX[0-9a-fA-F]{32}", sid, re.ASCII):
        raise invalid(21655, f"The ContentSid {sid[:40]} is not valid.")
    if not variables:
        return
    try:
        found = json.loads(variables)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise invalid(21656, "ContentVariables must be a JSON object of texts.")


def listing(ask: Ask) -> Reply:
    to, sender = ask.query.text("To"), ask.query.text("From")
    fits = date_filter(ask.query, "DateSent")
    rows = (
        row
        for row in ask.world.messages.newest(ask.account.sid)
        if (not to or row.recipient == to) and (not sender or row.sender == sender)
        if fits(row.sent)
    )
    return page(ask, "messages", rows, lambda row: row.sid, partial(_shown, ask))


def _shown(ask: Ask, record: Message) -> dict[str, Any]:
    return shapes.message(record, ask.world.clock.now())


def _message(ask: Ask) -> Message:
    return ask.world.messages.need(ask.account.sid, ask.ids[0], ask.link)


def get(ask: Ask) -> Reply:
    return Reply(200, _shown(ask, _message(ask)))


def update(ask: Ask) -> Reply:
    record = _message(ask)
    redact, cancel = "Body" in ask.form, "Status" in ask.form
    if redact and cancel:
        raise invalid(30400, "Give either Body or Status, not both.")
    if cancel:
        ask.form.choice("Status", ("canceled",), "", 30400)
        if record.status != "scheduled":
            raise Refusal(409, 30409, f"A message that is {record.status} cannot be canceled.")
        carrier.change(ask.world, record, "canceled")
    elif redact:
        if ask.form.text("Body"):
            raise invalid(30400, "Body can only be made empty.")
        _finished(record, "redact")
        record.body = ""
        ask.world.messages.touch(record, redacted=True)
    return Reply(200, _shown(ask, record))


def _finished(record: Message, verb: str) -> None:
    """Raise Refusal before the final status. `sent` is none: a receipt may come for hours."""
    if record.status not in carrier.FINAL:
        words = f"Cannot {verb} message in state {record.status.upper()}"
        raise Refusal(409, 20009, words)


def delete(ask: Ask) -> Reply:
    record = _message(ask)
    _finished(record, "delete")
    for sid in record.media:
        if (item := ask.world.media.get(sid)) is not None:
            ask.world.media.remove(item)
    ask.world.messages.remove(record)
    return Reply(204)


def feedback(ask: Ask) -> Reply:
    record = _message(ask)
    outcome = ask.form.choice("Outcome", ("confirmed", "unconfirmed"), "confirmed")
    record.feedback = outcome
    ask.world.messages.touch(record, feedback=outcome)
    return Reply(
        200,
        {
            "account_sid": record.account_sid,
            "message_sid": record.sid,
            "outcome": outcome,
            "date_created": shapes.date(record.updated),
            "date_updated": shapes.date(record.updated),
            "uri": f"{ask.base}/Messages/{record.sid}/Feedback.json",
        },
    )


def _items(ask: Ask) -> list[Media]:
    found = (ask.world.media.get(sid) for sid in _message(ask).media)
    return [item for item in found if item is not None]


def media_listing(ask: Ask) -> Reply:
    fits = date_filter(ask.query, "DateCreated")
    rows = [item for item in _items(ask) if fits(item.created)]
    return page(ask, "media_list", rows, lambda row: row.sid, shapes.media)


def _item(ask: Ask) -> Media:
    record = ask.world.media.need(ask.account.sid, ask.ids[1], ask.link)
    if record.parent_sid != _message(ask).sid:
        raise Refusal(404, 20404, f"The requested resource {ask.link} was not found")
    return record


def media_get(ask: Ask) -> Reply:
    return Reply(200, shapes.media(_item(ask)))


def media_bytes(ask: Ask) -> Reply:
    """The item itself. The simulator stores none: every picture is the same dot."""
    record = _item(ask)
    body = PIXEL if record.content_type.startswith("image/") else record.source.encode()
    kind = "image/png" if record.content_type.startswith("image/") else record.content_type
    return Reply(200, None, "", body, kind)


def media_delete(ask: Ask) -> Reply:
    record = _item(ask)
    _message(ask).media.remove(record.sid)
    ask.world.media.remove(record)
    return Reply(204)


ROUTES = tuple(
    chain(
        collection(
            "Messages", "messages",
            listing=listing, create=create, get=get, update=update, delete=delete,
        ),
        (
            route("POST", "Messages/{}/Feedback", "messages.feedback", feedback),
            route("GET", "Messages/{}/Media", "media.list", media_listing),
            route("GET", "Messages/{}/Media/{}", "media.get", media_get),
            route("GET", "Messages/{}/Media/{}", "media.bytes", media_bytes, raw=True),
            route("DELETE", "Messages/{}/Media/{}", "media.delete", media_delete),
        ),
    )
)  # fmt: skip
