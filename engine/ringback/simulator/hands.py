"""What may a person or a test do by hand? The control API under `/_sim/`: phones, time, faults.

JSON in, JSON out. It belongs to the box and not to Twilio, so it needs no credentials: the box
listens on loopback.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ringback.errors import ConfigError
from ringback.simulator import carrier, inbound
from ringback.simulator.plan import check_plan, fault_from, faults_from
from ringback.simulator.refusal import Refusal
from ringback.simulator.rest import shapes
from ringback.simulator.world import World


class Wrong(Exception):
    """The request by hand cannot be done; the words say what to mend."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Wish:
    """The body and the path of one request by hand."""

    def __init__(self, request: Request, data: dict[str, Any]) -> None:
        self.path = request.path_params
        self.query = request.query_params
        self.data = data

    def text(self, name: str, default: str | None = None) -> str:
        """A field as text. Without a default it must be there."""
        value = self.data.get(name, default)
        if value is None:
            raise Wrong(f"the body needs {name!r}")
        if not isinstance(value, str | int | float):
            raise Wrong(f"{name!r} must be text")
        return str(value)

    def number(self, name: str, default: float) -> float:
        value = self.data.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Wrong(f"{name!r} must be a number")
        return float(value)


Hand = Callable[[World, Wish], Awaitable[Any]]

LARGEST = 1024 * 1024


async def answer(world: World, request: Request, does: Hand) -> Response:
    """Run one hand and write its answer; what cannot be done is a 4xx that says why."""
    try:
        raw = b""
        if request.method != "GET":
            async for piece in request.stream():
                raw += piece
                if len(raw) > LARGEST:
                    raise Wrong("the body is larger than 1 MiB", 413)
        data = json.loads(raw) if raw.strip() else {}
        if not isinstance(data, dict):
            raise Wrong("the body must be a JSON object")
        result = await does(world, Wish(request, data))
    except Wrong as wrong:
        return JSONResponse({"error": str(wrong)}, wrong.status)
    except Refusal as refusal:
        return JSONResponse({"error": refusal.message, "code": refusal.code}, refusal.status)
    except ConfigError as error:
        return JSONResponse({"error": str(error)}, 400)
    except (ValueError, RecursionError) as error:
        return JSONResponse({"error": f"the body is not JSON: {error}"}, 400)
    if isinstance(result, Response):
        return result
    return JSONResponse(result, 201 if result and result.get("sid") and raw else 200)


async def text_in(world: World, wish: Wish) -> dict[str, Any]:
    media = wish.data.get("media") or []
    if not isinstance(media, list) or len(media) > 10:
        raise Wrong("'media' must be a list of at most ten URLs")
    extra = wish.data.get("fields") or {}
    if not isinstance(extra, dict):
        raise Wrong("'fields' must be a mapping of webhook fields")
    if wish.data.get("profile_name"):
        extra = extra | {"ProfileName": wish.text("profile_name")}
    message = inbound.receive(
        world,
        inbound.Text(
            wish.text("from"),
            wish.text("to"),
            wish.text("body", ""),
            tuple(str(item) for item in media),
            {str(name): str(value) for name, value in extra.items()},
        ),
    )
    return shapes.message(message)


async def message(world: World, wish: Wish) -> dict[str, Any]:
    record = world.messages.get(wish.path["sid"])
    if record is None:
        raise Wrong(f"there is no message {wish.path['sid']}", 404)
    steps = [step | {"at": step["at"].isoformat()} for step in record.history]
    return shapes.message(record) | {"history": steps}


async def force_status(world: World, wish: Wish) -> dict[str, Any]:
    record = world.messages.get(wish.path["sid"])
    if record is None:
        raise Wrong(f"there is no message {wish.path['sid']}", 404)
    status = wish.text("status")
    if status not in carrier.RANK:
        raise Wrong(f"status must be one of {', '.join(carrier.RANK)}")
    code = int(wish.number("error_code", 0))
    if not carrier.change(world, record, status, code):
        raise Wrong(f"a message that is {record.status} cannot become {status}", 409)
    return await message(world, wish)


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
        "sent": phone.sent,
        "blocks": sorted(sender for person, sender in world.blocks if person == phone.number),
    }


async def handsets(world: World, wish: Wish) -> dict[str, Any]:
    return {"handsets": [_phone(world, number) for number in sorted(world.handsets)]}


async def handset(world: World, wish: Wish) -> dict[str, Any]:
    return _phone(world, wish.path["number"])


async def set_handset(world: World, wish: Wish) -> dict[str, Any]:
    world.handset(wish.path["number"]).set(wish.data)
    return _phone(world, wish.path["number"])


async def numbers(world: World, wish: Wish) -> dict[str, Any]:
    return {"numbers": [shapes.resource(row, "IncomingPhoneNumbers") for row in world.numbers]}


async def set_number(world: World, wish: Wish) -> dict[str, Any]:
    from ringback.simulator.furnish import add_number

    address = wish.path.get("number") or wish.text("phone_number")
    record = world.number(address)
    fields = {name: value for name, value in wish.data.items() if name != "phone_number"}
    if record is None:
        if "number" in wish.path:
            raise Wrong(f"{address} is not one of our numbers", 404)
        record = add_number(world, world.identity.account_sid, address)
    unknown = [name for name in fields if name not in record.fields]
    if unknown:
        raise Wrong(f"a number has no {unknown[0]!r}; it has {', '.join(record.fields)}")
    record.fields.update(fields)
    world.numbers.touch(record, **fields)
    return shapes.resource(record, "IncomingPhoneNumbers")


