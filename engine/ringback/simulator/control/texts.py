"""Control of texts, phones and our numbers: text in, set how a phone behaves, set webhook URLs."""

from typing import Any

from ringback.simulator import carrier, inbound
from ringback.simulator.control.request import ControlRequest, Routes, Wrong
from ringback.simulator.rest import shapes
from ringback.simulator.seed import add_number, add_service, set_fields
from ringback.simulator.world import World


async def text_in(world: World, request: ControlRequest) -> dict[str, Any]:
    media = request.data.get("media") or []
    if not isinstance(media, list) or len(media) > 10:
        raise Wrong("'media' must be a list of at most ten URLs")
    extra = request.data.get("fields") or {}
    if not isinstance(extra, dict):
        raise Wrong("'fields' must be a mapping of webhook fields")
    if request.data.get("profile_name"):
        extra = extra | {"ProfileName": request.text("profile_name")}
    message = inbound.receive(
        world,
        inbound.Text(
            request.text("from"),
            request.text("to"),
            request.text("body", ""),
            tuple(str(item) for item in media),
            {str(name): str(value) for name, value in extra.items()},
        ),
    )
    return shapes.message(message, world.clock.now())


async def message(world: World, request: ControlRequest) -> dict[str, Any]:
    record = world.messages.get(request.path["sid"])
    if record is None:
        raise Wrong(f"there is no message {request.path['sid']}", 404)
    steps = [step | {"at": step["at"].isoformat()} for step in record.history]
    return shapes.message(record, world.clock.now()) | {"history": steps}


async def force_status(world: World, request: ControlRequest) -> dict[str, Any]:
    record = world.messages.get(request.path["sid"])
    if record is None:
        raise Wrong(f"there is no message {request.path['sid']}", 404)
    status = request.text("status")
    if status not in carrier.RANK:
        raise Wrong(f"status must be one of {', '.join(carrier.RANK)}")
    code = int(request.number("error_code", 0))
    if not carrier.change(world, record, status, code):
        raise Wrong(f"a message that is {record.status} cannot become {status}", 409)
    return await message(world, request)


def _phone(world: World, number: str) -> dict[str, Any]:
    phone = world.handset(number)
    return {
        "number": phone.number,
        "messages": phone.messages or ":".join(str(x) for x in phone.message_fate() if x),
        "calls": phone.call_outcome(),
        "ring_seconds": phone.ring_seconds,
        "talk_seconds": phone.talk_seconds,
        "keys": phone.keys,
        "say": phone.say,
        "inbox": phone.inbox,
        "calls_made": [
            leg.sid
            for board in world.switchboards.values()
            for leg in board.exchange.calls.values()
            if number in (leg.from_, leg.to)
        ],
        "sent": phone.sent,
        "blocks": sorted(sender for person, sender in world.blocks if person == phone.number),
    }


async def handsets(world: World, request: ControlRequest) -> dict[str, Any]:
    return {"handsets": [_phone(world, number) for number in sorted(world.handsets)]}


async def handset(world: World, request: ControlRequest) -> dict[str, Any]:
    return _phone(world, request.path["number"])


async def set_handset(world: World, request: ControlRequest) -> dict[str, Any]:
    world.handset(request.path["number"]).set(request.data)
    return _phone(world, request.path["number"])


async def numbers(world: World, request: ControlRequest) -> dict[str, Any]:
    return {"numbers": [shapes.resource(row, "IncomingPhoneNumbers") for row in world.numbers]}


async def set_number(world: World, request: ControlRequest) -> dict[str, Any]:
    address = request.path.get("number") or request.text("phone_number")
    record = world.number(address)
    fields = {name: value for name, value in request.data.items() if name != "phone_number"}
    if record is None:
        if "number" in request.path:
            raise Wrong(world.not_ours(address), 404)
        record = add_number(world, world.identity.account_sid, address)
    set_fields(record, fields, "a number")
    world.numbers.touch(record, **fields)
    return shapes.resource(record, "IncomingPhoneNumbers")


async def services(world: World, request: ControlRequest) -> dict[str, Any]:
    return {"services": [shapes.resource(row, "Services") for row in world.services]}


async def new_service(world: World, request: ControlRequest) -> dict[str, Any]:
    record = add_service(world, world.identity.account_sid, [])
    set_fields(record, request.data, "a service")
    return shapes.resource(record, "Services")


async def set_service(world: World, request: ControlRequest) -> dict[str, Any]:
    record = world.services.get(request.path["sid"])
    if record is None:
        raise Wrong(f"there is no service {request.path['sid']}", 404)
    set_fields(record, request.data, "a service")
    world.services.touch(record, **request.data)
    return shapes.resource(record, "Services")


ROUTES: Routes = (
    ("POST", "/_sim/messages", text_in),
    ("GET", "/_sim/messages/{sid}", message),
    ("POST", "/_sim/messages/{sid}/status", force_status),
    ("GET", "/_sim/handsets", handsets),
    ("GET", "/_sim/handsets/{number}", handset),
    ("POST", "/_sim/handsets/{number}", set_handset),
    ("GET", "/_sim/numbers", numbers),
    ("POST", "/_sim/numbers", set_number),
    ("POST", "/_sim/numbers/{number}", set_number),
    ("GET", "/_sim/services", services),
    ("POST", "/_sim/services", new_service),
    ("POST", "/_sim/services/{sid}", set_service),
)
