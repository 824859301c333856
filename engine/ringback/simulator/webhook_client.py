"""HTTP client for webhooks: requests as Twilio sends them, and what came back.

Form or query, signed, with the idempotency token, overrides in the fragment, redirects as a browser
follows them, 15 seconds in all. https://www.twilio.com/docs/usage/webhooks

Time limits here are real seconds, also when virtual time is sped up or stands still: they measure
the application and not the story.
"""

import asyncio
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urlencode, urljoin, urlsplit, urlunsplit

from ringback.gateway.pool import Answer, Broken, Limits, NotSent, Pool
from ringback.simulator import credentials
from ringback.simulator.form import legal_url
from ringback.simulator.override import Override, read_override
from ringback.simulator.signing import sign_text, signature, signed_url, with_body_hash

BODY_CAP = 64 * 1024
HOPS = 10
PAGES_KEPT = 200
CONNECTIONS = 40


@dataclass(frozen=True, slots=True)
class Webhook:
    """One request that Twilio makes. `purpose` names its kind, e.g. `message/status`, `call`.

    `cookies` names the jar; `subject` is the SID that it is about; `token` stays the same over all
    tries of one delivery. With `json` that is the body, and its hash goes into the signed URL.
    """

    purpose: str
    url: str
    fields: tuple[tuple[str, str], ...]
    account_sid: str
    method: str = "POST"
    subject: str = ""
    cookies: str = ""
    voice: bool = False
    json: bytes = b""
    token: str = ""
    spoil: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a webhook. `error` is 0 or the code that Twilio's debugger would show.

    `url` is the address that answered, after redirects.
    """

    status: int = 0
    content_type: str = ""
    body: bytes = b""
    url: str = ""
    error: int = 0
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def fine(self) -> bool:
        return not self.error


@dataclass(frozen=True, slots=True)
class Secret:
    """What an account signs with: its auth token, or a shared key (HMAC-SHA256) with its id."""

    token: str
    key_id: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A document that may be asked for again, and the headers that ask whether it has changed."""

    answer: Answer
    conditions: list[tuple[str, str]]


