"""JSON of records, field by field as Twilio's OpenAPI document has them."""

from datetime import datetime
from typing import Any

from ringback.simulator.records import Account, Media, Message, Notification, Resource

VERSION = "2010-04-01"

FAILURES = {
    21610: "Attempt to send to unsubscribed recipient",
    30001: "Queue overflow",
    30003: "Unreachable destination handset",
    30004: "Message blocked",
    30005: "Unknown destination handset",
    30006: "Landline or unreachable carrier",
    30007: "Carrier violation",
    30008: "Unknown error",
    30036: "Validity period expired",
    63016: "Failed to send freeform message outside the allowed window",
}


def date(moment: datetime | None) -> str | None:
    """RFC 2822, always `+0000`."""
    return moment.strftime("%a, %d %b %Y %H:%M:%S +0000") if moment else None


def account(record: Account) -> dict[str, Any]:
    """An account as Twilio shows it.

    https://www.twilio.com/docs/iam/api/account
    """
    base = f"/{VERSION}/Accounts/{record.sid}"
    parts = {
        "addresses": "Addresses", "applications": "Applications",
        "available_phone_numbers": "AvailablePhoneNumbers", "balance": "Balance",
        "calls": "Calls", "conferences": "Conferences",
        "incoming_phone_numbers": "IncomingPhoneNumbers", "messages": "Messages",
        "notifications": "Notifications", "outgoing_caller_ids": "OutgoingCallerIds",
        "queues": "Queues", "recordings": "Recordings", "transcriptions": "Transcriptions",
        "usage": "Usage",
    }  # fmt: skip
    return {
        "auth_token": record.token,
        "date_created": date(record.created),
        "date_updated": date(record.updated),
        "friendly_name": record.friendly_name,
        "owner_account_sid": record.owner_sid,
        "sid": record.sid,
        "status": record.status,
        "subresource_uris": {name: f"{base}/{part}.json" for name, part in parts.items()},
        "type": record.kind,
        "uri": f"{base}.json",
    }


def message(record: Message, now: float) -> dict[str, Any]:
    """A message as Twilio shows it at a moment of virtual time.

    https://www.twilio.com/docs/messaging/api/message-resource
    """
    path = f"/{VERSION}/Accounts/{record.account_sid}/Messages/{record.sid}"
    code = record.error_code
    return {
        "account_sid": record.account_sid,
        "api_version": VERSION,
        "body": record.body,
        "date_created": date(record.created),
        "date_sent": date(record.sent),
        "date_updated": date(record.updated),
        "direction": record.direction,
        "error_code": code,
        "error_message": FAILURES.get(code, f"Error {code}") if code else None,
        "from": record.sender,
        "messaging_service_sid": record.service_sid,
        "num_media": str(len(record.media)),
        "num_segments": "0" if record.status == "accepted" else str(record.segments),
        "price": record.price if now >= record.priced_at else None,
        "price_unit": "USD",
        "sid": record.sid,
        "status": record.status,
        "subresource_uris": {
            "feedback": f"{path}/Feedback.json",
            "media": f"{path}/Media.json",
        },
        "to": record.recipient,
        "uri": f"{path}.json",
    }


def media(record: Media) -> dict[str, Any]:
    """A medium of a message as Twilio shows it.

    https://www.twilio.com/docs/messaging/api/media-resource
    """
    return {
        "account_sid": record.account_sid,
        "content_type": record.content_type,
        "date_created": date(record.created),
        "date_updated": date(record.updated),
        "parent_sid": record.parent_sid,
        "sid": record.sid,
        "uri": f"/{VERSION}/Accounts/{record.account_sid}/Messages/{record.parent_sid}"
        f"/Media/{record.sid}.json",
    }


def resource(record: Resource, part: str) -> dict[str, Any]:
    """A record that is its fields: numbers, applications, addresses. A URL not set is null."""
    unset = {
        name: None
        for name, value in record.fields.items()
        if value == "" and name.endswith(("_url", "_callback"))
    }
    return {
        **record.fields,
        **unset,
        "account_sid": record.account_sid,
        "date_created": date(record.created),
        "date_updated": date(record.updated),
        "sid": record.sid,
        "uri": f"/{VERSION}/Accounts/{record.account_sid}/{part}/{record.sid}.json",
    }


def notification(record: Notification, *, single: bool = False) -> dict[str, Any]:
    """https://www.twilio.com/docs/usage/api (notifications): `log` 0 is an error, 1 a warning."""
    data: dict[str, Any] = {
        "account_sid": record.account_sid,
        "api_version": VERSION,
        "call_sid": record.call_sid,
        "date_created": date(record.created),
        "date_updated": date(record.updated),
        "error_code": str(record.code),
        "log": "0" if record.level == "error" else "1",
        "message_date": date(record.created),
        "message_text": record.text,
        "more_info": f"https://www.twilio.com/docs/errors/{record.code}",
        "request_method": record.method or None,
        "request_url": record.url or None,
        "sid": record.sid,
        "uri": f"/{VERSION}/Accounts/{record.account_sid}/Notifications/{record.sid}.json",
    }
    if single:
        data |= {
            "request_variables": record.variables,
            "response_body": record.response_body,
            "response_headers": record.response_headers,
        }
    return data