async def services(world: World, wish: Wish) -> dict[str, Any]:
    return {"services": [shapes.resource(row, "Services") for row in world.services]}


async def set_service(world: World, wish: Wish) -> dict[str, Any]:
    record = world.services.get(wish.path["sid"])
    if record is None:
        raise Wrong(f"there is no service {wish.path['sid']}", 404)
    unknown = [name for name in wish.data if name not in record.fields]
    if unknown:
        raise Wrong(f"a service has no {unknown[0]!r}; it has {', '.join(record.fields)}")
    record.fields.update(wish.data)
    world.services.touch(record, **wish.data)
    return shapes.resource(record, "Services")


async def webhooks(world: World, wish: Wish) -> dict[str, Any]:
    if "debugger_url" in wish.data:
        world.debugger_url = wish.text("debugger_url", "")
    if "shared_key" in wish.data:
        world.shared_key_signing = bool(wish.data["shared_key"])
    return {
        "debugger_url": world.debugger_url,
        "shared_key": world.shared_key_signing,
        "shared_key_id": world.identity.shared_key_id,
        "shared_key_secret": world.identity.shared_key,
    }


async def ledger(world: World, wish: Wish) -> dict[str, Any]:
    after = wish.query.get("after", "0")
    if not (after.isascii() and after.isdigit()):
        raise Wrong("'after' must be the number of an entry")
    return {
        "entries": world.ledger.after(int(after[:12]), wish.query.get("kind", "")),
        "last": world.ledger.last,
    }


async def ledger_lines(world: World, wish: Wish) -> Response:
    return Response("".join(world.ledger.lines()), media_type="application/x-ndjson")


async def plan(world: World, wish: Wish) -> dict[str, Any]:
    return {
        "faults": [fault.show() for fault in world.plan.faults],
        "messaging": world.messaging,
        "maton": world.maton,
    }


async def set_plan(world: World, wish: Wish) -> dict[str, Any]:
    data = check_plan(wish.data)
    world.plan.replace(faults_from(data.get("faults") or []))
    world.messaging = dict(data.get("messaging") or world.messaging)
    world.maton = dict(data.get("maton") or world.maton)
    for number, wishes in (data.get("handsets") or {}).items():
        world.handset(str(number)).set(dict(wishes or {}))
    return await plan(world, wish)


async def add_fault(world: World, wish: Wish) -> dict[str, Any]:
    world.plan.add(fault_from(wish.data, len(world.plan.faults)))
    return await plan(world, wish)


async def drop_faults(world: World, wish: Wish) -> dict[str, Any]:
    world.plan.replace([])
    return await plan(world, wish)


async def clock(world: World, wish: Wish) -> dict[str, Any]:
    hand = world.clock
    return {
        "time": hand.shown().isoformat(),
        "mode": "stepped" if hand.stepped else "real",
        "speed": hand.speed,
        "pending": hand.pending(),
    }


async def move_clock(world: World, wish: Wish) -> dict[str, Any]:
    ran = 0
    if "speed" in wish.data:
        if world.clock.stepped:
            raise Wrong("a stepped clock has no speed: advance it")
        speed = wish.number("speed", 1.0)
        if not 0 < speed <= 1_000_000:
            raise Wrong("'speed' must lie between 0 and 1000000")
        world.clock.set_speed(speed)
    if "advance" in wish.data:
        seconds = wish.number("advance", 0.0)
        if not 0 <= seconds <= 400 * 86_400:
            raise Wrong("'advance' must be seconds, not negative, at most 400 days")
        ran = await world.clock.advance(seconds)
    if wish.data.get("idle"):
        if not world.clock.stepped:
            raise Wrong("only a stepped clock can run until idle; POST /_sim/idle waits for that")
        ran = await world.clock.exhaust()
    return {"ran": ran, **await clock(world, wish)}


async def idle(world: World, wish: Wish) -> dict[str, Any]:
    import asyncio

    within = wish.number("within", 1.0)
    try:
        async with asyncio.timeout(min(wish.number("timeout", 30.0), 600.0)):
            while world.courier.busy or world.clock.pending(within=within):
                await asyncio.sleep(0.01)
    except TimeoutError:
        return {"idle": False}
    return {"idle": True}


async def set_connection(world: World, wish: Wish) -> dict[str, Any]:
    connection = world.connections.get(wish.path["id"])
    if connection is None:
        raise Wrong(f"there is no connection {wish.path['id']}", 404)
    status = wish.text("status").upper()
    if status not in ("ACTIVE", "PENDING", "FAILED", "EXPIRED"):
        raise Wrong("status must be ACTIVE, PENDING, FAILED or EXPIRED")
    connection.expired = status == "EXPIRED"
    connection.status = "ACTIVE" if connection.expired else status
    connection.updated = world.clock.shown()
    return {"connection_id": connection.connection_id, "status": status}


HANDS: tuple[tuple[str, str, Hand], ...] = (
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
    ("POST", "/_sim/services/{sid}", set_service),
    ("POST", "/_sim/webhooks", webhooks),
    ("GET", "/_sim/ledger", ledger),
    ("GET", "/_sim/ledger.jsonl", ledger_lines),
    ("GET", "/_sim/plan", plan),
    ("PUT", "/_sim/plan", set_plan),
    ("POST", "/_sim/faults", add_fault),
    ("DELETE", "/_sim/faults", drop_faults),
    ("GET", "/_sim/clock", clock),
    ("POST", "/_sim/clock", move_clock),
    ("POST", "/_sim/idle", idle),
    ("POST", "/_sim/connections/{id}", set_connection),
)
