"""Postal addresses.

https://www.twilio.com/docs/usage/api/address
"""

from ringback.simulator.form import Form
from ringback.simulator.records import Resource
from ringback.simulator.refusal import invalid
from ringback.simulator.rest import shapes
from ringback.simulator.rest.paging import page
from ringback.simulator.rest.route import Ask, Reply, collection
from ringback.simulator.rest.settings import changes

KINDS = {
    "FriendlyName": "name", "CustomerName": "text", "Street": "text", "StreetSecondary": "text",
    "City": "text", "Region": "text", "PostalCode": "text", "EmergencyEnabled": "flag",
}  # fmt: skip
REQUIRED = ("CustomerName", "Street", "City", "Region", "PostalCode", "IsoCountry")
LONGEST_CUSTOMER = 64


def _shape(record: Resource) -> dict[str, object]:
    return shapes.resource(record, "Addresses")


def _one(ask: Ask) -> Resource:
    return ask.world.addresses.need(ask.account.sid, ask.ids[0], ask.link)


def _check(form: Form) -> None:
    form.flag("AutoCorrectAddress", True)
    if len(form.text("CustomerName").encode()) > LONGEST_CUSTOMER:
        raise invalid(21658, "CustomerName may have 64 bytes: 16 characters of four bytes each")
    if "invalid" in form.text("Street").lower():
        raise invalid(21628, "The address could not be validated")


def listing(ask: Ask) -> Reply:
    query = ask.query
    wanted = {
        field: query.text(name)
        for name, field in (
            ("CustomerName", "customer_name"),
            ("FriendlyName", "friendly_name"),
            ("IsoCountry", "iso_country"),
        )
        if query.text(name)
    }
    emergency = query.flag("EmergencyEnabled") if query.text("EmergencyEnabled") else None
    rows = (
        row
        for row in ask.world.addresses.newest(ask.account.sid)
        if all(row.text(field) == value for field, value in wanted.items())
        and (emergency is None or row.fields["emergency_enabled"] == emergency)
    )
    return page(ask, "addresses", rows, lambda row: row.sid, _shape)


def create(ask: Ask) -> Reply:
    for name in REQUIRED:
        ask.form.required(name, 20001)
    _check(ask.form)
    country = ask.form.text("IsoCountry").upper()
    if not (len(country) == 2 and country.isascii() and country.isalpha()):
        raise invalid(20001, "IsoCountry must be two letters")
    fields = {
        "friendly_name": None, "street_secondary": None, "emergency_enabled": False,
        "iso_country": country, "validated": False, "verified": False,
    } | changes(ask.form, KINDS)  # fmt: skip
    record = Resource(**ask.world.stamps("AD", ask.account.sid), fields=fields)
    ask.world.addresses.add(record, customer_name=record.text("customer_name"))
    return Reply(201, _shape(record), record.sid)


def get(ask: Ask) -> Reply:
    return Reply(200, _shape(_one(ask)))


def update(ask: Ask) -> Reply:
    record = _one(ask)
    _check(ask.form)
    fields = changes(ask.form, KINDS)
    record.fields.update(fields)
    ask.world.addresses.touch(record, **fields)
    return Reply(200, _shape(record))


def delete(ask: Ask) -> Reply:
    ask.world.addresses.remove(_one(ask))
    return Reply(204)


ROUTES = collection(
    "Addresses", "addresses",
    listing=listing, create=create, get=get, update=update, delete=delete,
)  # fmt: skip
