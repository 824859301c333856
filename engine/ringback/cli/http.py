"""HTTP client of the commands: for the simulator's control API, and for a node as Twilio would.

The standard library is enough for both, and keeps the commands quick to start.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from ringback.config import Settings
from ringback.errors import ConfigError, RingbackError, UsageError
from ringback.twilio.signature import HEADER, sign

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


_START = "start it: `ringback serve`, or `ringback dev` to try"


class Unanswered(RingbackError):
    """There was no answer at an address where a server should listen."""

    exit_code = 74


def ask(base: str, path: str, body: Mapping[str, Any] | None = None, method: str = "") -> Any:
    """Ask a control page of the simulator; POST when there is a body and no other `method`.

    Raises UsageError with the simulator's own words, Unanswered when it does not answer.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        base + quote(path, safe="/?&=:+@,;~%"),
        data,
        {"Content-Type": "application/json"},
        method=method or ("POST" if data else "GET"),
    )
    try:
        with _DIRECT.open(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        raise UsageError(_words(error)) from None
    except (urllib.error.URLError, OSError) as error:
        raise Unanswered(f"the simulator at {base} does not answer: {error}") from None


def _words(error: urllib.error.HTTPError) -> str:
    text = error.read().decode("utf-8", "replace")
    try:
        found = json.loads(text)
        return str(found.get("error") or found.get("message") or text)
    except (ValueError, AttributeError):
        return f"HTTP {error.code}: {text[:200]}"


def local_url(settings: Settings) -> str:
    """Where the node of these settings can be asked from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def look(settings: Settings, path: str) -> tuple[int, str]:
    """Status and text of a page of the running node. Raises Unanswered when none listens."""
    base = local_url(settings)
    try:
        with _DIRECT.open(base + path, timeout=4) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise Unanswered(f"no node answers at {base}: {reason}; {_START}") from None


def post_webhook(
    settings: Settings, route: str, params: Sequence[tuple[str, str]]
) -> tuple[int, str]:
    """Post a form to the running node as Twilio would, signed with the configured token.

    Without a token it goes to the secret path, unsigned. Gives the status and the body. Raises
    ConfigError without either, Unanswered when no node listens.
    """
    local = local_url(settings)
    public = settings.public_url or local
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    path = f"/twilio/{route}"
    if settings.auth_tokens:
        headers[HEADER] = sign(settings.auth_tokens[0], public + path, list(params))
    elif settings.hook_secret:
        path = f"/twilio/~{settings.hook_secret}/{route}"
    else:
        raise ConfigError(
            ["no way to sign: set TWILIO_AUTH_TOKEN or RINGBACK_HOOK_SECRET, or run `ringback dev`"]
        )
    body = urlencode(params).encode()
    # A public address with a path of its own: a proxy cuts it off in front of `serve`, and an
    # application that mounts the receiver has it here too.
    prefix = urlsplit(public).path
    code, said = _post(local, path, body, headers)
    if code == 404 and prefix:
        code, said = _post(local, prefix + path, body, headers)
    return code, said


def _post(local: str, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
    request = urllib.request.Request(local + path, body, dict(headers))
    try:
        with _DIRECT.open(request, timeout=20) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")
    except (urllib.error.URLError, OSError) as error:
        raise Unanswered(f"no node answers at {local}: {error}; {_START}") from None
