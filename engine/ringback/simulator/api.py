"""REST API of the simulated Twilio: authentication, account paths, faults, and the answer.

Both ways in: direct (basic auth) and through the gateway (Bearer key and a connection). A request
is proved, routed, struck by the fault plan perhaps, carried out, and written down.
"""

import base64
import binascii
import hmac
from collections.abc import Callable
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ringback.printed_json import printed_json
from ringback.simulator import maton, xml
from ringback.simulator.form import Form, parse
from ringback.simulator.records import Account
from ringback.simulator.refusal import Refusal, expect_plain, missing
from ringback.simulator.rest.route import Ask, Reply, Route, find
from ringback.simulator.rest.routes import ACCOUNTS, BELOW
from ringback.simulator.voice.switch import ExchangeError
from ringback.simulator.wire_faults import play
from ringback.simulator.world import World

BODY_CAP = 256 * 1024


class Api:
    """Answers requests to `/2010-04-01/…` for one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.gate = maton.Gate(world)

    async def direct(self, request: Request) -> Response | None:
        """A request as to api.twilio.com."""
        user, secret = _basic(request)
        return await self._answer(request, "", lambda: self._account(user, secret))

    async def through_gateway(self, request: Request) -> Response | None:
        """A request as to gateway.maton.ai/twilio."""
        if not self.gate.key_fits(request):
            return self._noted(request, maton.unauthorized())
        if self.gate.busy():
            return self._noted(request, maton.limited())
        connection = self.gate.connection(request)
        if connection is None:
            return self._noted(request, maton.no_connection())
        if connection.expired:
            return self._noted(request, maton.expired())
        account = self._world.accounts.get(connection.account_sid)
        return await self._answer(request, "/twilio", lambda: account)

    def _noted(self, request: Request, response: Response) -> Response:
        number = self._world.ledger.add("request", method=request.method, path=request.url.path)
        self._world.ledger.add("replied", request=number, status=response.status_code)
        return response

    def _account(self, user: str, secret: str) -> Account | None:
        """The account whose credentials these are: its own, or its API key's."""
        who = self._world.identity
        if user == who.api_key and _same(secret, who.api_secret):
            return self._world.accounts.get(who.account_sid)
        account = self._world.accounts.get(user)
        return account if account and _same(secret, account.token) else None

    async def _answer(
        self, request: Request, prefix: str, authenticate: Callable[[], Account | None]
    ) -> Response | None:
        """Answer as Twilio does, with the number under which it can find the request again."""
        request_id = self._world.random.sid("RQ")
        response = await self._carry_out(request, prefix, authenticate, request_id)
        if response is not None:
            response.headers["Twilio-Request-Id"] = request_id
            response.headers["Twilio-Concurrent-Requests"] = "1"
        return response

    async def _carry_out(
        self,
        request: Request,
        prefix: str,
        authenticate: Callable[[], Account | None],
        request_id: str,
    ) -> Response | None:
        world = self._world
        raw = request.scope.get("raw_path", b"") or request.url.path.encode()
        path = unquote(raw.decode("latin-1").partition("?")[0]).removeprefix(prefix)
        stem, dot, suffix = path.rpartition(".")
        wants_json = bool(dot) and suffix == "json"
        plain = stem if wants_json or (dot and suffix in ("wav", "mp3")) else path
        number = 0
        try:
            caller = authenticate()
            if caller is None or caller.status == "closed":
                raise Refusal(401, 20003, "Authenticate")
            account, route, ids = self._route(request.method, plain, caller, not wants_json)
            if route in ACCOUNTS and _basic(request)[0] == world.identity.api_key:
                raise Refusal(403, 20006, "A standard API key reads no accounts")
        except Refusal as refusal:
            number = world.ledger.add("request", method=request.method, path=path, id=request_id)
            return self._refused(refusal, number, wants_json)

        fault = world.plan.for_request(route.operation)
        early = fault is not None and (
            (fault.do == "reset" and fault.get("at", "") == "before")
            or (fault.do == "malform" and fault.get("how", "") == "early")
        )
        body = b"" if early else await _body(request)
        if body is None:
            large = Refusal(413, 20413, f"The body is larger than {BODY_CAP // 1024} KiB")
            number = world.ledger.add("request", method=request.method, path=path, id=request_id)
            return self._refused(large, number, wants_json)
        query_text = request.url.query

        def perform() -> Response:
            try:
                expect_plain(request.headers.getlist("content-encoding"))
                form = parse(body) if _is_form(request) else Form([])
                ask = Ask(
                    world, account, request.method, plain, ids, form,
                    parse(query_text.encode()), query_text,
                )  # fmt: skip
                reply = route.handler(ask)
            except Refusal as refusal:
                return self._refused(refusal, number, wants_json)
            except ExchangeError as error:
                words = Refusal(error.http_status, error.code, str(error))
                return self._refused(words, number, wants_json)
            world.ledger.add("replied", request=number, status=reply.status, sid=reply.sid)
            return _render(reply, wants_json or route.raw)

        number = world.ledger.add(
            "request", method=request.method, path=path, operation=route.operation,
            query=query_text, form=_shown(body), through="maton" if prefix else "",
            id=request_id,
        )  # fmt: skip
        if fault is None:
            return perform()
        world.ledger.add("fault", fault=fault.do, name=fault.name, request=number)
        if fault.do in ("lag", "list"):
            world.list_fault = fault
            try:
                return perform()
            finally:
                world.list_fault = None
        return await play(world, request, fault, perform)

    def _route(
        self, method: str, path: str, caller: Account, raw: bool
    ) -> tuple[Account, Route, tuple[str, ...]]:
        """Account first, then the path below it."""
        below = path.removeprefix("/2010-04-01/")
        if below == path:
            raise missing(path)
        parts = below.split("/", 2)
        if len(parts) < 3:
            route, ids = find(ACCOUNTS, method, below)
            return caller, route, ids
        account = self._world.accounts.get(parts[1]) if parts[0] == "Accounts" else None
        mine = account is not None and caller.sid in (account.sid, account.owner_sid)
        if account is None or not mine:
            raise missing(path)
        if account.status != "active":
            raise Refusal(401, 20005, f"Account {account.sid} is {account.status}")
        usable = [item for item in BELOW if not item.raw] if not raw else list(BELOW)
        if raw:
            usable.sort(key=lambda item: not item.raw)
        route, ids = find(usable, method, parts[2])
        return account, route, ids

    def _refused(self, refusal: Refusal, number: int, as_json: bool) -> Response:
        self._world.ledger.add(
            "replied", request=number, status=refusal.status, code=refusal.code,
            message=refusal.message,
        )  # fmt: skip
        headers = {"WWW-Authenticate": 'Basic realm="Twilio API"'} if refusal.status == 401 else {}
        if as_json:
            return JSONResponse(refusal.body(), refusal.status, headers)
        return Response(xml.refusal(refusal.body()), refusal.status, headers, "application/xml")


def _basic(request: Request) -> tuple[str, str]:
    """User and password of a request; empty when it has none."""
    word, _, text = request.headers.get("authorization", "").partition(" ")
    if word.lower() != "basic":
        return "", ""
    try:
        user, _, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return user, secret


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())


async def _body(request: Request) -> bytes | None:
    """The body, or None when it is too large."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced[:12]) > BODY_CAP:
        return None
    parts: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > BODY_CAP:
            return None
        parts.append(piece)
    request._body = b"".join(parts)
    return request._body


def _is_form(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/x-www-form-urlencoded"


def _shown(body: bytes) -> str:
    """A body for the ledger: as it came, cut at 8 KiB."""
    return body[:8192].decode("utf-8", "replace")


def _render(reply: Reply, as_json: bool) -> Response:
    if reply.status == 204:
        return Response(status_code=204)
    if reply.data is None:
        return Response(reply.body, reply.status, media_type=reply.content_type)
    if as_json:
        text = printed_json(reply.data, separators=(",", ":"))
        return Response(text, reply.status, media_type="application/json")
    return Response(xml.render(reply.data), reply.status, media_type="application/xml")
