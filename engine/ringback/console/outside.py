"""Outside of a node: the certificate of its public address, and where the webhooks of its numbers
lead. Both are asked of others, so they are looked at behind the page, and again when they are old.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from ringback.config import Settings
from ringback.console.children import NUMBERS, Children
from ringback.console.node_parts import Part
from ringback.console.problems import Refusal
from ringback.runtime import REAL

FRESH_SECONDS = 900.0
PATIENCE_SECONDS = 5.0
SOON = 14
"""A certificate that ends in fewer days is to be renewed."""
NUMBERS_PATH = "/console/settings/numbers"


class Outside:
    """What was seen last; `close` ends a look that goes on."""

    def __init__(
        self, settings: Settings, children: Children, trusted: ssl.SSLContext | None = None
    ) -> None:
        self._settings, self._children, self._trusted = settings, children, trusted
        self._at = float("-inf")
        self._parts: list[Part] = []
        self._look: asyncio.Task[None] | None = None

    def parts(self) -> list[Part]:
        """The parts as they were seen last; none before the first look has ended."""
        going = self._look is not None and not self._look.done()
        if not going and time.monotonic() - self._at > FRESH_SECONDS:
            self._look = asyncio.create_task(self.look())
        return self._parts

    async def look(self) -> None:
        """Look at both."""
        certificate, wiring = await asyncio.gather(self._certificate(), self._wiring())
        self._parts = [each for each in (certificate, wiring) if each is not None]
        self._at = time.monotonic()

    def close(self) -> None:
        """End a look that goes on."""
        if self._look is not None:
            self._look.cancel()

    async def _certificate(self) -> Part | None:
        address = urlsplit(self._settings.public_url)
        if address.scheme != "https" or not address.hostname:
            return None
        name, port = address.hostname, address.port or 443
        try:
            ends = await _end_of(name, port, self._trusted or ssl.create_default_context())
        except ssl.SSLError as error:
            why = getattr(error, "verify_message", "") or error.reason or "it cannot be read"
            mend = "Twilio refuses it too: renew it, for this very name."
            return Part("Certificate", "bad", "refused", f"{name}: {why}", mend)
        except (OSError, TimeoutError) as error:
            says = f"{name} cannot be reached from here: {error or 'it said nothing'}"
            return Part("Certificate", "held", "not seen", says, "Run the doctor.")
        return _valid(name, ends, REAL.now())

    async def _wiring(self) -> Part | None:
        try:
            printed = await self._children.rows(NUMBERS)
        except Refusal:
            return None
        if printed.code and not printed.rows:
            return Part("Numbers", "held", "not known", printed.said, "", NUMBERS_PATH)
        return wiring_of(printed.rows)


async def _end_of(name: str, port: int, trusted: ssl.SSLContext) -> datetime:
    """When the certificate ends that a server shows. Raises SSLError for one that is not good."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        _, writer = await asyncio.open_connection(name, port, ssl=trusted)
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert()
        return datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _valid(name: str, ends: datetime, now: datetime) -> Part:
    days = (ends - now).days
    says = f"of {name}, until {ends:%d %b %Y} ({days} {'day' if days == 1 else 'days'})"
    if days < SOON:
        return Part("Certificate", "held", "ends soon", says, "Renew it.")
    return Part("Certificate", "good", "valid", says)


def wiring_of(rows: Sequence[Mapping[str, Any]]) -> Part:
    """How many of our numbers have webhooks that do not come here."""
    drift = [str(row.get("name")) for row in rows if row.get("changes")]
    if not rows:
        return Part("Numbers", "held", "none", "The account has no number.", "", NUMBERS_PATH)
    if drift:
        says = f"webhooks of {len(drift)} of {len(rows)} are set otherwise: {', '.join(drift[:5])}"
        return Part("Numbers", "held", "differ", says, "Run `ringback connect`.", NUMBERS_PATH)
    one = len(rows) == 1
    says = f"webhooks of {'the one' if one else f'all {len(rows)}'} come here"
    return Part("Numbers", "good", "come here", says, "", NUMBERS_PATH)
