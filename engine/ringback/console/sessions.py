"""Sessions of the console: cookies, tokens of forms, and who sent a request.

Two cookies: `rb` (SameSite=Lax) lets one read, so that links in alerts work; `rbw`
(SameSite=Strict) is needed besides for every change. With https they are `__Host-…`; over plain
http, on loopback alone, their names carry the port, for a cookie is seen by all ports of a host.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from ringback.config import Settings
from ringback.console.identity import ROLES, Identity, Role
from ringback.console.origins import Origins
from ringback.console.problems import refuse
from ringback.runtime import from_iso, iso
from ringback.store.console.access import Access, Session

DEV_DAYS = 7
SEEN_SECONDS = 60
UNMASKED_MINUTES = 15


class Sessions:
    """Who is signed in at one console."""

    def __init__(
        self, settings: Settings, access: Access, origins: Origins, *, key: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        self._settings = settings
        self._access = access
        self._origins = origins
        self._now = now
        self._own = secrets.token_bytes(32)
        self._key = key

    def key_of_shell(self) -> str:
        """What signs in the person who started this console; empty for none. A running `ringback
        dev` has noted it for its node."""
        if self._key or not self._settings.simulated:
            return self._key
        try:
            noted = json.loads((self._settings.data / "dev.json").read_text("utf-8"))
            return str(noted.get("console_key", ""))
        except (OSError, ValueError):
            return ""

    # --- who asks ---

    def identify(self, request: Request) -> Identity | None:
        """Who sent a request, None for nobody. Raises a Refusal for a header that is not believed
        and for a token that does not hold."""
        bearer = request.headers.get("authorization", "")
        if bearer:
            return self._by_token(request, bearer)
        header = self._settings.console_user_header
        if header:
            return self._by_header(request, request.headers.get(header, ""))
        secret = self.secret(request)
        session = self._access.session(secret) if secret else None
        if session is None or not self._holds(session):
            return None
        now = self._now()
        if (now - from_iso(session.seen_at)).total_seconds() > SEEN_SECONDS:
            self._access.seen(secret, iso(now))
        whole = self._settings.console_mask == "none" or session.unmasked_until > iso(now)
        return Identity(
            session.name, _role(session.role), "session", self._origins.peer(request), whole
        )

    def _holds(self, session: Session) -> bool:
        now = self._now()
        silence = (now - from_iso(session.seen_at)).total_seconds()
        return session.ends_at > iso(now) and (not session.idle or silence < session.idle)

    def _by_token(self, request: Request, bearer: str) -> Identity:
        scheme, _, secret = bearer.partition(" ")
        peer, now = self._origins.peer(request), iso(self._now())
        if not request.url.path.startswith("/api/"):
            raise refuse("login", "A token is for the JSON API; pages want a session.")
        if scheme.lower() != "bearer" or not secret:
            raise refuse("login", "Authorization is not of the kind Bearer.")
        own = self._settings.api_token
        if own and hmac.compare_digest(own.encode(), secret.strip().encode("utf-8", "replace")):
            whole = self._settings.console_mask == "none"
            return Identity("api", "operate", "token", peer, whole)
        token = self._access.token(secret.strip())
        if token is None or (token.ends_at and token.ends_at <= now):
            raise refuse("login", "This token is unknown, or has ended.")
        if token.peer != peer:
            self._access.look(now, token.name, "token", token.id, peer)
        if token.peer != peer or token.used_at[:16] != now[:16]:
            self._access.used(token.id, now, peer)
        whole = token.scope == "pii" or self._settings.console_mask == "none"
        return Identity(token.name, _role(token.role), "token", peer, whole)

    def _by_header(self, request: Request, name: str) -> Identity:
        direct = request.client.host if request.client else ""
        if not self._origins.is_proxy(direct):
            raise refuse("role", "Only the proxy that signs people in may pass requests on.")
        person = self._access.person(name) if name else None
        if person is None:
            raise refuse("role", "The proxy names nobody who was added to this console.")
        whole = self._settings.console_mask == "none"
        return Identity(name, _role(person[0]), "header", self._origins.peer(request), whole)

    # --- cookies ---

    def secret(self, request: Request) -> str:
        """The secret that a request's cookie holds; empty without one."""
        return request.cookies.get(self._name("rb", request), "")

    def may_change(self, request: Request) -> bool:
        """Whether the second cookie came with the first: no page of another site sends it."""
        secret = self.secret(request)
        given = request.cookies.get(self._name("rbw", request), "")
        return bool(secret) and hmac.compare_digest(given.encode(), _writing(secret).encode())

    def begin(
        self, request: Request, answer: Response, name: str, role: str, days: int = 0
    ) -> None:
        """Sign somebody in: a new session, whose cookies go out with the answer."""
        secret, now = secrets.token_urlsafe(32), self._now()
        hours = days * 24 or self._settings.console_session_hours
        ends = now + timedelta(hours=hours)
        old = self.secret(request)
        if old:
            self._access.end_session(old)
        self._access.begin_session(
            secret,
            Session(
                name, role, iso(now), iso(now), iso(ends),
                0 if days else 60 * self._settings.console_idle_minutes,
                self._origins.peer(request), request.headers.get("user-agent", "")[:200],
            ),
        )  # fmt: skip
        self._put(request, answer, "rb", secret, "lax", hours * 3600)
        self._put(request, answer, "rbw", _writing(secret), "strict", hours * 3600)

    def end(self, request: Request, answer: Response) -> None:
        """Sign somebody out."""
        secret = self.secret(request)
        if secret:
            self._access.end_session(secret)
        for name in ("rb", "rbw"):
            self._put(request, answer, name, "", "lax", 0)

    def unmask(self, request: Request, identity: Identity) -> None:
        """Show whole numbers for a while, and note who wanted that."""
        now = self._now()
        until = iso(now + timedelta(minutes=UNMASKED_MINUTES))
        self._access.unmask(self.secret(request), until)
        self._access.look(iso(now), identity.name, "unmask", "", identity.peer)

    def _put(
        self, request: Request, answer: Response, name: str, value: str, site: str, seconds: int
    ) -> None:
        secure = self._origins.origin(request).startswith("https:")
        answer.headers.append(
            "set-cookie",
            f"{self._name(name, request)}={value}; Path=/; Max-Age={seconds}; HttpOnly; "
            f"SameSite={site.capitalize()}{'; Secure' if secure else ''}",
        )

    def _name(self, name: str, request: Request) -> str:
        origin = urlsplit(self._origins.origin(request))
        return f"__Host-{name}" if origin.scheme == "https" else f"{name}-{origin.port or 80}"

    # --- tokens of forms ---

    def token(self, request: Request, path: str, wanted: str) -> str:
        """What a form for this path has to carry, beside the id `wanted` of its request."""
        secret = self.secret(request)
        key = secret.encode() or self._own
        who = request.scope.get("ringback.identity")
        text = json.dumps([who.name if who else "", path, wanted])
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def is_token(self, request: Request, given: str, wanted: str) -> bool:
        """Whether a form carries the token of this session, path and id."""
        right = self.token(request, request.url.path, wanted)
        return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())


def _writing(secret: str) -> str:
    return hmac.new(secret.encode(), b"write", hashlib.sha256).hexdigest()


def _role(name: str) -> Role:
    for role in ROLES:
        if role == name:
            return role
    return "read"
