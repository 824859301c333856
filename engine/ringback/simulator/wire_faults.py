"""Endings of a request that a fault strikes, played on the connection.

`perform` is the request carried out: calling it makes the record, not calling it leaves the world
as it was. The ledger says which.
"""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ringback.simulator import maton
from ringback.simulator.faults import Fault
from ringback.simulator.refusal import Refusal
from ringback.simulator.wire import connection_of, disconnected
from ringback.simulator.world import World

HUGE = 500 * 1024 * 1024
BOMB = 1024
NESTED = 100_000
HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"
JSON = "application/json"
SLOW = ("hang", "drip", "malform", "callback_first")

Perform = Callable[[], Response]


async def play(world: World, request: Request, fault: Fault, perform: Perform) -> Response | None:
    """Answer a struck request. None: the connection has ended and there is nothing to answer."""
    if fault.do in SLOW and (line := connection_of(request)) is not None:
        line.held = True
    if fault.do == "error":
        return _error(fault, perform)
    if fault.do == "throttle":
        return _throttle(fault)
    if fault.do == "redirect":
        location = str(fault.get("location", "http://127.0.0.1:9/elsewhere"))
        return Response(status_code=int(fault.get("status", 302)), headers={"Location": location})
    if fault.do == "expired":
        return maton.expired()
    if fault.do == "reset":
        return await _reset(request, fault, perform)
    if fault.do == "hang":
        return await _hang(world, request, fault, perform)
    if fault.do == "drip":
        return await _drip(request, fault, perform())
    if fault.do == "malform":
        return await _malform(world, request, fault, perform)
    response = perform()
    if fault.do == "stale" and (line := connection_of(request)) is not None:
        line.poisoned = True
    if fault.do == "callback_first":
        await _callbacks(world, fault, response)
    return response


def _error(fault: Fault, perform: Perform) -> Response:
    if fault.get("created", False):
        perform()
    status = int(fault.get("status", 500))
    headers = {}
    if fault.get("retry_after", None) is not None:
        headers["Retry-After"] = str(fault.get("retry_after", ""))
    if fault.get("body", None) is not None:
        kind = str(fault.get("content_type", "text/html"))
        text = str(fault.get("body", ""))
        return Response(text or HTML, status, headers, kind)
    code = int(fault.get("code", {500: 20500, 503: 20503}.get(status, 20000 + status)))
    refusal = Refusal(status, code, "Played by the fault plan")
    return Response(json.dumps(refusal.body()), status, headers, JSON)


def _throttle(fault: Fault) -> Response:
    headers = {}
    if fault.get("retry_after", None) is not None:
        headers["Retry-After"] = str(fault.get("retry_after", ""))
    refusal = Refusal(429, 20429, "Too Many Requests")
    return Response(json.dumps(refusal.body()), 429, headers, JSON)


async def _reset(request: Request, fault: Fault, perform: Perform) -> Response | None:
    at = fault.get("at", "created")
    if at != "before":
        await request.body()
    if at == "created":
        perform()
    return await _cut(request)


async def _cut(request: Request) -> Response | None:
    line = connection_of(request)
    if line is None:
        return Response(status_code=502)
    line.reset()
    await disconnected(request)
    return None


async def _hang(world: World, request: Request, fault: Fault, perform: Perform) -> Response | None:
    await request.body()
    created = fault.get("created", "now")
    if created == "now":
        perform()
    elif created == "late":
        world.clock.after(float(fault.get("late", 12.0)), perform)
    await asyncio.wait(
        [asyncio.ensure_future(disconnected(request))], timeout=float(fault.get("seconds", 40.0))
    )
    return await _cut(request)


