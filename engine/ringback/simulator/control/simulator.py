"""Control of the simulator as a whole: its ledger, its fault plan, its clock."""

import asyncio
from typing import Any

from starlette.responses import Response

from ringback.simulator import debugger
from ringback.simulator.control.request import ControlRequest, Routes, Wrong
from ringback.simulator.faults import fault_from, faults_from
from ringback.simulator.plan import check_fault, check_plan
from ringback.simulator.rest import shapes
from ringback.simulator.world import World


async def webhooks(world: World, request: ControlRequest) -> dict[str, Any]:
    if "debugger_url" in request.data:
        world.debugger_url = request.text("debugger_url", "")
    if "events_url" in request.data:
        world.events_url = request.text("events_url", "")
    if "shared_key" in request.data:
        world.shared_key_signing = bool(request.data["shared_key"])
    return {
        "debugger_url": world.debugger_url,
        "events_url": world.events_url,
        "shared_key": world.shared_key_signing,
        "shared_key_id": world.identity.shared_key_id,
        "shared_key_secret": world.identity.shared_key,
    }


async def report_error(world: World, request: ControlRequest) -> dict[str, Any]:
    level = request.text("level", "error")
    if level not in ("error", "warning"):
        raise Wrong("level must be error or warning")
    code = int(request.number("code", 0))
    if not 10_000 <= code <= 99_999:
        raise Wrong("'code' must be one of Twilio's error codes, as 11200")
    record = debugger.report(
        world,
        debugger.Trouble(
            code, level, request.text("text", ""), world.identity.account_sid,
            request.text("sid", ""),
        ),
    )  # fmt: skip
    return shapes.notification(record)


async def ledger(world: World, request: ControlRequest) -> dict[str, Any]:
    after = request.query.get("after", "0")
    if not (after.isascii() and after.isdigit()):
        raise Wrong("'after' must be the number of an entry")
    return {
        "entries": world.ledger.after(int(after[:12]), request.query.get("kind", "")),
        "last": world.ledger.last,
    }


async def ledger_lines(world: World, request: ControlRequest) -> Response:
    return Response("".join(world.ledger.lines()), media_type="application/x-ndjson")


async def plan(world: World, request: ControlRequest) -> dict[str, Any]:
    return {
        "faults": [fault.show() for fault in world.plan.faults],
        "messaging": world.messaging,
        "maton": world.maton,
    }


async def set_plan(world: World, request: ControlRequest) -> dict[str, Any]:
    data = check_plan(request.data)
    world.plan.replace(faults_from(data.get("faults") or []))
    world.messaging = dict(data.get("messaging") or world.messaging)
    world.maton = dict(data.get("maton") or world.maton)
    for number, settings in (data.get("handsets") or {}).items():
        world.handset(str(number)).set(dict(settings or {}))
    return await plan(world, request)


async def add_fault(world: World, request: ControlRequest) -> dict[str, Any]:
    check_fault(request.data, len(world.plan.faults))
    world.plan.add(fault_from(request.data, len(world.plan.faults)))
    return await plan(world, request)


async def drop_faults(world: World, request: ControlRequest) -> dict[str, Any]:
    world.plan.replace([])
    return await plan(world, request)


async def clock(world: World, request: ControlRequest) -> dict[str, Any]:
    virtual = world.clock
    return {
        "time": virtual.shown().isoformat(),
        "mode": "stepped" if virtual.stepped else "real",
        "speed": virtual.speed,
        "pending": virtual.pending(),
        "next": virtual.next_in(),
    }


async def move_clock(world: World, request: ControlRequest) -> dict[str, Any]:
    ran = 0
    if "speed" in request.data:
        if world.clock.stepped:
            raise Wrong("a stepped clock has no speed: advance it")
        speed = request.number("speed", 1.0)
        if not 0 < speed <= 1_000_000:
            raise Wrong("'speed' must lie between 0 and 1000000")
        world.clock.set_speed(speed)
    if "advance" in request.data:
        seconds = request.number("advance", 0.0)
        if not 0 <= seconds <= 400 * 86_400:
            raise Wrong("'advance' must be seconds, not negative, at most 400 days")
        ran = await world.clock.advance(seconds)
    if request.data.get("idle"):
        if not world.clock.stepped:
            raise Wrong("only a stepped clock can run until idle; POST /_sim/idle waits for that")
        ran = await world.clock.exhaust()
    return {"ran": ran, **await clock(world, request)}


async def idle(world: World, request: ControlRequest) -> dict[str, Any]:
    within = request.number("within", 1.0)
    try:
        async with asyncio.timeout(min(request.number("timeout", 30.0), 600.0)):
            while world.webhook_client.busy or world.clock.pending(within=within):
                await asyncio.sleep(0.01)
    except TimeoutError:
        return {"idle": False}
    return {"idle": True}


async def set_connection(world: World, request: ControlRequest) -> dict[str, Any]:
    connection = world.connections.get(request.path["id"])
    if connection is None:
        raise Wrong(f"there is no connection {request.path['id']}", 404)
    status = request.text("status").upper()
    if status not in ("ACTIVE", "PENDING", "FAILED", "EXPIRED"):
        raise Wrong("status must be ACTIVE, PENDING, FAILED or EXPIRED")
    connection.expired = status == "EXPIRED"
    connection.status = "ACTIVE" if connection.expired else status
    connection.updated = world.clock.shown()
    return {"connection_id": connection.connection_id, "status": status}


ROUTES: Routes = (
    ("POST", "/_sim/webhooks", webhooks),
    ("POST", "/_sim/errors", report_error),
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
