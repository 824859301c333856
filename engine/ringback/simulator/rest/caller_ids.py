"""Numbers of other people that were verified: they may be shown as the caller.

https://www.twilio.com/docs/voice/api/outgoing-caller-ids. A validation calls the number; a handset
that answers keys the code by itself.
"""

from functools import partial

from ringback.simulator.numbering import friendly, is_e164
from ringback.simulator.records import Resource
from ringback.simulator.refusal import invalid
from ringback.simulator.rest import shapes
from ringback.simulator.rest.paging import page
from ringback.simulator.rest.route import Ask, Reply, collection
from ringback.simulator.rest.settings import changes
from ringback.simulator.switchboard import exchange_of
from ringback.simulator.voice.ports import Script
from ringback.simulator.webhook_client import Webhook
from ringback.simulator.world import World

VERIFIER = "+14157234000"  # the number that such a call comes from
CODE_SECONDS = 15.0
ASKING = "<Response><Say>Please enter your validation code.</Say><Pause length='5'/></Response>"


def _shape(record: Resource) -> dict[str, object]:
    return shapes.resource(record, "OutgoingCallerIds")


def _one(ask: Ask) -> Resource:
    return ask.world.caller_ids.need(ask.account.sid, ask.ids[0], ask.link)


def listing(ask: Ask) -> Reply:
    number, name = ask.query.text("PhoneNumber"), ask.query.text("FriendlyName")
    rows = (
        row
        for row in ask.world.caller_ids.newest(ask.account.sid)
        if (not number or row.text("phone_number") == number)
        and (not name or row.text("friendly_name") == name)
    )
    return page(ask, "outgoing_caller_ids", rows, lambda row: row.sid, _shape)


def create(ask: Ask) -> Reply:
    """Ask for a validation: the answer has the code that the person keys in the call."""
    form, world = ask.form, ask.world
    number = form.required("PhoneNumber", 21401)
    if not is_e164(number):
        raise invalid(21401, f"PhoneNumber is not valid: {number[:40]}")
    if any(row.text("phone_number") == number for row in world.caller_ids.of(ask.account.sid)):
        raise invalid(21450, f"Phone number already validated for your account: {number}")
    name = str(changes(form, {"FriendlyName": "name"}).get("friendly_name") or friendly(number))
    delay = form.number("CallDelay", 0, 0, 60)
    report = form.url("StatusCallback", 21502), form.method("StatusCallbackMethod")
    call = exchange_of(world, ask.account.sid).place(number, VERIFIER, Script(twiml=ASKING))
    settle = partial(_settle, world, ask.account.sid, number, name, call.sid, report)
    world.clock.after(delay + CODE_SECONDS, settle)
    code = f"{int(call.sid[2:], 16) % 900_000 + 100_000}"
    data = {
        "account_sid": ask.account.sid,
        "call_sid": call.sid,
        "friendly_name": name,
        "phone_number": number,
        "validation_code": code,
    }
    return Reply(200, data, call.sid)


def _settle(
    world: World, account_sid: str, number: str, name: str, call_sid: str, report: tuple[str, str]
) -> None:
    """The call is over: whoever answered has keyed the code."""
    answered = world.handset(number).call_outcome() in ("answer", "manual")
    fields = [
        ("AccountSid", account_sid), ("CallSid", call_sid), ("Called", number), ("To", number),
        ("From", VERIFIER), ("VerificationStatus", "success" if answered else "failed"),
    ]  # fmt: skip
    if answered:
        record = Resource(
            **world.stamps("PN", account_sid),
            fields={"friendly_name": name, "phone_number": number},
        )
        world.caller_ids.add(record, phone_number=number)
        fields.append(("OutgoingCallerIdSid", record.sid))
    url, method = report
    if url:
        sent = Webhook("caller-id", url, tuple(fields), account_sid, method, call_sid, voice=True)
        world.outbox.notify(sent)


def get(ask: Ask) -> Reply:
    return Reply(200, _shape(_one(ask)))


def update(ask: Ask) -> Reply:
    record = _one(ask)
    fields = changes(ask.form, {"FriendlyName": "name"})
    record.fields.update(fields)
    ask.world.caller_ids.touch(record, **fields)
    return Reply(200, _shape(record))


def delete(ask: Ask) -> Reply:
    ask.world.caller_ids.remove(_one(ask))
    return Reply(204)


ROUTES = collection(
    "OutgoingCallerIds", "caller_ids",
    listing=listing, create=create, get=get, update=update, delete=delete,
)  # fmt: skip
