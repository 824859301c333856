"""Control of calls as the person on the phone: call in, press, speak, answer, decline, hang up."""

import re
from typing import Any

from ringback.simulator.control.request import ControlRequest, Routes, Wrong
from ringback.simulator.rest import voiceshapes
from ringback.simulator.switchboard import exchange_of, exchange_with
from ringback.simulator.voice.ports import Callback, RecordingSpec
from ringback.simulator.world import World

RECORDING_STATUSES = ("in-progress", "completed", "absent", "failed")


async def ring_in(world: World, request: ControlRequest) -> dict[str, Any]:
    sender, to = request.text("from"), request.text("to")
    number = world.number(to)
    if number is None:
        raise Wrong(world.not_ours(to), 404)
    extra = request.data.get("fields") or {}
    if not isinstance(extra, dict):
        raise Wrong("'fields' must be a mapping of webhook fields")
    exchange = exchange_of(world, number.account_sid)
    call = exchange.ring_in(
        sender,
        to,
        forwarded_from=request.text("forwarded_from", ""),
        caller_name=request.text("caller_name", ""),
        keys=request.text("keys", ""),
        say=request.text("say", ""),
        extra=tuple((str(name), str(value)) for name, value in extra.items()),
    )
    return _call(world, call.sid)


def _call(world: World, sid: str) -> dict[str, Any]:
    return exchange_with(world, sid).view(sid)


async def calls(world: World, request: ControlRequest) -> dict[str, Any]:
    boards = world.switchboards.values()
    return {"calls": [board.exchange.view(sid) for board in boards for sid in board.exchange.calls]}


async def call(world: World, request: ControlRequest) -> dict[str, Any]:
    return _call(world, request.path["sid"])


async def press(world: World, request: ControlRequest) -> dict[str, Any]:
    digits = request.text("digits")
    if not re.fullmatch(r"[0-9A-D*#wW]{1,200}", digits, re.ASCII):
        raise Wrong("'digits' may hold 0-9 A-D * # and w for half a second")
    exchange_with(world, request.path["sid"]).press(request.path["sid"], digits)
    return _call(world, request.path["sid"])


async def say(world: World, request: ControlRequest) -> dict[str, Any]:
    seconds = request.number("seconds", 0.0) if "seconds" in request.data else None
    exchange_with(world, request.path["sid"]).speak(
        request.path["sid"], request.text("text"), request.number("confidence", 0.9), seconds
    )
    return _call(world, request.path["sid"])


async def hang_up(world: World, request: ControlRequest) -> dict[str, Any]:
    exchange_with(world, request.path["sid"]).hang_up(request.path["sid"])
    return _call(world, request.path["sid"])


async def pick_up(world: World, request: ControlRequest) -> dict[str, Any]:
    exchange_with(world, request.path["sid"]).pick_up(request.path["sid"])
    return _call(world, request.path["sid"])


async def decline(world: World, request: ControlRequest) -> dict[str, Any]:
    exchange_with(world, request.path["sid"]).decline(
        request.path["sid"], request.text("status", "busy")
    )
    return _call(world, request.path["sid"])


async def record(world: World, request: ControlRequest) -> dict[str, Any]:
    """A recording as a person wants it: its status is reported to `url`, whatever the call does."""
    sid, status = request.path["sid"], request.text("status", "completed")
    if status not in RECORDING_STATUSES:
        raise Wrong(f"status must be one of {', '.join(RECORDING_STATUSES)}")
    callback = Callback(request.text("url", ""), "POST", frozenset({status}))
    exchange = exchange_with(world, sid)
    seconds = int(request.number("seconds", 12))
    row = exchange.invent_recording(sid, RecordingSpec(callback=callback), status, seconds)
    return voiceshapes.recording(world, exchange.switch.account_sid, row)


async def queues(world: World, request: ControlRequest) -> dict[str, Any]:
    found = []
    for account_sid, board in world.switchboards.items():
        for row in board.exchange.queues.values():
            shape = voiceshapes.queue(world, account_sid, row)
            waiting = [voiceshapes.member(world, account_sid, row, who) for who in row.members]
            found.append(shape | {"members": waiting})
    return {"queues": found}


async def conferences(world: World, request: ControlRequest) -> dict[str, Any]:
    found = []
    for account_sid, board in world.switchboards.items():
        for row in board.exchange.conferences.values():
            shape = voiceshapes.conference(world, account_sid, row)
            people = [
                voiceshapes.participant(world, account_sid, row, who)
                for who in row.participants.values()
            ]
            found.append(shape | {"participants": people})
    return {"conferences": found}


async def recordings(world: World, request: ControlRequest) -> dict[str, Any]:
    return {
        "recordings": [
            voiceshapes.recording(world, account_sid, row) | {"words": row.words}
            for account_sid, board in world.switchboards.items()
            for row in board.exchange.recordings.values()
        ]
    }


ROUTES: Routes = (
    ("POST", "/_sim/calls", ring_in),
    ("GET", "/_sim/calls", calls),
    ("GET", "/_sim/calls/{sid}", call),
    ("POST", "/_sim/calls/{sid}/keys", press),
    ("POST", "/_sim/calls/{sid}/say", say),
    ("POST", "/_sim/calls/{sid}/hangup", hang_up),
    ("POST", "/_sim/calls/{sid}/answer", pick_up),
    ("POST", "/_sim/calls/{sid}/decline", decline),
    ("POST", "/_sim/calls/{sid}/recording", record),
    ("GET", "/_sim/queues", queues),
    ("GET", "/_sim/conferences", conferences),
    ("GET", "/_sim/recordings", recordings),
)
