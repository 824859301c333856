"""Intake of webhooks, from a complete request to its answer: prove, check, record, answer.

Nothing here waits but for the disk and, on call routes, for the worker. Order matters: what costs
the sender least is refused first, and nothing is answered with a 2xx before it is on disk.
"""

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from ringback.config import LOOPBACK, Settings
from ringback.errors import Malformed, StorageError
from ringback.ipc import Link
from ringback.receiver import responses
from ringback.receiver.calls import Calls
from ringback.receiver.dedupe import RecentKeys
from ringback.receiver.hooks import HookProofs, Refused
from ringback.receiver.metrics import Counts
from ringback.receiver.received_spans import received
from ringback.receiver.refusals import Refusals
from ringback.receiver.responses import Answer
from ringback.receiver.routes import (
    MOST_LARGE,
    SETTINGS,
    SIGNATURE,
    Head,
    Headers,
    is_plain,
    takes_type,
)
from ringback.runtime import REAL
from ringback.store.log import Entry, Log
from ringback.tracing import spans as tracing
from ringback.twilio.kinds import check_form, failed_document, misplaced, waits
from ringback.twilio.signature import Verifier
from ringback.twilio.webhooks import parse_form, read_stream

REMEMBERED = 16_384
"""How many recent identities are held at least, to acknowledge a duplicate without a new row."""

FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.5
"""How long to leave the worker alone after it could not be reached, at first and at most."""


_logger = logging.getLogger("ringback.receiver")

Reply = Callable[[Answer], None]


