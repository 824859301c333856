"""Causes of webhooks that are refused or posted to a wrong address: logged, and kept for
`ringback doctor`, at a bounded price.

Anybody can send requests that fail, so a cause is looked for beside the work, seldom,
and only the causes are kept, nothing of the request itself.
"""

import asyncio
import json
import logging
import os
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from ringback.config import Settings
from ringback.private_files import make_file
from ringback.receiver.routes import Head
from ringback.runtime import REAL, iso
from ringback.twilio.explain import Cause, explain, explain_path, explain_wiring
from ringback.twilio.readings import Refused

FILE = "refusals.json"
EVERY_SECONDS = 5.0
KEPT = 20
MOST_READINGS = 20_000
WIRING_SECONDS = 3600.0
MOST_WIRINGS = 100

_logger = logging.getLogger("ringback.receiver")


class Refusals:
    """Explains refused requests, at most one every five seconds."""

    def __init__(self, settings: Settings, base_url: str = "") -> None:
        self._own_url = base_url
        self._path = settings.data / FILE
        self._wiring = settings.data / "wiring.json"
        self._next = 0.0
        self._task: asyncio.Task[None] | None = None
        self._wirings: dict[tuple[str, str], float] = {}
        self._kept: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.reload(settings)

    def reload(self, settings: Settings) -> None:
        """Explain by these settings from now on."""
        self._tokens = {settings.account_sid: settings.auth_tokens, **settings.accounts}
        self._shared = dict(settings.shared_keys)
        self._base_url = settings.public_url or self._own_url

    def note(
        self, head: "Head", params: Sequence[tuple[str, str]] | None, body: bytes, account: str
    ) -> None:
        """A request failed its proof. Cheap: what it costs is spent later, in a thread."""
        if not self._has_time():
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in head.headers.items()
        }
        seen = Refused(
            head.method.decode("latin-1"),
            head.path.decode("latin-1"),
            head.query.decode("latin-1"),
            headers,
            None if params is None else tuple(params),
            body,
            account,
            head.mount.decode("latin-1"),
        )
        self._begin(self._explain(seen, head.target.route))

    def note_path(self, path: bytes) -> None:
        """A signed request came to a path that is no route."""
        if self._has_time():
            shown = path.decode("latin-1")
            route = shown.removeprefix("/twilio/")
            self._begin(self._put_down(shown, route, (explain_path(shown, self._base_url),)))

    def note_hook(self, route: str, why: str, mend: str) -> None:
        """A delivery of another system failed its proof."""
        if self._has_time():
            said = Cause("hook", f"{route.replace('/', ' ')}: {why}", mend)
            self._begin(self._put_down(f"/{route}", route, (said,)))

    def note_wiring(self, route: str, meant: str, number: str) -> None:
        """A text or a call came to the address of something else, where it is taken as what it is:
        said once an hour of a number and an address."""
        now, key = time.monotonic(), (route, number)
        if now < self._wirings.get(key, 0.0) or not self._has_time():
            return
        self._wirings.pop(key, None)
        self._wirings[key] = now + WIRING_SECONDS
        if len(self._wirings) > MOST_WIRINGS:
            del self._wirings[next(iter(self._wirings))]
        cause = explain_wiring(route, meant, number, self._base_url)
        self._begin(self._put_down(f"/twilio/{route}", route, (cause,)))

    def _has_time(self) -> bool:
        """Whether another one may be explained; it is, then."""
        now = time.monotonic()
        if now < self._next or (self._task is not None and not self._task.done()):
            return False
        self._next = now + EVERY_SECONDS
        return True

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.get_running_loop().create_task(work)

    async def _explain(self, seen: Refused, route: str) -> None:
        try:
            causes = await asyncio.to_thread(
                explain,
                seen,
                public_url=self._base_url,
                tokens=self._tokens,
                shared_keys=self._shared,
                known_urls=await asyncio.to_thread(_wired, self._wiring),
                most=MOST_READINGS,
            )
        except Exception:
            _logger.exception("a refusal could not be explained")
        else:
            await self._put_down(f"{seen.mount}/twilio/{route}", route, causes)

    async def _put_down(self, path: str, route: str, causes: tuple[Cause, ...]) -> None:
        """Log the causes of what was refused or is wired wrongly, and keep them for the doctor."""
        path, route = _printable(path), _printable(route)
        said = _printable("; and ".join(str(cause) for cause in causes))
        became = "is wired wrongly" if causes[0].kind == "wiring" else "was refused"
        _logger.warning("a webhook to %s %s: %s", path, became, said)
        try:
            await asyncio.to_thread(self._keep, route, causes)
        except OSError as error:
            _logger.warning("%s could not be written: %s", self._path, error)

    def _keep(self, route: str, causes: tuple[Cause, ...]) -> None:
        self._kept.append(
            {
                "at": iso(REAL.now()),
                "route": route,
                "causes": [
                    {
                        "kind": cause.kind,
                        "says": _printable(cause.says),
                        "mend": _printable(cause.mend),
                    }
                    for cause in causes
                ],
            }
        )
        fresh = self._path.with_suffix(".new")
        make_file(fresh)
        fresh.write_text(json.dumps(list(self._kept), ensure_ascii=False, indent=1), "utf-8")
        os.replace(fresh, self._path)  # noqa: PTH105


def _wired(path: Path) -> list[str]:
    """The addresses that `ringback connect` has set at Twilio, which keeps them in this file: they
    say what a request was before a proxy rewrote it. Not through the gateway's own reader, which
    would bring its whole client into this process."""
    try:
        targets = json.loads(path.read_text("utf-8"))["targets"]
        urls = {url for target in targets for url in target["after"].values()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []
    return sorted(url for url in urls if isinstance(url, str) and url.startswith("http"))


def read(data: Path) -> list[dict[str, Any]]:
    """The refusals that a node kept in this data folder, oldest first; empty when it kept none."""
    try:
        kept = json.loads((data / FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return [row for row in kept if isinstance(row, dict)] if isinstance(kept, list) else []


def _printable(text: str) -> str:
    # Host and path come from a stranger: nothing in them may break the line or move the cursor.
    return "".join(sign if sign.isprintable() else "·" for sign in text)[:1000]