class WebhookClient:
    """Carries webhooks. Counts what is under way, so that a stepped clock can wait for it."""

    def __init__(
        self,
        secret: Callable[[str], Secret],
        *,
        one_by_one: bool = False,
    ) -> None:
        self._secret = secret
        self.broken: Callable[[str], None] = lambda _: None
        self._plain = Pool(CONNECTIONS, tls=False)
        self._tls = Pool(CONNECTIONS)
        self._gate = asyncio.Semaphore(1 if one_by_one else CONNECTIONS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._pages: dict[str, Page] = {}
        self._jars: dict[str, dict[str, str]] = {}

    def send(self, webhook: Webhook, done: Callable[[Delivery], None]) -> asyncio.Task[None]:
        """Send now, in the background; `done` is called with what became of it."""
        task = asyncio.get_running_loop().create_task(self._run(webhook, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def quiet(self) -> None:
        """Wait until nothing is under way, also nothing that an answer has set off."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))
            await asyncio.sleep(0)

    @property
    def busy(self) -> int:
        """How many webhooks are under way."""
        return len(self._tasks)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._plain.aclose()
        await self._tls.aclose()

    async def _run(self, webhook: Webhook, done: Callable[[Delivery], None]) -> None:
        async with self._gate:
            delivery = await self._deliver(webhook)
        try:
            done(delivery)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            self.broken(f"{type(error).__name__}: {error}")

    async def _deliver(self, webhook: Webhook) -> Delivery:
        plain, override = read_override(webhook.url)
        if not legal_url(plain):
            return Delivery(url=plain, error=11100, reason="the URL is not well formed")
        deadline = time.monotonic() + override.total
        delivery = Delivery(url=plain)
        for _ in range(override.retries + 1):
            delivery, kind = await self._follow(replace(webhook, url=plain), override, deadline)
            if not kind or not override.retries_after(kind) or time.monotonic() >= deadline:
                break
        return delivery

    async def _follow(
        self, webhook: Webhook, override: Override, deadline: float
    ) -> tuple[Delivery, str]:
        """One try, through its redirects. The second value is the kind of its failure."""
        authorization = ""
        hops = 0
        while True:
            url = webhook.url
            left = deadline - time.monotonic()
            if left <= 0:
                return Delivery(url=url, error=11203, reason="the total time is used up"), "rt"
            answer = await self._once(webhook, override, left, authorization)
            if isinstance(answer, Delivery):
                return answer, "ct" if answer.error in (11201, 11202, 11205, 11210, 11220) else "rt"
            location = answer.headers.get("location", "")
            if answer.status in (301, 302, 303, 307, 308) and location:
                hops += 1
                if hops > HOPS:
                    return Delivery(answer.status, url=url, error=11215, reason="too many hops"), ""
                webhook = replace(webhook, url=urljoin(url, location))
                if answer.status < 304:
                    # As a browser does: the POST becomes a GET and its fields are lost.
                    webhook = replace(webhook, method="GET", fields=())
                continue
            if answer.status == 401 and not authorization:
                challenge = answer.headers.get("www-authenticate", "")
                authorization = credentials.authorization(url, webhook.method, challenge)
                if authorization:
                    continue
            return _judge(answer, url)

    async def _once(
        self, webhook: Webhook, override: Override, left: float, authorization: str
    ) -> Answer | Delivery:
        if webhook.json:
            webhook = replace(webhook, url=with_body_hash(webhook.url, webhook.json), fields=())
        target = signed_url(webhook.url, voice=False)
        if webhook.method == "GET" and webhook.fields:
            query = urlencode(webhook.fields, quote_via=quote)
            joint = "&" if urlsplit(target).query else "?"
            webhook = replace(webhook, url=f"{webhook.url}{joint}{query}", fields=())
            target = f"{target}{joint}{query}"
        headers = [
            ("Host", urlsplit(target).netloc),
            ("User-Agent", "TwilioProxy/1.1"),
            ("Accept", "*/*"),
            ("I-Twilio-Idempotency-Token", webhook.token),
            *self._proof(webhook),
        ]
        if webhook.method == "GET" and (kept := self._pages.get(target)) is not None:
            headers += kept.conditions
        jar = self._jars.get(webhook.cookies, {})
        if jar:
            headers.append(("Cookie", "; ".join(f"{name}={value}" for name, value in jar.items())))
        if authorization:
            headers.append(("Authorization", authorization))
        body = b""
        if webhook.json:
            body = webhook.json
            headers.append(("Content-Type", "application/json"))
        elif webhook.method == "POST":
            headers.append(("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"))
            body = urlencode(webhook.fields).encode()
        if webhook.method == "POST":
            headers.append(("Content-Length", str(len(body))))
        limits = Limits(override.connect, override.read, left, BODY_CAP)
        try:
            pool = self._tls if target.lower().startswith("https:") else self._plain
            answer = await pool.exchange(webhook.method, target, headers, body, limits)
        except NotSent as error:
            return Delivery(url=webhook.url, error=_connect_code(str(error)), reason=str(error))
        except Broken as error:
            late = "in time" in str(error) or "no full answer" in str(error)
            code = 11203 if "no full answer" in str(error) else 11200 if late else 11206
            return Delivery(url=webhook.url, error=code, reason=str(error))
        if answer.fault:
            code = 11750 if "larger" in answer.fault else 11200
            return Delivery(answer.status, url=webhook.url, error=code, reason=answer.fault)
        self._remember(webhook.cookies, answer.headers.get("set-cookie", ""))
        return self._cached(webhook, target, answer)

    def _proof(self, webhook: Webhook) -> list[tuple[str, str]]:
        secret = self._secret(webhook.account_sid)
        url = signed_url(webhook.url, voice=webhook.voice)
        if webhook.spoil == "bad_signature":
            return [("X-Twilio-Signature", sign_text("not the token", url))]
        if secret.key_id:
            value = signature(secret.key, url, webhook.fields, "sha256")
            settings = f"key={secret.key_id},algorithm=HMAC_SHA256"
            return [
                ("X-Twilio-Signature", value),
                ("X-Twilio-Webhooks-Signature-Settings", settings),
            ]
        return [("X-Twilio-Signature", signature(secret.token, url, webhook.fields))]

    def _cached(self, webhook: Webhook, target: str, answer: Answer) -> Answer:
        """A GET document that has not changed is not sent again: the kept one stands for it."""
        if webhook.method != "GET":
            return answer
        if answer.status == 304 and (kept := self._pages.get(target)) is not None:
            return kept.answer
        conditions = [
            (name, answer.headers[header])
            for name, header in (("If-None-Match", "etag"), ("If-Modified-Since", "last-modified"))
            if header in answer.headers
        ]
        if answer.status == 200 and conditions and len(self._pages) < PAGES_KEPT:
            self._pages[target] = Page(answer, conditions)
        return answer

    def _remember(self, jar: str, header: str) -> None:
        if not jar or not header:
            return
        name, _, value = header.split(";", 1)[0].partition("=")
        if name.strip() and len(header) < 4096:
            self._jars.setdefault(jar, {})[name.strip()] = value.strip()


def _judge(answer: Answer, url: str) -> tuple[Delivery, str]:
    kind = answer.headers.get("content-type", "")
    good = 200 <= answer.status < 300
    delivery = Delivery(
        answer.status, kind, answer.body, url,
        0 if good else 11200, "" if good else f"the answer is HTTP {answer.status}",
        answer.headers,
    )  # fmt: skip
    return delivery, "" if good else f"{answer.status // 100}xx"


def _connect_code(words: str) -> int:
    lower = words.lower()
    if "too long" in lower:
        return 11201
    if "refused" in lower or "attempts failed" in lower:
        return 11202
    if "name or service" in lower or "name resolution" in lower or "getaddrinfo" in lower:
        return 11210
    if "certificate" in lower or "ssl" in lower or "tls" in lower:
        return 11220
    return 11205


def without_user(url: str) -> str:
    """A URL without user and password, for the ledger."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
