"""Twilio's debugger: errors and warnings as notifications, and as a webhook.

https://www.twilio.com/docs/usage/troubleshooting/debugging-event-webhooks
"""

import json
from dataclasses import dataclass, field
from urllib.parse import urlencode

from ringback.simulator.records import Notification
from ringback.simulator.webhook_client import Delivery, Webhook, without_user
from ringback.simulator.world import World

WORDS = {
    11100: "Invalid URL format",
    11200: "HTTP retrieval failure",
    11201: "TCP connection timed out",
    11202: "TCP connection refused",
    11203: "Communications error",
    11205: "HTTP connection failure",
    11206: "HTTP protocol violation",
    11210: "HTTP bad host name",
    11215: "HTTP too many redirects",
    11220: "SSL/TLS handshake error",
    11750: "TwiML response body too large",
    11770: "Empty TwiML response body",
    12100: "Document parse failure",
    12102: "Document does not have a Response root",
    12200: "Schema validation warning",
    12300: "Invalid Content-Type",
    14106: "Message: redirect chain is too long",
    14107: "Message: reply rate limit hit",
    14109: "Message: reply message limit exceeded",
    15003: "Warning response from the status callback",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing for the debugger. `subject` is the call or message that it is about."""

    code: int
    level: str
    text: str
    account_sid: str
    subject: str = ""
    webhook: Webhook | None = None
    delivery: Delivery | None = None
    fields: dict[str, str] = field(default_factory=dict)


def report(world: World, trouble: Trouble) -> Notification:
    """Write a notification and tell the account's debugger webhook, if it has one."""
    words = trouble.text or WORDS.get(trouble.code, f"Error {trouble.code}")
    asked, got = trouble.webhook, trouble.delivery
    record = Notification(
        **world.stamps("NO", trouble.account_sid),
        call_sid=trouble.subject if trouble.subject.startswith("CA") else None,
        code=trouble.code,
        level=trouble.level,
        text=words,
        url=without_user(asked.url) if asked else "",
        method=asked.method if asked else "",
        variables=urlencode(asked.fields) if asked else "",
        response_body=got.body.decode("utf-8", "replace") if got else "",
        response_headers=urlencode(got.headers) if got else "",
    )
    world.notifications.add(
        record, code=record.code, level=record.level, text=words, subject=trouble.subject
    )
    if world.debugger_url and not (asked and asked.purpose == "debugger"):
        # The debugger's own failures are not reported to it: that would never end.
        world.outbox.notify(_webhook(world, record, trouble))
    return record


def delivery_failed(world: World, webhook: Webhook, delivery: Delivery) -> None:
    """A notification was not taken: a warning, 15003 when the answer was an error status."""
    code = 15003 if delivery.error == 11200 and delivery.status else delivery.error
    report(
        world,
        Trouble(
            code, "warning", f"{WORDS.get(code, 'Failed')}: {delivery.reason}",
            webhook.account_sid, webhook.subject, webhook, delivery,
        ),
    )  # fmt: skip


def _webhook(world: World, record: Notification, trouble: Trouble) -> Webhook:
    asked, got = trouble.webhook, trouble.delivery
    payload = {
        "resource_sid": trouble.subject or None,
        "service_sid": None,
        "error_code": str(record.code),
        "more_info": {"msg": record.text, "Msg": record.text, **trouble.fields},
        "webhook": {
            "type": "application/json",
            "request": {
                "url": record.url,
                "method": record.method,
                "headers": {},
                "parameters": dict(asked.fields) if asked else {},
            },
            "response": {
                "status_code": got.status if got else None,
                "headers": got.headers if got else {},
                "body": record.response_body,
            },
        },
    }
    account = world.accounts.get(trouble.account_sid)
    fields = [("Sid", record.sid), ("AccountSid", trouble.account_sid)]
    if account is not None and account.owner_sid != account.sid:
        fields.append(("ParentAccountSid", account.owner_sid))
    fields += [
        ("Timestamp", record.created.strftime("%Y-%m-%dT%H:%M:%SZ")),
        ("Level", "Error" if record.level == "error" else "Warning"),
        ("PayloadType", "application/json"),
        ("Payload", json.dumps(payload, sort_keys=True)),
    ]
    return Webhook("debugger", world.debugger_url, tuple(fields), trouble.account_sid,
                   subject=record.sid)  # fmt: skip
