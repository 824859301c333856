"""Our phone numbers.

https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource
"""

from fnmatch import fnmatchcase
from functools import partial

from ringback.simulator.numbering import is_e164
from ringback.simulator.records import Resource
from ringback.simulator.refusal import invalid
from ringback.simulator.rest import shapes
from ringback.simulator.rest.available_numbers import KINDS as KINDS_OF_NUMBER
from ringback.simulator.rest.available_numbers import kind_of
from ringback.simulator.rest.paging import page
from ringback.simulator.rest.route import Ask, Reply, collection, route
from ringback.simulator.rest.settings import changes, fallbacks
from ringback.simulator.seed import add_number

KINDS = {
    "FriendlyName": "name", "ApiVersion": "text",
    "VoiceUrl": "url", "VoiceMethod": "method", "VoiceFallbackUrl": "url",
    "VoiceFallbackMethod": "method", "VoiceApplicationSid": "sid", "VoiceCallerIdLookup": "flag",
    "VoiceReceiveMode": "voice|fax", "SmsUrl": "url", "SmsMethod": "method",
    "SmsFallbackUrl": "url", "SmsFallbackMethod": "method", "SmsApplicationSid": "sid",
    "StatusCallback": "url", "StatusCallbackMethod": "method", "TrunkSid": "sid",
    "AddressSid": "sid", "IdentitySid": "sid", "BundleSid": "sid",
    "EmergencyStatus": "Active|Inactive", "EmergencyAddressSid": "sid",
}  # fmt: skip


def _shape(record: Resource) -> dict[str, object]:
    return shapes.resource(record, "IncomingPhoneNumbers")


def _one(ask: Ask) -> Resource:
    return ask.world.numbers.need(ask.account.sid, ask.ids[0], ask.link)


def _check(ask: Ask, fields: dict[str, object]) -> None:
    fallbacks(fields)
    for name in ("voice_application_sid", "sms_application_sid"):
        sid = fields.get(name)
        if sid and ask.world.applications.get(str(sid)) is None:
            raise invalid(21420, f"The application {sid} cannot be used from this account")


def _kind(ask: Ask) -> str:
    """`Local`, `Mobile` or `TollFree` when the path names one, else nothing."""
    last = ask.path.rpartition("/")[2]
    return last if last in KINDS_OF_NUMBER else ""


def _shape_of(ask: Ask, record: Resource) -> dict[str, object]:
    """In a list of one kind no row says its kind."""
    shape = _shape(record)
    if _kind(ask):
        del shape["type"]
    return shape


def listing(ask: Ask) -> Reply:
    query, kind = ask.query, _kind(ask)
    pattern, name = query.text("PhoneNumber"), query.text("FriendlyName")
    beta, origin = query.text("Beta"), query.text("Origin")
    wanted = pattern if "*" in pattern else f"*{pattern}*"
    rows = [
        row
        for row in ask.world.numbers.newest(ask.account.sid)
        if (not pattern or fnmatchcase(row.text("phone_number"), wanted))
        and (not name or row.text("friendly_name") == name)
        and (not beta or query.flag("Beta") == row.fields["beta"])
        and (not origin or row.text("origin") == origin)
        and (not kind or kind_of(row.text("phone_number")) == kind)
    ]
    shape = partial(_shape_of, ask)
    return page(ask, "incoming_phone_numbers", rows, lambda row: row.sid, shape)


def create(ask: Ask) -> Reply:
    address, area = ask.form.text("PhoneNumber"), ask.form.text("AreaCode")
    kind = _kind(ask)
    if kind:
        area = ""  # a kind has no search by area: its number is named
    if not address and not area:
        raise invalid(21401, "PhoneNumber or AreaCode is required")
    if area and not (area.isascii() and area.isdigit() and len(area) == 3):
        raise invalid(21451, f"AreaCode is not valid: {area[:20]}")
    if not address:
        address = _free(ask, area)
    if not is_e164(address) or address == "+15005550001":
        raise invalid(21421, f"PhoneNumber is not valid: {address[:40]}")
    if ask.world.number(address) is not None or address == "+15005550000":
        raise invalid(21422, f"{address} is not available")
    if kind and kind_of(address) != kind:
        raise invalid(21421, f"{address} is no {kind} number but {kind_of(address)}")
    fields = changes(ask.form, KINDS)
    _check(ask, fields)
    record = add_number(ask.world, ask.account.sid, address, fields)
    return Reply(201, _shape_of(ask, record), record.sid)


def _free(ask: Ask, area: str) -> str:
    taken = {row.text("phone_number") for row in ask.world.numbers}
    for line in range(100, 10_000):
        address = f"+1{area}555{line:04d}"
        if address not in taken and is_e164(address):
            return address
    raise invalid(21452, f"No numbers found in area code {area}")


def get(ask: Ask) -> Reply:
    return Reply(200, _shape(_one(ask)))


def update(ask: Ask) -> Reply:
    record = _one(ask)
    fields = changes(ask.form, KINDS)
    _check(ask, {**record.fields, **fields})
    target = ask.form.text("AccountSid")
    if target:
        account = ask.world.accounts.get(target)
        if account is None or ask.account.sid not in (account.sid, account.owner_sid):
            raise invalid(21471, f"There is no account {target[:40]}")
        if account.status != "active":
            raise invalid(21472, f"Account {target} is {account.status}")
        record.account_sid = target
    record.fields.update(fields)
    ask.world.numbers.touch(record, **fields)
    return Reply(200, _shape(record))


def delete(ask: Ask) -> Reply:
    ask.world.numbers.remove(_one(ask))
    return Reply(204)


ROUTES = (
    *(
        route(method, f"IncomingPhoneNumbers/{kind}", f"numbers.{verb}", handler)
        for kind in KINDS_OF_NUMBER
        for method, verb, handler in (("GET", "list", listing), ("POST", "create", create))
    ),
    *collection(
        "IncomingPhoneNumbers", "numbers",
        listing=listing, create=create, get=get, update=update, delete=delete,
    ),
)  # fmt: skip
