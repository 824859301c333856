"""Transport of one request: one attempt, one reply or one typed error.

Whether and when to repeat is for the caller to decide, who alone knows whether a second text would
harm. https://www.twilio.com/docs/usage/api
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

from ringback.errors import ConfigError, GatewayError, Unreachable, Unreadable, UsageError
from ringback.gateway.credentials import Credentials, Headers
from ringback.gateway.limits import RESERVED, Bucket
from ringback.gateway.pool import (
    DEFAULT_LIMITS,
    LIST_CAP,
    Answer,
    Broken,
    Closing,
    Limits,
    NotSent,
    Pool,
)
from ringback.gateway.responses import NotJson, epoch, failure, read_object
from ringback.runtime import REAL, Runtime
from ringback.twilio.rest import VERSION, Request, is_sid
from ringback.version import own_version

_FORM = "application/x-www-form-urlencoded"
_QUOTED = {number: quote_plus(chr(number)) for number in range(128)}


@dataclass(frozen=True, slots=True)
class Reply:
    """Twilio's good answer: 2xx and its JSON object (empty after a delete). `date` is the header of
    that name: the time at Twilio, or at Maton."""

    http_status: int
    data: dict[str, Any]
    request_id: str = ""
    date: str = ""


class Transport(Closing):
    """Performs requests through one access. An async context manager; `aclose` ends it.

    `connections` bounds how many requests are under way at a time. `runtime` gives the time that a
    Retry-After date is held against.
    """

    def __init__(
        self,
        access: Credentials,
        *,
        runtime: Runtime = REAL,
        limits: Limits = DEFAULT_LIMITS,
        connections: int = 50,
    ) -> None:
        self.access = access
        self._runtime = runtime
        self._limits = limits
        self._reads = replace(limits, body=max(limits.body, LIST_CAP))
        tls = access.base_url.startswith("https:")
        self._pool = Pool(connections, tls=tls, proxy=access.proxy)
        control = access.control_url.startswith("https:")
        self._control = Pool(5, tls=control, proxy=access.proxy)
        self._sole = False
        self._pinning: asyncio.Task[None] | None = None
        self._account = access.account_sid
        self._pace = Bucket(runtime.monotonic, access.rate, access.rate, access.rate * RESERVED)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.access!r})"

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()
        await self._control.aclose()

    def sign_in(self, access: Credentials) -> None:
        """Use these credentials from the next request on, by the same way in as before."""
        secrets = dict.fromkeys((*access.secrets, *self.access.secrets))
        self.access = replace(access, secrets=tuple(secrets))
        self._sole = False

    async def perform(
        self, request: Request, *, leaving: Callable[[], None] | None = None
    ) -> Reply:
        """Send a request once: no retry, no redirect, at most 35 s. `leaving` is called when there
        is a connection for it, before a byte is written.

        Raises a GatewayError subclass: Unreachable when no answer came (`wrote` False means that
        certainly nothing was done), Unreadable for a 2xx that is not the resource asked for, else
        the one for the answer's status. Raises UsageError for a text that cannot be encoded, and
        ConfigError for a write through Maton that no connection is pinned for while several are
        active; both before a byte leaves.
        """
        if request.writes and not (self.access.may_write or self._sole):
            await self._pinned()
        url, body = self._encoded(request)
        headers = self._headers()
        headers += self.access.headers(request.account_sid)
        if request.method == "POST":
            headers.append(("Content-Type", _FORM))
        limits = self._limits if request.writes else self._reads
        answer = await self._once(self._pool, request.method, url, headers, body, limits, leaving)
        request_id = answer.headers.get("twilio-request-id", "")[:64]
        if not 200 <= answer.status < 300:
            raise failure(answer, self.access, now=self._runtime.time(), request_id=request_id)
        data = self._resource(request, answer, request_id)
        return Reply(answer.status, data, request_id, answer.headers.get("date", "")[:64])

    def _encoded(self, request: Request) -> tuple[str, bytes]:
        url = self.access.base_url + VERSION + request.path
        try:
            if request.method == "POST":
                return url, _form(request.form).encode()
            query = urlencode(request.form, quote_via=quote)
        except UnicodeEncodeError:
            raise UsageError("the text holds half a character and cannot be sent") from None
        return (f"{url}?{query}" if query else url), b""

    def _headers(self) -> Headers:
        return Headers([("User-Agent", _user_agent()), ("Accept", "application/json")])

    async def _once(
        self,
        pool: Pool,
        method: str,
        url: str,
        headers: Headers,
        body: bytes,
        limits: Limits | None = None,
        leaving: Callable[[], None] | None = None,
    ) -> Answer:
        problem: GatewayError
        try:
            bounds = limits or self._limits
            return await pool.exchange(method, url, headers, body, bounds, leaving=leaving)
        except NotSent as error:
            said, wrote, sequel = str(error), False, "nothing was sent"
        except Broken as error:
            said, wrote, sequel = str(error), True, "it may have arrived all the same"
        base = url.partition("/2010-")[0].partition("/connections")[0]
        problem = Unreachable(
            self.access.scrub(f"{base} did not answer: {said}; {sequel}"),
            wrote=wrote,
            remedy="check the network, the name and the certificate of the gateway",
        )
        raise problem

    def _resource(self, request: Request, answer: Answer, request_id: str) -> dict[str, Any]:
        """The JSON object of a 2xx, checked to be what was asked for."""
        if not request.makes and (request.method == "DELETE" or answer.status == 204):
            return {}
        data: dict[str, Any] = {}
        try:
            data = read_object(answer)
            why = _doubt(request, data)
        except NotJson as error:
            why = str(error)
        if not why:
            return data
        raise Unreadable(
            f"Twilio answered {answer.status}, but {self.access.scrub(why)}",
            http_status=answer.status,
            origin=self.access.origin_of(answer.status, data),
            wrote=True,
            request_id=request_id,
            remedy="what was asked for has probably happened: look before asking again"
            if request.writes
            else "ask again",
        )

    async def control(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Any:
        """One request to Maton's control plane, `path` starting with `/connections`.

        Answers the JSON, whatever it is; an empty object where there is none to read. Raises as
        `perform` does, and UsageError when this access does not go through Maton.
        """
        if not self.access.control_url:
            raise UsageError("connections exist only through Maton: set MATON_API_KEY")
        suffix = f"?{urlencode(query, quote_via=quote)}" if query else ""
        headers = self._headers()
        headers.append(("Authorization", self.access.authorization))
        if body:
            headers.append(("Content-Type", "application/json"))
        url = self.access.control_url + path + suffix
        answer = await self._once(self._control, method, url, headers, body)
        if not 200 <= answer.status < 300:
            raise failure(answer, self.access, now=self._runtime.time())
        if method == "DELETE":
            return {}
        try:
            return read_object(answer)
        except NotJson as error:
            why = self.access.scrub(str(error))
        raise Unreadable(
            f"Maton answered {answer.status}, but {why}",
            http_status=answer.status,
            origin="maton",
            wrote=method != "GET",
        )

    async def ask(self, request: Request) -> Reply:
        """`perform` at the pace that the way in allows: for programs that have no limits of their
        own. Through Maton a key has 8 requests a second; half of them are kept for writes."""
        while (wait := self._pace.wait(low=not request.writes)) > 0:
            await asyncio.sleep(wait)
        self._pace.take()
        return await self.perform(request)

    async def raw(self, path: str, limits: Limits) -> Answer:
        """GET a path that is no JSON, and answer whatever came: a file, or where it is.

        Raises Unreachable when there is no answer.
        """
        headers = Headers([("User-Agent", _user_agent()), ("Accept", "*/*")])
        headers += self.access.headers(Request("GET", path).account_sid)
        url = self.access.base_url + VERSION + path
        return await self._once(self._pool, "GET", url, headers, b"", limits)

    async def server_time(self) -> float | None:
        """What time it is at the gateway, in epoch seconds, by the Date header of an answer.

        None when it tells no time. Raises Unreachable when there is no answer at all.
        """
        url, _ = self._encoded(Request("GET", "/Accounts.json", (("PageSize", "1"),)))
        headers = self._headers()
        headers += self.access.headers()
        answer = await self._once(self._pool, "GET", url, headers, b"")
        return epoch(answer.headers.get("date", ""))

    async def accounts_seen(self) -> list[str]:
        """The SIDs of the accounts that these credentials can read, first page; before its
        sub-accounts, which Twilio lists newest first, the one that they belong to."""
        reply = await self.perform(Request("GET", "/Accounts.json", resource="accounts"))
        owners = {
            str(row["sid"]): str(row.get("owner_account_sid") or row["sid"])
            for row in reply.data.get("accounts", [])
            if isinstance(row, dict) and is_sid(row.get("sid"), "AC")
        }
        main = [sid for sid, owner in owners.items() if owner == sid]
        if not main and len(owners) > 1:  # it is on a later page
            main = [owner for owner in owners.values() if is_sid(owner, "AC")][:1]
        return [*dict.fromkeys((*main, *owners))]

    async def account(self) -> str:
        """The account that requests are for: the configured one, else that of the credentials.

        Raises ConfigError when the gateway shows no account, with what to set.
        """
        if not self._account:
            seen = await self.accounts_seen()
            if not seen:
                raise ConfigError(["the gateway shows no account: set TWILIO_ACCOUNT_SID"])
            self._account = seen[0]
        return self._account

    async def _pinned(self) -> None:
        """Ask for the connection to be used, once for all the writes that wait for it."""
        if self._pinning is None or self._pinning.done():
            self._pinning = asyncio.ensure_future(self._pin())
        await asyncio.shield(self._pinning)

    async def _pin(self) -> None:
        """Before the first write without a pinned connection: make sure that there is no choice."""
        rows: Any = []
        problem: GatewayError | None = None
        try:
            listed = await self.control(
                "GET", "/connections", {"app": "twilio", "status": "ACTIVE"}
            )
            rows = listed.get("connections", [])
        except GatewayError as error:
            # The write itself has not left, whatever became of this look-up.
            error.wrote = False
            problem = error
        if problem is not None:
            raise problem
        active = [
            str(row.get("connection_id", ""))
            for row in (rows if isinstance(rows, list) else [])
            if isinstance(row, dict)
            and str(row.get("status", "")).upper() == "ACTIVE"
            and row.get("app", "twilio") == "twilio"
        ]
        if len(active) > 1:
            raise ConfigError(
                [
                    f"{len(active)} Twilio connections are active and none is pinned: set "
                    "MATON_CONNECTION to one of " + ", ".join(sorted(active))
                ]
            )
        if active and active[0]:
            self.access = self.access.pinned(active[0])
        self._sole = True


def _doubt(request: Request, data: Mapping[str, Any]) -> str:
    """Why this is not the resource that the request made; empty when it is."""
    if not request.makes:
        return ""
    if not is_sid(data.get("sid"), *request.makes):
        return "the answer names no valid SID"
    if data.get("account_sid", request.account_sid) != request.account_sid:
        return "the answer is about another account"
    return ""


def _form(pairs: Sequence[tuple[str, str]]) -> str:
    """What `urlencode` makes of them, in a fifth of its time."""
    return "&".join([f"{_name(name)}={_quoted(value)}" for name, value in pairs])


def _quoted(text: str) -> str:
    return text.translate(_QUOTED) if text.isascii() else quote_plus(text)


_name = lru_cache(256)(_quoted)


@cache
def _user_agent() -> str:
    return "/".join(filter(None, ("ringback", own_version())))