async def _drip(request: Request, fault: Fault, response: Response) -> Response | None:
    pause = float(fault.get("pause", 1.0))
    body = bytes(response.body)
    line = connection_of(request)
    if fault.get("part", "body") == "head" and line is not None:
        head = f"HTTP/1.1 {response.status_code} Created\r\ncontent-type: {JSON}\r\n"
        await request.body()
        for byte in f"{head}content-length: {len(body)}\r\n\r\n".encode() + body:
            line.write(bytes([byte]))
            await asyncio.sleep(pause)
            if line.transport.is_closing():
                break
        line.close()
        await disconnected(request)
        return None

    async def slowly() -> AsyncIterator[bytes]:
        for byte in body:
            yield bytes([byte])
            await asyncio.sleep(pause)

    return StreamingResponse(slowly(), response.status_code, media_type=JSON)


async def _callbacks(world: World, fault: Fault, response: Response) -> None:
    """Hold the answer back until callbacks about what was made have been answered."""
    if world.clock.stepped:
        await world.clock.advance(float(fault.get("seconds", 10.0)))
        return
    sid = json.loads(bytes(response.body) or b"{}").get("sid", "")
    for _ in range(1000):
        if world.outbox.answered[sid] >= int(fault.get("steps", 1)):
            return
        await asyncio.sleep(0.01)


async def _malform(
    world: World, request: Request, fault: Fault, perform: Perform
) -> Response | None:
    how = str(fault.get("how", "truncated"))
    line = connection_of(request)
    if how == "early" and line is not None:
        words = json.dumps(Refusal(400, 20001, "Answered before the body came").body())
        line.write(
            f"HTTP/1.1 400 Bad Request\r\ncontent-type: {JSON}\r\nconnection: close\r\n"
            f"content-length: {len(words)}\r\n\r\n{words}".encode()
        )
        line.close()
        await disconnected(request)
        return None
    await request.body()
    response = perform() if fault.get("created", True) else Response(b"{}", 201)
    body = bytes(response.body)
    status = response.status_code
    if how == "two_answers" and line is not None:
        head = f"HTTP/1.1 {status} Created\r\ncontent-type: {JSON}\r\n"
        one = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
        line.write(one + one)
        line.close()
        await disconnected(request)
        return None
    if how in ("huge", "gzip_bomb"):
        return _flood(how, status)
    if how == "content_type":
        return Response(body, status, media_type="text/plain")
    return Response(_broken(world, how, body), status, media_type=JSON)


def _broken(world: World, how: str, body: bytes) -> bytes:
    if how == "truncated":
        return body[: len(body) // 2]
    if how == "empty":
        return b""
    if how == "html":
        return HTML
    if how == "utf8":
        return body[:-1] + b',"broken":"\xff\xfe"}'
    if how == "deep":
        return b'{"sid":' + b"[" * NESTED + b"]" * NESTED + b"}"
    data: dict[str, Any] = json.loads(body or b"{}")
    if how == "nan":
        data["price"] = float("nan")
    elif how == "duplicate_keys":
        return b'{"sid":"' + world.random.sid("SM").encode() + b'",' + body[1:]
    elif how == "other_account":
        data["account_sid"] = world.random.sid("AC")
    elif how == "bad_sid":
        data["sid"] = "SM-not-a-sid"
    elif how == "used_sid":
        data["sid"] = next((row.sid for row in world.messages), data.get("sid"))
    return json.dumps(data).encode()


def _flood(how: str, status: int) -> Response:
    async def plain() -> AsyncIterator[bytes]:
        block = b" " * 65_536
        for _ in range(HUGE // len(block)):
            yield block

    async def packed() -> AsyncIterator[bytes]:
        zipper = zlib.compressobj(9, zlib.DEFLATED, 31)
        block = b" " * 1024 * 1024
        for _ in range(BOMB):
            if piece := zipper.compress(block):
                yield piece
            await asyncio.sleep(0)
        yield zipper.flush()

    headers = {"content-encoding": "gzip"} if how == "gzip_bomb" else {}
    stream = packed() if how == "gzip_bomb" else plain()
    return StreamingResponse(stream, status, headers, JSON)