class Intake:
    """The one judgement on webhooks, whatever transport they came by.

    `link` leads to the worker, None when there is none. `base_url` is the address that Twilio
    calls, when the settings do not say it.
    """

    def __init__(
        self, settings: Settings, log: Log, link: Link | None, counts: Counts, base_url: str = ""
    ) -> None:
        self.log = log
        self.counts = counts
        self._own_url = base_url
        self._link = link
        self._calls = Calls(settings, log, link, self.wake, counts)
        self._refusals = Refusals(settings, base_url)
        self._hooks = HookProofs(settings)
        self.reload(settings)
        self._known = RecentKeys(REMEMBERED)
        self._pending: dict[str, list[Reply]] = {}
        self._newest = 0
        self._woken_for = 0
        self._retry: asyncio.TimerHandle | None = None
        self._pause = FIRST_PAUSE
        self._moment = 0
        self._stamp = ""
        self._mount_checked = False
        self._large = 0

    def begin_large(self) -> bool:
        """Whether one more large body may be received now. `end_large` says when that is over."""
        if self._large >= MOST_LARGE:
            return False
        self._large += 1
        return True

    def end_large(self) -> None:
        """A large body is here, or its sender has left."""
        self._large -= 1

    def reload(self, settings: Settings) -> None:
        """Judge by these settings from the next request on."""
        tokens: Mapping[str, tuple[str, ...]] = {
            settings.account_sid: settings.auth_tokens,
            **settings.accounts,
        }
        self.base_url = (settings.public_url or self._own_url).rstrip("/")
        self.prefix = urlsplit(settings.public_url).path.rstrip("/").encode()
        """What stands before `/twilio/` in the public address. A proxy may cut it off."""
        self._verifier = Verifier(tokens, settings.shared_keys)
        self._secret = settings.hook_secret.encode()
        self._simulated = settings.simulated and settings.host in LOOPBACK
        self._proxies = [ip_network(proxy, strict=False) for proxy in settings.trusted_proxies]
        self._calls.reload(settings)
        self._refusals.reload(settings)
        self._hooks.reload(settings)

    def look(self) -> None:
        """Know the hooks that the rules have now, so that the first delivery need not wait."""
        self._hooks.look()

    def astray(self, path: bytes, headers: Headers) -> None:
        """A request has come to a path that is no route. One that Twilio has signed was meant for
        this node: somebody must hear of that."""
        if SIGNATURE in headers:
            self.counts.add("refused", "path")
            self._refusals.note_path(path)

    def judge(self, head: Head) -> Answer | None:
        """What to refuse before the body is read; None lets it come."""
        target = head.target
        if head.method not in target.methods:
            return responses.wrong_method(target.methods)
        unproven = self._no_hook(head) if target.is_hook else self._unproven(head)
        if unproven is not None:
            return unproven
        if head.doubled:
            return self._forbidden("doubled")
        content_type = head.headers.get(b"content-type", b"")
        if head.method == b"POST" and not takes_type(target, content_type):
            return responses.WRONG_TYPE
        if not is_plain(head.headers):
            return responses.WRONG_CODING
        if int(head.headers.get(b"content-length", b"0")) > target.most_bytes:
            return responses.TOO_LARGE
        return None

    def _no_hook(self, head: Head) -> Answer | None:
        refused = self._hooks.judge(head)
        return None if refused is None else self._refused(head, refused)

    def _unproven(self, head: Head) -> Answer | None:
        target, signed = head.target, SIGNATURE in head.headers
        if target.secret is not None:
            if not self._secret or not hmac.compare_digest(target.secret, self._secret):
                return self._forbidden("secret")
        elif not signed and self._verifier.can_prove:
            self._refusals.note(head, None, b"", "")
            return self._forbidden("unsigned")
        elif not self._verifier.can_prove and not self._simulated:
            return self._forbidden("unprovable")
        return None

    def take(self, head: Head, body: bytes, reply: Reply) -> None:
        """Deal with a complete request. `reply` gets the answer, now or when it is on disk."""
        try:
            answer = self._take(head, body, reply)
        except Malformed as error:
            self.counts.add("refused", "malformed")
            answer = responses.malformed(str(error))
        except Exception:
            _logger.exception("a webhook could not be dealt with")
            answer = responses.FAILED
        if answer is not None:
            self._answer(head.target.route, answer, reply)

    def _take(self, head: Head, body: bytes, reply: Reply) -> Answer | None:
        target, begun = head.target, tracing.clock()
        if target.is_hook:
            return self._take_hook(head, body, reply, begun)
        route, failed, asks, done = target.route, None, False, responses.DONE
        if target.is_json:
            trust = self._proof(head, None, body, "")
            if not trust:
                self._refusals.note(head, None, body, "")
                return self._forbidden("proof")
            read_stream(body)
            key = _delivery(route, "", body)
        else:
            if head.method == b"GET":
                body = head.query
            fields = parse_form(body)
            account = fields.get("AccountSid") or fields.get("account_sid", "")
            if account and not self._verifier.knows(account):
                parent = fields.get("ParentAccountSid", "") if route == "debugger" else ""
                if not parent or not self._verifier.knows(parent):
                    self._refusals.note(head, list(fields.items()), b"", account)
                    return self._forbidden("account")
                account = parent
            signed = None if head.method == b"GET" else fields
            trust = self._proof(head, signed, b"", account)
            if not trust:
                pairs = None if signed is None else list(signed.items())
                self._refusals.note(head, pairs, b"", account)
                return self._forbidden("proof")
            kind = check_form(route, fields, target.tag)
            asks = waits(route, kind.type, fields)
            if route == "message" or kind.type == "message.received":
                done = responses.EMPTY_TWIML
            if trust != "claimed" and (meant := misplaced(route, kind.type)):
                self._refusals.note_wiring(route, meant, fields.get("To", ""))
            failed = failed_document(fields) if kind.type == "call.received" else None
            key = f"{account} {kind.key}" if asks else _delivery(route, target.tag, body)
        if trust == "claimed":
            key = "claimed " + key  # a claim must not hide the proven webhook that it foretells
        entry = self._entry(head, trust, target.tag, body)
        reply = received(head, entry, begun, reply)
        if asks:
            self._calls.take(key, entry, lambda answer: self._answer(route, answer, reply), failed)
            return None
        return self._record((key,), entry, done, reply)

    def _take_hook(self, head: Head, body: bytes, reply: Reply, begun: int) -> Answer | None:
        """A delivery of another system."""
        found = self._hooks.take(head, body)
        if isinstance(found, Refused):
            return self._refused(head, found)
        entry = self._entry(head, found.trust, found.facts.written(), body)
        return self._record(found.keys, entry, responses.DONE, received(head, entry, begun, reply))

    def _refused(self, head: Head, refused: Refused) -> Answer:
        """The answer to a delivery of another system that is not taken."""
        self.counts.add("refused", refused.counted)
        if refused.answer is not responses.NOT_FOUND:
            self._refusals.note_hook(head.target.route, refused.why, refused.mend)
        return refused.answer

    def _entry(self, head: Head, trust: str, tag: str, body: bytes) -> Entry:
        content_type = head.headers.get(b"content-type", b"").decode("latin-1")
        route = head.target.route
        return Entry(self._now(), route, trust, "webhook", tag, content_type, body)

    def _record(
        self, keys: tuple[str, ...], entry: Entry, done: Answer, reply: Reply
    ) -> Answer | None:
        """Put a request on disk, unless the same one is known by one of these keys."""
        for key in keys:
            if key in self._known:
                self.counts.add("duplicates", entry.route)
                return done
            twins = self._pending.get(key)
            if twins is not None:  # the same delivery is on its way to the disk
                self.counts.add("duplicates", entry.route)
                twins.append(reply)
                return None
        try:
            self.log.push(entry, lambda result: self._recorded(result, keys, entry, done))
        except StorageError:
            return responses.BUSY
        self._pending[keys[0]] = [reply]
        return None

    def _recorded(
        self, result: int | Exception, keys: tuple[str, ...], entry: Entry, done: Answer
    ) -> None:
        answer = responses.BUSY
        if not isinstance(result, Exception):
            answer = done
            for key in keys:
                self._known.add(key)
            self.counts.numbers["recorded", entry.route, entry.trust] += 1
            self.wake(result)
        for reply in self._pending.pop(keys[0]):
            self._answer(entry.route, answer, reply)

    def wake(self, log_id: int) -> None:
        """Wake the worker for a new row: once per turn of the loop, however many rows came."""
        if self._newest == self._woken_for:
            asyncio.get_running_loop().call_soon(self._wake)
        self._newest = max(self._newest, log_id)

    def _wake(self) -> None:
        self._woken_for = self._newest
        if self._link is None or self._retry is not None:
            return
        if self._link.tell({"op": "wake", "id": self._newest}):
            self._pause = FIRST_PAUSE
        else:  # not connected yet, or nobody listens: try again until somebody does
            self._retry = asyncio.get_running_loop().call_later(self._pause, self._again)
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)

    def _again(self) -> None:
        self._retry = None
        self._wake()

    def close(self) -> None:
        """Wake nobody any more: this process ends, and the worker reads the log by itself."""
        if self._retry is not None:
            self._retry.cancel()
        self._link = None
        self._calls.close()

    def _proof(
        self, head: Head, fields: Mapping[str, str] | None, body: bytes, account: str
    ) -> str:
        """The trust that this request earns; empty when it earns none."""
        signature = head.headers.get(SIGNATURE, b"").decode("latin-1")
        settings = head.headers.get(SETTINGS, b"").decode("latin-1")
        if self._verifier.can_prove and (signature or head.target.secret is None):
            for base in self._bases(head):
                url = base + head.path.decode("latin-1")
                if head.query:
                    url += "?" + head.query.decode("latin-1")
                if self._verifier.verify(url, fields, body, signature, settings, account):
                    if head.mount:
                        self._check_mount(head.mount.decode("latin-1"))
                    return "simulated" if self._simulated else "signed"
            return ""
        if head.target.secret is not None:
            return "claimed"
        return "simulated" if self._simulated else ""

    def _bases(self, head: Head) -> list[str]:
        """The addresses that Twilio may have called: the configured one, with the mount point when
        that does not end with it, and the forwarded one when it comes from a proxy that is trusted
        by name."""
        bases = [self.base_url]
        if head.mount and not self.base_url.endswith(head.mount.decode("latin-1")):
            bases.append(self.base_url + head.mount.decode("latin-1"))
        if not self._proxies:
            return bases
        host = head.headers.get(b"x-forwarded-host", b"").decode("latin-1")
        if not host or not self._trusts(head.peer):
            return bases
        scheme = head.headers.get(b"x-forwarded-proto", b"https").decode("latin-1")
        return [*bases, f"{scheme}://{host}{head.mount.decode('latin-1')}"]

    def _check_mount(self, mount: str) -> None:
        """Say once that the worker, which only knows the public URL, does not know the mount."""
        if self._mount_checked:
            return
        self._mount_checked = True
        if not self.base_url.endswith(mount):
            _logger.warning(
                "the receiver is mounted at %s, and RINGBACK_PUBLIC_URL does not say so: status "
                "callbacks are asked for at %s/twilio/… and will not arrive; set "
                "RINGBACK_PUBLIC_URL to %s%s",
                mount, self.base_url, self.base_url, mount,
            )  # fmt: skip

    def _trusts(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self._proxies)

    def _forbidden(self, reason: str) -> Answer:
        self.counts.add("refused", reason)
        return responses.FORBIDDEN

    def _answer(self, route: str, answer: Answer, reply: Reply) -> None:
        self.counts.numbers["answers", route, str(answer.status)] += 1
        reply(answer)

    def _now(self) -> str:
        """The time as the log holds it, written out once a millisecond."""
        moment = int(REAL.time() * 1000)
        if moment != self._moment:
            self._moment = moment
            seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment // 1000))
            self._stamp = f"{seconds}.{moment % 1000:03d}Z"
        return self._stamp


def _delivery(route: str, tag: str, body: bytes) -> str:
    """By what the same delivery is known when it comes again. Another webhook of an event on record
    may say more of it, so it must be the same to the letter."""
    return f"{route}/{tag}:{blake2b(body, digest_size=16).hexdigest()}"
