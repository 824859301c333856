"""Applications: webhook URLs by name.

https://www.twilio.com/docs/usage/api/applications
"""

from typing import Any

from ringback.simulator.records import Resource
from ringback.simulator.rest import shapes
from ringback.simulator.rest.paging import page
from ringback.simulator.rest.route import Ask, Reply, collection
from ringback.simulator.rest.settings import changes, fallbacks

KINDS = {
    "FriendlyName": "name", "ApiVersion": "text", "VoiceUrl": "url", "VoiceMethod": "method",
    "VoiceFallbackUrl": "url", "VoiceFallbackMethod": "method", "StatusCallback": "url",
    "StatusCallbackMethod": "method", "VoiceCallerIdLookup": "flag", "SmsUrl": "url",
    "SmsMethod": "method", "SmsFallbackUrl": "url", "SmsFallbackMethod": "method",
    "SmsStatusCallback": "url", "MessageStatusCallback": "url",
    "PublicApplicationConnectEnabled": "flag",
}  # fmt: skip
BLANK: dict[str, Any] = {
    "api_version": "2010-04-01",
    "friendly_name": "",
    "message_status_callback": "",
    "sms_fallback_method": "POST",
    "sms_fallback_url": "",
    "sms_method": "POST",
    "sms_status_callback": "",
    "sms_url": "",
    "status_callback": "",
    "status_callback_method": "POST",
    "voice_caller_id_lookup": False,
    "voice_fallback_method": "POST",
    "voice_fallback_url": "",
    "voice_method": "POST",
    "voice_url": "",
    "public_application_connect_enabled": False,
}


def _shape(record: Resource) -> dict[str, object]:
    return shapes.resource(record, "Applications")


def _one(ask: Ask) -> Resource:
    return ask.world.applications.need(ask.account.sid, ask.ids[0], ask.link)


def listing(ask: Ask) -> Reply:
    name = ask.query.text("FriendlyName")
    rows = (
        row
        for row in ask.world.applications.newest(ask.account.sid)
        if not name or row.text("friendly_name") == name
    )
    return page(ask, "applications", rows, lambda row: row.sid, _shape)


def create(ask: Ask) -> Reply:
    fields = BLANK | changes(ask.form, KINDS)
    fallbacks(fields)
    record = Resource(**ask.world.stamps("AP", ask.account.sid), fields=fields)
    ask.world.applications.add(record, friendly_name=record.text("friendly_name"))
    return Reply(201, _shape(record), record.sid)


def get(ask: Ask) -> Reply:
    return Reply(200, _shape(_one(ask)))


def update(ask: Ask) -> Reply:
    record = _one(ask)
    fields = changes(ask.form, KINDS)
    fallbacks(record.fields | fields)
    record.fields.update(fields)
    ask.world.applications.touch(record, **fields)
    return Reply(200, _shape(record))


def delete(ask: Ask) -> Reply:
    """Numbers that point to it are left without a handler."""
    record = _one(ask)
    ask.world.applications.remove(record)
    for number in ask.world.numbers:
        for name in ("voice_application_sid", "sms_application_sid"):
            if number.fields[name] == record.sid:
                number.fields[name] = None
    return Reply(204)


ROUTES = collection(
    "Applications", "applications",
    listing=listing, create=create, get=get, update=update, delete=delete,
)  # fmt: skip
